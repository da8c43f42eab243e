// Asio, without exceptions to its defaults but the hint that one thread runs the loop where that is so.
#include "bench/micro/peer_rows.hpp"
#include "bench/micro/row.hpp"

#include <sys/eventfd.h>

#include <asio.hpp>

#include <chrono>
#include <optional>
#include <vector>

namespace {

using asio::awaitable;
using asio::use_awaitable;
using bench::Meter;

class PostChain {
 public:
  explicit PostChain(std::size_t count) : count_(count) {}

  void run(Meter& meter) {
    left_ = count_;
    meter.start();
    hop();
    context_.restart();
    context_.run();
    meter.stop();
  }

 protected:
  asio::io_context context_{1};

 private:
  void hop() {
    asio::post(context_, [this] {
      if (--left_ != 0) {
        hop();
      } else {
        context_.stop();
      }
    });
  }

  std::size_t count_;
  std::size_t left_ = 0;
};

// With a descriptor watched, each pass through the queue polls.
class PostChainPoll : public PostChain {
 public:
  explicit PostChainPoll(std::size_t count)
      : PostChain(count), silent_(context_, ::eventfd(0, EFD_NONBLOCK)) {
    silent_.async_wait(asio::posix::descriptor_base::wait_read, [](asio::error_code) {});
  }

 private:
  asio::posix::stream_descriptor silent_;
};

class PostBatch {
 public:
  explicit PostBatch(std::size_t count) : count_(count) {}

  void run(Meter& meter) {
    meter.start();
    for (std::size_t i = 0; i != count_; ++i) {
      asio::post(context_, [this] { ++ran_; });
    }
    context_.restart();
    context_.run();
    meter.stop();
  }

 private:
  asio::io_context context_{1};
  std::size_t count_;
  std::size_t ran_ = 0;
};

// A loop in the terms of peer_rows.hpp.
class Threaded {
 public:
  void post(bench::PeerCallback callback) {
    asio::post(context_, [callback] { callback.function(callback.object); });
  }
  void run() {
    context_.restart();
    context_.run();
  }
  void stop() { context_.stop(); }

 private:
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
};

class Timers {
 public:
  explicit Timers(std::size_t count) {
    timers_.reserve(count);
    for (std::size_t i = 0; i != count; ++i) {
      timers_.emplace_back(context_);
    }
  }
  void arm(std::size_t i, std::uint64_t nanoseconds) {
    timers_[i].expires_after(std::chrono::nanoseconds(nanoseconds));
    timers_[i].async_wait([](asio::error_code) {});
  }
  void cancel(std::size_t i) { timers_[i].cancel(); }
  void update_time() {
    context_.restart();
    context_.poll();  // ends what was cancelled before
  }
  void run() {
    context_.restart();
    context_.run();
  }

 private:
  asio::io_context context_{1};
  std::vector<asio::steady_timer> timers_;
};

// Runs one awaitable a batch to its end.
template <class Work>
class OnContext {
 public:
  explicit OnContext(std::size_t count) : count_(count) {}

  void run(Meter& meter) {
    asio::co_spawn(context_, measured(meter), asio::detached);
    context_.restart();
    context_.run();
  }

 private:
  awaitable<void> measured(Meter& meter) {
    meter.start();
    co_await work_.run(count_);
    meter.stop();
  }

  asio::io_context context_{1};
  std::size_t count_;
  Work work_;
};

awaitable<void> nothing() { co_return; }

// Counts down, and wakes the one that waits for the end: a timer without an end is Asio's event.
class Latch {
 public:
  explicit Latch(const asio::any_io_executor& executor, std::size_t count)
      : left_(count), event_(executor, asio::steady_timer::time_point::max()) {}
  void count_down() {
    if (--left_ == 0) {
      event_.cancel();
    }
  }
  awaitable<void> wait() {
    if (left_ != 0) {
      asio::error_code cancelled;
      co_await event_.async_wait(asio::redirect_error(use_awaitable, cancelled));
    }
  }

