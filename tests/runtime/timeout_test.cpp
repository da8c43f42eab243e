// WAIT-018 to 027: wait_for and timeout.
#include "tests/runtime/outcome.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/timeout.hpp>

#include <string>
#include <type_traits>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

Coro<int> sleeper(std::string& events) {
  try {
    co_await sleep(1h);
  } catch (const CancelledError&) {
    events += "cancelled ";
    throw;
  }
  co_return 0;
}

// Awaits `body` in a task of its own.
template <class F>
Task<std::string> started(F body) {
  return create_task(outcome_of(body()));
}

}  // namespace

WEIR_TEST("WAIT-018 wait_for gives the value that comes in time") {
  CHECK(co_await wait_for(give(1), 1h) == 1);
  auto gate = loop.create_future<int>();
  const auto task = create_task(outcome_of(wait_for(get(gate), 1h)));
  co_await sleep(0s);
  gate.set_result(2);
  CHECK(co_await task == "value 2");
  CHECK(co_await outcome_of(wait_for(fail("own"), 1h)) == "Failure own");
  CHECK(co_await wait_for(sleep(0s, 3), 1h) == 3);
}

WEIR_TEST("WAIT-018 otherwise it cancels, waits for the end of that, and throws TimeoutError") {
  std::string events;
  const TimePoint before = loop.time();
  CHECK(co_await outcome_of(wait_for(sleeper(events), 1ms)) == "TimeoutError");
  CHECK(loop.time() - before >= 1ms);
  CHECK(events == "cancelled ");

  auto gate = loop.create_future<int>();
  auto end = loop.create_future<int>();
  auto slow = create_task(slow_to_end(gate, end));
  const auto waiting = create_task(outcome_of(wait_for(slow, 1us)));
  co_await until([&] { return gate.cancelled(); });
  co_await sleep(0s);
  CHECK_FALSE(waiting.done());
  end.set_result(0);
  CHECK(co_await waiting == "TimeoutError");
  CHECK(slow.cancelled());

  gate = loop.create_future<int>();
  CHECK(co_await outcome_of(wait_for(gate, 1us)) == "TimeoutError");
  CHECK(gate.cancelled());
}

WEIR_TEST("WAIT-018 a value that is given in spite of the cancellation wins, and so does an error") {
  auto gate = loop.create_future<int>();
  CHECK(co_await wait_for(stubborn(gate, 5), 1us) == 5);
  gate = loop.create_future<int>();
  CHECK(co_await wait_for(create_task(stubborn(gate, 6)), 1us) == 6);
  gate = loop.create_future<int>();
  CHECK(co_await outcome_of(wait_for(fail_when_cancelled(gate, "worse"), 1us)) == "Failure worse");
  co_await sleep(0s);  // and the task is not cancelled by what was left
}

WEIR_TEST("WAIT-019 wait_for without a limit just awaits") {
  CHECK(co_await wait_for(give(1), std::nullopt) == 1);
  CHECK(co_await outcome_of(wait_for(fail("own"), std::nullopt)) == "Failure own");
  co_await wait_for(sleep(0s), std::nullopt);
}

WEIR_TEST("WAIT-020 a limit of zero or less takes what is there; a coroutine is not started") {
  bool ran = false;
  const auto run = [](bool& flag) -> Coro<int> {
    flag = true;
    co_return 1;
  };
  auto done = loop.create_future<int>();
  done.set_result(3);
  auto failed = loop.create_future<int>();
  failed.set_exception(Failure("own"));
  for (const Duration limit : {Duration(0), Duration(-1s), Duration::min()}) {
    CHECK(co_await outcome_of(wait_for(run(ran), limit)) == "TimeoutError");
    CHECK_FALSE(ran);
    CHECK(co_await wait_for(done, limit) == 3);
    CHECK(co_await outcome_of(wait_for(failed, limit)) == "Failure own");
    auto pending = loop.create_future<int>();
    CHECK(co_await outcome_of(wait_for(pending, limit)) == "TimeoutError");
    CHECK(pending.cancelled());
    auto gate = loop.create_future<int>();
    auto task = create_task(stubborn(gate, 4));
    co_await sleep(0s);
    CHECK(co_await wait_for(task, limit) == 4);
    CHECK(co_await outcome_of(wait_for(sleep(1h), limit)) == "TimeoutError");
  }
}

