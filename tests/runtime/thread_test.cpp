// THRD: what other threads may do to a loop.
#include "tests/support/awaited.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/concurrent_future.hpp>
#include <weir/remote.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// Counts what exists of it: a callback that holds one was destroyed when the count says so.
class Token {
 public:
  explicit Token(std::atomic<int>& alive) : alive_(&alive) { alive.fetch_add(1); }
  Token(Token&& other) noexcept : alive_(std::exchange(other.alive_, nullptr)) {}
  Token& operator=(Token&&) = delete;
  ~Token() {
    if (alive_ != nullptr) {
      alive_->fetch_sub(1);
    }
  }

 private:
  std::atomic<int>* alive_;
};

Coro<int> returns_later(int value) {
  co_await sleep(1us);
  co_return value;
}
Coro<std::unique_ptr<int>> returns_move_only(int value) {
  co_await sleep(1us);
  co_return std::make_unique<int>(value);
}
Coro<void> fails_later() {
  co_await sleep(1us);
  throw std::out_of_range("late");
}
Coro<void> fails_at_once() {
  throw std::out_of_range("at once");
  co_return;
}
Coro<void> notes_cancellation(Awaited<bool>* started, std::thread::id* thread) {
  started->store(true);
  try {
    co_await get_running_loop().create_future<void>();
  } catch (const CancelledError&) {
    *thread = std::this_thread::get_id();
    throw;
  }
}
Coro<void> owns(std::shared_ptr<int>, bool* ran) {
  *ran = true;
  co_return;
}

}  // namespace

TEST_CASE_FIXTURE(LoopFixture, "THRD-001 a post wakes a loop that sleeps") {
  // There and back, so that every post meets the loop on its way to sleep or asleep. A lost wake-up hangs.
  constexpr int rounds = 2000;
  Awaited<int> answered{0};
  const TimePoint begun = loop.time();
  TimerHandle deadline;
  if (has("real_clock")) {  // under sim the hour would pass at once
    deadline = loop.call_later(1h, [] {});
  }
  std::thread other([&] {
    for (int round = 1; round <= rounds; ++round) {
      loop.call_soon_threadsafe([&answered, round] { answered.store(round); });
      while (answered.load() != round) {
        answered.wait(round - 1);
      }
    }
    loop.call_soon_threadsafe([&] { loop.stop(); });
  });
  loop.run_forever();
  other.join();
  deadline.cancel();
  CHECK(answered.load() == rounds);
  CHECK(loop.time() - begun < 1min);
}

TEST_CASE_FIXTURE(LoopFixture, "THRD-001 a post before the run is not lost either") {
  bool ran = false;
  std::thread([&] {
    loop.call_soon_threadsafe([&] {
      ran = true;
      loop.stop();
    });
  }).join();
  loop.run_forever();
  CHECK(ran);
}

TEST_CASE_FIXTURE(LoopFixture, "THRD-002 from the loop's own thread, in order with call_soon") {
  std::vector<int> order;
  loop.call_soon([&] {
    loop.call_soon([&] { order.push_back(1); });
    loop.call_soon_threadsafe([&] { order.push_back(2); });
    loop.call_soon([&] { order.push_back(3); });
    loop.remote().post([&] { order.push_back(0); });  // which goes the way of all threads, but arrives
    loop.call_soon_threadsafe([&, text = std::string(50, 'x')] { order.push_back(4); });
    CHECK(order.empty());
  });
  turn(loop);
  turn(loop);
  std::erase(order, 0);
  CHECK(order == std::vector{1, 2, 3, 4});
}

TEST_CASE_FIXTURE(LoopFixture, "THRD-002 also in between runs") {
  int ran = 0;
  loop.call_soon_threadsafe([&] { ++ran; });
  CHECK(ran == 0);
  drain(loop);
  CHECK(ran == 1);
}

