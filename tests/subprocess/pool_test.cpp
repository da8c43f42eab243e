// EXEC: process pools: jobs, their errors, and workers that die or are killed.
#include "tests/subprocess/child.hpp"
#include "tests/subprocess/pool_functions.hpp"

#include <weir/exceptions.hpp>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::span<const std::byte> no_input;

int number_in(const Bytes& text) { return std::stoi(text.str()); }

ProcessPoolOptions workers(std::size_t count) {
  ProcessPoolOptions options;
  options.max_workers = count;
  return options;
}

// Waits until it is at no job and has ended.
Coro<void> gone(int pid) {
  co_await until([pid] { return !process_exists(pid); });
}

std::string killed(int pid, std::string_view why) {
  return "BrokenProcessPool: the worker process " + std::to_string(pid) + ' ' + std::string(why);
}

}  // namespace

WEIR_TEST("EXEC-009 a registered function runs in a worker process, bytes in and bytes out") {
  if (!has("process_pools")) {
    CHECK_THROWS_AS(ProcessPoolExecutor(), NotSupportedError);
  }
  if (lacks("EXEC-009", "process_pools")) {
    co_return;
  }
  ProcessPoolExecutor pool(workers(2));
  CHECK(pool.worker_pids().empty());  // nobody is started in advance
  for (const std::size_t size : {0, 1, 65'528, 65'529, 3'000'000}) {
    CAPTURE(size);
    std::string input(size, 'x');
    for (std::size_t i = 0; i != size; ++i) {
      input[i] = static_cast<char>(i * 31 + i / 256);
    }
    const Bytes output = co_await pool.submit(reverse, as_bytes(input));
    CHECK((output == std::string(input.rbegin(), input.rend())));
  }
  CHECK(pool.worker_pids().size() == 1);  // whoever is idle is taken
  const Bytes pid = co_await loop.run_in_executor(pool, pid_of, no_input);
  CHECK(number_in(pid) == pool.worker_pids().at(0));
  CHECK(co_await pool.submit("reverse", as_bytes("by name")) == "eman yb");
  CHECK(reverse(as_bytes("here")) == "ereh");
  // Three at a time, for two.
  std::vector<Future<Bytes>> several;
  for (const char* text : {"ab", "cd", "ef"}) {
    several.push_back(pool.submit(reverse, as_bytes(text)));
  }
  CHECK(co_await several[0] == "ba");
  CHECK(co_await several[1] == "dc");
  CHECK(co_await several[2] == "fe");
  CHECK(pool.worker_pids().size() == 2);
}

WEIR_TEST("EXEC-009 what a function throws arrives as an error with its text, and so does an unknown name") {
  if (lacks("EXEC-009", "process_pools")) {
    co_return;
  }
  ProcessPoolExecutor pool(workers(1));
  CHECK(co_await failure_of(pool.submit(fail_with, as_bytes("no such moon"))) ==
        "ProcessJobError: no such moon");
  CHECK(co_await failure_of(pool.submit(fail_with, no_input)) == "ProcessJobError: ");
  CHECK((co_await failure_of(pool.submit(fail_oddly, no_input))).starts_with("ProcessJobError: "));
  CHECK(co_await failure_of(pool.submit("nobody", no_input)) ==
        "ProcessJobError: no process function is registered as 'nobody'");
  CHECK(co_await pool.submit(reverse, as_bytes("on")) == "no");
  CHECK(pool.worker_pids().size() == 1);
}

WEIR_TEST("EXEC-009 what is wrong with a pool is said when it is made, or given a job") {
  if (lacks("EXEC-009", "process_pools")) {
    co_return;
  }
  {
    const ProcessFunction again("reverse", nullptr);
    CHECK_THROWS_WITH_AS(ProcessPoolExecutor(),
                         "ProcessPoolExecutor: a ProcessFunction has no name or no function", RuntimeError);
  }
  {
    const ProcessFunction again("reverse", [](std::span<const std::byte>) { return Bytes(); });
    CHECK_THROWS_WITH_AS(ProcessPoolExecutor(),
                         "ProcessPoolExecutor: two ProcessFunctions are registered as 'reverse'",
                         RuntimeError);
  }
  ProcessPoolExecutor pool;
  EventLoop other;
  CHECK_THROWS_AS(other.run_in_executor(pool, reverse, no_input), std::invalid_argument);
  pool.shutdown();
  CHECK_THROWS_AS((void)pool.submit(reverse, no_input), RuntimeError);
  other.close();
  CHECK_THROWS_AS(ProcessPoolExecutor{other}, RuntimeError);
}

