// LIFE-008 and LIFE-009: what a closing loop does to its tasks, and chains of any length.
#include "tests/support/sanitizer.hpp"
#include "tests/support/weir_test.hpp"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::testing;

namespace {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using Marks = std::vector<std::string>;

template <class F>
class AtExit {
 public:
  explicit AtExit(F f) : f_(std::move(f)) {}
  AtExit(const AtExit&) = delete;
  AtExit& operator=(const AtExit&) = delete;
  ~AtExit() { f_(); }

 private:
  F f_;
};

void mark(Marks& marks, std::string name) { marks.push_back(std::move(name)); }

Coro<void> nested(int depth, Future<void> gate, Marks& marks) {
  const AtExit at_exit([&marks, depth] { mark(marks, std::to_string(depth)); });
  try {
    if (depth == 0) {
      co_await gate;
    } else {
      co_await nested(depth - 1, gate, marks);
    }
    mark(marks, "resumed");
  } catch (...) {
    mark(marks, "thrown into");
  }
}

// The chains are this long: enough to overflow any stack that grows by a frame a link. Sanitizers make frames
// larger, and each throw on the way a hundred times as slow.
constexpr int chain_length = 1'000'000;
constexpr int task_count = under_sanitizer ? 50'000 : 200'000;

Coro<int> chain(int depth) {
  if (depth == 0) {
    co_return 0;
  }
  co_return 1 + co_await chain(depth - 1);
}

Coro<int> chain_to(int depth, Future<int> gate) {
  if (depth == 0) {
    co_return co_await gate;
  }
  co_return 1 + co_await chain_to(depth - 1, gate);
}

Coro<int> one() { co_return 1; }
Coro<int> increment(Task<int> previous) { co_return 1 + co_await previous; }

}  // namespace

TEST_CASE_FIXTURE(LoopFixture,
                  "LIFE-008 a destroyed loop destroys the frames once, leaf first, resuming none") {
  const auto gate = loop.create_future<void>();
  Marks marks;
  static_cast<void>(loop.create_task(nested(3, gate, marks), {.name = "chain"}));
  drain(loop);
  SUBCASE("suspended") {}
  SUBCASE("about to be resumed") { gate.set_result(); }
  SUBCASE("about to be cancelled") { (*all_tasks(loop).begin())->cancel(); }
  loop_owner.reset();
  CHECK(marks == Marks{"0", "1", "2", "3"});
  env.expect_report("'chain'");
  CHECK_NOTHROW(gate.done() ? void() : gate.set_result());
  CHECK(marks.size() == 4);
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 close() does the same, and destruction does nothing more") {
  const auto gate = loop.create_future<void>();
  Marks marks;
  const Task<void> task = loop.create_task(nested(1, gate, marks));
  drain(loop);
  loop.close();
  CHECK(marks == Marks{"0", "1"});
  loop_owner.reset();
  CHECK(marks.size() == 2);
  CHECK_FALSE(task.done());
  env.expect_report("pending");
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 a task never started loses its frame, without a step of its body") {
  auto argument = std::make_shared<int>();
  bool ran = false;
  auto body = [](std::shared_ptr<int>, bool* flag) -> Coro<void> {
    *flag = true;
    co_return;
  };
  static_cast<void>(loop.create_task(body(argument, &ran)));
  loop_owner.reset();
  CHECK_FALSE(ran);
  CHECK(argument.use_count() == 1);
  env.expect_report("pending");
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 a child task may refer to its parent's locals") {
  Marks marks;
  auto child = [](std::string& parents) -> Coro<void> {
    const AtExit at_exit([&parents] { parents += " seen by the child"; });
    co_await get_running_loop().create_future<void>();
  };
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines)
  auto parent = [child](Marks& marks, bool awaits) -> Coro<void> {
    std::string local = "local";
    const AtExit at_exit([&] { mark(marks, local); });
    Task<void> task = create_task(child(local));
    if (awaits) {
      co_await task;
    } else {
      co_await get_running_loop().create_future<void>();
    }
  };
  static_cast<void>(loop.create_task(parent(marks, true)));
  static_cast<void>(loop.create_task(parent(marks, false)));
  drain(loop);
  loop_owner.reset();
  CHECK(marks == Marks{"local seen by the child", "local seen by the child"});
  CHECK(env.take_reports().size() == 4);
}

