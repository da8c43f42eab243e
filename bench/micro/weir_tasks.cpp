// weir: tasks.
#include "bench/micro/row.hpp"

#include <weir/event_loop.hpp>
#include <weir/policy.hpp>
#include <weir/task.hpp>
#include <weir/tasks.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

namespace {

using bench::Meter;
using weir::Coro;

// Runs one coroutine a batch to its end.
template <class Work>
class OnLoop {
 public:
  explicit OnLoop(std::size_t count) : loop_(weir::new_event_loop()), count_(count) {}

  void run(Meter& meter) { loop_->run_until_complete(measured(meter)); }

 private:
  Coro<void> measured(Meter& meter) {
    meter.start();
    co_await work_.run(*loop_, count_);
    meter.stop();
  }

  std::unique_ptr<weir::EventLoop> loop_;
  std::size_t count_;
  Work work_;
};

Coro<void> nothing() { co_return; }

// Tasks that end at once, a thousand at a time.
struct Spawn {
  Coro<void> run(weir::EventLoop& loop, std::size_t count) {
    constexpr std::size_t batch = 1'000;
    tasks.reserve(batch);
    for (std::size_t done = 0; done != count; done += batch) {
      for (std::size_t i = 0; i != batch; ++i) {
        tasks.push_back(loop.create_task(nothing()));
      }
      for (const weir::Task<void>& task : tasks) {
        co_await task;
      }
      tasks.clear();
    }
  }

  std::vector<weir::Task<void>> tasks;
};

// One task at a time, waited for.
struct Join {
  Coro<void> run(weir::EventLoop& loop, std::size_t count) {
    for (std::size_t i = 0; i != count; ++i) {
      const weir::Task<void> task = loop.create_task(nothing());
      co_await task;
    }
  }
};

// An event that one task waits for, as asyncio's Event makes it: of a future.
struct Signal {
  explicit Signal(weir::EventLoop& event_loop) : loop(event_loop) {}

  void set() {
    is_set = true;
    if (waiter) {
      waiter->set_result();
      waiter.reset();
    }
  }

  weir::EventLoop& loop;
  bool is_set = false;
  std::optional<weir::Future<void>> waiter;
};

Coro<void> play(Signal& mine, Signal& theirs, std::size_t count, bool serves) {
  if (serves) {
    theirs.set();
  }
  for (std::size_t i = 0; i != count; ++i) {
    if (!mine.is_set) {
      mine.waiter.emplace(mine.loop);
      const weir::Future<void> waiter = *mine.waiter;
      co_await waiter;
    }
    mine.is_set = false;
    theirs.set();
  }
}

// Two tasks wake each other; an operation is a round trip.
struct PingPong {
  Coro<void> run(weir::EventLoop& loop, std::size_t count) {
    Signal ping(loop);
    Signal pong(loop);
    const weir::Task<void> first = loop.create_task(play(ping, pong, count, true));
    const weir::Task<void> second = loop.create_task(play(pong, ping, count, false));
    co_await first;
    co_await second;
  }
};

Coro<void> yield_often(std::size_t count) {
  for (std::size_t i = 0; i != count; ++i) {
    co_await weir::sleep(std::chrono::seconds(0));
  }
}

// Two tasks that only let each other run.
struct Yield {
  Coro<void> run(weir::EventLoop& loop, std::size_t count) {
    const weir::Task<void> first = loop.create_task(yield_often(count / 2));
    const weir::Task<void> second = loop.create_task(yield_often(count - count / 2));
    co_await first;
    co_await second;
  }
};

Coro<void> wait_for(weir::Future<void> future) { co_await future; }

// A task waits, is cancelled, and ends.
struct Cancel {
  Coro<void> run(weir::EventLoop& loop, std::size_t count) {
    for (std::size_t i = 0; i != count; ++i) {
      weir::Task<void> task = loop.create_task(wait_for(weir::Future<void>(loop)));
      co_await weir::sleep(std::chrono::seconds(0));
      task.cancel();
      while (!task.done()) {
        co_await weir::sleep(std::chrono::seconds(0));
      }
    }
  }
};

const bench::Row<OnLoop<Spawn>> task_spawn("task_spawn/weir", 1'000'000);
const bench::Row<OnLoop<Join>> task_join1("task_join1/weir", 500'000);
const bench::Row<OnLoop<PingPong>> task_pingpong("task_pingpong/weir", 500'000);
const bench::Row<OnLoop<Yield>> task_yield("task_yield/weir", 1'000'000);
const bench::Row<OnLoop<Cancel>> task_cancel("task_cancel/weir", 20'000);

}  // namespace