WEIR_TEST("WAIT-021 cancelling wait_for cancels what it waits for, and comes out") {
  std::string events;
  auto task = create_task(outcome_of(wait_for(sleeper(events), 1h)));
  co_await sleep(0s);
  task.cancel("outside");
  CHECK(co_await task == "cancelled outside");
  CHECK(events == "cancelled ");
}

WEIR_TEST("WAIT-022 a timeout scope makes a TimeoutError of the cancellation that it caused") {
  std::string events;
  Timeout scope(loop.time() + 1ms);
  const auto body = [&events](Timeout& handle) -> Coro<int> {
    CHECK_FALSE(handle.expired());
    return sleeper(events);
  };
  CHECK(co_await outcome_of(scope.run(body)) == "TimeoutError");
  CHECK(events == "cancelled ");
  CHECK(scope.expired());
  CHECK(current_task()->cancelling() == 0);
  co_await sleep(0s);

  CHECK(co_await outcome_of(timeout(1us, [&] { return sleeper(events); })) == "TimeoutError");
  CHECK(co_await outcome_of(timeout_at(loop.time(), [&] { return sleeper(events); })) == "TimeoutError");
  CHECK(co_await outcome_of(timeout(0s, [&] { return sleeper(events); })) == "TimeoutError");
  CHECK(co_await timeout(1h, [] { return give(3); }) == 3);
}

WEIR_TEST(
    "WAIT-022 a body that ends in spite of it is not disturbed, and the cancellation is not left behind") {
  Timeout scope(loop.time());
  auto gate = loop.create_future<int>();
  CHECK(co_await scope.run([&] { return stubborn(gate, 5); }) == 5);
  CHECK(scope.expired());
  CHECK(current_task()->cancelling() == 0);

  // In its last step, where nothing is awaited any more that could throw it.
  Timeout last(loop.time() + 1h);
  const auto busy = [](Timeout& handle) -> Coro<int> {
    handle.reschedule(get_running_loop().time());
    co_await sleep(0s);
    co_return 6;
  };
  CHECK(co_await outcome_of(last.run(busy)) == "TimeoutError");
  co_await sleep(0s);
  CHECK(current_task()->cancelling() == 0);
}

WEIR_TEST("WAIT-022 also in a task that has been cancelled before and went on") {
  std::string events;
  const auto unimpressed = [&]() -> Coro<std::string> {
    co_await outcome_of(sleeper(events));
    co_return co_await outcome_of(timeout(0s, [&] { return sleeper(events); }));
  };
  auto task = create_task(unimpressed());
  co_await sleep(0s);
  task.cancel();
  CHECK(co_await task == "TimeoutError");
  CHECK(task.cancelling() == 1);
}

WEIR_TEST("WAIT-023 a scope without a deadline never expires; reschedule moves it") {
  auto gate = loop.create_future<int>();
  Timeout scope;
  auto task = create_task(outcome_of(scope.run([&] { return get(gate); })));
  co_await sleep(0s);
  CHECK_FALSE(scope.when().has_value());
  scope.reschedule(loop.time() + 1us);
  CHECK(scope.when().has_value());
  scope.reschedule(std::nullopt);
  co_await sleep(1ms);
  CHECK_FALSE(task.done());
  const TimePoint late = loop.time() + 1h;
  scope.reschedule(late);
  CHECK(scope.when() == late);
  scope.reschedule(loop.time() + 1us);
  CHECK(co_await task == "TimeoutError");

  CHECK(co_await timeout(std::nullopt, [](Timeout&) { return give(1); }) == 1);
}

WEIR_TEST("WAIT-024 of nested scopes, the one whose deadline comes first throws") {
  for (const bool inner_first : {true, false}) {
    CAPTURE(inner_first);
    std::string events;
    Timeout inner(loop.time() + (inner_first ? Duration(1us) : Duration(1h)));
    const auto body = [&]() -> Coro<std::string> {
      std::string end = co_await outcome_of(inner.run([&] { return sleeper(events); }));
      if (end != "TimeoutError") {
        co_await sleep(0s);
        throw CancelledError(end);
      }
      co_return end;
    };
    Timeout outer(loop.time() + (inner_first ? Duration(1h) : Duration(1us)));
    CHECK(co_await outcome_of(outer.run(body)) == (inner_first ? "value" : "TimeoutError"));
    CHECK(inner.expired() == inner_first);
    CHECK(outer.expired() != inner_first);
  }
}