 private:
  std::size_t left_;
  asio::steady_timer event_;
};

struct Spawn {
  awaitable<void> run(std::size_t count) {
    constexpr std::size_t batch = 1'000;
    const auto executor = co_await asio::this_coro::executor;
    for (std::size_t done = 0; done != count; done += batch) {
      Latch latch(executor, batch);
      for (std::size_t i = 0; i != batch; ++i) {
        asio::co_spawn(executor, nothing(), [&latch](const std::exception_ptr&) { latch.count_down(); });
      }
      co_await latch.wait();
    }
  }
};

struct Join {
  awaitable<void> run(std::size_t count) {
    const auto executor = co_await asio::this_coro::executor;
    for (std::size_t i = 0; i != count; ++i) {
      co_await asio::co_spawn(executor, nothing(), use_awaitable);
    }
  }
};

class Signal {
 public:
  explicit Signal(const asio::any_io_executor& executor)
      : event_(executor, asio::steady_timer::time_point::max()) {}
  void set() {
    is_set_ = true;
    event_.cancel();
  }
  awaitable<void> wait() {
    if (!is_set_) {
      asio::error_code cancelled;
      co_await event_.async_wait(asio::redirect_error(use_awaitable, cancelled));
    }
    is_set_ = false;
  }

 private:
  bool is_set_ = false;
  asio::steady_timer event_;
};

awaitable<void> play(Signal& mine, Signal& theirs, std::size_t count, bool serves) {
  if (serves) {
    theirs.set();
  }
  for (std::size_t i = 0; i != count; ++i) {
    co_await mine.wait();
    theirs.set();
  }
}

// Two coroutines that run to their end side by side.
awaitable<void> both(awaitable<void> first, awaitable<void> second) {
  const auto executor = co_await asio::this_coro::executor;
  Latch latch(executor, 2);
  const auto done = [&latch](const std::exception_ptr&) { latch.count_down(); };
  asio::co_spawn(executor, std::move(first), done);
  asio::co_spawn(executor, std::move(second), done);
  co_await latch.wait();
}

struct PingPong {
  awaitable<void> run(std::size_t count) {
    const auto executor = co_await asio::this_coro::executor;
    Signal ping(executor);
    Signal pong(executor);
    co_await both(play(ping, pong, count, true), play(pong, ping, count, false));
  }
};

awaitable<void> yield_often(std::size_t count) {
  const auto executor = co_await asio::this_coro::executor;
  for (std::size_t i = 0; i != count; ++i) {
    co_await asio::post(executor, use_awaitable);
  }
}

struct Yield {
  awaitable<void> run(std::size_t count) {
    co_await both(yield_often(count / 2), yield_often(count - count / 2));
  }
};

const bench::Row<PostChain> post_chain("post_chain/asio", 1'000'000);
const bench::Row<PostChainPoll> post_chain_poll("post_chain_poll/asio", 200'000);
const bench::Row<PostBatch> post_batch("post_batch/asio", 1'000'000);
const bench::Row<bench::CrossPost<Threaded>> xthread_post("xthread_post/asio", 1'000'000);
const bench::Row<bench::RoundTrip<Threaded>> xthread_rtt("xthread_rtt/asio", 2'000);
const bench::Row<bench::TimerAdd<Timers>> timer_add("timer_add/asio", 200'000);
const bench::Row<bench::TimerCancel<Timers>> timer_cancel("timer_cancel/asio", 200'000);
const bench::Row<bench::TimerFire<Timers>> timer_fire("timer_fire/asio", 1'000'000);
const bench::Row<OnContext<Spawn>> task_spawn("task_spawn/asio", 100'000);
const bench::Row<OnContext<Join>> task_join1("task_join1/asio", 100'000);
const bench::Row<OnContext<PingPong>> task_pingpong("task_pingpong/asio", 100'000);
const bench::Row<OnContext<Yield>> task_yield("task_yield/asio", 100'000);

}  // namespace
