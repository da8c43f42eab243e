// DBG: debug mode of the scheduler.
#include "tests/runtime/report_helpers.hpp"

#include <weir/async_generator.hpp>

#include <charconv>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

struct Debugged : LoopFixture {
  Debugged() {
    loop.set_debug(true);
    loop.set_slow_callback_duration(20ms);
  }

  std::vector<std::string> logged() {
    std::vector<std::string> texts;
    for (const LogLine& line : env.take_logs()) {
      CHECK(line.level == LogLevel::warning);
      texts.push_back(line.text);
    }
    return texts;
  }
  std::string logged_once() {
    const std::vector<std::string> texts = logged();
    REQUIRE(texts.size() == 1);
    return texts[0];
  }
};

// The milliseconds in "… took 123 ms".
long long milliseconds_in(const std::string& text) {
  const std::size_t at = text.rfind(" took ");
  REQUIRE(at != std::string::npos);
  long long value = -1;
  const char* begin = text.data() + at + 6;
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  CHECK(error == std::errc());
  CHECK(std::string(end) == " ms");
  return value;
}

void blocks_the_loop() { block(30ms); }

Coro<void> slow_task() {
  co_await sleep(0s);
  block(30ms);
  co_await sleep(1ms);
}

Coro<int> never_awaited() { co_return 1; }
constexpr unsigned never_awaited_line = __LINE__ - 1;

}  // namespace

TEST_CASE("DBG-001 debug mode is off by default, and the environment turns it on") {
  EnvironmentVariable variable("WEIR_DEBUG", nullptr);
  CHECK_FALSE(EventLoop().get_debug());
  variable.set("1");
  CHECK(EventLoop().get_debug());
  variable.set("0");
  CHECK_FALSE(EventLoop().get_debug());
  variable.set("");
  CHECK_FALSE(EventLoop().get_debug());
}

TEST_CASE_FIXTURE(LoopFixture, "DBG-001 it can be switched at run time") {
  loop.set_slow_callback_duration(20ms);
  CHECK_FALSE(loop.get_debug());
  const auto run_slow = [this] {
    loop.call_soon(&blocks_the_loop);
    drain(loop);
  };
  run_slow();
  CHECK(env.take_logs().empty());
  loop.set_debug(true);
  CHECK(loop.get_debug());
  run_slow();
  CHECK(env.take_logs().size() == 1);
  loop.set_debug(false);
  CHECK_FALSE(loop.get_debug());
  run_slow();
  CHECK(env.take_logs().empty());
}

TEST_CASE_FIXTURE(LoopFixture, "DBG-001 also from a callback; what it knew does not go astray") {
  loop.set_debug(true);
  loop.call_soon([&] { loop.set_debug(false); });
  drain(loop);
  loop.call_soon([] { throw std::runtime_error("after debug mode"); });
  drain(loop);
  const Report report = env.expect_report("Exception in callback");
  CHECK(report.message == "Exception in callback");
  CHECK(report.handle.empty());
  loop.call_soon([&] { loop.set_debug(true); });
  loop.call_soon([] { throw std::runtime_error("in debug mode"); });
  drain(loop);
  // The second one was scheduled before: its type and place are not known, but it is no other's.
  CHECK_FALSE(contains(env.expect_report("Exception in callback").handle, "set_debug"));
}

