// ConcurrentFuture, wrap_future and run_coroutine_threadsafe: results between threads and loops.
#include "tests/support/weir_test.hpp"

#include <array>
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

std::exception_ptr error(const char* what) { return std::make_exception_ptr(std::runtime_error(what)); }

Coro<int> give(int value) {
  co_await sleep(0s);
  co_return value;
}

// Runs the loop on a thread of its own, from construction to destruction.
class LoopThread {
 public:
  LoopThread() : thread_([this] { serve(); }) { loop_ = ready_.get_future().get(); }
  LoopThread(const LoopThread&) = delete;
  ~LoopThread() { stop(); }

  EventLoop& loop() { return *loop_; }
  // Stops the loop and closes it with what is pending.
  void stop() {
    if (thread_.joinable()) {
      loop_->call_soon_threadsafe([this] { loop_->stop(); });
      thread_.join();
    }
  }
  std::vector<std::string> reports;  // to be read after stop()

 private:
  void serve() {
    EventLoop loop;
    loop.set_exception_handler(
        [this](EventLoop&, const ExceptionContext& context) { reports.push_back(context.message); });
    ready_.set_value(&loop);
    loop.run_forever();
    loop.close();
  }

  std::promise<EventLoop*> ready_;
  EventLoop* loop_ = nullptr;
  std::thread thread_;
};

}  // namespace

TEST_CASE("ConcurrentFuture: value") {
  const ConcurrentFuture<int> future;
  CHECK_FALSE(future.done());
  CHECK_FALSE(future.wait_for(0ms));
  CHECK_FALSE(future.wait_for(-1h));
  CHECK_THROWS_AS(future.get_for(1ms), TimeoutError);
  future.set_result(4);
  CHECK(future.done());
  CHECK_FALSE(future.cancelled());
  CHECK(future.get() == 4);
  CHECK(future.get() == 4);
  CHECK(future.get_for(0ms) == 4);
  CHECK(future.wait_for(Duration::max()));
  CHECK(future.exception() == nullptr);
  CHECK_THROWS_AS(future.set_result(5), InvalidStateError);
  CHECK_THROWS_AS(future.set_exception(error("late")), InvalidStateError);
  CHECK_FALSE(future.cancel());
  CHECK(future.get() == 4);
}

TEST_CASE("ConcurrentFuture: exception") {
  const ConcurrentFuture<void> future;
  CHECK_THROWS_AS(future.set_exception(nullptr), std::invalid_argument);
  CHECK_FALSE(future.done());
  future.set_exception(error("broken"));
  CHECK(future.done());
  CHECK_THROWS_WITH_AS(future.get(), "broken", std::runtime_error);
  CHECK_THROWS_WITH_AS(future.get_for(0ms), "broken", std::runtime_error);
  CHECK(describe_exception(future.exception()) == "std::runtime_error: broken");
  CHECK_THROWS_AS(future.set_result(), InvalidStateError);
}

TEST_CASE("ConcurrentFuture: cancel") {
  const ConcurrentFuture<int> future;
  CHECK(future.cancel());
  CHECK(future.cancelled());
  CHECK(future.done());
  CHECK_FALSE(future.cancel());
  CHECK_THROWS_AS(future.get(), CancelledError);
  CHECK_THROWS_AS(future.exception(), CancelledError);
  CHECK_THROWS_AS(future.set_result(1), InvalidStateError);
}

TEST_CASE("ConcurrentFuture: copies share the state, move-only values move out") {
  const ConcurrentFuture<std::unique_ptr<int>> future;
  ConcurrentFuture<std::unique_ptr<int>> copy = future;
  future.set_result(std::make_unique<int>(3));
  CHECK(copy.done());
  CHECK(*std::move(copy).get() == 3);
  ConcurrentFuture<std::unique_ptr<int>> timed;
  timed.set_result(std::make_unique<int>(4));
  CHECK(*std::move(timed).get_for(1s) == 4);
}

TEST_CASE("ConcurrentFuture: get blocks until another thread completes it") {
  const ConcurrentFuture<int> future;
  std::thread completer([future] { future.set_result(6); });
  CHECK(future.get() == 6);
  completer.join();
}

