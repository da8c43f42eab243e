// TGRP: task groups.
#include "tests/runtime/outcome.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/task_group.hpp>

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// What most bodies do when they have started their tasks.
Coro<void> sleep_long() { co_await sleep(1h); }

// As outcome_of, for a group whose body starts the coroutines and then waits for a gate.
Coro<int> run_group(std::vector<Coro<int>> coroutines, Future<int> gate) {
  return task_group(
      [coroutines = std::make_shared<std::vector<Coro<int>>>(std::move(coroutines)), gate](TaskGroup& group) {
        for (Coro<int>& coroutine : *coroutines) {
          group.create_task(std::move(coroutine));
        }
        return get(gate);
      });
}

template <class... C>
std::vector<Coro<int>> list(C... coroutines) {
  std::vector<Coro<int>> all;
  (all.push_back(std::move(coroutines)), ...);
  return all;
}

}  // namespace

WEIR_TEST("TGRP-001 a group ends when all its tasks are done, and gives what the body gave") {
  auto gate = loop.create_future<int>();
  auto open = loop.create_future<int>();
  open.set_result(3);
  auto group = create_task(outcome_of(run_group(list(get(gate), give(1)), open)));
  co_await until([&] { return group.task().awaiting() == "task_group"; });
  CHECK_FALSE(group.done());
  gate.set_result(0);
  CHECK(co_await group == "value 3");
  CHECK(co_await outcome_of(task_group([](TaskGroup&) { return give(4); })) == "value 4");
  const auto box = co_await task_group([](TaskGroup& own) -> Coro<std::unique_ptr<int>> {
    own.create_task(give(1));
    co_return std::make_unique<int>(5);
  });
  CHECK(*box == 5);
}

WEIR_TEST("TGRP-002 a failure cancels the others and the body") {
  auto gate = loop.create_future<int>();
  auto other = loop.create_future<int>();
  auto body = loop.create_future<int>();
  auto group = create_task(outcome_of(run_group(list(fail_after(gate, "a"), get(other)), body)));
  co_await sleep(0s);
  co_await sleep(0s);
  gate.set_result(0);
  CHECK(co_await group == "group [Failure a]");
  CHECK(other.cancelled());
  CHECK(body.cancelled());
  CHECK(group.cancelling() == 0);
}

WEIR_TEST("TGRP-002 a body that has ended, or ends without another suspension, is not disturbed") {
  auto gate = loop.create_future<int>();
  auto open = loop.create_future<int>();
  open.set_result(1);
  auto group = create_task(outcome_of(run_group(list(fail_after(gate, "late")), open)));
  co_await until([&] { return group.task().awaiting() == "task_group"; });
  gate.set_result(0);
  CHECK(co_await group == "group [Failure late]");

  // Two that fail in one turn are both told of.
  gate = loop.create_future<int>();
  auto body = loop.create_future<int>();
  group = create_task(outcome_of(run_group(list(fail_after(gate, "a"), fail_after(gate, "b")), body)));
  co_await sleep(0s);
  co_await sleep(0s);
  gate.set_result(0);
  CHECK(co_await group == "group [Failure a, Failure b]");
  CHECK(group.cancelling() == 0);
}

WEIR_TEST("TGRP-002 the others are cancelled at once, also while the body goes on in spite of it") {
  auto gate = loop.create_future<int>();
  auto failing = loop.create_future<int>();
  const auto body = [&](TaskGroup& group) -> Coro<std::string> {
    auto other = group.create_task(get(gate));
    group.create_task(fail_after(failing, "a"));
    co_await outcome_of(sleep(1h));
    co_return co_await outcome_of(other);
  };
  auto group = create_task(outcome_of(task_group(body)));
  co_await sleep(0s);
  co_await sleep(0s);
  failing.set_result(0);
  CHECK(co_await group == "group [Failure a]");
  CHECK(gate.cancelled());
}

WEIR_TEST("TGRP-003 a failure of the body cancels the tasks and is in the same group of errors") {
  auto gate = loop.create_future<int>();
  const auto body = [&](TaskGroup& group) -> Coro<void> {
    group.create_task(fail_when_cancelled(gate, "of it"));
    co_await sleep(0s);
    throw Failure("body");
  };
  CHECK(co_await outcome_of(task_group(body)) == "group [Failure of it, Failure body]");
  CHECK(gate.cancelled());
}