TEST_CASE_FIXTURE(LoopFixture, "THRD-003 THRD-004 a million posts of 8 threads run once each, in order") {
  constexpr int thread_count = 8;
  constexpr int posts_each = 125'000;
  std::array<int, thread_count> next{};  // of the loop's thread
  int out_of_order = 0;
  int finished = 0;
  std::vector<std::thread> threads;
  for (int index = 0; index != thread_count; ++index) {
    threads.emplace_back([&, index] {
      std::mt19937 random(static_cast<unsigned>(index));
      LoopRemote remote = loop.remote();
      for (int number = 0; number != posts_each;) {
        for (unsigned burst = random() % 200 + 1; burst != 0 && number != posts_each; --burst, ++number) {
          const auto callback = [&next, &out_of_order, index, number] {
            int& expected = next[static_cast<std::size_t>(index)];
            out_of_order += expected == number ? 0 : 1;
            expected = number + 1;
          };
          if (random() % 2 == 0) {
            loop.call_soon_threadsafe(callback);
          } else {
            remote.post(callback);
          }
        }
        std::this_thread::yield();  // the loop runs dry and goes to sleep now and then
      }
      loop.call_soon_threadsafe([&] {
        if (++finished == thread_count) {
          loop.stop();
        }
      });
    });
  }
  loop.run_forever();
  for (std::thread& thread : threads) {
    thread.join();
  }
  drain(loop);
  CHECK(out_of_order == 0);
  for (const int count : next) {
    CHECK(count == posts_each);
  }
}

TEST_CASE_FIXTURE(LoopFixture, "THRD-005 a post on a closed loop is refused and its callback destroyed") {
  std::atomic<int> alive = 0;
  const LoopRemote remote = loop.remote();
  CHECK_FALSE(remote.closed());
  loop.close();
  CHECK(remote.closed());
  std::thread([&] {
    CHECK_THROWS_AS(loop.call_soon_threadsafe([token = Token(alive)] {}), RuntimeError);
    CHECK_THROWS_AS(remote.post([token = Token(alive)] {}), RuntimeError);
  }).join();
  CHECK_THROWS_AS(loop.call_soon_threadsafe([token = Token(alive)] {}), RuntimeError);
  CHECK(alive.load() == 0);
  loop_owner.reset();
  CHECK_THROWS_AS(remote.post([token = Token(alive)] {}), RuntimeError);
  CHECK(remote.closed());
  CHECK(alive.load() == 0);
}

TEST_CASE("THRD-005 posts that race with close() run, are dropped, or are refused") {
  Env env;
  long total_run = 0;
  long total_refused = 0;
  for (int round = 0; round != 100; ++round) {
    std::atomic<int> alive = 0;
    std::atomic<long> accepted = 0;
    std::atomic<long> refused = 0;
    std::atomic<int> started = 0;
    long ran = 0;
    auto loop = std::make_unique<EventLoop>();
    env.watch(*loop);
    std::vector<std::thread> threads;
    for (int index = 0; index != 4; ++index) {
      threads.emplace_back([&, remote = loop->remote()] {
        started.fetch_add(1);
        for (;;) {
          while (alive.load() > 1000 && !remote.closed()) {
            std::this_thread::yield();
          }
          try {
            remote.post([&ran, token = Token(alive)] { ++ran; });
            accepted.fetch_add(1);
          } catch (const RuntimeError&) {
            refused.fetch_add(1);
            return;
          }
        }
      });
    }
    while (started.load() != 4) {
      std::this_thread::yield();
    }
    for (int turns = 0; turns != round % 7; ++turns) {
      turn(*loop);
    }
    if (round % 2 == 0) {
      loop->close();
      CHECK(loop->is_closed());
    }
    loop.reset();  // at once: who posts or wakes touches nothing of it
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(alive.load() == 0);
    CHECK(ran <= accepted.load());
    CHECK(refused.load() == 4);
    total_run += ran;
    total_refused += refused.load();
  }
  CHECK(total_run > 0);
  CHECK(total_refused == 400);
}

TEST_CASE_FIXTURE(LoopFixture, "THRD-006 run_coroutine_threadsafe gives the result to the waiting thread") {
  std::optional<int> value;
  std::unique_ptr<int> move_only;
  std::string late;
  std::string at_once;
  bool pending_timed_out = false;
  std::thread other([&] {
    ConcurrentFuture<int> future = run_coroutine_threadsafe(returns_later(5), loop);
    value = future.get();
    CHECK(future.done());
    CHECK(future.exception() == nullptr);
    CHECK(future.get() == 5);  // any number of times
    move_only = run_coroutine_threadsafe(returns_move_only(6), loop).get();
    ConcurrentFuture<void> failed = run_coroutine_threadsafe(fails_later(), loop);
    try {
      failed.get();
    } catch (const std::out_of_range& error) {
      late = error.what();
    }
    CHECK(failed.exception() != nullptr);
    // Kept until the exception has been read: its own count lies in the standard library, where the thread
    // sanitizer does not see it.
    ConcurrentFuture<void> failed_at_once = run_coroutine_threadsafe(fails_at_once(), loop);
    try {
      failed_at_once.get();
    } catch (const std::out_of_range& error) {
      at_once = error.what();
    }
    const ConcurrentFuture<void> never;
    try {
      never.get_for(1ms);
    } catch (const TimeoutError&) {
      pending_timed_out = true;
    }
    loop.call_soon_threadsafe([&] { loop.stop(); });
  });
  loop.run_forever();
  other.join();
  CHECK(value == 5);
  REQUIRE(move_only != nullptr);
  CHECK(*move_only == 6);
  CHECK(late == "late");
  CHECK(at_once == "at once");
  CHECK(pending_timed_out);
}

