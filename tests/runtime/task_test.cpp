// TASK-001 to 004, 014 to 016, 019 and 024 to 026: a task's life, its outcome, who is listed and what is
// reported.
#include "tests/support/weir_test.hpp"

#include <algorithm>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using namespace weir;
using namespace weir::testing;

namespace {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Coro<int> give(int value) { co_return value; }
Coro<int> fail(std::string text) {
  throw Failure(text);
  co_return 0;
}
Coro<void> set(bool* ran) {
  *ran = true;
  co_return;
}
Coro<int> get(Future<int> future) { co_return co_await future; }
Coro<void> wait_for(Future<void> future) { co_await future; }

bool listed(const std::vector<Ref<TaskBase>>& tasks, const TaskBase& task) {
  return std::any_of(tasks.begin(), tasks.end(), [&](const auto& each) { return each.get() == &task; });
}

// Only what create_task makes is a task, and it takes a Coro by rvalue.
template <class Argument>
concept CanCreateTask =
    requires(EventLoop& loop, Argument&& argument) { loop.create_task(std::forward<Argument>(argument)); };
static_assert(CanCreateTask<Coro<int>>);
static_assert(!CanCreateTask<Coro<int>&>);
static_assert(!CanCreateTask<Future<int>>);
static_assert(!CanCreateTask<int (*)()>);
static_assert(std::is_base_of_v<Future<int>, Task<int>>);

}  // namespace

WEIR_TEST("TASK-001 create_task starts the coroutine in a later turn") {
  bool ran = false;
  Task<void> task = loop.create_task(set(&ran));
  CHECK_FALSE(ran);
  CHECK_FALSE(task.done());
  co_await task;
  CHECK(ran);

  // After what is queued already, before what is queued later.
  std::vector<int> order;
  loop.call_soon([&] { order.push_back(1); });
  Task<int> second = loop.create_task(give(2));
  second.add_done_callback([&] { order.push_back(4); });
  loop.call_soon([&] { order.push_back(second.done() ? 3 : -3); });
  co_await until([&] { return order.size() == 3; });
  CHECK(order == std::vector{1, 3, 4});
}

TEST_CASE_FIXTURE(LoopFixture, "TASK-001 a loop that does not run yet starts its tasks when it does") {
  bool ran = false;
  const Task<void> task = loop.create_task(set(&ran), {.eager_start = true});
  CHECK_FALSE(ran);
  drain(loop);
  CHECK(ran);
  CHECK(task.done());
}

TEST_CASE_FIXTURE(LoopFixture, "TASK-001 a closed loop refuses a task and destroys the coroutine") {
  loop.close();
  auto argument = std::make_shared<int>();
  auto coroutine = [](std::shared_ptr<int>) -> Coro<void> { co_return; };
  CHECK_THROWS_AS(static_cast<void>(loop.create_task(coroutine(argument))), RuntimeError);
  CHECK(argument.use_count() == 1);
}

WEIR_TEST("TASK-001 a coroutine that was awaited already is refused") {
  Coro<int> coro = give(1);
  CHECK(co_await coro == 1);
  CHECK_THROWS_AS(static_cast<void>(loop.create_task(std::move(coro))), RuntimeError);
  CHECK(all_tasks().size() == 2);  // the test's two own
}

WEIR_TEST("TASK-002 value and exception by awaiting, result() and exception()") {
  const Task<int> valued = loop.create_task(give(7));
  CHECK_THROWS_AS(valued.result(), InvalidStateError);
  CHECK_THROWS_AS(static_cast<void>(valued.exception()), InvalidStateError);
  CHECK(co_await valued == 7);
  CHECK(valued.result() == 7);
  CHECK(valued.exception() == nullptr);
  CHECK_FALSE(valued.cancelled());

  const Task<int> failed = loop.create_task(fail("why"));
  std::string text;
  try {
    co_await failed;
  } catch (const Failure& failure) {
    text = failure.what();
  }
  CHECK(text == "why");
  CHECK(failed.done());
  CHECK_FALSE(failed.cancelled());
  CHECK_THROWS_WITH_AS(failed.result(), "why", Failure);
  CHECK(failed.exception() != nullptr);

  bool ran = false;
  const Task<void> nothing = loop.create_task(set(&ran));
  co_await nothing;
  CHECK_NOTHROW(nothing.result());
}

