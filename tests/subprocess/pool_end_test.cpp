// EXEC: how process pools end: by shutdown, by their destructor, with their loop, and a worker's own end.
#include "tests/subprocess/child.hpp"
#include "tests/subprocess/pool_functions.hpp"

#include <weir/exceptions.hpp>
#include <weir/net/file.hpp>
#include <weir/net/sock_ops.hpp>
#include <weir/net/socket.hpp>
#include <weir/subprocess/process.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#if !defined(_WIN32)
#include "tests/support/forked.hpp"
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::span<const std::byte> no_input;

ProcessPoolOptions workers(std::size_t count) {
  ProcessPoolOptions options;
  options.max_workers = count;
  return options;
}

// Holds a pool in its frame until it is destroyed.
Coro<void> have_pool(EventLoop& loop, std::vector<int>& pids, bool& made) {
  ProcessPoolExecutor pool(loop, workers(1));
  const Future<Bytes> job = pool.submit(reverse, no_input);
  co_await job;
  pids = pool.worker_pids();
  made = true;
  co_await Future<void>(loop);
}

}  // namespace

WEIR_TEST("EXEC-012 shutdown waits for running and queued jobs, and for the workers") {
  if (lacks("EXEC-012", "process_pools")) {
    co_return;
  }
  const Stage stage;
  const std::size_t descriptors = open_descriptors();
  ProcessPoolExecutor pool(workers(1));
  const Future<Bytes> running = pool.submit(hold, as_bytes(stage.pipe()));
  const Future<Bytes> queued = pool.submit(reverse, as_bytes("on"));
  co_await until([&] { return stage.holds(); });
  Task<void> ending = loop.create_task(pool.shutdown(20s));
  CHECK_THROWS_AS((void)pool.submit(reverse, no_input), RuntimeError);
  co_await sleep(0s);
  CHECK_FALSE(ending.done());
  stage.release();
  co_await ending;
  CHECK((running.done() && queued.done()));
  CHECK(queued.result() == "no");
  CHECK_FALSE(has_children());
  CHECK(open_descriptors() == descriptors);
  co_await pool.shutdown(0s);  // once more: nothing
}

WEIR_TEST("EXEC-012 at its deadline shutdown kills what is left") {
  if (lacks("EXEC-012", "process_pools")) {
    co_return;
  }
  const Stage stage;
  for (const Duration deadline : {Duration(0s), Duration(50ms)}) {
    ProcessPoolExecutor pool(workers(2));
    CHECK(co_await pool.submit(reverse, as_bytes("on")) == "no");
    const std::size_t descriptors = open_descriptors();
    const Future<Bytes> first = pool.submit(stay, as_bytes(stage.file()));
    const Future<Bytes> second = pool.submit(stay, as_bytes(stage.file()));
    const Future<Bytes> queued = pool.submit(reverse, no_input);
    co_await until([&] { return stage.stays(); });
    const TimePoint begun = loop.time();
    co_await pool.shutdown(deadline);
    CHECK(loop.time() - begun >= deadline - 10ms);
    CHECK(loop.time() - begun < deadline + 10s);
    CHECK_FALSE(has_children());
    CHECK(open_descriptors() == descriptors - 2);
    CHECK(co_await failure_of(first) ==
          "BrokenProcessPool: the process pool was shut down before the job was done");
    CHECK(co_await failure_of(second) ==
          "BrokenProcessPool: the process pool was shut down before the job was done");
    CHECK(co_await failure_of(queued) == "cancelled");
  }
}

WEIR_TEST("EXEC-012 shutdown without waiting lets the workers end by themselves") {
  if (lacks("EXEC-012", "process_pools")) {
    co_return;
  }
  const Stage stage;
  ProcessPoolExecutor pool(workers(1));
  const Future<Bytes> running = pool.submit(hold, as_bytes(stage.pipe()));
  const Future<Bytes> queued = pool.submit(reverse, no_input);
  co_await until([&] { return stage.holds(); });
  pool.shutdown(true);
  CHECK(queued.cancelled());
  CHECK_FALSE(running.done());
  stage.release();
  CHECK_FALSE((co_await running).empty());
  co_await until([] { return !has_children(); });
}

WEIR_TEST("EXEC-012 several may wait for a shutdown, and a pool may be destroyed meanwhile") {
  if (lacks("EXEC-012", "process_pools")) {
    co_return;
  }
  const Stage stage;
  auto pool = std::make_unique<ProcessPoolExecutor>(workers(1));
  const Future<Bytes> job = pool->submit(stay, as_bytes(stage.file()));
  co_await until([&] { return stage.stays(); });
  Task<void> first = loop.create_task(pool->shutdown(1000s));
  Task<void> second = loop.create_task(pool->shutdown(1000s));
  Task<void> third = loop.create_task(pool->shutdown(1000s));
  co_await sleep(0s);
  third.cancel();
  CHECK_THROWS_AS(co_await third, CancelledError);
  pool.reset();
  CHECK_FALSE(has_children());
  co_await first;
  co_await second;
  CHECK(co_await failure_of(job) ==
        "BrokenProcessPool: the process pool was shut down before the job was done");
}

