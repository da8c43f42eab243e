// RUN: run() and Runner, without signals; those are in interrupt_test.cpp.
#include "tests/runtime/report_helpers.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

using Lines = std::vector<std::string>;

Coro<int> give(int value) {
  co_await sleep(0s);
  co_return value;
}
Coro<void> fail(const char* what) {
  co_await sleep(0s);
  throw std::runtime_error(what);
}

// Leaves a way to see from outside what became of the loop.
Coro<void> leave_remote(std::optional<LoopRemote>& remote) {
  remote.emplace(get_running_loop().remote());
  co_return;
}

// Until it is cancelled; its cleanup awaits.
Coro<void> tidy(Lines& lines, std::string name) {
  bool cancelled = false;
  try {
    co_await sleep(1h);
  } catch (const CancelledError&) {
    cancelled = true;
  }
  if (cancelled) {
    lines.push_back(name + " cancelled");
    co_await sleep(5ms);
    lines.push_back(name + " done");
  }
}

Coro<void> fail_when_cancelled(const char* what) {
  try {
    co_await sleep(1h);
  } catch (const CancelledError&) {
    throw std::logic_error(what);
  }
}

template <class M>
concept MayRun = requires(M main) { run(std::move(main)); };
template <class M>
concept RunnerMayRun = requires(Runner& runner, M main) { runner.run(std::move(main)); };
template <class M>
concept MayRunLvalue = requires(M& main) { run(main); };
static_assert(MayRun<Coro<int>> && RunnerMayRun<Coro<int>>);
static_assert(!MayRun<int> && !RunnerMayRun<int>);
static_assert(!MayRun<Future<int>> && !RunnerMayRun<Future<int>>);
static_assert(!MayRun<Task<int>> && !RunnerMayRun<Task<int>>);
static_assert(!MayRun<Coro<int> (*)()> && !RunnerMayRun<Coro<int> (*)()>);
static_assert(!MayRunLvalue<Coro<int>>, "who runs a coroutine gives it away");

}  // namespace

TEST_CASE("RUN-001 run returns the value of main") {
  Env env;
  CHECK(run(give(5)) == 5);
  run([]() -> Coro<void> { co_await sleep(1ms); }());
  const std::unique_ptr<int> owned =
      run([]() -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(6); }());
  CHECK(*owned == 6);
}

TEST_CASE("RUN-001 run rethrows the exception of main") {
  Env env;
  CHECK_THROWS_WITH_AS(run(fail("main failed")), "main failed", std::runtime_error);
  CHECK_THROWS_AS(run([]() -> Coro<int> {
                    throw 3;  // NOLINT: anything may be thrown
                    co_return 0;
                  }()),
                  int);
  // A cancellation is not SIGINT's when nobody pressed it.
  CHECK_THROWS_AS(run([]() -> Coro<void> {
                    current_task()->cancel("by itself");
                    co_await sleep(1h);
                  }()),
                  CancelledError);
}

TEST_CASE("RUN-001 run closes the loop in both cases") {
  Env env;
  std::optional<LoopRemote> remote;
  run(leave_remote(remote));
  REQUIRE(remote.has_value());
  CHECK(remote->closed());
  remote.reset();
  CHECK_THROWS_AS(run([](std::optional<LoopRemote>& to) -> Coro<void> {
                    co_await leave_remote(to);
                    throw std::runtime_error("main failed");
                  }(remote)),
                  std::runtime_error);
  REQUIRE(remote.has_value());
  CHECK(remote->closed());
  CHECK_THROWS_AS(get_running_loop(), RuntimeError);
}

WEIR_TEST("RUN-002 run is refused inside a running loop, which goes on") {
  bool began = false;
  const auto main = [](bool& flag) -> Coro<void> {
    flag = true;
    co_return;
  };
  CHECK_THROWS_AS(run(main(began)), RuntimeError);
  Runner runner;
  CHECK_THROWS_AS(runner.run(main(began)), RuntimeError);
  CHECK_FALSE(began);
  co_await sleep(1ms);
  bool refused_in_callback = false;
  loop.call_soon([&] {
    try {
      run(main(began));
    } catch (const RuntimeError&) {
      refused_in_callback = true;
    }
  });
  co_await until([&] { return refused_in_callback; });
  CHECK_FALSE(began);
}

TEST_CASE("RUN-002 a runner that was refused inside a loop runs outside") {
  Env env;
  Runner runner;
  run([](Runner& refused) -> Coro<void> {
    CHECK_THROWS_AS(refused.run(give(1)), RuntimeError);
    co_return;
  }(runner));
  CHECK(runner.run(give(2)) == 2);
}

