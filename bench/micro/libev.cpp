// libev. A callback is scheduled by feeding an event to a watcher.
#include "bench/micro/peer_rows.hpp"
#include "bench/micro/row.hpp"

#include <mutex>
#include <vector>

// Watchers are structs that the application fills: its macros cast between them.
#pragma GCC diagnostic ignored "-Wstrict-aliasing"
#include <ev.h>

namespace {

using bench::Meter;

class Loop {
 public:
  Loop() : loop_(ev_loop_new(EVBACKEND_EPOLL)) {}
  Loop(const Loop&) = delete;
  ~Loop() { ev_loop_destroy(loop_); }
  struct ev_loop* get() noexcept { return loop_; }
  void run() { ev_run(loop_, 0); }

 private:
  struct ev_loop* loop_;
};

// Two watchers feed each other; libev runs what is fed without a poll in between.
class PostChain {
 public:
  explicit PostChain(std::size_t count) : count_(count) {
    for (ev_prepare& watcher : watchers_) {
      ev_prepare_init(&watcher, &hop);
      watcher.data = this;
    }
  }

  void run(Meter& meter) {
    left_ = count_;
    meter.start();
    ev_feed_event(loop_.get(), &watchers_[0], EV_CUSTOM);
    ev_invoke_pending(loop_.get());
    meter.stop();
  }

 private:
  static void hop(struct ev_loop* loop, ev_prepare* watcher, int) {
    auto& self = *static_cast<PostChain*>(watcher->data);
    if (--self.left_ != 0) {
      ev_feed_event(loop, &self.watchers_[watcher == &self.watchers_[0] ? 1 : 0], EV_CUSTOM);
    }
  }

  Loop loop_;
  ev_prepare watchers_[2];
  std::size_t count_;
  std::size_t left_ = 0;
};

class PostBatch {
 public:
  explicit PostBatch(std::size_t count) : watchers_(count) {
    for (ev_prepare& watcher : watchers_) {
      ev_prepare_init(
          &watcher, [](struct ev_loop*, ev_prepare* self, int) { ++*static_cast<std::size_t*>(self->data); });
      watcher.data = &ran_;
    }
  }

  void run(Meter& meter) {
    meter.start();
    for (ev_prepare& watcher : watchers_) {
      ev_feed_event(loop_.get(), &watcher, EV_CUSTOM);
    }
    ev_invoke_pending(loop_.get());
    meter.stop();
  }

 private:
  Loop loop_;
  std::vector<ev_prepare> watchers_;
  std::size_t ran_ = 0;
};

// A loop in the terms of peer_rows.hpp: a locked vector, and ev_async_send.
class Threaded {
 public:
  Threaded() {
    ev_async_init(&async_,
                  [](struct ev_loop*, ev_async* async, int) { static_cast<Threaded*>(async->data)->take(); });
    async_.data = this;
    ev_async_start(loop_.get(), &async_);
  }
  Threaded(const Threaded&) = delete;
  ~Threaded() { ev_async_stop(loop_.get(), &async_); }
  void post(bench::PeerCallback callback) {
    {
      const std::lock_guard lock(mutex_);
      posted_.push_back(callback);
    }
    ev_async_send(loop_.get(), &async_);
  }
  void run() { loop_.run(); }
  void stop() { ev_break(loop_.get(), EVBREAK_ALL); }

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

  Loop loop_;
  ev_async async_;
  std::mutex mutex_;
  std::vector<bench::PeerCallback> posted_;
  std::vector<bench::PeerCallback> batch_;
};

class Timers {
 public:
  explicit Timers(std::size_t count) : timers_(count) {
    for (ev_timer& timer : timers_) {
      ev_timer_init(&timer, [](struct ev_loop*, ev_timer*, int) {}, 0., 0.);
    }
  }
  void arm(std::size_t i, std::uint64_t nanoseconds) {
    ev_timer_stop(loop_.get(), &timers_[i]);
    ev_timer_set(&timers_[i], static_cast<double>(nanoseconds) * 1e-9, 0.);
    ev_timer_start(loop_.get(), &timers_[i]);
  }
  void cancel(std::size_t i) { ev_timer_stop(loop_.get(), &timers_[i]); }
  void update_time() { ev_now_update(loop_.get()); }
  void run() { loop_.run(); }

 private:
  Loop loop_;
  std::vector<ev_timer> timers_;
};

// Moving a timer on is ev_timer_again.
class TimerReset {
 public:
  explicit TimerReset(std::size_t count) : count_(count) {
    ev_timer_init(&timer_, [](struct ev_loop*, ev_timer*, int) {}, 3600., 3600.);
  }
  void run(Meter& meter) {
    ev_timer_again(loop_.get(), &timer_);
    meter.start();
    for (std::size_t i = 0; i != count_; ++i) {
      timer_.repeat += 1e-7;
      ev_timer_again(loop_.get(), &timer_);
    }
    meter.stop();
    ev_timer_stop(loop_.get(), &timer_);
  }

 private:
  Loop loop_;
  ev_timer timer_;
  std::size_t count_;
};

const bench::Row<PostChain> post_chain("post_chain/libev", 1'000'000);
const bench::Row<PostBatch> post_batch("post_batch/libev", 1'000'000);
const bench::Row<bench::CrossPost<Threaded>> xthread_post("xthread_post/libev", 1'000'000);
const bench::Row<bench::RoundTrip<Threaded>> xthread_rtt("xthread_rtt/libev", 2'000);
const bench::Row<bench::TimerAdd<Timers>> timer_add("timer_add/libev", 1'000'000);
const bench::Row<bench::TimerCancel<Timers>> timer_cancel("timer_cancel/libev", 1'000'000);
const bench::Row<bench::TimerFire<Timers>> timer_fire("timer_fire/libev", 1'000'000);
const bench::Row<TimerReset> timer_reset("timer_reset/libev", 10'000'000);

}  // namespace