WEIR_TEST("TASK-002 a move-only value, and one whose move throws") {
  auto make = []() -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
  const std::unique_ptr<int> moved = co_await loop.create_task(make());
  CHECK(*moved == 3);

  struct Stubborn {
    explicit Stubborn(int* moves) : moves(moves) {}
    // NOLINTNEXTLINE(bugprone-exception-escape, performance-noexcept-move-constructor)
    Stubborn(Stubborn&& other) : moves(other.moves) {
      if (++*moves == 2) {
        throw Failure("not again");
      }
    }
    int* moves;
  };
  int moves = 0;
  auto stubborn = [](int* counter) -> Coro<Stubborn> { co_return Stubborn(counter); };
  const Task<Stubborn> task = loop.create_task(stubborn(&moves));
  co_await until([&] { return task.done(); });
  CHECK_THROWS_AS(task.result(), Failure);
}

WEIR_TEST("TASK-003 set_result and set_exception on a task are usage errors") {
  const Task<int> task = loop.create_task(give(7));
  CHECK_THROWS_AS(task.set_result(1), RuntimeError);
  CHECK_THROWS_AS(task.set_exception(Failure("x")), RuntimeError);
  const Future<int> as_future = task;
  CHECK_THROWS_AS(as_future.set_result(1), RuntimeError);
  CHECK(co_await task == 7);
  CHECK_THROWS_AS(task.set_result(1), RuntimeError);
  CHECK_THROWS_AS(task.set_exception(Failure("x")), RuntimeError);
}

WEIR_TEST("TASK-004 a task that awaits itself fails") {
  std::vector<Task<int>> box;
  auto self = [](std::vector<Task<int>>& tasks) -> Coro<int> { co_return co_await tasks.front(); };
  box.push_back(loop.create_task(self(box)));
  box.front().set_name("narcissus");
  co_await until([&] { return box.front().done(); });
  std::string text;
  try {
    box.front().result();
  } catch (const RuntimeError& error) {
    text = error.what();
  }
  CHECK(text.find("itself") != std::string::npos);
  CHECK(text.find("narcissus") != std::string::npos);
}

WEIR_TEST("TASK-004 a task may catch that error and go on") {
  std::vector<Task<int>> box;
  auto self = [](std::vector<Task<int>>& tasks) -> Coro<int> {
    try {
      co_await tasks.front();
    } catch (const RuntimeError&) {
    }
    co_await sleep(Duration::zero());
    co_return 4;
  };
  box.push_back(loop.create_task(self(box)));
  co_await until([&] { return box.front().done(); });
  CHECK(box.front().result() == 4);
}

TEST_CASE_FIXTURE(LoopFixture, "TASK-014 current_task in a coroutine, a callback, and without a loop") {
  CHECK_THROWS_AS(static_cast<void>(current_task()), RuntimeError);
  CHECK_FALSE(current_task(loop));
  bool called = false;
  loop.call_soon([&] {
    CHECK(current_task() == nullptr);
    called = true;
  });
  TaskBase* inside = nullptr;
  auto look = [](TaskBase** seen, EventLoop& loop) -> Coro<int> {
    *seen = current_task().get();
    co_await sleep(Duration::zero());
    CHECK(current_task().get() == *seen);
    CHECK(current_task(loop).get() == *seen);
    const int value = co_await give(1);
    CHECK(current_task().get() == *seen);
    co_return value;
  };
  const Task<int> task = loop.create_task(look(&inside, loop));
  TaskBase* in_done_callback = &task.task();
  task.add_done_callback([&] { in_done_callback = current_task().get(); });
  drain(loop);
  CHECK(called);
  CHECK(inside == &task.task());
  CHECK(in_done_callback == nullptr);
  CHECK_FALSE(current_task(loop));
  CHECK_THROWS_AS(static_cast<void>(current_task()), RuntimeError);
}

WEIR_TEST("TASK-014 a coroutine that is awaited runs in the task that awaits it, two tasks do not mix") {
  auto which = []() -> Coro<TaskBase*> { co_return current_task().get(); };
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines)
  auto nested = [which]() -> Coro<TaskBase*> {
    co_await sleep(Duration::zero());
    co_return co_await which();
  };
  CHECK(co_await which() == current_task().get());
  const Task<TaskBase*> one = loop.create_task(nested());
  const Task<TaskBase*> two = loop.create_task(nested());
  CHECK(co_await one == &one.task());
  CHECK(co_await two == &two.task());
}