WEIR_TEST(
    "EXEC-009 a worker has no input, one socket, and ignores Ctrl-C; after max_jobs_per_worker it ends") {
  if (lacks("EXEC-009", "process_pools")) {
    co_return;
  }
  ProcessPoolOptions options = workers(1);
  options.max_jobs_per_worker = 2;
  ProcessPoolExecutor pool(options);
  std::set<int> pids;
  for (const char* count : {"1", "2", "1", "2", "1"}) {
    const Bytes text = co_await pool.submit(surroundings, no_input);
    CHECK(text == std::string("input:end variable:none sockets:1 jobs:") + count);
    for (const int pid : pool.worker_pids()) {
      pids.insert(pid);
    }
  }
  CHECK(pids.size() == 3);
  co_await pool.shutdown(20s);
  for (const int pid : pids) {
    CHECK_FALSE(process_exists(pid));
  }
}

WEIR_TEST("EXEC-010 a worker that dies fails its job alone; others and later ones go on") {
  if (lacks("EXEC-010", "process_pools")) {
    co_return;
  }
  const Stage stage;
  ProcessPoolExecutor pool(workers(2));
  const Future<Bytes> other = pool.submit(hold, as_bytes(stage.pipe()));
  const int holder = pool.worker_pids().at(0);
  co_await until([&] { return stage.holds(); });
  for (const auto& [function, number, end] :
       {std::tuple(&exit_with, "3", "exited with 3"), std::tuple(&exit_with, "0", "exited with 0"),
        std::tuple(&raise_signal, "9", "was killed by signal 9"),
        std::tuple(&raise_signal, "6", "was killed by signal 6")}) {
    const Future<Bytes> dying = pool.submit(*function, as_bytes(number));
    const Future<Bytes> queued = pool.submit(pid_of, no_input);
    const int pid = pool.worker_pids().at(1);
    CHECK(co_await failure_of(dying) == killed(pid, end));
    CHECK_FALSE(process_exists(pid));
    CHECK(number_in(co_await queued) != pid);
  }
  // One that dies while it has nothing to do is nobody's loss.
  const int idle = pool.worker_pids().at(1);
  CHECK(kill_process(idle));
  co_await until([&] { return pool.worker_pids().size() == 1; });
  CHECK(co_await pool.submit(reverse, as_bytes("on")) == "no");
  stage.release();
  CHECK(number_in(co_await other) == holder);
}

WEIR_TEST("EXEC-010 an end is noticed also when others hold the worker's socket") {
  if (lacks("EXEC-010", "process_pools")) {
    co_return;
  }
  const Stage stage;
  ProcessPoolExecutor pool(workers(1));
  const Future<Bytes> job = pool.submit(pass_on, as_bytes(stage.pipe()));
  const int pid = pool.worker_pids().at(0);
  CHECK(co_await failure_of(job) == killed(pid, "exited with 4"));
  co_await until([&] { return stage.holds(); });
  stage.release();
}

WEIR_TEST("EXEC-010 a worker that sends what is no answer is killed") {
  if (lacks("EXEC-010", "process_pools")) {
    co_return;
  }
  ProcessPoolOptions options = workers(1);
  options.max_result = 1000;
  ProcessPoolExecutor pool(options);
  using namespace std::string_literals;
  for (const auto& [raw, complaint] : {
           std::pair("wp1r\0\0\0\0\2\0\0\0"s, "sent what is no answer, and was killed"s),
           std::pair("rubbish, and more of it"s, "sent what is no answer, and was killed"s),
           std::pair("wp1h\0\0\0\0\0\0\0\0"s, "sent what is no answer, and was killed"s),
           std::pair("wp1?\0\0\0\0\1\0\0\0"s, "sent what is no answer, and was killed"s),
           std::pair("wp1r\xE9\x03\0\0\1\0\0\0"s,
                     "sent an answer of 1001 bytes, and max_result is 1000, and was killed"s),
           std::pair("wp1r\xFF\xFF\xFF\xFF\1\0\0\0"s,
                     "sent an answer of 4294967295 bytes, and max_result is 1000, and was killed"s),
       }) {
    const Future<Bytes> job = pool.submit(send_raw, as_bytes(raw));
    const int pid = pool.worker_pids().at(0);
    CHECK(co_await failure_of(job) == killed(pid, complaint));
    co_await gone(pid);
  }
  CHECK(co_await pool.submit(reverse, as_bytes(std::string(1000, 'y'))) == std::string(1000, 'y'));
  const int pid = pool.worker_pids().at(0);
  CHECK(co_await failure_of(pool.submit(reverse, as_bytes(std::string(1001, 'y')))) ==
        killed(pid, "sent an answer of 1001 bytes, and max_result is 1000, and was killed"));
  // A second answer is not taken for that of the next job.
  const Future<Bytes> twice = pool.submit(send_raw, as_bytes("wp1r\1\0\0\0\1\0\0\0!"s));
  const Future<Bytes> next = pool.submit(reverse, as_bytes("on"));
  const Bytes first = co_await twice;
  CHECK(first == "!");
  const std::string failure = co_await failure_of(next);
  CHECK((failure == "no failure" || failure.starts_with("BrokenProcessPool")));
  if (failure == "no failure") {
    CHECK(next.result() == "no");
  }
}

