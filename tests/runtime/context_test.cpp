// CTX: which context tasks and callbacks run in. Context and ContextVar by themselves: context_var_test.cpp.
#include "tests/support/weir_test.hpp"

#include <weir/context.hpp>
#include <weir/runner.hpp>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

ContextVar<int> var("var", 0);
ContextVar<std::string> other("other");

// A context in which `var` has this value.
Context context_with(int value) {
  Context context;
  context.run([&] { var.set(value); });
  return context;
}

Coro<int> read_var() { co_return var.get(); }

Coro<void> note_var(std::vector<int>& seen) {
  seen.push_back(var.get());
  co_return;
}

// Says what it sees, changes it, lets the creator change it meanwhile, and says what it sees then.
Coro<void> look_change_look(std::vector<int>& seen) {
  seen.push_back(var.get());
  co_await sleep(0s);
  seen.push_back(var.get());
  var.set(100);
  co_await sleep(0s);
  seen.push_back(var.get());
}

}  // namespace

WEIR_TEST("CTX-001 a task runs in a copy of its creator's context") {
  var.set(1);
  std::vector<int> seen;
  Task<void> task = create_task(look_change_look(seen));
  var.set(2);
  co_await task;
  // The copy was taken at create_task, not at the first step, and neither side sees the other's changes.
  CHECK(seen == std::vector{1, 1, 100});
  CHECK(var.get() == 2);
}

WEIR_TEST("CTX-001 tasks made one after another do not see each other's changes") {
  var.set(1);
  std::vector<int> first;
  std::vector<int> second;
  Task<void> one = create_task(look_change_look(first));
  Task<void> two = create_task(look_change_look(second));
  co_await one;
  co_await two;
  CHECK(first == std::vector{1, 1, 100});
  CHECK(second == std::vector{1, 1, 100});
}

WEIR_TEST("CTX-001 an eager task runs in a copy too") {
  var.set(1);
  std::vector<int> seen;
  Task<void> task = create_task(look_change_look(seen), {.eager_start = true});
  CHECK(seen == std::vector{1});
  CHECK(var.get() == 1);
  var.set(2);
  co_await task;
  CHECK(seen == std::vector{1, 1, 100});
  CHECK(var.get() == 2);
}

WEIR_TEST("CTX-001 a variable first set by a task is not set for its creator") {
  const std::size_t before = copy_context().size();
  Task<void> task = create_task([]() -> Coro<void> {
    other.set("child");
    co_return;
  }());
  co_await task;
  CHECK(other.get("none") == "none");
  CHECK(copy_context().size() == before);
  CHECK(other.get_in(task.get_context()) == "child");
}

TEST_CASE_FIXTURE(LoopFixture, "CTX-001 run_until_complete copies the caller's context") {
  Context caller = context_with(7);
  std::vector<int> seen;
  caller.run([&] { loop.run_until_complete(look_change_look(seen)); });
  CHECK(seen == std::vector{7, 7, 100});
  CHECK(var.get_in(caller) == 7);
  CHECK(loop.run_until_complete(read_var()) == 0);
}

WEIR_TEST("CTX-002 a context given to create_task is the task's own, not a copy") {
  var.set(1);
  Context given = context_with(5);
  std::vector<int> seen;
  Task<void> task = create_task(look_change_look(seen), {.context = &given});
  CHECK(task.get_context() == given);
  co_await task;
  CHECK(seen == std::vector{5, 5, 100});
  CHECK(var.get_in(given) == 100);
  CHECK(var.get() == 1);
}

WEIR_TEST("CTX-002 two tasks may share a context, also one that was empty when it was given") {
  Context given;
  Task<void> writer = create_task(
      []() -> Coro<void> {
        var.set(8);
        co_return;
      }(),
      {.context = &given});
  Task<int> reader = create_task(read_var(), {.context = &given});
  co_await writer;
  const int seen = co_await reader;
  CHECK(seen == 8);
  CHECK(var.get_in(given) == 8);
}

WEIR_TEST("CTX-002 an eager task runs in the context it was given") {
  var.set(1);
  Context given = context_with(5);
  std::vector<int> seen;
  Task<void> task = create_task(note_var(seen), {.context = &given, .eager_start = true});
  CHECK(seen == std::vector{5});
  CHECK(var.get() == 1);
  co_await task;
}

TEST_CASE_FIXTURE(LoopFixture, "CTX-002 callbacks run in the context they were given") {
  Context given = context_with(1);
  std::vector<int> seen;
  const auto step = [&seen] {
    seen.push_back(var.get());
    var.set(var.get() + 1);
  };
  loop.call_soon(step, {.context = &given});
  drain(loop);
  loop.call_later(1ms, step, {.context = &given});
  run_until(loop, [&] { return seen.size() == 2; });
  loop.call_at(loop.time() + 1ms, step, {.context = &given});
  run_until(loop, [&] { return seen.size() == 3; });
  Future<void> future = loop.create_future<void>();
  future.add_done_callback(step, {.context = &given});
  future.set_result();
  drain(loop);
  // A future that is done already takes another way.
  future.add_done_callback(step, {.context = &given});
  drain(loop);
  // Each saw what the one before it did: it is the given context, not a copy.
  CHECK(seen == std::vector{1, 2, 3, 4, 5});
  CHECK(var.get_in(given) == 6);
  CHECK(var.get() == 0);
}