TEST_CASE("ConcurrentFuture: of many that complete it one wins, and each callback runs once") {
  for (int round = 0; round != 100; ++round) {
    const ConcurrentFuture<int> future;
    std::atomic<int> called{0};
    std::atomic<int> won{0};
    std::array<std::thread, 4> threads;
    for (int i = 0; i != 4; ++i) {
      threads[static_cast<std::size_t>(i)] = std::thread([&, i] {
        future.add_done_callback([&] { called.fetch_add(1); });
        if (i == 0) {
          won.fetch_add(future.cancel() ? 1 : 0);
          return;
        }
        try {
          future.set_result(i);
          won.fetch_add(1);
        } catch (const InvalidStateError&) {
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(won == 1);
    CHECK(called == 4);
  }
}

TEST_CASE("ConcurrentFuture: callbacks run on the completing thread, or here when it is done") {
  const ConcurrentFuture<void> future;
  std::vector<std::thread::id> threads;
  future.add_done_callback([&] {
    CHECK(future.done());
    threads.push_back(std::this_thread::get_id());
  });
  std::thread completer([future] { future.set_result(); });
  const std::thread::id completer_id = completer.get_id();
  completer.join();
  future.add_done_callback([&] { threads.push_back(std::this_thread::get_id()); });
  CHECK(threads == std::vector{completer_id, std::this_thread::get_id()});
}

// No timer is pending here: virtual time would not wait for the other thread.
TEST_CASE_FIXTURE(LoopFixture, "wrap_future: a value from another thread wakes the loop") {
  const ConcurrentFuture<int> source;
  Future<int> wrapped = wrap_future(source, &loop);
  CHECK_FALSE(wrapped.done());
  std::thread completer([source] { source.set_result(8); });
  CHECK(loop.run_until_complete(wrapped) == 8);
  completer.join();
}

WEIR_TEST("wrap_future: exceptions, cancellations and what is done already") {
  const ConcurrentFuture<int> failing;
  Future<int> failed = wrap_future(failing);
  failing.set_exception(error("over there"));
  const ConcurrentFuture<void> leaving;
  Future<void> left = wrap_future(leaving);
  leaving.cancel();
  const ConcurrentFuture<void> early;
  early.set_result();
  Future<void> done = wrap_future(early);
  co_await until([&] { return failed.done() && left.done() && done.done(); });
  CHECK_THROWS_WITH_AS(failed.result(), "over there", std::runtime_error);
  CHECK(left.cancelled());
  CHECK_FALSE(done.cancelled());
  done.result();
}

WEIR_TEST("wrap_future: cancelling the loop's future cancels the thread's") {
  const ConcurrentFuture<int> source;
  Future<int> wrapped = wrap_future(source);
  wrapped.cancel();
  co_await until([&] { return source.done(); });
  CHECK(source.cancelled());
  // A task that is cancelled while it waits does the same.
  const ConcurrentFuture<int> awaited;
  Task<int> task = create_task(
      [](ConcurrentFuture<int> future) -> Coro<int> { co_return co_await wrap_future(future); }(awaited));
  co_await sleep(0s);
  task.cancel();
  co_await until([&] { return task.done() && awaited.done(); });
  CHECK(task.cancelled());
  CHECK(awaited.cancelled());
}

WEIR_TEST("wrap_future: a cancellation that crosses a result is no error") {
  const ConcurrentFuture<int> source;
  Future<int> wrapped = wrap_future(source);
  source.set_result(1);
  wrapped.cancel();
  co_await sleep(1ms);
  CHECK(wrapped.cancelled());
  CHECK(source.get() == 1);
}

WEIR_TEST("wrap_future: a move-only value") {
  const ConcurrentFuture<std::unique_ptr<int>> source;
  Future<std::unique_ptr<int>> wrapped = wrap_future(source);
  source.set_result(std::make_unique<int>(9));
  const std::unique_ptr<int> value = co_await std::move(wrapped);
  CHECK(*value == 9);
}

WEIR_TEST("wrap_future: a future of the loop is given back, one of another loop refused") {
  Future<int> own = loop.create_future<int>();
  CHECK(wrap_future(own) == own);
  EventLoop other;
  CHECK_THROWS_AS(wrap_future(own, &other), std::invalid_argument);
  own.cancel();
  co_return;
}

TEST_CASE_FIXTURE(LoopFixture, "wrap_future: outside a running loop it needs one") {
  const ConcurrentFuture<int> source;
  CHECK_THROWS_AS(wrap_future(source), RuntimeError);
  Future<int> wrapped = wrap_future(source, &loop);
  source.set_result(2);
  CHECK(loop.run_until_complete(wrapped) == 2);
}

TEST_CASE_FIXTURE(LoopFixture, "wrap_future: either side may be gone before the other is done") {
  const ConcurrentFuture<int> dropped_here;
  wrap_future(dropped_here, &loop);
  dropped_here.set_result(1);
  {
    Future<int> dropped_there = wrap_future(ConcurrentFuture<int>(), &loop);
  }
  const ConcurrentFuture<int> outlives_loop;
  Future<int> wrapped = wrap_future(outlives_loop, &loop);
  drain(loop);
  loop.close();
  outlives_loop.set_result(1);
  CHECK(outlives_loop.get() == 1);
}

TEST_CASE("run_coroutine_threadsafe: value, void, move-only value, exception") {
  Env env;
  LoopThread remote;
  CHECK(run_coroutine_threadsafe(give(5), remote.loop()).get() == 5);
  run_coroutine_threadsafe([]() -> Coro<void> { co_await sleep(0s); }(), remote.loop()).get();
  auto box = run_coroutine_threadsafe(
      []() -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(6); }(), remote.loop());
  CHECK(*std::move(box).get() == 6);
  auto failing = run_coroutine_threadsafe(
      []() -> Coro<int> {
        co_await sleep(0s);
        throw std::runtime_error("over there");
      }(),
      remote.loop());
  CHECK_THROWS_WITH_AS(failing.get(), "over there", std::runtime_error);
  remote.stop();
  CHECK(remote.reports.empty());  // the exception was handed over
}

TEST_CASE(
    "run_coroutine_threadsafe: the coroutine runs on the loop's thread, as a task, in a copy of the "
    "context") {
  Env env;
  static ContextVar<int> var("var", 0);
  Context context;
  LoopThread remote;
  const auto seen = context.run([&] {
    var.set(3);
    return run_coroutine_threadsafe(
               [](EventLoop* expected) -> Coro<std::pair<bool, int>> {
                 const int before = var.get();
                 var.set(4);
                 co_return std::pair(&get_running_loop() == expected && current_task() != nullptr, before);
               }(&remote.loop()),
               remote.loop())
        .get();
  });
  CHECK(seen.first);
  CHECK(seen.second == 3);
  CHECK(var.get_in(context) == 3);
}

TEST_CASE("run_coroutine_threadsafe: cancelling the result cancels the task") {
  Env env;
  LoopThread remote;
  std::promise<void> began;
  std::promise<void> cancelled;
  auto future = run_coroutine_threadsafe(
      [](std::promise<void>& at_begin, std::promise<void>& at_end) -> Coro<int> {
        at_begin.set_value();
        try {
          Future<void> never;
          co_await never;
        } catch (const CancelledError&) {
          at_end.set_value();
          throw;
        }
        co_return 1;
      }(began, cancelled),
      remote.loop());
  began.get_future().get();
  CHECK_THROWS_AS(future.get_for(1ms), TimeoutError);  // which cancels nothing
  CHECK_FALSE(future.done());
  CHECK(future.cancel());
  cancelled.get_future().get();
  CHECK(future.cancelled());
}

TEST_CASE_FIXTURE(LoopFixture, "run_coroutine_threadsafe: cancelled before it began, it never does") {
  loop.set_debug(true);  // and it is not reported as forgotten: somebody cancelled it
  bool began = false;
  auto future = run_coroutine_threadsafe(
      [](bool& flag) -> Coro<void> {
        flag = true;
        co_return;
      }(began),
      loop);
  CHECK(future.cancel());
  drain(loop);
  CHECK_FALSE(began);
  CHECK(all_tasks(loop).empty());
}

TEST_CASE_FIXTURE(LoopFixture, "run_coroutine_threadsafe: a task that is cancelled cancels the result") {
  auto future = run_coroutine_threadsafe(
      []() -> Coro<void> {
        current_task()->cancel();
        co_await sleep(1h);
      }(),
      loop);
  run_until(loop, [&] { return future.done(); });
  CHECK(future.cancelled());
}

TEST_CASE_FIXTURE(LoopFixture, "run_coroutine_threadsafe: a closed loop refuses") {
  loop.close();
  CHECK_THROWS_AS(run_coroutine_threadsafe(give(1), loop), RuntimeError);
}

TEST_CASE("run_coroutine_threadsafe: a loop that closes first cancels the result, begun or not") {
  Env env;
  LoopThread remote;
  std::promise<void> began;
  auto begun = run_coroutine_threadsafe(
      [](std::promise<void>& at_begin) -> Coro<int> {
        at_begin.set_value();
        Future<void> never;
        co_await never;
        co_return 1;
      }(began),
      remote.loop());
  began.get_future().get();
  remote.stop();
  CHECK_THROWS_AS(begun.get(), CancelledError);
  REQUIRE(remote.reports.size() == 1);
  CHECK(remote.reports[0].find("Task was destroyed but it is pending") != std::string::npos);

  EventLoop never_runs;
  auto queued = run_coroutine_threadsafe(give(1), never_runs);
  never_runs.close();
  CHECK_THROWS_AS(queued.get(), CancelledError);
}

TEST_CASE("run_coroutine_threadsafe: from many threads at once, with cancellations") {
  Env env;
  LoopThread remote;
  std::atomic<int> values{0};
  std::atomic<int> cancels{0};
  std::array<std::thread, 4> threads;
  for (std::thread& thread : threads) {
    thread = std::thread([&] {
      for (int i = 0; i != 200; ++i) {
        auto future = run_coroutine_threadsafe(give(i), remote.loop());
        if (i % 3 == 0) {
          future.cancel();
        }
        try {
          values.fetch_add(future.get() == i ? 1 : 0);
        } catch (const CancelledError&) {
          cancels.fetch_add(1);
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(values + cancels == 800);
  CHECK(cancels <= 4 * 67);
  remote.stop();
  CHECK(remote.reports.empty());
}
