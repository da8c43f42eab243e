// TASK-005 to TASK-013: cancelling.
#include "tests/support/weir_test.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace weir;
using namespace weir::testing;

namespace {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

constexpr Duration yield = Duration::zero();

Coro<int> give(int value) { co_return value; }
Coro<int> get(Future<int> future) { co_return co_await future; }
Coro<int> get_task(Task<int> task) { co_return co_await task; }

// Catches the cancellation, returns a value.
Coro<int> stubborn(Future<int> gate, int value) {
  try {
    co_await gate;
  } catch (const CancelledError&) {
  }
  co_return value;
}

template <class T>
std::string cancel_message(const Future<T>& future) {
  try {
    future.result();
  } catch (const CancelledError& order) {
    return order.what();
  }
  return "not cancelled";
}

// Leaves a mark when it is destroyed.
class Mark {
 public:
  Mark(std::vector<std::string>& marks, std::string name) : marks_(&marks), name_(std::move(name)) {}
  Mark(Mark&& other) noexcept : marks_(std::exchange(other.marks_, nullptr)), name_(other.name_) {}
  Mark& operator=(Mark&&) = delete;
  ~Mark() {
    if (marks_ != nullptr) {
      marks_->push_back(name_);
    }
  }

 private:
  std::vector<std::string>* marks_;
  std::string name_;
};

}  // namespace

WEIR_TEST("TASK-005 cancel() throws at the suspension point in a later turn") {
  std::vector<std::string> steps;
  auto body = [](std::vector<std::string>& steps) -> Coro<void> {
    const Mark local(steps, "unwound");
    steps.push_back("before");
    co_await get_running_loop().create_future<int>();
    steps.push_back("after");
  };
  Task<void> task = loop.create_task(body(steps));
  co_await sleep(yield);
  CHECK(task.cancel());
  CHECK(steps == std::vector<std::string>{"before"});
  CHECK_FALSE(task.done());
  CHECK_FALSE(task.cancelled());
  bool thrown = false;
  try {
    co_await task;
  } catch (const CancelledError&) {
    thrown = true;
  }
  CHECK(thrown);
  CHECK(task.cancelled());
  CHECK(steps == std::vector<std::string>{"before", "unwound"});
}

WEIR_TEST("TASK-005 a sleep, a yield and a nested coroutine are suspension points too") {
  auto sleeper = [](Duration delay) -> Coro<int> {
    co_await sleep(delay);
    co_return 1;
  };
  auto nested = [](Coro<int> inner) -> Coro<int> { co_return co_await std::move(inner); };
  for (const Duration delay : {Duration(std::chrono::hours(1)), Duration::zero()}) {
    Task<int> plain = loop.create_task(sleeper(delay));
    Task<int> deep = loop.create_task(nested(nested(sleeper(delay))));
    co_await sleep(yield);
    CHECK(plain.cancel("p"));
    CHECK(deep.cancel("d"));
    co_await until([&] { return plain.done() && deep.done(); });
    CHECK(plain.cancelled());
    CHECK(deep.cancelled());
    CHECK(cancel_message(deep) == "d");
  }
}

WEIR_TEST("TASK-005 a task that cancels itself: at its next suspension, or at its end") {
  auto then_sleep = []() -> Coro<int> {
    current_task()->cancel("own");
    co_await sleep(Duration::zero());
    co_return 1;
  };
  Task<int> slept = loop.create_task(then_sleep());
  // As in asyncio: a request that no suspension has taken is taken when the coroutine returns.
  auto then_return = []() -> Coro<int> {
    current_task()->cancel("own");
    co_return 1;
  };
  Task<int> returned = loop.create_task(then_return());
  // But an exception goes before it.
  auto then_throw = []() -> Coro<int> {
    current_task()->cancel("own");
    throw Failure("stronger");
    co_return 1;
  };
  Task<int> thrown = loop.create_task(then_throw());
  // A done future is no suspension.
  auto then_await_done = [](Future<int> done) -> Coro<int> {
    current_task()->cancel("own");
    const int value = co_await done;
    CHECK(value == 5);
    co_await sleep(Duration::zero());
    FAIL_CHECK("went on");
    co_return value;
  };
  auto done = loop.create_future<int>();
  done.set_result(5);
  Task<int> awaited = loop.create_task(then_await_done(done));
  auto taken_back = []() -> Coro<int> {
    current_task()->cancel("own");
    current_task()->uncancel();
    co_return 6;
  };
  Task<int> kept = loop.create_task(taken_back());
  co_await until([&] { return slept.done() && returned.done() && thrown.done() && awaited.done(); });
  CHECK(cancel_message(slept) == "own");
  CHECK(cancel_message(returned) == "own");
  CHECK(returned.cancelled());
  CHECK_THROWS_AS(thrown.result(), Failure);
  CHECK(cancel_message(awaited) == "own");
  CHECK(co_await kept == 6);
}

