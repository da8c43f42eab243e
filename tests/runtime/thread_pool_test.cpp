// ThreadPoolExecutor by itself. Needs no loop, and is the same on every backend.
#include "tests/support/awaited.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/exceptions.hpp>
#include <weir/executor.hpp>

#include <atomic>
#include <cstddef>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::testing;

TEST_CASE("EXEC-001 thread pool: threads start when work comes and none is idle") {
  ThreadPoolExecutor pool({.max_workers = 4});
  CHECK(pool.worker_count() == 0);
  Latch running(3);
  Latch gate(1);
  for (int i = 0; i != 3; ++i) {
    pool.submit([&] {
      running.count_down();
      gate.wait();
    });
  }
  running.wait();  // all at once: three threads
  CHECK(pool.worker_count() == 3);
  for (int i = 0; i != 20; ++i) {
    pool.submit([] {});
  }
  CHECK(pool.worker_count() == 4);  // no more than allowed
  gate.count_down();
  pool.shutdown();
}

TEST_CASE("EXEC-001 thread pool: every job runs once, submitted by many threads") {
  std::atomic<int> ran = 0;
  constexpr int each = 2'000;
  {
    ThreadPoolExecutor pool({.max_workers = 3});
    std::vector<std::thread> threads;
    for (int i = 0; i != 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n != each; ++n) {
          pool.submit([&ran] { ++ran; });
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }  // the destructor waits
  CHECK(ran == 4 * each);
}

TEST_CASE("EXEC-005 thread pool: after shutdown() it refuses jobs and destroys them") {
  ThreadPoolExecutor pool;
  auto probe = std::make_shared<int>(1);
  std::atomic<bool> ran = false;
  pool.submit([&ran, probe] { ran = true; });
  pool.shutdown();
  CHECK(ran);
  CHECK(probe.use_count() == 1);
  CHECK_THROWS_AS(pool.submit([probe] {}), RuntimeError);
  CHECK(probe.use_count() == 1);
  pool.shutdown();
  pool.shutdown(false);
}

TEST_CASE("EXEC-004 thread pool: shutdown waits for the queued jobs, or drops them if told") {
  std::atomic<int> ran = 0;
  auto probe = std::make_shared<int>(1);
  Latch began(1);
  Latch gate(1);
  ThreadPoolExecutor pool({.max_workers = 1});
  pool.submit([&] {
    began.count_down();
    gate.wait();
    ++ran;
  });
  for (int i = 0; i != 5; ++i) {
    pool.submit([&ran, probe] { ++ran; });
  }
  began.wait();
  SUBCASE("waits") {
    std::thread opener([&] { gate.count_down(); });
    pool.shutdown();
    opener.join();
    CHECK(ran == 6);
  }
  SUBCASE("drops what has not begun") {
    pool.shutdown(false, true);
    CHECK(probe.use_count() == 1);
    gate.count_down();
    while (ran == 0) {
      std::this_thread::yield();
    }
    CHECK(ran == 1);
  }
  SUBCASE("is destroyed without waiting once told not to wait") {
    {
      const auto other = std::make_unique<ThreadPoolExecutor>(weir::ThreadPoolOptions{.max_workers = 1});
      other->submit([&] {
        gate.wait();
        ran += 10;
      });
      other->shutdown(false);
    }
    gate.count_down();
    pool.shutdown();
    while (ran != 16) {
      std::this_thread::yield();
    }
  }
  CHECK(probe.use_count() == 1);
}

TEST_CASE(
    "EXEC-004 thread pool: who waits after a shutdown without waiting waits for the jobs all the same") {
  ThreadPoolExecutor pool({.max_workers = 2});
  std::promise<void> let_go;
  std::atomic<bool> ended = false;
  pool.submit([&, gate = let_go.get_future()]() mutable {
    gate.wait();
    ended = true;
  });
  pool.shutdown(false);
  let_go.set_value();
  pool.shutdown(true);
  CHECK(ended);
  CHECK(pool.worker_count() == 1);
}

TEST_CASE_FIXTURE(LoopFixture, "EXEC-002 a job that its executor drops cancels its future") {
  if (!has("real_clock")) {
    return;  // under sim no executor gets a job
  }
  ThreadPoolExecutor pool({.max_workers = 1});
  std::promise<void> begun;
  std::promise<void> let_go;
  auto first = loop.run_in_executor(&pool, [&] {
    begun.set_value();
    let_go.get_future().wait();
  });
  begun.get_future().wait();
  auto dropped = loop.run_in_executor(&pool, [] { return 1; });
  pool.shutdown(false, true);
  let_go.set_value();
  loop.run_until_complete(first);
  CHECK_THROWS_AS(loop.run_until_complete(dropped), CancelledError);
}

TEST_CASE("LOOP-016 a default executor whose shutdown throws is reported, and the loop is closed") {
  class Stubborn final : public Executor {
   public:
    void submit(Job) override {}
    void shutdown(bool, bool) override { throw std::runtime_error("no"); }
  };
  Env env;
  EventLoop loop;
  env.watch(loop);
  loop.set_default_executor(std::make_shared<Stubborn>());
  loop.close();
  CHECK(loop.is_closed());
  env.expect_report("shutdown failed");
}