WEIR_TEST("WAIT-024 both at the same time: the outer one throws, once") {
  std::string events;
  const TimePoint when = loop.time() + 1us;
  Timeout inner(when);
  Timeout outer(when);
  std::string inner_end;
  const auto body = [&]() -> Coro<int> {
    try {
      co_await inner.run([&] { return sleeper(events); });
    } catch (...) {
      inner_end = describe_end(std::current_exception());
      throw;
    }
    co_return 0;
  };
  CHECK(co_await outcome_of(outer.run(body)) == "TimeoutError");
  CHECK(inner_end == "cancelled");
  CHECK((inner.expired() && outer.expired()));
  CHECK(events == "cancelled ");
  CHECK(current_task()->cancelling() == 0);
  co_await sleep(0s);
}

WEIR_TEST(
    "WAIT-025 a cancellation from outside comes out as one, also when the deadline passes in that turn") {
  std::string events;
  for (const bool expires : {false, true}) {
    for (const bool before : {false, true}) {  // it is cancelled
      CAPTURE(expires);
      CAPTURE(before);
      Timeout scope(loop.time() + 1h);
      auto task = create_task(outcome_of(scope.run([&] { return sleeper(events); })));
      co_await sleep(0s);
      if (before) {
        task.cancel("outside");
      }
      if (expires) {
        scope.reschedule(loop.time());
      }
      if (!before) {
        task.cancel("outside");
      }
      CHECK((co_await task).starts_with("cancelled"));
      CHECK(scope.expired() == (expires && !before));  // or it has ended by then
    }
  }
}

WEIR_TEST("WAIT-026 another exception leaves the scope unchanged, also after it expired") {
  auto gate = loop.create_future<int>();
  CHECK(co_await outcome_of(timeout(1h, [] { return fail("own"); })) == "Failure own");
  Timeout scope(loop.time());
  CHECK(co_await outcome_of(scope.run([&] { return fail_when_cancelled(gate, "worse"); })) ==
        "Failure worse");
  CHECK(scope.expired());
  CHECK(current_task()->cancelling() == 0);
  co_await sleep(0s);
}

WEIR_TEST("WAIT-027 rescheduling before and after, or running it twice, is refused") {
  Timeout scope(loop.time() + 1h);
  CHECK_THROWS_WITH_AS(scope.reschedule({}), "Timeout::reschedule: it has not been run yet", RuntimeError);
  co_await scope.run([] { return give(1); });
  CHECK_THROWS_WITH_AS(scope.reschedule({}), "Timeout::reschedule: it has ended", RuntimeError);
  CHECK_FALSE(scope.expired());
  CHECK(co_await outcome_of(scope.run([] { return give(1); })) ==
        "RuntimeError Timeout::run: it has been run already");

  Timeout expiring(loop.time());
  const auto body = [](Timeout& handle) -> Coro<int> {
    try {
      co_await sleep(1h);
    } catch (const CancelledError&) {
      CHECK(handle.expired());
      CHECK_THROWS_WITH_AS(handle.reschedule({}), "Timeout::reschedule: it has expired", RuntimeError);
      throw;
    }
    co_return 0;
  };
  CHECK(co_await outcome_of(expiring.run(body)) == "TimeoutError");
  CHECK_THROWS_AS(expiring.reschedule({}), RuntimeError);
  // There is no way to begin one outside a task: run() is a coroutine.
  static_assert(std::is_same_v<decltype(scope.run([] { return give(1); })), Coro<int>>);
  static_assert(!std::is_copy_constructible_v<Timeout> && !std::is_move_constructible_v<Timeout>);
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 a loop that is closed while a scope is active, or about to expire") {
  std::string events;
  const auto start = [&](TimePoint when) -> Coro<void> {
    create_task(timeout_at(when, [&] { return sleeper(events); }));
    create_task(timeout_at(get_running_loop().time() + 1h, [&] { return sleeper(events); }));
    co_return;
  };
  loop.run_until_complete(start(loop.time()));
  loop.close();
  CHECK(env.take_reports().size() == 2);  // of tasks that were pending
  CHECK(events.empty());
}