TEST_CASE_FIXTURE(LoopFixture, "TASK-015 all_tasks lists exactly the tasks that are not done") {
  CHECK_THROWS_AS(static_cast<void>(all_tasks()), RuntimeError);
  CHECK(all_tasks(loop).empty());
  const auto gate = loop.create_future<int>();
  const Task<int> quick = loop.create_task(give(1));
  const Task<int> waiting = loop.create_task(get(gate));
  Task<int> doomed = loop.create_task(get(loop.create_future<int>()));
  EventLoop other;
  const Task<int> elsewhere = other.create_task(give(1));
  std::vector<Ref<TaskBase>> tasks = all_tasks(loop);
  REQUIRE(tasks.size() == 3);  // oldest first
  CHECK(tasks[0].get() == &quick.task());
  CHECK(tasks[1].get() == &waiting.task());
  CHECK(tasks[2].get() == &doomed.task());
  CHECK(all_tasks(other).size() == 1);
  bool looked = false;
  quick.add_done_callback([&] {
    looked = true;
    CHECK_FALSE(listed(all_tasks(), quick.task()));
    CHECK(all_tasks().size() == 2);
  });
  drain(loop);
  CHECK(looked);
  doomed.cancel();
  CHECK(listed(all_tasks(loop), doomed.task()));
  drain(loop);
  CHECK(all_tasks(loop).size() == 1);
  gate.set_result(1);
  drain(loop);
  CHECK(all_tasks(loop).empty());
  drain(other);
}

WEIR_TEST("TASK-016 names: automatic ones are distinct, a given one is kept and can be changed") {
  std::set<std::string> names;
  std::vector<Task<int>> tasks;
  for (int i = 0; i != 20; ++i) {
    tasks.push_back(loop.create_task(give(i)));
    CHECK(tasks.back().get_name().rfind("Task-", 0) == 0);
    CHECK(tasks.back().get_name() == tasks.back().get_name());
    names.insert(tasks.back().get_name());
  }
  CHECK(names.size() == 20);
  std::string name = "reader";
  tasks.push_back(loop.create_task(give(20), {.name = name}));
  name = "xxxxxx";
  CHECK(tasks.back().get_name() == "reader");
  tasks.back().set_name("writer");
  CHECK(tasks.back().get_name() == "writer");
  for (Task<int>& task : tasks) {
    co_await task;
  }
  CHECK(tasks.back().get_name() == "writer");
  CHECK(names.contains(tasks.front().get_name()));
}

TEST_CASE_FIXTURE(LoopFixture, "TASK-019 the loop keeps a task alive that nobody refers to") {
  auto weak = std::make_shared<int>();
  bool finished = false;
  auto body = [](std::shared_ptr<int>, bool* end) -> Coro<void> {
    for (int i = 0; i != 3; ++i) {
      co_await sleep(std::chrono::milliseconds(1));
    }
    *end = true;
  };
  static_cast<void>(loop.create_task(body(weak, &finished)));
  CHECK(weak.use_count() == 2);
  run_until(loop, [&] { return finished; });
  drain(loop);
  CHECK(weak.use_count() == 1);
}

TEST_CASE_FIXTURE(LoopFixture,
                  "TASK-019 also one that only a future keeps waiting, and its state goes at the end") {
  auto counted = std::make_shared<int>();
  auto body = [](Future<std::shared_ptr<int>> gate) -> Coro<std::shared_ptr<int>> {
    co_return co_await gate;
  };
  {
    const auto gate = loop.create_future<std::shared_ptr<int>>();
    static_cast<void>(loop.create_task(body(gate)));
    drain(loop);
    CHECK(all_tasks(loop).size() == 1);
    gate.set_result(counted);
    drain(loop);
  }
  CHECK(all_tasks(loop).empty());
  CHECK(counted.use_count() == 1);
}

TEST_CASE_FIXTURE(LoopFixture, "TASK-024 a failure that nobody retrieved is reported with the task") {
  {
    const Task<int> task = loop.create_task(fail("overlooked"), {.name = "unlucky"});
    drain(loop);
    CHECK(task.done());
    CHECK(env.take_reports().empty());
  }
  const Report report = env.expect_report("Task exception was never retrieved");
  CHECK(report.has_task);
  CHECK(report.has_future);
  CHECK_THROWS_WITH_AS(std::rethrow_exception(report.exception), "overlooked", Failure);
}