WEIR_TEST("TGRP-004 cancelling the owner cancels all, waits, and comes out as a cancellation") {
  auto gate = loop.create_future<int>();
  auto end = loop.create_future<int>();
  auto body = loop.create_future<int>();
  const bool in_body = [] {
    bool value = false;
    SUBCASE("in the body") { value = true; }
    SUBCASE("while it waits for its tasks") { value = false; }
    return value;
  }();
  if (!in_body) {
    body.set_result(1);
  }
  auto group = create_task(outcome_of(run_group(list(slow_to_end(gate, end)), body)));
  co_await until([&] {
    return (group.task().awaiting() == "task_group") == !in_body && !group.task().awaiting().empty();
  });
  co_await sleep(0s);
  group.cancel("outside");
  co_await until([&] { return gate.cancelled(); });
  co_await sleep(0s);
  CHECK_FALSE(group.done());
  end.set_result(0);
  CHECK(co_await group == "cancelled outside");
  CHECK(group.cancelling() == 1);
}

WEIR_TEST("TGRP-004 a cancellation that is taken back comes too late for a group that waits for its tasks") {
  auto gate = loop.create_future<int>();
  auto open = loop.create_future<int>();
  open.set_result(1);
  auto group = create_task(outcome_of(run_group(list(get(gate)), open)));
  co_await until([&] { return group.task().awaiting() == "task_group"; });
  group.cancel("at once");
  CHECK(group.uncancel() == 0);
  CHECK(co_await group == "cancelled at once");
  CHECK(gate.cancelled());
}

WEIR_TEST("TGRP-004 with a failure on the way, that is told, and the cancellation is still owed") {
  auto gate = loop.create_future<int>();
  auto body = loop.create_future<int>();
  const auto owner = [&]() -> Coro<std::string> {
    std::string text = co_await outcome_of(run_group(list(fail_when_cancelled(gate, "worse")), body));
    text += "; " + co_await outcome_of(sleep_long());
    co_return text;
  };
  auto task = create_task(owner());
  co_await sleep(0s);
  co_await sleep(0s);
  task.cancel();
  CHECK(co_await task == "group [Failure worse]; cancelled");
}

WEIR_TEST("TGRP-005 a task that was cancelled by itself does not make the group fail") {
  auto gate = loop.create_future<int>();
  const auto body = [&](TaskGroup& group) -> Coro<int> {
    auto task = group.create_task(get(gate));
    group.create_task(give(1));
    co_await sleep(0s);
    task.cancel();
    co_return 2;
  };
  CHECK(co_await outcome_of(task_group(body)) == "value 2");
}

WEIR_TEST("TGRP-006 tasks are added from the body and from tasks, and finished ones are forgotten") {
  int ran = 0;
  struct Spawner {
    static Coro<void> run(TaskGroup& group, int depth, int& count) {
      ++count;
      if (depth != 0) {
        co_await sleep(0s);
        group.create_task(run(group, depth - 1, count));
        group.create_task(run(group, depth - 1, count));
      }
    }
  };
  const auto body = [&](TaskGroup& group) -> Coro<void> {
    group.create_task(Spawner::run(group, 5, ran));
    co_return;
  };
  co_await task_group(body);
  CHECK(ran == 63);

  const auto one_by_one = [](TaskGroup& group) -> Coro<void> {
    for (int i = 0; i != 10; ++i) {
      const std::weak_ptr<int> held = [&group] {
        auto value = std::make_shared<int>(1);
        group.create_task([](std::shared_ptr<int>) -> Coro<void> { co_return; }(value));
        return std::weak_ptr<int>(value);
      }();
      CHECK(group.size() == 1);
      co_await until([&] { return group.size() == 0; });
      CHECK(held.expired());
    }
  };
  co_await task_group(one_by_one);
}