TEST_CASE_FIXTURE(LoopFixture,
                  "LIFE-008 tasks that hold and await each other, and a chain of a million frames") {
  std::vector<Task<int>> circle;
  auto body = [](std::vector<Task<int>>& circle, std::size_t next) -> Coro<int> {
    const Task<int> held = circle[next];
    co_return co_await held;
  };
  circle.push_back(loop.create_task(body(circle, 1)));
  circle.push_back(loop.create_task(body(circle, 0)));
  static_cast<void>(loop.create_task(chain_to(chain_length, loop.create_future<int>())));
  drain(loop);
  loop_owner.reset();
  CHECK(env.take_reports().size() == 3);
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 the destructors run on the destroying thread") {
  std::thread::id where;
  auto body = [](std::thread::id* id) -> Coro<void> {
    const AtExit at_exit([id] { *id = std::this_thread::get_id(); });
    co_await get_running_loop().create_future<void>();
  };
  static_cast<void>(loop.create_task(body(&where)));
  drain(loop);
  std::thread destroyer([&] { loop_owner.reset(); });
  const std::thread::id expected = destroyer.get_id();
  destroyer.join();
  CHECK(where == expected);
  env.expect_report("pending");
}

TEST_CASE_FIXTURE(LoopFixture,
                  "LIFE-008 cancel and close from such a destructor do nothing and do not throw") {
  auto own = loop.create_future<void>();
  auto foreign = loop.create_future<void>();
  std::vector<std::string> done;
  Task<void> other = loop.create_task(nested(0, foreign, done));
  bool callback_ran = false;
  TimerHandle timer = loop.call_later(std::chrono::hours(1), [&] { callback_ran = true; });
  Handle handle;
  bool reached = false;
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines)
  auto body = [&](EventLoop& loop, Future<void> gate) -> Coro<void> {
    const AtExit at_exit([&] {
      reached = true;
      CHECK_FALSE(other.cancel());
      CHECK_FALSE(foreign.cancel());
      CHECK_FALSE(gate.cancel());
      CHECK_FALSE(foreign.done());
      timer.cancel();
      handle.cancel();
      loop.stop();
      CHECK_NOTHROW(loop.close());
      CHECK_THROWS_AS(static_cast<void>(loop.create_task(one())), RuntimeError);
      CHECK_THROWS_AS(static_cast<void>(loop.call_soon([] {})), RuntimeError);
      CHECK_THROWS_AS(static_cast<void>(current_task()), RuntimeError);
      // Completing is allowed, and wakes nobody.
      foreign.set_result();
    });
    co_await gate;
  };
  static_cast<void>(loop.create_task(body(loop, own)));
  drain(loop);
  handle = loop.call_soon([&] { callback_ran = true; });
  loop_owner.reset();
  CHECK(reached);
  CHECK_FALSE(callback_ran);
  CHECK(done == Marks{"0"});
  CHECK(foreign.done());
  CHECK_FALSE(other.done());
  CHECK(env.take_reports().size() == 2);
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 a destructor may drop the last handle of another task or future") {
  auto owner = std::make_shared<std::vector<Task<int>>>();
  auto body = [](std::shared_ptr<std::vector<Task<int>>> tasks, Future<int> gate) -> Coro<int> {
    const AtExit at_exit([&tasks] { tasks->clear(); });
    co_return co_await gate;
  };
  for (int i = 0; i != 5; ++i) {
    owner->push_back(loop.create_task(body(owner, loop.create_future<int>())));
  }
  drain(loop);
  const std::weak_ptr<std::vector<Task<int>>> watched = owner;
  owner.reset();
  loop_owner.reset();
  CHECK(watched.expired());
  CHECK(env.take_reports().size() == 5);
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 the values and callbacks of futures go with their loop's queue") {
  auto counted = std::make_shared<int>();
  {
    const auto future = loop.create_future<std::shared_ptr<int>>();
    future.add_done_callback([counted, future] {});  // a circle, until the callback is dropped
    future.set_result(counted);
  }
  CHECK(counted.use_count() == 3);
  loop_owner.reset();
  CHECK(counted.use_count() == 1);
}