WEIR_TEST("TASK-006 cancel() on a done task returns false") {
  Task<int> valued = loop.create_task(give(1));
  Task<int> cancelled = loop.create_task(give(1));
  cancelled.cancel("first");
  co_await until([&] { return valued.done() && cancelled.done(); });
  CHECK_FALSE(valued.cancel());
  CHECK(valued.cancelling() == 0);
  CHECK(valued.result() == 1);
  CHECK_FALSE(cancelled.cancel("second"));
  CHECK(cancel_message(cancelled) == "first");
}

TEST_CASE_FIXTURE(LoopFixture, "TASK-007 a task cancelled before its first step runs nothing of its body") {
  bool ran = false;
  auto argument = std::make_shared<int>();
  auto body = [](bool* flag, std::shared_ptr<int>) -> Coro<int> {
    *flag = true;
    co_return 1;
  };
  Task<int> task = loop.create_task(body(&ran, argument));
  CHECK(task.cancel("too late"));
  CHECK_FALSE(task.done());
  int callbacks = 0;
  task.add_done_callback([&] { ++callbacks; });
  drain(loop);
  CHECK_FALSE(ran);
  CHECK(task.cancelled());
  CHECK(cancel_message(task) == "too late");
  CHECK(argument.use_count() == 1);
  CHECK(callbacks == 1);
  CHECK(all_tasks(loop).empty());
}

TEST_CASE_FIXTURE(LoopFixture, "TASK-007 unless the request was taken back") {
  Task<int> task = loop.create_task(give(3));
  task.cancel();
  CHECK(task.uncancel() == 0);
  drain(loop);
  CHECK(task.result() == 3);
}

WEIR_TEST("TASK-008 cancelling a task cancels what it awaits") {
  auto future = loop.create_future<int>();
  Task<int> inner = loop.create_task(get(future));
  Task<int> middle = loop.create_task(get_task(inner));
  Task<int> outer = loop.create_task(get_task(middle));
  co_await sleep(yield);
  co_await sleep(yield);
  CHECK(outer.cancel("down"));
  CHECK(future.cancelled());
  CHECK(inner.cancelling() == 1);
  CHECK(middle.cancelling() == 1);
  CHECK(outer.cancelling() == 1);
  co_await until([&] { return outer.done(); });
  for (const Task<int>& task : {inner, middle, outer}) {
    CHECK(cancel_message(task) == "down");
  }
}

WEIR_TEST("TASK-008 the others who await the same future are cancelled with it") {
  auto future = loop.create_future<int>();
  Task<int> one = loop.create_task(get(future));
  Task<int> two = loop.create_task(get(future));
  co_await sleep(yield);
  one.cancel();
  co_await until([&] { return one.done() && two.done(); });
  CHECK(two.cancelled());
  CHECK(two.cancelling() == 0);
}

WEIR_TEST("TASK-008 an inner task that refuses decides for the outer one") {
  auto gate = loop.create_future<int>();
  Task<int> inner = loop.create_task(stubborn(gate, 12));
  Task<int> outer = loop.create_task(get_task(inner));
  co_await sleep(yield);
  co_await sleep(yield);
  CHECK(outer.cancel());
  CHECK(co_await outer == 12);
  CHECK_FALSE(outer.cancelled());
  CHECK(outer.cancelling() == 1);
}

WEIR_TEST("TASK-008 an inner task that was not started, and one that is running") {
  Task<int> inner = loop.create_task(give(1));
  auto eager = loop.create_task(get_task(inner), {.eager_start = true});
  CHECK(eager.cancel("unborn"));
  co_await until([&] { return eager.done(); });
  CHECK(cancel_message(inner) == "unborn");
  CHECK(cancel_message(eager) == "unborn");

  // The child cancels the parent that awaits it, and so itself.
  std::vector<Task<int>> parent;
  auto child = [](std::vector<Task<int>>& parent) -> Coro<int> {
    CHECK(parent.front().cancel("from below"));
    CHECK(current_task()->cancelling() == 1);
    co_await sleep(Duration::zero());
    co_return 1;
  };
  auto wait = [](Coro<int> coro) -> Coro<int> {
    co_return co_await get_running_loop().create_task(std::move(coro));
  };
  parent.push_back(loop.create_task(wait(child(parent))));
  co_await until([&] { return parent.front().done(); });
  CHECK(cancel_message(parent.front()) == "from below");
}