TEST_CASE_FIXTURE(Debugged, "DBG-002 a slow callback is logged with its name, place and time") {
  const auto slow = [] { block(30ms); };
  const std::string place = here(1);
  loop.call_soon(slow);
  drain(loop);
  const std::string text = logged_once();
  CHECK(contains(text, detail::type_name(typeid(slow))));
  CHECK(contains(text, place));
  const long long taken = milliseconds_in(text);
  CHECK(taken >= 30);
  CHECK(taken < 10'000);
}

TEST_CASE_FIXTURE(Debugged, "DBG-002 one that takes less is not, and the limit can be changed") {
  CHECK(EventLoop().slow_callback_duration() == 100ms);
  CHECK(loop.slow_callback_duration() == 20ms);
  loop.set_slow_callback_duration(1h);
  loop.call_soon(&blocks_the_loop);
  drain(loop);
  CHECK(logged().empty());
  loop.set_slow_callback_duration(0ms);
  loop.call_soon([] { block(2ms); });
  drain(loop);
  CHECK(milliseconds_in(logged_once()) >= 2);
}

TEST_CASE_FIXTURE(Debugged, "DBG-002 a slow task step is logged with the task") {
  Task<void> task = loop.create_task(slow_task(), {.name = "sluggard"});
  run_until(loop, [&] { return task.done(); });
  const std::string text = logged_once();
  CHECK(contains(text, "sluggard"));
  CHECK(contains(text, "debug_test.cpp"));
  CHECK(milliseconds_in(text) >= 30);
}

TEST_CASE_FIXTURE(Debugged, "DBG-002 the last step of a task too, and it is called finished") {
  Task<void> task = loop.create_task(
      []() -> Coro<void> {
        block(30ms);
        co_return;
      }(),
      {.name = "one step"});
  drain(loop);
  const std::string text = logged_once();
  CHECK(contains(text, "finished"));
  CHECK(contains(text, "one step"));
}

TEST_CASE_FIXTURE(Debugged, "DBG-002 an eager task does not take the blame of the callback that made it") {
  const auto guilty = [this] {
    loop.create_task(never_awaited(), {.name = "innocent", .eager_start = true});
    block(30ms);
  };
  loop.call_soon(guilty);
  drain(loop);
  const std::string text = logged_once();
  CHECK_FALSE(contains(text, "innocent"));
  CHECK(contains(text, detail::type_name(typeid(guilty))));
}

TEST_CASE_FIXTURE(Debugged, "DBG-002 a slow post and a slow done-callback are named too") {
  const auto slow = [] { block(30ms); };
  std::thread([&] { loop.call_soon_threadsafe(slow); }).join();
  drain(loop);
  CHECK(contains(logged_once(), detail::type_name(typeid(slow))));
  Future<void> future = loop.create_future<void>();
  future.add_done_callback(slow);
  future.set_result();
  drain(loop);
  CHECK(contains(logged_once(), detail::type_name(typeid(slow))));
}

TEST_CASE_FIXTURE(Debugged, "DBG-002 a slow callback that throws is logged and reported") {
  loop.call_soon([] {
    block(30ms);
    throw std::runtime_error("slow and broken");
  });
  drain(loop);
  CHECK(milliseconds_in(logged_once()) >= 30);
  CHECK(
      contains(describe_exception(env.expect_report("Exception in callback").exception), "slow and broken"));
}

namespace {

// What the calls from a foreign thread throw, while the loop's own thread stands still in a callback.
std::vector<std::string> call_from_foreign_thread(EventLoop& loop, int& ran) {
  std::vector<std::string> thrown;
  const auto attempt = [&thrown](auto&& call) {
    try {
      call();
      thrown.emplace_back();
    } catch (const RuntimeError& error) {
      thrown.emplace_back(error.what());
    }
  };
  const auto count = [&ran] { ++ran; };
  loop.call_soon([&] {
    std::thread([&] {
      attempt([&] { loop.call_soon(count); });
      attempt([&] { loop.call_later(0s, count); });
      attempt([&] { loop.call_at(TimePoint(), count); });
      attempt([&] { loop.call_soon_threadsafe(count); });
      attempt([&] { loop.remote().post(count); });
    }).join();
  });
  drain(loop);
  drain(loop);
  return thrown;
}

}  // namespace

TEST_CASE_FIXTURE(Debugged, "DBG-003 in debug mode, scheduling from a foreign thread is a usage error") {
  loop.set_slow_callback_duration(1h);
  int ran = 0;
  const std::vector<std::string> thrown = call_from_foreign_thread(loop, ran);
  REQUIRE(thrown.size() == 5);
  for (std::size_t i = 0; i != 3; ++i) {
    CHECK_MESSAGE(contains(thrown[i], "thread"), i);
  }
  // What is made for other threads is allowed, and what was refused does not run.
  CHECK(thrown[3].empty());
  CHECK(thrown[4].empty());
  CHECK(ran == 2);
}

TEST_CASE_FIXTURE(LoopFixture, "DBG-003 without debug mode it is not checked") {
  int ran = 0;
  const std::vector<std::string> thrown = call_from_foreign_thread(loop, ran);
  CHECK(thrown == std::vector<std::string>(5));
  CHECK(ran == 5);
}

TEST_CASE_FIXTURE(Debugged, "DBG-003 a loop that does not run may be given work by the thread that has it") {
  int ran = 0;
  std::thread([&] {
    loop.call_soon([&] { ++ran; });
    loop.call_later(0s, [&] { ++ran; });
  }).join();
  run_until(loop, [&] { return ran == 2; });
  // Nor is it an error to give it work from inside another loop of this thread.
  EventLoop outer;
  outer.call_soon([&] { loop.call_soon([&] { ++ran; }); });
  drain(outer);
  drain(loop);
  CHECK(ran == 3);
}

TEST_CASE_FIXTURE(Debugged,
                  "DBG-004 a coroutine destroyed unawaited is logged with the place of its function") {
  loop.call_soon([] { (void)never_awaited(); });
  drain(loop);
  const std::string text = logged_once();
  CHECK(contains(text, "never awaited"));
  CHECK(contains(text, "never_awaited"));
  CHECK(contains(text, "debug_test.cpp:" + std::to_string(never_awaited_line)));
}

TEST_CASE_FIXTURE(Debugged, "DBG-004 nothing is logged of those that were awaited, moved or made tasks") {
  loop.run_until_complete([]() -> Coro<void> {
    Coro<int> named = never_awaited();
    Coro<int> moved = std::move(named);
    const int awaited = co_await std::move(moved);
    CHECK(awaited == 1);
    Task<int> task = create_task(never_awaited());
    const int result = co_await task;
    CHECK(result == 1);
    Task<int> cancelled = create_task(never_awaited());
    cancelled.cancel();
    co_await until([&] { return cancelled.done(); });
    const AsyncGenerator<int> generator = []() -> AsyncGenerator<int> { co_yield 1; }();
  }());
  CHECK(logged().empty());
}

TEST_CASE_FIXTURE(Debugged, "DBG-004 assigning over one destroys it unawaited") {
  loop.run_until_complete([]() -> Coro<void> {
    Coro<int> coro = never_awaited();
    coro = never_awaited();
    (void)co_await std::move(coro);
  }());
  CHECK(contains(logged_once(), "never awaited"));
}

TEST_CASE_FIXTURE(LoopFixture, "DBG-004 without debug mode nothing is logged") {
  loop.call_soon([] { (void)never_awaited(); });
  drain(loop);
  (void)never_awaited();
  CHECK(env.take_logs().empty());
}

#if defined(__linux__)
// Run by the next test in a process of its own: whether a coroutine is reported when no loop runs is decided
// once a process, by the environment.
TEST_CASE("child: destroys a coroutine without a loop" * doctest::skip()) { (void)never_awaited(); }

TEST_CASE("DBG-004 outside any loop the environment decides") {
  char path[4096] = {};
  REQUIRE(::readlink("/proc/self/exe", path, sizeof path - 1) > 0);
  const auto output_with = [&](const char* value) {
    const std::string command =
        "WEIR_DEBUG=" + std::string(value) + " '" + path + "' --no-skip '-tc=child: destroys*' 2>&1";
    std::FILE* pipe = ::popen(command.c_str(), "r");  // NOLINT: nothing of it comes from outside
    REQUIRE(pipe != nullptr);
    std::string output;
    for (int character = std::fgetc(pipe); character != EOF; character = std::fgetc(pipe)) {
      output += static_cast<char>(character);
    }
    CHECK(::pclose(pipe) == 0);
    return output;
  };
  CHECK(contains(output_with("1"), "never awaited"));
  CHECK_FALSE(contains(output_with("0"), "never awaited"));
}
#endif

TEST_CASE_FIXTURE(Debugged, "DBG-006 a slow timer callback is reported like any other") {
  const auto slow = [] { block(30ms); };
  bool after = false;
  const std::string later_place = here(1);
  loop.call_later(1ms, slow);
  loop.call_later(2ms, [&] { after = true; });
  run_until(loop, [&] { return after; });
  std::string text = logged_once();
  CHECK(contains(text, detail::type_name(typeid(slow))));
  CHECK(contains(text, later_place));
  CHECK(milliseconds_in(text) >= 30);
  after = false;
  const std::string at_place = here(1);
  loop.call_at(loop.time() + 1ms, slow);
  loop.call_later(2ms, [&] { after = true; });
  run_until(loop, [&] { return after; });
  text = logged_once();
  CHECK(contains(text, at_place));
}