TEST_CASE("RUN-002 a coroutine that was given away is refused") {
  Env env;
  Coro<int> coro = give(1);
  const Coro<int> taken = std::move(coro);
  CHECK_THROWS_AS(run(std::move(coro)), RuntimeError);  // NOLINT: that is the point
}

TEST_CASE("RUN-003 tasks left pending are cancelled and awaited before the loop is closed") {
  Env env;
  Lines lines;
  const auto main = [](Lines& to, bool fails) -> Coro<int> {
    create_task(tidy(to, "a"));
    create_task(tidy(to, "b"));
    co_await sleep(1ms);
    to.emplace_back("main ends");
    if (fails) {
      throw std::runtime_error("main failed");
    }
    co_return 4;
  };
  SUBCASE("main returned") { CHECK(run(main(lines, false)) == 4); }
  SUBCASE("main failed") { CHECK_THROWS_WITH_AS(run(main(lines, true)), "main failed", std::runtime_error); }
  REQUIRE(lines.size() == 5);
  CHECK(lines[0] == "main ends");
  std::sort(lines.begin() + 1, lines.end());
  CHECK(lines == Lines{"main ends", "a cancelled", "a done", "b cancelled", "b done"});
}

TEST_CASE("RUN-003 a task that never began is cancelled without running") {
  Env env;
  Lines lines;
  run([](Lines& to) -> Coro<void> {
    create_task(tidy(to, "late"));
    co_return;
  }(lines));
  // Its first step may stand before main's end in the queue, but nothing of it is left half-way.
  CHECK((lines.empty() || lines == Lines{"late cancelled", "late done"}));
}

TEST_CASE("RUN-003 tasks go on between the runs of a runner, close() ends them") {
  Env env;
  Lines lines;
  Runner runner;
  runner.run([](Lines& to) -> Coro<void> {
    create_task(tidy(to, "lasting"));
    co_await sleep(0s);
  }(lines));
  CHECK(lines.empty());
  runner.run([]() -> Coro<void> { co_await sleep(1ms); }());
  CHECK(lines.empty());
  runner.close();
  CHECK(lines == Lines{"lasting cancelled", "lasting done"});
}

TEST_CASE("RUN-004 errors of tasks that are cancelled at the end go to the exception handler") {
  Env env;
  const auto main = [](Env& watcher) -> Coro<int> {
    watcher.watch(get_running_loop());
    create_task(fail_when_cancelled("first"), {.name = "first task"});
    create_task(fail_when_cancelled("second"));
    Lines unused;
    create_task([]() -> Coro<void> { co_await sleep(1h); }());
    co_await sleep(1ms);
    co_return 9;
  };
  CHECK(run(main(env)) == 9);
  std::string all;
  const std::vector<Report> reports = env.take_reports();
  REQUIRE(reports.size() == 2);
  for (const Report& report : reports) {
    CHECK(contains(report.message, "unhandled exception"));
    CHECK(report.has_task);
    all += describe_exception(report.exception) + "\n";
  }
  CHECK(contains(all, "first"));
  CHECK(contains(all, "second"));
}

TEST_CASE("RUN-004 they do not replace main's own exception") {
  Env env;
  const auto main = [](Env& watcher) -> Coro<void> {
    watcher.watch(get_running_loop());
    create_task(fail_when_cancelled("in the task"));
    co_await sleep(1ms);
    throw std::runtime_error("main's own");
  };
  CHECK_THROWS_WITH_AS(run(main(env)), "main's own", std::runtime_error);
  CHECK(contains(describe_exception(env.expect_report("unhandled exception").exception), "in the task"));
}

TEST_CASE("RUN-005 a runner runs several coroutines on one loop") {
  Env env;
  Runner runner;
  CHECK(runner.run(give(1)) == 1);
  EventLoop* const loop = &runner.get_loop();
  CHECK(runner.run([]() -> Coro<EventLoop*> { co_return &get_running_loop(); }()) == loop);
  CHECK_THROWS_AS(runner.run(fail("one of them")), std::runtime_error);
  CHECK(runner.run(give(2)) == 2);
  CHECK(&runner.get_loop() == loop);
  CHECK_FALSE(loop->is_closed());
}

TEST_CASE("RUN-005 close is idempotent, later runs are usage errors") {
  Env env;
  std::optional<LoopRemote> remote;
  Runner runner;
  runner.run(leave_remote(remote));
  runner.close();
  CHECK(remote->closed());
  runner.close();
  CHECK_THROWS_AS(runner.run(give(1)), RuntimeError);
  CHECK_THROWS_AS(runner.get_loop(), RuntimeError);
  runner.close();
}