WEIR_TEST("TASK-008 what completed in the same turn does not hold the cancellation up") {
  auto gate = loop.create_future<int>();
  Task<int> inner = loop.create_task(get(gate));
  Task<int> outer = loop.create_task(get_task(inner));
  co_await sleep(yield);
  co_await sleep(yield);
  gate.set_result(1);
  co_await sleep(yield);
  CHECK(inner.done());
  CHECK_FALSE(outer.done());
  CHECK(outer.cancel("late"));
  co_await until([&] { return outer.done(); });
  CHECK(cancel_message(outer) == "late");
  CHECK(inner.result() == 1);
}

WEIR_TEST("TASK-008 tasks that wait for each other in a circle can be cancelled") {
  for (std::size_t length : {std::size_t{2}, std::size_t{3}, std::size_t{7}}) {
    std::vector<Task<int>> circle;
    auto body = [](std::vector<Task<int>>& circle, std::size_t next) -> Coro<int> {
      co_return co_await circle[next];
    };
    for (std::size_t i = 0; i != length; ++i) {
      circle.push_back(loop.create_task(body(circle, (i + 1) % length)));
    }
    // One that leads into the circle, without being part of it.
    Task<int> outside = loop.create_task(get_task(circle[0]));
    co_await sleep(yield);
    co_await sleep(yield);
    CHECK(outside.cancel("break up"));
    CHECK(circle[1].cancel("break up"));
    co_await until([&] { return outside.done(); });
    for (const Task<int>& task : circle) {
      CHECK(task.done());
      CHECK(cancel_message(task) == "break up");
    }
    CHECK(cancel_message(outside) == "break up");
  }
}

WEIR_TEST("TASK-009 a coroutine that catches the cancellation and returns ends normally") {
  Task<int> task = loop.create_task(stubborn(loop.create_future<int>(), 5));
  co_await sleep(yield);
  CHECK(task.cancel());
  CHECK(co_await task == 5);
  CHECK_FALSE(task.cancelled());
  CHECK(task.exception() == nullptr);
  CHECK(task.cancelling() == 1);
}

WEIR_TEST("TASK-010 one that catches it and awaits something else goes on until it is cancelled anew") {
  auto body = [](std::vector<std::string>& steps) -> Coro<int> {
    for (const char* name : {"first", "second"}) {
      try {
        co_await get_running_loop().create_future<int>();
      } catch (const CancelledError& order) {
        steps.push_back(std::string(name) + " " + order.what());
      }
      co_await sleep(std::chrono::milliseconds(1));
    }
    co_await get_running_loop().create_future<int>();
    co_return 0;
  };
  std::vector<std::string> steps;
  Task<int> task = loop.create_task(body(steps));
  co_await sleep(yield);
  CHECK(task.cancel("a"));
  co_await sleep(std::chrono::milliseconds(10));
  CHECK(steps == std::vector<std::string>{"first a"});
  CHECK_FALSE(task.done());
  CHECK(task.cancel("b"));
  co_await sleep(std::chrono::milliseconds(10));
  CHECK(steps == std::vector<std::string>{"first a", "second b"});
  CHECK(task.cancelling() == 2);
  CHECK(task.cancel("c"));
  co_await until([&] { return task.done(); });
  CHECK(cancel_message(task) == "c");
}

WEIR_TEST("TASK-010 two requests before the resumption are one cancellation") {
  auto body = [](int* caught) -> Coro<int> {
    for (int i = 0; i != 2; ++i) {
      try {
        co_await sleep(std::chrono::milliseconds(2));
      } catch (const CancelledError&) {
        ++*caught;
      }
    }
    co_return 1;
  };
  int caught = 0;
  Task<int> task = loop.create_task(body(&caught));
  co_await sleep(yield);
  CHECK(task.cancel());
  CHECK(task.cancel());
  CHECK(co_await task == 1);
  CHECK(caught == 1);
  CHECK(task.cancelling() == 2);
}