WEIR_TEST("TGRP-007 after the end, or while it is aborted, it takes no task") {
  auto gate = loop.create_future<int>();
  auto late = [](TaskGroup& group, Future<int> of, std::string& text) -> Coro<int> {
    try {
      co_await of;
    } catch (const CancelledError&) {
      auto held = std::make_shared<int>(1);
      const std::weak_ptr<int> watched = held;
      try {
        group.create_task([](std::shared_ptr<int>) -> Coro<void> { co_return; }(std::move(held)));
      } catch (...) {
        text = describe_end(std::current_exception()) + (watched.expired() ? "; destroyed" : "");
      }
      throw;
    }
    co_return 0;
  };
  std::string text;
  const auto body = [&](TaskGroup& group) -> Coro<int> {
    group.create_task(late(group, gate, text));
    co_await sleep(0s);
    throw Failure("body");
  };
  CHECK(co_await outcome_of(task_group(body)) == "group [Failure body]");
  CHECK(text == "RuntimeError TaskGroup::create_task: the group is shutting down; destroyed");
}

WEIR_TEST("TGRP-007 nor in the turn between the end of its last task and its own") {
  auto gate = loop.create_future<int>();
  std::string text;
  const auto body = [&](TaskGroup& group) -> Coro<int> {
    auto last = group.create_task(get(gate));
    last.add_done_callback([&] {
      try {
        group.create_task(give(1));
      } catch (...) {
        text = describe_end(std::current_exception());
      }
      group.cancel();  // does nothing
    });
    co_return 3;
  };
  auto group = create_task(outcome_of(task_group(body)));
  co_await until([&] { return group.task().awaiting() == "task_group"; });
  gate.set_result(0);
  CHECK(co_await group == "value 3");
  CHECK(group.cancelling() == 0);
  CHECK(text == "RuntimeError TaskGroup::create_task: the group has ended");
}

TEST_CASE("TGRP-008 a group exists only while its body runs") {
  static_assert(!std::is_default_constructible_v<TaskGroup>);
  static_assert(!std::is_copy_constructible_v<TaskGroup> && !std::is_move_constructible_v<TaskGroup>);
}

WEIR_TEST("TGRP-009 names and contexts reach the tasks") {
  static ContextVar<int> variable("variable", 0);
  Context context;
  context.run([] { variable.set(7); });
  const auto body = [&](TaskGroup& group) -> Coro<int> {
    const auto read = []() -> Coro<int> { co_return variable.get(); };
    auto task = group.create_task(read(), {.name = "named", .context = &context});
    CHECK(task.get_name() == "named");
    co_return co_await task;
  };
  CHECK(co_await task_group(body) == 7);
}

WEIR_TEST("TGRP-010 a task that fails while it is cancelled adds its exception") {
  auto gate = loop.create_future<int>();
  auto first = loop.create_future<int>();
  auto body = loop.create_future<int>();
  auto group = create_task(
      outcome_of(run_group(list(fail_when_cancelled(gate, "second"), fail_after(first, "first")), body)));
  co_await sleep(0s);
  co_await sleep(0s);
  first.set_result(0);
  CHECK(co_await group == "group [Failure first, Failure second]");
}

WEIR_TEST("TaskGroup::cancel ends all, and the group returns as if nothing had happened") {
  auto gate = loop.create_future<int>();
  bool after = false;
  const auto body = [&](TaskGroup& group) -> Coro<void> {
    group.create_task(get(gate));
    co_await sleep(0s);
    group.cancel();
    group.cancel();
    co_await sleep(1h);
    after = true;
  };
  co_await task_group(body);
  CHECK_FALSE(after);
  CHECK(gate.cancelled());
  CHECK(current_task()->cancelling() == 0);
  co_await sleep(0s);

  // From a task, while the body has ended; a body with a value gives it when it had one.
  gate = loop.create_future<int>();
  const auto stop = [](TaskGroup& group) -> Coro<void> {
    co_await sleep(0s);
    group.cancel();
  };
  const auto valued = [&](TaskGroup& group) -> Coro<int> {
    group.create_task(get(gate));
    group.create_task(stop(group));
    co_return 5;
  };
  CHECK(co_await task_group(valued) == 5);
  const auto valueless = [](TaskGroup& group) -> Coro<int> {
    group.cancel();
    co_await sleep(1h);
    co_return 5;
  };
  CHECK((co_await outcome_of(task_group(valueless))).starts_with("cancelled the task group was cancelled"));

  // Failures are told all the same, and so is a cancellation from outside.
  const auto failing = [&](TaskGroup& group) -> Coro<void> {
    group.create_task(fail_when_cancelled(gate, "worse"));
    co_await sleep(0s);
    group.cancel();
  };
  gate = loop.create_future<int>();
  CHECK(co_await outcome_of(task_group(failing)) == "group [Failure worse]");
  TaskGroup* inside = nullptr;
  const auto waiting = [&](TaskGroup& group) -> Coro<void> {
    inside = &group;
    co_await sleep(1h);
  };
  auto owner = create_task(outcome_of(task_group(waiting)));
  co_await sleep(0s);
  inside->cancel();
  owner.cancel("outside");
  CHECK((co_await owner).starts_with("cancelled"));
}