WEIR_TEST("EXEC-010 a worker that closes its socket and lives on is killed") {
  if (lacks("EXEC-010", "process_pools")) {
    co_return;
  }
  const Stage stage;
  ProcessPoolExecutor pool(workers(1));
  const Future<Bytes> job = pool.submit(close_raw, as_bytes(stage.file()));
  const int pid = pool.worker_pids().at(0);
  CHECK(co_await failure_of(job) == killed(pid, "was killed by signal 9"));
  CHECK_FALSE(process_exists(pid));
  CHECK(co_await pool.submit(reverse, as_bytes("on")) == "no");
}

WEIR_TEST("EXEC-010 workers that cannot be started fail all that waits, once") {
  if (lacks("EXEC-010", "process_pools")) {
    co_return;
  }
  for (const auto& [program, failure] :
       {std::pair("/no/such/program", "other: ProcessPoolExecutor: exec /no/such/program: "),
        std::pair("/bin/false", "BrokenProcessPool: the worker process "),
        std::pair("/bin/true", "BrokenProcessPool: the worker process ")}) {
    CAPTURE(program);
    const std::vector<std::string> command = {program};
    ProcessPoolOptions options = workers(1);
    options.command = command;
    ProcessPoolExecutor pool(options);
    std::vector<Future<Bytes>> jobs;
    for (int i = 0; i != 3; ++i) {
      jobs.push_back(pool.submit(reverse, no_input));
    }
    const std::string first = co_await failure_of(jobs[0]);
    CHECK(first.starts_with(failure));
    CHECK(pool.worker_pids().empty());
    CHECK(co_await failure_of(jobs[1]) == first);
    CHECK(co_await failure_of(jobs[2]) == first);
    if (program == std::string("/bin/false")) {
      CHECK(first.ends_with(" exited with 1 before it could work"));
    }
    // And again.
    CHECK((co_await failure_of(pool.submit(reverse, no_input))).starts_with(failure));
    co_await pool.shutdown(20s);
  }
}

WEIR_TEST("EXEC-011 cancelling a job kills its worker and no other") {
  if (lacks("EXEC-011", "process_pools")) {
    co_return;
  }
  const Stage stage;
  ProcessPoolExecutor pool(workers(2));
  const Future<Bytes> other = pool.submit(hold, as_bytes(stage.pipe()));
  Future<Bytes> job = pool.submit(stay, as_bytes(stage.file()));
  Future<Bytes> queued = pool.submit(pid_of, no_input);
  const Future<Bytes> last = pool.submit(pid_of, no_input);
  const std::vector<int> pids = pool.worker_pids();
  co_await until([&] { return stage.holds() && stage.stays(); });
  // One that waits costs nobody's life.
  CHECK(queued.cancel());
  co_await sleep(0s);
  co_await sleep(0s);
  CHECK(pool.worker_pids() == pids);
  CHECK(job.cancel());
  co_await gone(pids.at(1));
  const int fresh = number_in(co_await last);
  CHECK(std::ranges::count(pids, fresh) == 0);
  // One that has hardly begun is no different.
  Future<Bytes> early = pool.submit(stay, as_bytes(stage.file()));
  CHECK(early.cancel());
  co_await gone(fresh);
  CHECK(process_exists(pids.at(0)));
  stage.release();
  CHECK(number_in(co_await other) == pids.at(0));
}

WEIR_TEST("EXEC-011 the time-out of a job kills its worker and no other") {
  if (lacks("EXEC-011", "process_pools")) {
    co_return;
  }
  const Stage stage;
  ProcessPoolExecutor pool(workers(2));
  ProcessJobOptions in_time, late;
  in_time.timeout = 20s;
  const Future<Bytes> other = pool.submit(hold, as_bytes(stage.pipe()), in_time);
  const Future<Bytes> first = pool.submit(pid_of, no_input, in_time);
  const int busy = pool.worker_pids().at(0);
  const int idle = number_in(co_await first);
  late.timeout = 100ms;
  const Future<Bytes> job = pool.submit(stay, as_bytes(stage.file()), late);
  const Future<Bytes> next = pool.submit(pid_of, no_input);
  const TimePoint begun = loop.time();
  CHECK(co_await failure_of(job) == "TimeoutError: process job 'stay': timed out");
  CHECK(loop.time() - begun >= 90ms);
  co_await gone(idle);
  CHECK(process_exists(busy));
  const int fresh = number_in(co_await next);
  CHECK((fresh != idle && fresh != busy));
  stage.release();
  CHECK(number_in(co_await other) == busy);
}
