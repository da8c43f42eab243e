// LOOP: running and stopping, which loop runs where, and errors of callbacks.
#include "tests/support/weir_test.hpp"

#include "runtime/loop_access.hpp"
#include "runtime/timer_heap.hpp"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

template <class F>
concept Schedulable = requires(EventLoop& loop, F f) { loop.call_soon(std::move(f)); };
template <class F>
concept SchedulableLater = requires(EventLoop& loop, F f) { loop.call_later(1s, std::move(f)); };
template <class F>
concept SchedulableAt = requires(EventLoop& loop, F f) { loop.call_at(TimePoint(), std::move(f)); };
template <class F>
concept Postable = requires(EventLoop& loop, F f) { loop.call_soon_threadsafe(std::move(f)); };
template <class F>
constexpr bool accepted_by_any = Schedulable<F> || SchedulableLater<F> || SchedulableAt<F> || Postable<F>;
template <class F>
constexpr bool accepted_by_all = Schedulable<F> && SchedulableLater<F> && SchedulableAt<F> && Postable<F>;

struct NeedsArgument {
  void operator()(int) const {}
};
struct MakesCoroutine {
  Coro<void> operator()() const;
};
struct MakesMovedCoroutine {
  Coro<int>&& operator()() const;
};

static_assert(accepted_by_all<void (*)()>);
static_assert(accepted_by_all<std::function<void()>>);
static_assert(accepted_by_all<decltype([] { return 1; })>, "a result is ignored");
static_assert(!accepted_by_any<Coro<void>>);
static_assert(!accepted_by_any<Coro<int>>);
static_assert(!accepted_by_any<Task<int>>);
static_assert(!accepted_by_any<Future<int>>);
static_assert(!accepted_by_any<Ref<TaskBase>>);
static_assert(!accepted_by_any<MakesCoroutine>, "a coroutine function makes a coroutine that nobody runs");
static_assert(!accepted_by_any<MakesMovedCoroutine>);
static_assert(!accepted_by_any<NeedsArgument>);
static_assert(!accepted_by_any<int>);

Coro<int> returns(int value) { co_return value; }
Coro<void> throws(std::exception_ptr exception) {
  std::rethrow_exception(exception);
  co_return;
}
Coro<void> sleeps(Duration duration) { co_await sleep(duration); }

}  // namespace

TEST_CASE_FIXTURE(LoopFixture, "LOOP-001 call_soon runs in FIFO order, each callback once") {
  std::vector<int> order;
  for (int i = 0; i != 1000; ++i) {  // more than the ready queue holds at first
    if (i % 3 == 0) {
      loop.call_soon([&order, i] { order.push_back(i); });
    } else if (i % 3 == 1) {  // too large to lie in the queue itself
      loop.call_soon([&order, i, text = std::string(40, 'x')] { order.push_back(i); });
    } else {  // with a context
      Context context;
      loop.call_soon([&order, i] { order.push_back(i); }, {.context = &context});
    }
  }
  drain(loop);
  REQUIRE(order.size() == 1000);
  for (int i = 0; i != 1000; ++i) {
    CHECK(order[static_cast<std::size_t>(i)] == i);
  }
  turn(loop);
  CHECK(order.size() == 1000);
}

WEIR_TEST("LOOP-002 a callback added by a callback runs in the next turn") {
  std::vector<int> order;
  loop.call_soon([&] {
    order.push_back(1);
    loop.call_soon([&] { order.push_back(3); });
  });
  loop.call_soon([&] { order.push_back(2); });
  co_await until([&] { return order.size() == 3; });
  CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-002 a turn runs what was queued when it began, however much that is") {
  int generation = 0;
  std::function<void()> again = [&] {
    ++generation;
    loop.call_soon(std::ref(again));
  };
  loop.call_soon(std::ref(again));
  for (int turns = 1; turns <= 5; ++turns) {
    turn(loop);
    CHECK(generation == turns);
  }
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-004 an empty callback is refused at the call") {
  const std::function<void()> empty;
  void (*null)() = nullptr;
  CHECK_THROWS_AS(loop.call_soon(empty), std::invalid_argument);
  CHECK_THROWS_AS(loop.call_soon(null), std::invalid_argument);
  CHECK_THROWS_AS(loop.call_later(1ms, empty), std::invalid_argument);
  CHECK_THROWS_AS(loop.call_later(1ms, null), std::invalid_argument);
  CHECK_THROWS_AS(loop.call_at(loop.time(), empty), std::invalid_argument);
  CHECK_THROWS_AS(loop.call_at(loop.time(), null), std::invalid_argument);
  CHECK_THROWS_AS(loop.call_soon_threadsafe(empty), std::invalid_argument);
  CHECK_THROWS_AS(loop.call_soon_threadsafe(null), std::invalid_argument);
  CHECK_THROWS_AS(loop.remote().post(empty), std::invalid_argument);
  CHECK(detail::LoopAccess::ready(loop).empty());
  CHECK(detail::LoopAccess::timers(loop).empty());
}