WEIR_TEST("CTX-002 call_soon_threadsafe from the loop's own thread runs in the given context") {
  Context given = context_with(1);
  bool ran = false;
  const auto step = [&ran] {
    ran = true;
    var.set(var.get() + 1);
  };
  loop.call_soon_threadsafe(step, {.context = &given});
  co_await until([&] { return ran; });
  CHECK(var.get_in(given) == 2);
}

TEST_CASE_FIXTURE(LoopFixture,
                  "CTX-002 call_soon_threadsafe from another thread runs in a copy of the given context") {
  Context given = context_with(1);
  std::vector<int> seen;
  const auto step = [&seen] {
    seen.push_back(var.get());
    var.set(9);
  };
  std::thread([&] {
    loop.call_soon_threadsafe(step, {.context = &given});
    loop.remote().post(step, {.context = &given});
  }).join();
  drain(loop);
  CHECK(seen == std::vector{1, 1});
  CHECK(var.get_in(given) == 1);
}

TEST_CASE_FIXTURE(LoopFixture,
                  "CTX-002 a context that was empty when it was given takes what the callback sets") {
  Context soon;
  Context later;
  Context done;
  loop.call_soon([] { var.set(1); }, {.context = &soon});
  loop.call_later(0s, [] { var.set(2); }, {.context = &later});
  Future<void> future = loop.create_future<void>();
  future.add_done_callback([] { var.set(3); }, {.context = &done});
  future.set_result();
  run_until(loop, [&] { return later.size() == 1; });
  CHECK(var.get_in(soon) == 1);
  CHECK(var.get_in(later) == 2);
  CHECK(var.get_in(done) == 3);
}

TEST_CASE_FIXTURE(LoopFixture, "CTX-002 the context may be destroyed before the callback runs") {
  std::vector<int> seen;
  {
    const Context given = context_with(4);
    loop.call_soon([&] { seen.push_back(var.get()); }, {.context = &given});
    loop.call_later(0s, [&] { seen.push_back(var.get()); }, {.context = &given});
  }
  run_until(loop, [&] { return seen.size() == 2; });
  CHECK(seen == std::vector{4, 4});
}

WEIR_TEST("CTX-003 callbacks run in the context that was current when they were scheduled") {
  std::vector<int> seen;
  const auto note = [&seen] { seen.push_back(var.get()); };
  Future<void> future = loop.create_future<void>();
  var.set(1);
  loop.call_soon(note);
  var.set(2);
  loop.call_soon_threadsafe(note);
  var.set(3);
  loop.call_later(0s, note);
  co_await until([&] { return seen.size() == 3; });
  var.set(4);
  loop.call_at(loop.time(), note);
  co_await until([&] { return seen.size() == 4; });
  var.set(5);
  future.add_done_callback(note);
  var.set(6);
  future.set_result();
  co_await until([&] { return seen.size() == 5; });
  CHECK(seen == std::vector{1, 2, 3, 4, 5});
}

WEIR_TEST("CTX-003 what a callback sets is seen neither by who scheduled it nor by the next callback") {
  var.set(1);
  std::vector<int> seen;
  const auto step = [&seen] {
    seen.push_back(var.get());
    var.set(50);
  };
  loop.call_soon(step);
  loop.call_soon(step);
  co_await until([&] { return seen.size() == 2; });
  CHECK(seen == std::vector{1, 1});
  CHECK(var.get() == 1);
}

TEST_CASE_FIXTURE(LoopFixture, "CTX-003 nor when no variable was set at all") {
  std::vector<std::size_t> sizes;
  const auto step = [&sizes] {
    sizes.push_back(copy_context().size());
    var.set(50);
  };
  loop.call_soon(step);
  loop.call_soon([&] {
    step();
    throw std::runtime_error("also when it throws");
  });
  loop.call_soon(step);
  loop.call_later(0s, step);
  loop.call_soon_threadsafe(step);
  Future<void> future = loop.create_future<void>();
  future.add_done_callback(step);
  future.set_result();
  run_until(loop, [&] { return sizes.size() == 6; });
  CHECK(sizes == std::vector<std::size_t>(6, 0));
  CHECK(copy_context().size() == 0);
  env.expect_report("Exception in callback");
}

TEST_CASE_FIXTURE(LoopFixture, "CTX-003 a callback scheduled by a callback inherits its context") {
  Context given = context_with(1);
  std::vector<int> seen;
  loop.call_soon(
      [&] {
        var.set(2);
        loop.call_soon([&] { seen.push_back(var.get()); });
        var.set(3);
      },
      {.context = &given});
  drain(loop);
  CHECK(seen == std::vector{2});
}