TEST_CASE("RUN-005 so it is for a runner that was never used") {
  Env env;
  Runner runner;
  runner.close();
  runner.close();
  CHECK_THROWS_AS(runner.run(give(1)), RuntimeError);
}

TEST_CASE("RUN-005 the destructor closes") {
  Env env;
  std::optional<LoopRemote> remote;
  Lines lines;
  {
    Runner runner;
    runner.run(leave_remote(remote));
    runner.run([](Lines& to) -> Coro<void> {
      create_task(tidy(to, "left"));
      co_await sleep(0s);
    }(lines));
    CHECK_FALSE(remote->closed());
  }
  CHECK(remote->closed());
  CHECK(lines == Lines{"left cancelled", "left done"});
}

TEST_CASE("RUN-005 close inside a running loop is a usage error and closes nothing") {
  Env env;
  Runner runner;
  runner.run([](Runner& own) -> Coro<void> {
    CHECK_THROWS_AS(own.close(), RuntimeError);
    co_await sleep(1ms);
  }(runner));
  run([](Runner& foreign) -> Coro<void> {
    CHECK_THROWS_AS(foreign.close(), RuntimeError);
    co_return;
  }(runner));
  CHECK(runner.run(give(1)) == 1);
  runner.close();
}

TEST_CASE("RUN-005 a runner destroyed inside a running loop says so, and its loop is closed all the same") {
  Env env;
  std::optional<LoopRemote> remote;
  auto runner = std::make_unique<Runner>();
  runner->run(leave_remote(remote));
  run([](std::unique_ptr<Runner>& foreign) -> Coro<void> {
    foreign.reset();
    co_return;
  }(runner));
  CHECK(remote->closed());
  env.expect_log("Runner::close");
}

namespace {

int factory_calls = 0;

std::unique_ptr<EventLoop> counting_factory() {
  ++factory_calls;
  return std::make_unique<EventLoop>();
}

Coro<bool> debug_of_loop() { co_return get_running_loop().get_debug(); }

}  // namespace

TEST_CASE("RUN-006 a loop factory makes the loop, once a runner and not before it is needed") {
  Env env;
  factory_calls = 0;
  CHECK(run(give(1), {.loop_factory = &counting_factory}) == 1);
  CHECK(factory_calls == 1);
  Runner runner({.loop_factory = &counting_factory});
  CHECK(factory_calls == 1);
  CHECK(runner.run(give(2)) == 2);
  CHECK(runner.run(give(3)) == 3);
  CHECK(factory_calls == 2);
  runner.close();
  const Runner unused({.loop_factory = &counting_factory});
  CHECK(factory_calls == 2);
}

TEST_CASE("RUN-006 the factory's loop is the one that runs") {
  Env env;
  static EventLoop* made = nullptr;
  const auto factory = []() -> std::unique_ptr<EventLoop> {
    auto loop = std::make_unique<EventLoop>();
    made = loop.get();
    return loop;
  };
  const bool same =
      run([]() -> Coro<bool> { co_return &get_running_loop() == made; }(), {.loop_factory = factory});
  CHECK(same);
}

TEST_CASE("RUN-006 debug can be set, and is as the environment says otherwise") {
  Env env;
  EnvironmentVariable variable("WEIR_DEBUG", nullptr);
  CHECK_FALSE(run(debug_of_loop()));
  CHECK(run(debug_of_loop(), {.debug = true}));
  variable.set("1");
  CHECK(run(debug_of_loop()));
  CHECK_FALSE(run(debug_of_loop(), {.debug = false}));
  Runner runner({.debug = false});
  CHECK_FALSE(runner.get_loop().get_debug());
}

TEST_CASE("RUN-006 a factory that fails, or makes nothing, fails the run") {
  Env env;
  static int attempts = 0;
  attempts = 0;
  const auto failing = []() -> std::unique_ptr<EventLoop> {
    if (++attempts == 1) {
      throw std::runtime_error("no loop today");
    }
    return std::make_unique<EventLoop>();
  };
  Runner runner({.loop_factory = failing});
  CHECK_THROWS_WITH_AS(runner.run(give(1)), "no loop today", std::runtime_error);
  CHECK(runner.run(give(2)) == 2);  // it is asked again
  const auto empty = []() -> std::unique_ptr<EventLoop> { return nullptr; };
  CHECK_THROWS_AS(run(give(1), {.loop_factory = empty}), RuntimeError);
}