TEST_CASE("LOOP-004 a coroutine, task or future does not compile as a callback") {
  CHECK(accepted_by_all<void (*)()>);
  CHECK_FALSE(accepted_by_any<Coro<void>>);
  CHECK_FALSE(accepted_by_any<MakesCoroutine>);
  CHECK_FALSE(accepted_by_any<Task<int>>);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-005 run_forever returns after stop(), once the whole batch has run") {
  std::vector<int> order;
  loop.call_soon([&] { order.push_back(1); });
  loop.call_soon([&] {
    order.push_back(2);
    loop.stop();
  });
  loop.call_soon([&] { order.push_back(3); });
  loop.run_forever();
  CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-005 timers due in the stopping iteration run too") {
  std::vector<int> order;
  const TimePoint due = loop.time() - 1s;
  loop.call_soon([&] { loop.stop(); });
  loop.call_at(due, [&] { order.push_back(1); });
  loop.call_at(due, [&] { order.push_back(2); });
  loop.run_forever();
  CHECK(order == std::vector{1, 2});
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-006 stop() before run_forever() makes it one turn that does not wait") {
  int runs = 0;
  bool timer_ran = false;
  loop.call_later(1h, [&] { timer_ran = true; });
  loop.call_soon([&] {
    ++runs;
    loop.call_soon([&] { ++runs; });
  });
  const TimePoint begun = loop.time();
  loop.stop();
  loop.run_forever();
  CHECK(runs == 1);
  CHECK_FALSE(timer_ran);
  CHECK(loop.time() - begun < 30min);

  SUBCASE("also when nothing is ready") {
    drain(loop);
    loop.stop();
    loop.run_forever();
    CHECK(loop.time() - begun < 30min);
  }
  SUBCASE("the order to stop is spent on that run") {
    loop.call_soon([&] { loop.call_soon([&] { loop.call_soon([&] { loop.stop(); }); }); });
    loop.call_soon([&] { runs = 10; });
    loop.run_forever();
    CHECK(runs == 10);
    CHECK(detail::LoopAccess::ready(loop).empty());
  }
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-007 what the stopping iteration schedules waits for the next run") {
  std::vector<int> order;
  loop.call_soon([&] {
    loop.stop();
    loop.call_soon([&] { order.push_back(2); });
  });
  loop.call_soon([&] {
    order.push_back(1);
    loop.call_soon([&] {
      order.push_back(3);
      loop.stop();
    });
  });
  loop.run_forever();
  CHECK(order == std::vector{1});
  loop.run_forever();
  CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-008 run_until_complete returns the value") {
  CHECK(loop.run_until_complete(returns(7)) == 7);
  loop.run_until_complete(sleeps(1ms));  // of nothing

  const auto move_only = [](int value) -> Coro<std::unique_ptr<int>> {
    co_return std::make_unique<int>(value);
  };
  CHECK(*loop.run_until_complete(move_only(8)) == 8);

  Task<int> task = loop.create_task(returns(9));
  CHECK(loop.run_until_complete(task) == 9);
  CHECK(loop.run_until_complete(task) == 9);

  auto future = loop.create_future<std::unique_ptr<int>>();
  loop.call_later(1ms, [future] { future.set_result(std::make_unique<int>(10)); });
  CHECK(*loop.run_until_complete(std::move(future)) == 10);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-008 a future that the caller keeps keeps its value") {
  auto future = loop.create_future<std::string>();
  const std::string value(100, 'v');
  future.set_result(value);
  CHECK(loop.run_until_complete(future) == value);
  CHECK(future.result() == value);
  CHECK(loop.run_until_complete(future) == value);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-008 run_until_complete rethrows the exception unchanged") {
  const std::exception_ptr thrown = std::make_exception_ptr(std::out_of_range("the one"));
  std::exception_ptr caught;
  try {
    loop.run_until_complete(throws(thrown));
  } catch (const std::out_of_range& error) {
    caught = std::current_exception();
    CHECK(std::string(error.what()) == "the one");
  }
  CHECK(caught == thrown);

  auto future = loop.create_future<int>();
  future.set_exception(std::make_exception_ptr(17));  // anything may be thrown
  CHECK_THROWS_AS(loop.run_until_complete(future), int);
  Task<void> task = loop.create_task(sleeps(1h));
  loop.call_soon([&] { task.cancel("enough"); });
  CHECK_THROWS_AS(loop.run_until_complete(task), CancelledError);
  CHECK_FALSE(loop.is_running());
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-009 run_until_complete fails when stop() comes first") {
  auto future = loop.create_future<int>();
  loop.call_soon([&] { loop.stop(); });
  CHECK_THROWS_WITH_AS(loop.run_until_complete(future),
                       "run_until_complete: the event loop stopped before the future completed",
                       RuntimeError);
  CHECK_FALSE(future.done());
  future.set_result(3);
  CHECK(loop.run_until_complete(future) == 3);

  Task<void> task = loop.create_task(sleeps(1ms));
  loop.stop();
  CHECK_THROWS_AS(loop.run_until_complete(task), RuntimeError);
  loop.run_until_complete(task);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-009 a run_until_complete that was cut short leaves nothing behind") {
  // Neither may the end of its future stop a later run, ...
  auto future = loop.create_future<void>();
  loop.stop();
  CHECK_THROWS_AS(loop.run_until_complete(future), RuntimeError);
  bool after = false;
  loop.call_soon([&] { future.set_result(); });
  loop.call_later(1ms, [&] {
    after = true;
    loop.stop();
  });
  loop.run_forever();
  CHECK(after);

  // ... nor its stop, when the future was done in the iteration that somebody else stopped.
  after = false;
  auto both = loop.create_future<int>();
  loop.call_soon([&] {
    both.set_result(5);
    loop.stop();
  });
  CHECK(loop.run_until_complete(both) == 5);
  loop.call_later(1ms, [&] {
    after = true;
    loop.stop();
  });
  loop.run_forever();
  CHECK(after);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-010 a future of another loop is refused") {
  EventLoop other;
  env.watch(other);
  auto future = other.create_future<int>();
  CHECK_THROWS_AS(loop.run_until_complete(future), std::invalid_argument);
  Task<int> task = other.create_task(returns(1));
  CHECK_THROWS_AS(loop.run_until_complete(task), std::invalid_argument);
  CHECK(other.run_until_complete(task) == 1);
  other.close();
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-011 a running loop refuses to be run again, and goes on") {
  bool ran = false;
  bool inner_ran = false;
  const auto inner = [](bool& flag) -> Coro<void> {
    flag = true;
    co_return;
  };
  loop.call_soon([&] {
    CHECK_THROWS_AS(loop.run_forever(), RuntimeError);
    CHECK_THROWS_AS(loop.run_until_complete(inner(inner_ran)), RuntimeError);
    auto future = loop.create_future<void>();
    CHECK_THROWS_AS(loop.run_until_complete(future), RuntimeError);
    CHECK(loop.is_running());
    CHECK(&get_running_loop() == &loop);
    future.set_result();
  });
  loop.call_later(1ms, [&] {
    ran = true;
    loop.stop();
  });
  loop.run_forever();
  CHECK(ran);
  CHECK_FALSE(inner_ran);
  CHECK(all_tasks(loop).empty());
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-012 a second loop does not run on the thread of a running one") {
  EventLoop other;
  env.watch(other);
  bool other_ran = false;
  other.call_soon([&] { other_ran = true; });
  loop.call_soon([&] {
    CHECK_THROWS_AS(other.run_forever(), RuntimeError);
    CHECK_THROWS_AS(other.run_until_complete(returns(1)), RuntimeError);
    CHECK_FALSE(other.is_running());
    CHECK(&get_running_loop() == &loop);
  });
  turn(loop);
  CHECK_FALSE(other_ran);
  turn(other);  // it can run once the thread is free
  CHECK(other_ran);
  other.close();
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-013 a loop is running only inside a run call") {
  CHECK_FALSE(loop.is_running());
  CHECK_THROWS_AS(get_running_loop(), RuntimeError);
  int checks = 0;
  const auto check = [&] {
    CHECK(loop.is_running());
    CHECK(&get_running_loop() == &loop);
    ++checks;
  };
  loop.call_soon(check);
  loop.call_later(1ms, check);
  const auto coroutine = [](EventLoop& expected, int& counter) -> Coro<void> {
    co_await sleep(2ms);
    CHECK(&get_running_loop() == &expected);
    ++counter;
  };
  loop.run_until_complete(coroutine(loop, checks));
  CHECK(checks == 3);
  CHECK_FALSE(loop.is_running());
  CHECK_THROWS_AS(get_running_loop(), RuntimeError);

  SUBCASE("also when the run ends by an exception") {
    loop.call_soon([] { throw KeyboardInterrupt(); });
    CHECK_THROWS_AS(loop.run_forever(), KeyboardInterrupt);
    CHECK_FALSE(loop.is_running());
    CHECK_THROWS_AS(get_running_loop(), RuntimeError);
  }
  SUBCASE("no other thread sees a running loop of its own") {
    bool refused = false;
    loop.call_soon([&] {
      std::thread([&] {
        try {
          get_running_loop();
        } catch (const RuntimeError&) {
          refused = true;
        }
      }).join();
    });
    turn(loop);
    CHECK(refused);
  }
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-020 an exception of a callback is reported, and the loop goes on") {
  std::vector<int> order;
  loop.call_soon([&] { order.push_back(1); });
  loop.call_soon([] { throw std::logic_error("first"); });
  loop.call_soon([&] { order.push_back(2); });
  loop.call_soon([text = std::string(50, 'x')] { throw 3; });  // neither small nor a std::exception
  loop.call_at(loop.time() - 1s, [] { throw std::logic_error("in a timer"); });
  loop.call_at(loop.time() - 1ms, [&] { order.push_back(3); });
  loop.call_soon([&] { loop.call_soon([&] { order.push_back(4); }); });
  turn(loop);
  CHECK(order == std::vector{1, 2, 3});
  const std::vector<Report> reports = env.take_reports();
  REQUIRE(reports.size() == 3);
  CHECK_THROWS_WITH_AS(std::rethrow_exception(reports[0].exception), "first", std::logic_error);
  CHECK_THROWS_AS(std::rethrow_exception(reports[1].exception), int);
  CHECK_THROWS_WITH_AS(std::rethrow_exception(reports[2].exception), "in a timer", std::logic_error);
  turn(loop);
  CHECK(order == std::vector{1, 2, 3, 4});
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-020 KeyboardInterrupt passes through, and what was queued is kept") {
  bool ran = false;
  loop.call_soon([] { throw KeyboardInterrupt(); });
  loop.call_soon([&] { ran = true; });
  CHECK_THROWS_AS(loop.run_forever(), KeyboardInterrupt);
  CHECK_FALSE(ran);
  turn(loop);
  CHECK(ran);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-023 futures and tasks name their loop") {
  EventLoop other;
  env.watch(other);
  CHECK(&loop.create_future<int>().get_loop() == &loop);
  CHECK(&other.create_future<int>().get_loop() == &other);
  Task<int> task = loop.create_task(returns(1));
  Task<int> foreign = other.create_task(returns(2));
  CHECK(&task.get_loop() == &loop);
  CHECK(&foreign.get_loop() == &other);
  loop.run_until_complete(task);
  CHECK(&task.get_loop() == &loop);
  other.run_until_complete(foreign);
  other.close();
}

TEST_CASE_FIXTURE(LoopFixture, "the loop's options say what is wrong with a value, and keep the old one") {
  loop.set_busy_poll(50us);
  CHECK_THROWS_WITH_AS(loop.set_busy_poll(-1ns), "set_busy_poll: the duration is negative",
                       std::invalid_argument);
  CHECK(loop.busy_poll() == 50us);
  CHECK(loop.max_read_size() == 65536);
  loop.set_max_read_size(262144);
  CHECK_THROWS_WITH_AS(loop.set_max_read_size(1023),
                       "set_max_read_size: 1023 is not between 1 KiB and 64 MiB", std::invalid_argument);
  CHECK_THROWS_AS(loop.set_max_read_size((std::size_t{64} << 20) + 1), std::invalid_argument);
  CHECK(loop.max_read_size() == 262144);
  loop.close();
  CHECK_THROWS_AS(loop.set_busy_poll(1us), RuntimeError);
  CHECK_THROWS_AS(loop.set_max_read_size(4096), RuntimeError);
}