WEIR_TEST("LIFE-009 a million coroutines nested in one another") {
  CHECK(co_await chain(chain_length) == chain_length);
  const auto gate = loop.create_future<int>();
  Task<int> task = loop.create_task(chain_to(chain_length, gate));
  co_await sleep(Duration::zero());
  gate.set_result(5);
  CHECK(co_await task == chain_length + 5);
}

WEIR_TEST("LIFE-009 a million coroutines that complete at once, one after another") {
  long sum = 0;
  for (int i = 0; i != chain_length; ++i) {
    sum += co_await one();
  }
  CHECK(sum == chain_length);
  const auto done = loop.create_future<int>();
  done.set_result(1);
  for (int i = 0; i != chain_length; ++i) {
    sum += co_await done;
  }
  CHECK(sum == 2 * chain_length);
}

WEIR_TEST("LIFE-009 an exception and a cancellation through a hundred thousand levels") {
  constexpr int levels = 100'000;
  for (const bool cancels : {false, true}) {
    auto gate = loop.create_future<int>();
    Task<int> task = loop.create_task(chain_to(levels, gate));
    co_await sleep(Duration::zero());
    if (cancels) {
      task.cancel("all the way");
    } else {
      gate.set_exception(Failure("all the way"));
    }
    std::string text;
    try {
      co_await task;
    } catch (const Failure& failure) {
      text = failure.what();
    } catch (const CancelledError& order) {
      text = order.what();
    }
    CHECK(text == "all the way");
    CHECK(task.cancelled() == cancels);
  }
}

WEIR_TEST("LIFE-009 a long chain of tasks, each awaiting the one before") {
  const auto gate = loop.create_future<int>();
  Task<int> last = loop.create_task(chain_to(0, gate));
  for (int i = 0; i != task_count; ++i) {
    last = loop.create_task(increment(last), {.eager_start = true});
  }
  gate.set_result(0);
  CHECK(co_await last == task_count);
}

WEIR_TEST("LIFE-009 a cancellation down a long chain of tasks, and their end") {
  Task<int> last = loop.create_task(chain_to(0, loop.create_future<int>()), {.eager_start = true});
  const Task<int> first = last;
  for (int i = 0; i != task_count; ++i) {
    last = loop.create_task(increment(last), {.eager_start = true});
  }
  CHECK(last.cancel("down"));
  std::string text;
  try {
    co_await last;
  } catch (const CancelledError& order) {
    text = order.what();
  }
  CHECK(text == "down");
  CHECK(first.cancelled());
  CHECK(first.cancelling() == 1);
}

TEST_CASE_FIXTURE(LoopFixture,
                  "LIFE-009 a loop that is destroyed with a long chain of tasks awaiting one another") {
  std::size_t reports = 0;
  loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) { ++reports; });
  Task<int> last = loop.create_task(chain_to(0, loop.create_future<int>()));
  for (int i = 0; i != task_count; ++i) {
    last = loop.create_task(increment(last));
  }
  drain(loop);
  loop_owner.reset();
  CHECK(reports == task_count + 1);
  CHECK_FALSE(last.done());
}

WEIR_TEST("LIFE-009 a million callbacks that complete one future after another") {
  int left = chain_length;
  std::function<void(Future<void>)> next = [&](const Future<void>& future) {
    future.add_done_callback([&] {
      if (--left != 0) {
        const auto following = loop.create_future<void>();
        next(following);
      }
    });
    future.set_result();
  };
  next(loop.create_future<void>());
  co_await until([&] { return left == 0; });
  CHECK(left == 0);
}