TEST_CASE_FIXTURE(LoopFixture,
                  "CTX-003 a post from another thread carries a clone of that thread's context") {
  static ContextVar<std::shared_ptr<int>> shared("shared");
  // Values are cloned, so what a value points to may still be shared; an int here stands for that.
  std::vector<int> seen;
  auto value = std::make_shared<int>(3);
  std::thread([&] {
    var.set(11);
    shared.set(value);
    loop.call_soon_threadsafe([&] { seen.push_back(var.get()); });
    loop.remote().post([&] { seen.push_back(var.get() + *shared.get()); });
    var.set(12);
  }).join();
  drain(loop);
  CHECK(seen == std::vector{11, 14});
}

WEIR_TEST("CTX-003 a job of to_thread sees the caller's variables, and its own changes stay there") {
  var.set(21);
  auto job = [] {
    const int seen = var.get();
    var.set(22);
    return seen;
  };
  const int seen = co_await to_thread(job);
  CHECK(seen == 21);
  CHECK(var.get() == 21);
}

namespace {

Coro<void> set_in_callee(int value) {
  co_await sleep(0s);
  var.set(value);
}

}  // namespace

WEIR_TEST("CTX-004 a coroutine sees its own changes after each suspension") {
  Future<void> future = loop.create_future<void>();
  loop.call_later(1ms, [future] { future.set_result(); });
  var.set(1);
  co_await sleep(0s);
  CHECK(var.get() == 1);
  var.set(2);
  co_await future;
  CHECK(var.get() == 2);
  co_await sleep(1ms);
  CHECK(var.get() == 2);
}

WEIR_TEST("CTX-004 an awaited coroutine shares its awaiter's context, a task does not") {
  var.set(1);
  co_await set_in_callee(2);
  CHECK(var.get() == 2);
  Task<void> task = create_task(set_in_callee(3));
  co_await task;
  CHECK(var.get() == 2);
}

WEIR_TEST("CTX-004 tasks that take turns keep their own values") {
  std::vector<Task<int>> tasks;
  for (int i = 1; i != 20; ++i) {
    tasks.push_back(create_task([](int value) -> Coro<int> {
      var.set(value);
      for (int turn = 0; turn != 5; ++turn) {
        co_await sleep(0s);
        if (var.get() != value) {
          co_return -1;
        }
        var.set(value);
      }
      co_return var.get();
    }(i)));
  }
  for (int i = 1; i != 20; ++i) {
    const int value = co_await tasks[static_cast<std::size_t>(i - 1)];
    CHECK(value == i);
  }
}

TEST_CASE("CTX-008 the runs of one runner share one context") {
  Env env;
  Runner runner;
  env.watch(runner.get_loop());
  runner.run([]() -> Coro<void> {
    var.set(31);
    co_return;
  }());
  CHECK(runner.run(read_var()) == 31);
  // It is the runner's, not the caller's.
  CHECK(var.get() == 0);
  // A task inside gets a copy as everywhere.
  runner.run([]() -> Coro<void> {
    Task<void> task = create_task(set_in_callee(32));
    co_await task;
    CHECK(var.get() == 31);
  }());
  runner.close();
}

TEST_CASE("CTX-008 a runner starts from a copy of the context in which it was first used") {
  Env env;
  Context caller = context_with(41);
  caller.run([&] {
    Runner runner;
    CHECK(runner.run(read_var()) == 41);
    var.set(42);
    CHECK(runner.run(read_var()) == 41);
    runner.close();
  });
  CHECK(caller.run([] { return run(read_var()); }) == 42);
}

TEST_CASE("CTX-008 a context given to run is used for that run alone") {
  Env env;
  Runner runner;
  Context given = context_with(51);
  runner.run(
      []() -> Coro<void> {
        CHECK(var.get() == 51);
        var.set(52);
        co_return;
      }(),
      &given);
  CHECK(var.get_in(given) == 52);
  CHECK(runner.run(read_var()) == 0);
  runner.close();
}

WEIR_TEST("CTX-002 a context without variables that is given is the one the code runs in") {
  static const ContextVar<int> number("number", 0);
  const Context given;
  loop.call_soon([] { number.set(1); }, {.context = &given});
  co_await sleep(std::chrono::milliseconds(1));
  CHECK(number.get_in(given) == 1);
  CHECK(number.get() == 0);
  Future<void> done;
  done.add_done_callback([] { number.set(number.get() + 1); }, {.context = &given});
  done.set_result();
  co_await sleep(std::chrono::milliseconds(1));
  CHECK(number.get_in(given) == 2);
  loop.call_later(std::chrono::microseconds(1), [] { number.set(number.get() + 1); }, {.context = &given});
  co_await sleep(std::chrono::milliseconds(1));
  CHECK(number.get_in(given) == 3);
}