TEST_CASE_FIXTURE(LoopFixture, "THRD-006 what create_task throws reaches the waiting thread") {
  loop.set_task_factory([](EventLoop&, AnyCoro, const TaskOptions&) -> Ref<TaskBase> {
    throw std::domain_error("no tasks today");
  });
  std::string text;
  std::thread other([&] {
    ConcurrentFuture<int> future = run_coroutine_threadsafe(returns_later(5), loop);
    try {
      future.get();
    } catch (const std::domain_error& error) {
      text = error.what();
    }
    loop.call_soon_threadsafe([&] { loop.stop(); });
  });
  loop.run_forever();
  other.join();
  CHECK(text == "no tasks today");
}

TEST_CASE_FIXTURE(LoopFixture, "THRD-007 cancelling the thread future cancels the task on the loop") {
  Awaited<bool> started{false};
  std::thread::id cancelled_on;
  bool saw_cancellation = false;
  bool second_cancel = true;
  std::thread other([&] {
    ConcurrentFuture<void> future =
        run_coroutine_threadsafe(notes_cancellation(&started, &cancelled_on), loop);
    started.wait(false);
    CHECK(future.cancel());
    second_cancel = future.cancel();
    try {
      future.get();
    } catch (const CancelledError&) {
      saw_cancellation = true;
    }
    loop.call_soon_threadsafe([&] { loop.call_soon([&] { loop.call_soon([&] { loop.stop(); }); }); });
  });
  loop.run_forever();
  other.join();
  CHECK(saw_cancellation);
  CHECK_FALSE(second_cancel);
  CHECK(cancelled_on == std::this_thread::get_id());
  CHECK(all_tasks(loop).empty());
}

TEST_CASE_FIXTURE(LoopFixture, "THRD-007 cancelled before it began, the coroutine never runs") {
  auto probe = std::make_shared<int>(1);
  bool ran = false;
  ConcurrentFuture<void> future = run_coroutine_threadsafe(owns(probe, &ran), loop);
  CHECK(probe.use_count() == 2);
  CHECK(future.cancel());
  drain(loop);
  CHECK_FALSE(ran);
  CHECK(probe.use_count() == 1);
}

TEST_CASE_FIXTURE(LoopFixture, "THRD-007 eight threads start and cancel, whatever comes first") {
  constexpr int thread_count = 8;
  constexpr int rounds = 300;
  std::atomic<int> cancelled = 0;
  std::atomic<int> ended = 0;
  int finished = 0;
  std::vector<std::thread> threads;
  for (int index = 0; index != thread_count; ++index) {
    threads.emplace_back([&, index] {
      std::mt19937 random(static_cast<unsigned>(index) + 7);
      for (int round = 0; round != rounds; ++round) {
        ConcurrentFuture<void> future = random() % 2 == 0 ? run_coroutine_threadsafe(fails_later(), loop)
                                                          : run_coroutine_threadsafe(fails_at_once(), loop);
        for (unsigned spins = random() % 3000; spins != 0; --spins) {
          static_cast<void>(random());
        }
        future.cancel();
        try {
          future.get();
        } catch (const CancelledError&) {
          cancelled.fetch_add(1);
        } catch (const std::out_of_range&) {
          ended.fetch_add(1);
        }
      }
      loop.call_soon_threadsafe([&] {
        if (++finished == thread_count) {
          loop.stop();
        }
      });
    });
  }
  loop.run_forever();
  for (std::thread& thread : threads) {
    thread.join();
  }
  drain(loop);
  run_until(loop, [&] { return all_tasks(loop).size() == 1; });  // but for the one that looks
  CHECK(cancelled.load() + ended.load() == thread_count * rounds);
  CHECK(cancelled.load() > 0);
  // A task that failed while its thread future was being cancelled has nobody to tell, and says so. Nothing
  // else goes wrong.
  for (const Report& report : env.take_reports()) {
    CHECK(report.message == "Task exception was never retrieved");
  }
}

