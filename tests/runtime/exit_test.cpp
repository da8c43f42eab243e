// A program's end is not held up by what it has left behind: a job that never returns, an input that stays
// open.
#include "tests/support/weir_test.hpp"

#include <weir/net/file.hpp>
#include <weir/net/pipe.hpp>
#include <weir/runner.hpp>

#include <string>
#include <utility>

#if !defined(_WIN32)
#include "tests/support/forked.hpp"
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

#if defined(_WIN32)

TEST_CASE("LESSON-038 a program that leaves a job behind") { CHECK(lacks("LESSON-038", Trait::fork)); }

#else

namespace {

constexpr auto limit = 20ms;

// Ends while a thread is in a job that waits for ever and a task reads from a pipe that nobody writes to.
Coro<int> leave_behind(File& job_waits_for, File& input) {
  EventLoop& loop = get_running_loop();
  job_waits_for.set_non_blocking(false);
  loop.run_in_executor(nullptr, [native = job_waits_for.native_handle()] {
    char byte = 0;
    [[maybe_unused]] const auto count = ::read(native, &byte, 1);
  });
  auto [transport, reader] =
      co_await loop.connect_read_pipe([] { return make_ref<Protocol>(); }, std::move(input));
  co_await sleep(0s);
  co_return 7;
}

}  // namespace

TEST_CASE(
    "LESSON-038 run() returns and the program ends although a job never does and its input stays open") {
  if (lacks("LESSON-038", "real_clock")) {  // without one, jobs are run by the loop itself
    return;
  }
  const auto work = [](Findings& findings) {
    std::string logged;
    set_log_sink([&](LogLevel, std::string_view line) { logged += line; });
    auto [never, kept_open] = File::pipe();
    auto [input, its_writer] = File::pipe();
    RunOptions options;
    options.executor_timeout = limit;
    const int result = run(leave_behind(never, input), options);
    set_log_sink({});
    findings.check(result == 7, "run() gave another value");
    findings.check(logged.find("did not finish joining its threads") != std::string::npos,
                   "logged: " + logged);
    // The thread goes on to wait, and exit() does not wait for it. What it waits for is never closed.
    static const auto* waits_for = new std::pair(std::move(never), std::move(kept_open));
    findings.check(waits_for->first.is_open(), "the pipe is closed");
  };
  CHECK(in_child(work, Leaving::by_exit) == "");
}

#endif