WEIR_TEST("TGRP-002 a KeyboardInterrupt of a task or of the body comes out alone") {
  auto gate = loop.create_future<int>();
  const auto interrupted = []() -> Coro<int> {
    throw KeyboardInterrupt();
    co_return 0;
  };
  const auto by_task = [&](TaskGroup& group) -> Coro<void> {
    group.create_task(fail_when_cancelled(gate, "of it"));
    group.create_task(interrupted());
    co_await sleep(1h);
  };
  CHECK(co_await outcome_of(task_group(by_task)) == "KeyboardInterrupt");
  CHECK(current_task()->cancelling() == 0);
  CHECK(gate.cancelled());
  gate = loop.create_future<int>();
  const auto by_body = [&](TaskGroup& group) -> Coro<int> {
    group.create_task(get(gate));
    co_await sleep(0s);
    throw KeyboardInterrupt();
  };
  CHECK(co_await outcome_of(task_group(by_body)) == "KeyboardInterrupt");
  CHECK(gate.cancelled());
}

WEIR_TEST("TGRP groups in groups: an inner failure comes out of the outer one, a timeout ends both") {
  auto gate = loop.create_future<int>();
  const auto inner = [&](TaskGroup& group) -> Coro<void> {
    group.create_task(fail("deep"));
    co_await sleep(1h);
  };
  const auto run_inner = [&]() -> Coro<void> { co_await task_group(inner); };
  const auto outer = [&](TaskGroup& group) -> Coro<void> {
    group.create_task(run_inner());
    group.create_task(get(gate));
    co_return;
  };
  CHECK(co_await outcome_of(task_group(outer)) == "group [group [Failure deep]]");
  CHECK(gate.cancelled());

  gate = loop.create_future<int>();
  const auto endless = [&](TaskGroup& group) -> Coro<void> {
    group.create_task(get(gate));
    co_return;
  };
  CHECK(co_await outcome_of(timeout(1ms, [&] { return task_group(endless); })) == "TimeoutError");
  CHECK(gate.cancelled());
}

WEIR_TEST("TGRP a task that is started eagerly may end, fail or cancel the group inside create_task") {
  const auto eager = [](TaskGroup& group) -> Coro<int> {
    auto done = group.create_task(give(1), {.eager_start = true});
    CHECK(done.done());
    const auto stop = [](TaskGroup& of) -> Coro<void> {
      of.cancel();
      co_await sleep(1h);
    };
    auto stopping = group.create_task(stop(group), {.eager_start = true});
    CHECK_THROWS_AS(group.create_task(give(1)), RuntimeError);
    co_return 2;
  };
  CHECK(co_await task_group(eager) == 2);
  const auto failing = [](TaskGroup& group) -> Coro<void> {
    group.create_task(fail("at once"), {.eager_start = true});
    co_await sleep(1h);
  };
  CHECK(co_await outcome_of(task_group(failing)) == "group [Failure at once]");
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 a loop that is closed while a group runs, or waits") {
  auto gate = loop.create_future<int>();
  auto open = loop.create_future<int>();
  open.set_result(0);
  const auto start = [&]() -> Coro<void> {
    create_task(run_group(list(get(gate), give(1)), gate));
    create_task(run_group(list(get(gate)), open));
    co_await sleep(0s);
    co_await sleep(0s);
  };
  loop.run_until_complete(start());
  loop.close();
  CHECK(env.take_reports().size() == 4);  // of tasks that were pending
}