TEST_CASE_FIXTURE(LoopFixture, "TASK-024 at once when nobody holds the task, and not when it was looked at") {
  std::string name;
  loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
    REQUIRE(context.task != nullptr);
    name = context.task->get_name();
  });
  static_cast<void>(loop.create_task(fail("overlooked"), {.name = "orphan"}));
  drain(loop);
  CHECK(name == "orphan");
  name.clear();
  {
    const Task<int> task = loop.create_task(fail("seen"));
    CHECK_THROWS_AS(loop.run_until_complete(Future<int>(task)), Failure);
  }
  {
    const Task<int> task = loop.create_task(fail("seen"));
    drain(loop);
    CHECK(task.exception() != nullptr);
  }
  {
    Task<int> task = loop.create_task(fail("never ran"));
    task.cancel();
    drain(loop);
  }
  CHECK(name.empty());
}

TEST_CASE_FIXTURE(LoopFixture, "TASK-025 a task that is pending when the loop closes is reported") {
  bool released = false;
  auto body = [](Future<void> gate, std::shared_ptr<int>) -> Coro<void> { co_await gate; };
  const auto gate = loop.create_future<void>();
  const std::shared_ptr<int> argument(new int(0), [&](const int* pointer) {
    released = true;
    delete pointer;
  });
  Task<void> waiting = loop.create_task(body(gate, argument), {.name = "stuck"});
  drain(loop);
  static_cast<void>(loop.create_task(wait_for(gate), {.name = "fresh"}));  // never started
  loop.close();
  for (const char* name : {"stuck", "fresh"}) {
    const Report report = env.expect_report(std::string("name='") + name);
    CHECK(report.message.find("Task was destroyed but it is pending") != std::string::npos);
    CHECK(report.has_task);
    CHECK_FALSE(report.exception);
  }
  CHECK(argument.use_count() == 1);
  CHECK_FALSE(released);
  // The handle goes on telling the truth.
  CHECK_FALSE(waiting.done());
  CHECK_FALSE(waiting.cancel());
  CHECK_THROWS_AS(waiting.result(), InvalidStateError);
  CHECK(waiting.get_name() == "stuck");
  CHECK(waiting.get_stack().empty());
  CHECK(all_tasks(loop).empty());
}

WEIR_TEST("TASK-026 two tasks that await each other's futures alternate") {
  std::vector<Future<int>> ping;
  std::vector<Future<int>> pong;
  for (int i = 0; i != 100; ++i) {
    ping.push_back(loop.create_future<int>());
    pong.push_back(loop.create_future<int>());
  }
  std::vector<int> order;
  auto first = [](std::vector<Future<int>>& ping, std::vector<Future<int>>& pong,
                  std::vector<int>& order) -> Coro<void> {
    for (std::size_t i = 0; i != ping.size(); ++i) {
      order.push_back(static_cast<int>(2 * i));
      ping[i].set_result(1);
      co_await pong[i];
    }
  };
  auto second = [](std::vector<Future<int>>& ping, std::vector<Future<int>>& pong,
                   std::vector<int>& order) -> Coro<void> {
    for (std::size_t i = 0; i != ping.size(); ++i) {
      co_await ping[i];
      order.push_back(static_cast<int>(2 * i + 1));
      pong[i].set_result(1);
    }
  };
  Task<void> one = loop.create_task(first(ping, pong, order));
  Task<void> two = loop.create_task(second(ping, pong, order));
  co_await one;
  co_await two;
  REQUIRE(order.size() == 200);
  CHECK(std::is_sorted(order.begin(), order.end()));
}

WEIR_TEST("TASK-026 one completion resumes once, even with a cancellation in the same turn") {
  auto gate = loop.create_future<int>();
  auto second_gate = loop.create_future<int>();
  std::vector<std::string> steps;
  auto body = [](Future<int> gate, Future<int> next, std::vector<std::string>& steps) -> Coro<void> {
    try {
      co_await gate;
      steps.push_back("value");
    } catch (const CancelledError&) {
      steps.push_back("cancelled");
    }
    co_await next;
    steps.push_back("next");
  };
  Task<void> task = loop.create_task(body(gate, second_gate, steps));
  co_await sleep(Duration::zero());
  gate.set_result(1);
  CHECK(task.cancel());
  co_await sleep(Duration::zero());
  co_await sleep(Duration::zero());
  CHECK(steps == std::vector<std::string>{"cancelled"});
  second_gate.set_result(1);
  co_await task;
  CHECK(steps == std::vector<std::string>{"cancelled", "next"});
}
