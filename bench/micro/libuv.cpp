// libuv. It has no queue of callbacks: what schedules one for the next turn there is an idle handle.
#include "bench/micro/peer_rows.hpp"
#include "bench/micro/row.hpp"

#include <uv.h>

#include <array>
#include <cstdlib>
#include <mutex>
#include <utility>
#include <vector>

namespace {

using bench::Meter;

class Loop {
 public:
  Loop() { uv_loop_init(&loop_); }
  Loop(const Loop&) = delete;
  // Every handle is part of an owner that is destroyed after the loop has let it go.
  void close_all() {
    uv_walk(
        &loop_,
        [](uv_handle_t* handle, void*) {
          if (uv_is_closing(handle) == 0) {
            uv_close(handle, nullptr);
          }
        },
        nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
  }
  uv_loop_t* get() noexcept { return &loop_; }
  void run() noexcept { uv_run(&loop_, UV_RUN_DEFAULT); }

 private:
  uv_loop_t loop_;
};

// The two idle handles start each other.
class PostChain {
 public:
  explicit PostChain(std::size_t count) : count_(count) {
    for (std::size_t i = 0; i != 2; ++i) {
      uv_idle_init(loop_.get(), &idles_[i]);
      idles_[i].data = this;
    }
  }
  PostChain(const PostChain&) = delete;
  ~PostChain() { loop_.close_all(); }

  void run(Meter& meter) {
    left_ = count_;
    meter.start();
    uv_idle_start(&idles_[0], &hop);
    loop_.run();
    meter.stop();
  }

 private:
  static void hop(uv_idle_t* idle) {
    auto& self = *static_cast<PostChain*>(idle->data);
    uv_idle_stop(idle);
    if (--self.left_ != 0) {
      uv_idle_start(&self.idles_[idle == &self.idles_[0] ? 1 : 0], &hop);
    }
  }

  Loop loop_;
  std::array<uv_idle_t, 2> idles_;
  std::size_t count_;
  std::size_t left_ = 0;
};

class PostBatch {
 public:
  explicit PostBatch(std::size_t count) : idles_(count) {
    for (uv_idle_t& idle : idles_) {
      uv_idle_init(loop_.get(), &idle);
      idle.data = &ran_;
    }
  }
  PostBatch(const PostBatch&) = delete;
  ~PostBatch() { loop_.close_all(); }

  void run(Meter& meter) {
    meter.start();
    for (uv_idle_t& idle : idles_) {
      uv_idle_start(&idle, [](uv_idle_t* self) {
        ++*static_cast<std::size_t*>(self->data);
        uv_idle_stop(self);
      });
    }
    loop_.run();
    meter.stop();
  }

 private:
  Loop loop_;
  std::vector<uv_idle_t> idles_;
  std::size_t ran_ = 0;
};

// Callbacks from another thread: a locked vector, and uv_async_send.
class Inbox {
 public:
  explicit Inbox(Loop& loop) {
    uv_async_init(loop.get(), &async_, [](uv_async_t* async) { static_cast<Inbox*>(async->data)->take(); });
    async_.data = this;
  }
  void post(bench::PeerCallback callback) {
    {
      const std::lock_guard lock(mutex_);
      posted_.push_back(callback);
    }
    uv_async_send(&async_);
  }

 private:
  void take() {
    {
      const std::lock_guard lock(mutex_);
      batch_.swap(posted_);
    }
    for (const bench::PeerCallback& callback : batch_) {
      callback.function(callback.object);
    }
    batch_.clear();
  }

  uv_async_t async_;
  std::mutex mutex_;
  std::vector<bench::PeerCallback> posted_;
  std::vector<bench::PeerCallback> batch_;
};

// A loop in the terms of peer_rows.hpp.
class Threaded {
 public:
  Threaded() : inbox_(loop_) {}
  Threaded(const Threaded&) = delete;
  ~Threaded() { loop_.close_all(); }
  void post(bench::PeerCallback callback) { inbox_.post(callback); }
  void run() { loop_.run(); }
  void stop() { uv_stop(loop_.get()); }

 private:
  Loop loop_;
  Inbox inbox_;
};

class Timers {
 public:
  explicit Timers(std::size_t count) : timers_(count) {
    for (uv_timer_t& timer : timers_) {
      uv_timer_init(loop_.get(), &timer);
      timer.data = this;
    }
  }
  Timers(const Timers&) = delete;
  ~Timers() { loop_.close_all(); }

  void arm(std::size_t i, std::uint64_t nanoseconds) {
    uv_timer_start(&timers_[i], [](uv_timer_t*) {}, nanoseconds / 1'000'000, 0);
  }
  void cancel(std::size_t i) { uv_timer_stop(&timers_[i]); }
  void update_time() { uv_update_time(loop_.get()); }
  // Until no timer is armed.
  void run() { loop_.run(); }

 private:
  Loop loop_;
  std::vector<uv_timer_t> timers_;
};

const bench::Row<PostChain> post_chain("post_chain/libuv", 200'000);
const bench::Row<PostChain> post_chain_poll("post_chain_poll/libuv", 200'000);
const bench::Row<PostBatch> post_batch("post_batch/libuv", 1'000'000);
const bench::Row<bench::CrossPost<Threaded>> xthread_post("xthread_post/libuv", 1'000'000);
const bench::Row<bench::RoundTrip<Threaded>> xthread_rtt("xthread_rtt/libuv", 2'000);
const bench::Row<bench::TimerAdd<Timers>> timer_add("timer_add/libuv", 1'000'000);
const bench::Row<bench::TimerCancel<Timers>> timer_cancel("timer_cancel/libuv", 1'000'000);
const bench::Row<bench::TimerFire<Timers>> timer_fire("timer_fire/libuv", 1'000'000);
const bench::Row<bench::TimerReset<Timers>> timer_reset("timer_reset/libuv", 10'000'000);

}  // namespace
