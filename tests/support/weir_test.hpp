// The fixture of weir's own tests. WEIR_TEST gives a coroutine body on a fresh loop; LoopFixture is for tests
// that drive the loop themselves. Both check afterwards that nothing was reported that the test did not
// expect, that no task is left and no descriptor leaked.
#pragma once

#include "tests/support/trait.hpp"

#include <doctest/doctest.h>

#include <weir/config.hpp>
#include <weir/event_loop.hpp>
#include <weir/log.hpp>
#include <weir/runner.hpp>
#include <weir/tasks.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::testing {

// One call of the exception handler, copied.
struct Report {
  std::string message;
  std::exception_ptr exception;
  std::string handle;
  std::string object;
  bool has_task = false;
  bool has_future = false;
  bool has_transport = false;
  bool has_protocol = false;
  std::source_location source_location;
};

struct LogLine {
  LogLevel level;
  std::string text;
};

// What a test knows of its surroundings.
class Env {
 public:
  Env();
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;
  // Fails the test for what it did not take.
  ~Env() noexcept(false);

  // Takes the reports that reached the exception handler so far, or the lines that reached the log sink.
  std::vector<Report> take_reports() { return std::exchange(reports_, {}); }
  std::vector<LogLine> take_logs() { return std::exchange(logs_, {}); }
  // Takes one report whose message contains `text`; fails the test when there is none. Likewise one line of
  // the log.
  Report expect_report(std::string_view text);
  std::string expect_log(std::string_view text);
  // For tests that open descriptors which outlive them on purpose.
  void allow_descriptor_change() { descriptors_checked_ = false; }

  // Routes the loop's reports here; done already for the fixtures' own loop.
  void watch(EventLoop& loop);

 private:
  void check_end();

  std::vector<Report> reports_;
  std::mutex mutex_;  // lines may come from other threads
  std::vector<LogLine> logs_;
  std::size_t descriptors_;
  bool descriptors_checked_ = true;
  int uncaught_;
};

// For TEST_CASE_FIXTURE: a loop that is not running.
class LoopFixture {
 public:
  LoopFixture() { env.watch(*loop_owner); }

  Env env;
  std::unique_ptr<EventLoop> loop_owner = std::make_unique<EventLoop>();
  EventLoop& loop = *loop_owner;
};

// Runs the loop turn by turn, without waiting, until a turn leaves nothing ready: only the outside can make
// progress then.
void drain(EventLoop& loop);
// Runs the loop until `condition` holds; fails the test after `limit` of the loop's time.
void run_until(EventLoop& loop, const std::function<bool()>& condition,
               Duration limit = std::chrono::seconds(20));
// The same from inside a coroutine: lets the loop turn until `condition` holds.
Coro<void> until(std::function<bool()> condition, Duration limit = std::chrono::seconds(20));
// One turn of the loop that does not wait.
void turn(EventLoop& loop);

// The number of descriptors this process (under sim: the world) has open.
std::size_t open_descriptors();

// Has the backend under test this capability? The names are those of `weir info`.
bool has(std::string_view capability);
// Records that the statement `id` cannot be shown here for want of `capability`, which must be missing.
// Return from the test after it. What is the machine's and no capability of weir: trait.hpp.
void skip(std::string_view id, std::string_view capability);
// Both at once: true when the test is to return.
bool lacks(std::string_view id, std::string_view capability);
bool lacks(std::string_view id, Trait trait);
unsigned skip_count() noexcept;

// For a program that its own tests start again, as something else: gives what main() is to return then, and
// nothing when the tests are to run. Set by a constructor at namespace scope.
extern std::optional<int> (*run_instead)();

void run_test_body(Coro<void> (*body)(EventLoop& loop, Env& env));

}  // namespace weir::testing

// A test whose body is a coroutine on a running loop; it may use `loop` and `env`, co_await, and doctest's
// macros. It fails after 30 s of the loop's time.
#define WEIR_TEST(name) WEIR_TEST_IN(name, DOCTEST_ANONYMOUS(weir_test_body_))
// NOLINTBEGIN(bugprone-macro-parentheses): `body` is declared here
#define WEIR_TEST_IN(name, body)                                              \
  static ::weir::Coro<void> body([[maybe_unused]] ::weir::EventLoop& loop,    \
                                 [[maybe_unused]] ::weir::testing::Env& env); \
  TEST_CASE(name) { ::weir::testing::run_test_body(&body); }                  \
  static ::weir::Coro<void> body([[maybe_unused]] ::weir::EventLoop& loop,    \
                                 [[maybe_unused]] ::weir::testing::Env& env)
// NOLINTEND(bugprone-macro-parentheses)