WEIR_TEST("TASK-011 an exception thrown while handling the cancellation is the task's") {
  auto body = [](std::vector<std::string>& marks) -> Coro<int> {
    const Mark local(marks, "unwound");
    try {
      co_await get_running_loop().create_future<int>();
    } catch (const CancelledError&) {
      throw Failure("while handling");
    }
    co_return 1;
  };
  std::vector<std::string> marks;
  Task<int> task = loop.create_task(body(marks));
  co_await sleep(yield);
  task.cancel();
  co_await until([&] { return task.done(); });
  CHECK_FALSE(task.cancelled());
  CHECK_THROWS_WITH_AS(task.result(), "while handling", Failure);
  CHECK(marks.size() == 1);
}

WEIR_TEST("TASK-012 cancelling() counts the requests, uncancel() takes one back") {
  Task<int> task = loop.create_task(stubborn(loop.create_future<int>(), 1));
  CHECK(task.cancelling() == 0);
  CHECK(task.uncancel() == 0);
  co_await sleep(yield);
  task.cancel();
  CHECK(task.cancelling() == 1);
  task.cancel();
  CHECK(task.cancelling() == 2);
  CHECK(task.uncancel() == 1);
  CHECK(task.uncancel() == 0);
  CHECK(task.uncancel() == 0);
  CHECK(co_await task == 1);
  CHECK(task.cancelling() == 0);
}

WEIR_TEST(
    "TASK-012 taking back the last request before it was delivered undoes it, an earlier one does not") {
  auto body = []() -> Coro<int> {
    co_await sleep(std::chrono::milliseconds(1));
    co_return 1;
  };
  auto gate = loop.create_future<int>();
  Task<int> undone = loop.create_task(get(gate));
  Task<int> still = loop.create_task(get(gate));
  Task<int> interrupted = loop.create_task(body());
  co_await sleep(yield);
  gate.set_result(1);  // both are about to be resumed with it
  undone.cancel();
  CHECK(undone.uncancel() == 0);
  still.cancel();
  still.cancel();
  CHECK(still.uncancel() == 1);
  // The sleep was cut short for the request: too late to take it back.
  interrupted.cancel("first");
  CHECK(interrupted.uncancel() == 0);
  interrupted.cancel("second");
  co_await until([&] { return undone.done() && still.done() && interrupted.done(); });
  CHECK(undone.result() == 1);
  CHECK(still.cancelled());
  CHECK(cancel_message(interrupted) == "first");
}

WEIR_TEST("TASK-013 the message travels up to whoever awaits the task") {
  auto deep = [](Future<int> gate, int depth, auto& self) -> Coro<int> {
    if (depth == 0) {
      co_return co_await gate;
    }
    co_return co_await self(gate, depth - 1, self);
  };
  Task<int> task = loop.create_task(deep(loop.create_future<int>(), 5, deep));
  Task<int> outer = loop.create_task(get_task(task));
  co_await sleep(yield);
  co_await sleep(yield);
  task.cancel("because");
  std::string text;
  try {
    co_await outer;
  } catch (const CancelledError& order) {
    text = order.what();
  }
  CHECK(text == "because");
  CHECK(cancel_message(task) == "because");
  CHECK_THROWS_WITH_AS(static_cast<void>(task.exception()), "because", CancelledError);
  CHECK(outer.cancelled());
  CHECK(outer.cancelling() == 0);
}

WEIR_TEST("TASK-013 catch (const std::exception&) does not swallow a cancellation") {
  auto body = [](Future<int> gate) -> Coro<int> {
    try {
      co_await gate;
    } catch (const std::exception&) {
      FAIL_CHECK("swallowed");
    }
    co_return 1;
  };
  Task<int> task = loop.create_task(body(loop.create_future<int>()));
  co_await sleep(yield);
  task.cancel();
  co_await until([&] { return task.done(); });
  CHECK(task.cancelled());
}

WEIR_TEST("TASK-013 a CancelledError that the coroutine throws itself cancels the task") {
  auto body = []() -> Coro<int> {
    throw CancelledError("own decision");
    co_return 1;
  };
  Task<int> task = loop.create_task(body());
  co_await until([&] { return task.done(); });
  CHECK(task.cancelled());
  CHECK(task.cancelling() == 0);
  CHECK(cancel_message(task) == "own decision");
}