WEIR_TEST("EXEC-012 a pool that is destroyed takes its workers with it") {
  if (lacks("EXEC-012", "process_pools")) {
    co_return;
  }
  const Stage stage;
  std::optional<ProcessPoolExecutor> pool(std::in_place, workers(2));
  CHECK(co_await pool->submit(reverse, as_bytes("on")) == "no");
  const Future<Bytes> job = pool->submit(stay, as_bytes(stage.file()));
  const Future<Bytes> starting = pool->submit(reverse, no_input);
  const Future<Bytes> queued = pool->submit(reverse, no_input);
  co_await until([&] { return stage.stays(); });
  pool.reset();
  CHECK_FALSE(has_children());
  CHECK((co_await failure_of(job)).starts_with("BrokenProcessPool"));
  // How far these came is chance; nothing of them is left over.
  for (const Future<Bytes>* other : {&starting, &queued}) {
    CHECK(other->done());
    const std::string end = co_await failure_of(*other);
    CHECK((end == "no failure" || end == "cancelled" || end.starts_with("BrokenProcessPool")));
  }
}

TEST_CASE_FIXTURE(LoopFixture, "EXEC-012 a loop that closes kills the workers of its pools and says so") {
  if (lacks("EXEC-012", "process_pools")) {
    return;
  }
  const Stage stage;
  ProcessPoolExecutor pool(loop, workers(1));
  Future<Bytes> job = pool.submit(stay, as_bytes(stage.file()));
  const Future<Bytes> queued = pool.submit(reverse, no_input);
  run_until(loop, [&] { return stage.stays(); });
  loop.close();
  CHECK_FALSE(has_children());
  CHECK_FALSE(job.done());
  CHECK_THROWS_AS((void)pool.submit(reverse, no_input), RuntimeError);
  CHECK(pool.worker_pids().empty());
  pool.shutdown();
  env.expect_log("unclosed process pool");
  env.expect_log("unclosed transport");
}

TEST_CASE_FIXTURE(LoopFixture, "EXEC-012 a pool in a coroutine that the loop's end destroys") {
  if (lacks("EXEC-012", "process_pools")) {
    return;
  }
  std::vector<int> pids;
  bool made = false;
  const Task<void> task = loop.create_task(have_pool(loop, pids, made));
  run_until(loop, [&] { return made; });
  REQUIRE(pids.size() == 1);
  CHECK(process_exists(pids[0]));
  loop.close();
  CHECK_FALSE(has_children());
  env.expect_report("Task was destroyed but it is pending");
  env.expect_log("unclosed process pool");
  env.expect_log("unclosed transport");
}

TEST_CASE_FIXTURE(LoopFixture, "EXEC-012 a pool outlives its loop") {
  if (lacks("EXEC-012", "process_pools")) {
    return;
  }
  ProcessPoolExecutor pool(loop, workers(1));
  CHECK(loop.run_until_complete(pool.submit(reverse, as_bytes("on"))) == "no");
  loop.run_until_complete(pool.shutdown(20s));
  CHECK_FALSE(has_children());
  loop_owner.reset();
  pool.shutdown();
  CHECK_THROWS_AS((void)pool.submit(reverse, no_input), RuntimeError);
}

WEIR_TEST("EXEC-012 a worker whose pool is gone ends") {
  if (lacks("EXEC-012", "process_pools")) {
    co_return;
  }
  auto [ours, theirs] = Socket::pair();
  File end = File::adopt(theirs.release());
  end.set_non_blocking(false);
  const std::vector<native_file> passed = {end.native_handle()};
  const std::vector<std::string> environment = {"WEIR_PROCESS_WORKER=" + std::to_string(end.native_handle())};
  const std::vector<std::string> args = {"/proc/self/exe"};
  SubprocessOptions options;
  options.pass_fds = passed;
  options.env = environment;
  const Ref<Process> worker = co_await create_subprocess_exec(args, options);
  end.close();
  const Bytes hello = co_await loop.sock_recv(ours, 100);
  CHECK(hello.view() == std::string_view("wp1h\0\0\0\0\0\0\0\0", 12));
  ours.close();
  CHECK(co_await worker->wait() == 0);
  co_await until([&] { return worker->transport()->get_protocol() == nullptr; });
}

#if !defined(_WIN32)
TEST_CASE_FIXTURE(LoopFixture, "FORK-003 to a forked child the pool and its workers are its parent's") {
  if (lacks("FORK-003", "subprocesses")) {
    return;
  }
  const Stage stage;
  auto pool = std::make_unique<ProcessPoolExecutor>(loop, workers(1));
  const Future<Bytes> running = pool->submit(hold, as_bytes(stage.pipe()));
  loop.run_until_complete(until([&] { return stage.holds(); }));
  const auto work = [&](Findings& findings) {
    bool refused = false;
    try {
      (void)pool->submit(reverse, no_input);
    } catch (const RuntimeError&) {
      refused = true;
    }
    findings.check(refused, "a job was taken");
    loop.close();
    pool.reset();
    loop_owner.reset();
    findings.check(env.take_logs().empty(), "something was logged");
  };
  CHECK(in_child(work) == "");
  stage.release();
  loop.run_until_complete(running);
  CHECK(running.result() == std::to_string(pool->worker_pids().at(0)));
  loop.run_until_complete(pool->shutdown(20s));
}
#endif