TEST_CASE_FIXTURE(LoopFixture, "THRD-007 an outcome that comes after the cancellation is dropped") {
  const auto outcome_for_cancelled = [](const Future<int>& from) {
    const ConcurrentFuture<int> to;
    CHECK(to.cancel());
    CHECK_NOTHROW(detail::copy_outcome<int>(from, *to.state()));
    CHECK(to.cancelled());
  };
  auto failed = loop.create_future<int>();
  failed.set_exception(std::out_of_range("late"));
  outcome_for_cancelled(failed);
  auto ended = loop.create_future<int>();
  ended.set_result(1);
  outcome_for_cancelled(ended);
  auto cancelled = loop.create_future<int>();
  cancelled.cancel();
  outcome_for_cancelled(cancelled);
}

TEST_CASE_FIXTURE(LoopFixture, "THRD-008 a task cancelled on the loop cancels the waiting thread's future") {
  Awaited<bool> started{false};
  std::thread::id cancelled_on;
  bool saw_cancellation = false;
  std::thread other([&] {
    ConcurrentFuture<void> future =
        run_coroutine_threadsafe(notes_cancellation(&started, &cancelled_on), loop);
    started.wait(false);
    loop.call_soon_threadsafe([&] {
      for (const Ref<TaskBase>& task : all_tasks(loop)) {
        task->cancel();
      }
    });
    try {
      future.get();
    } catch (const CancelledError&) {
      saw_cancellation = future.cancelled();
    }
    loop.call_soon_threadsafe([&] { loop.stop(); });
  });
  loop.run_forever();
  other.join();
  CHECK(saw_cancellation);
}

TEST_CASE_FIXTURE(LoopFixture, "THRD-008 a loop that closes first cancels it too") {
  Awaited<bool> started{false};
  std::thread::id cancelled_on;
  ConcurrentFuture<void> running =
      run_coroutine_threadsafe(notes_cancellation(&started, &cancelled_on), loop);
  turn(loop);
  turn(loop);
  REQUIRE(started.load());
  ConcurrentFuture<int> not_begun = run_coroutine_threadsafe(returns_later(1), loop);
  int waiting_threads_woken = 0;
  std::thread other([&] {
    try {
      running.get();
    } catch (const CancelledError&) {
      ++waiting_threads_woken;
    }
    try {
      not_begun.get();
    } catch (const CancelledError&) {
      ++waiting_threads_woken;
    }
  });
  loop.close();
  other.join();
  CHECK(waiting_threads_woken == 2);
  CHECK(cancelled_on == std::thread::id());  // the coroutine was destroyed, not resumed
  env.expect_report("Task was destroyed but it is pending");
  running.cancel();  // harmless now
}

TEST_CASE("THRD-009 loops on several threads run side by side and post to each other") {
  Env env;
  constexpr std::size_t count = 4;
  constexpr int hops = 20'000;
  struct Station {
    std::optional<LoopRemote> remote;
    int visits = 0;
    int timers = 0;
    bool own_loop_runs = true;
  };
  std::array<Station, count> stations;
  Awaited<std::size_t> ready{0};
  Awaited<std::size_t> left{count};
  struct Ring {
    std::array<Station, count>& stations;
    void visit(std::size_t at, int hop) {
      Station& here = stations[at];
      ++here.visits;
      if (hop == hops) {
        for (Station& station : stations) {
          station.remote->post([] { get_running_loop().stop(); });
        }
        return;
      }
      const std::size_t next = (at + 1) % count;
      stations[next].remote->post([this, next, hop] { visit(next, hop + 1); });
    }
  } ring{stations};
  std::vector<std::thread> threads;
  for (std::size_t index = 0; index != count; ++index) {
    threads.emplace_back([&, index] {
      EventLoop loop;
      Station& own = stations[index];
      own.remote = loop.remote();
      ready.add(1);
      for (std::size_t seen = ready.load(); seen != count; seen = ready.load()) {
        ready.wait(seen);
      }
      loop.call_soon([&] { own.own_loop_runs = &get_running_loop() == &loop; });
      loop.call_later(1us, [&own] { ++own.timers; });
      if (index == 0) {
        loop.call_soon([&] { ring.visit(0, 1); });
      }
      loop.run_forever();
      // Nobody closes while another may still post to it.
      left.add(static_cast<std::size_t>(-1));
      for (std::size_t seen = left.load(); seen != 0; seen = left.load()) {
        left.wait(seen);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  int visits = 0;
  for (const Station& station : stations) {
    visits += station.visits;
    CHECK(station.timers == 1);
    CHECK(station.own_loop_runs);
  }
  CHECK(visits == hops);
}
