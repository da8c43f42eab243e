// libevent. A callback is scheduled by making an event active.
#include "bench/micro/peer_rows.hpp"
#include "bench/micro/row.hpp"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/time.h>

#include <vector>

namespace {

using bench::Meter;

class Loop {
 public:
  Loop() : base_(make()) {}
  Loop(const Loop&) = delete;
  ~Loop() { event_base_free(base_); }
  event_base* get() noexcept { return base_; }
  void run() { event_base_dispatch(base_); }

 private:
  // As in its documentation: one thread, no locks, the precise clock.
  static event_base* make() {
    event_config* config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER);
    event_base* base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
  }

  event_base* base_;
};

class PostChain {
 public:
  explicit PostChain(std::size_t count) : count_(count) {
    for (event& one : events_) {
      event_assign(&one, loop_.get(), -1, 0, &hop, this);
    }
  }

  void run(Meter& meter) {
    left_ = count_;
    meter.start();
    event_active(&events_[0], EV_TIMEOUT, 1);
    loop_.run();
    meter.stop();
  }

 private:
  static void hop(evutil_socket_t, short, void* object) {
    auto& self = *static_cast<PostChain*>(object);
    if (--self.left_ != 0) {
      event_active(&self.events_[self.left_ % 2], EV_TIMEOUT, 1);
    }
  }

  Loop loop_;
  event events_[2];
  std::size_t count_;
  std::size_t left_ = 0;
};

class PostBatch {
 public:
  explicit PostBatch(std::size_t count) : events_(count) {
    for (event& one : events_) {
      event_assign(
          &one, loop_.get(), -1, 0,
          [](evutil_socket_t, short, void* ran) { ++*static_cast<std::size_t*>(ran); }, &ran_);
    }
  }

  void run(Meter& meter) {
    meter.start();
    for (event& one : events_) {
      event_active(&one, EV_TIMEOUT, 1);
    }
    loop_.run();
    meter.stop();
  }

 private:
  Loop loop_;
  std::vector<event> events_;
  std::size_t ran_ = 0;
};

class Timers {
 public:
  explicit Timers(std::size_t count) : events_(count) {
    for (event& one : events_) {
      event_assign(&one, loop_.get(), -1, 0, [](evutil_socket_t, short, void*) {}, nullptr);
    }
  }
  void arm(std::size_t i, std::uint64_t nanoseconds) {
    const timeval delay{static_cast<time_t>(nanoseconds / 1'000'000'000),
                        static_cast<suseconds_t>(nanoseconds / 1'000 % 1'000'000)};
    event_add(&events_[i], &delay);
  }
  void cancel(std::size_t i) { event_del(&events_[i]); }
  void update_time() {}
  void run() { loop_.run(); }

 private:
  Loop loop_;
  std::vector<event> events_;
};

const bench::Row<PostChain> post_chain("post_chain/libevent", 1'000'000);
const bench::Row<PostBatch> post_batch("post_batch/libevent", 1'000'000);
const bench::Row<bench::TimerAdd<Timers>> timer_add("timer_add/libevent", 1'000'000);
const bench::Row<bench::TimerCancel<Timers>> timer_cancel("timer_cancel/libevent", 1'000'000);
const bench::Row<bench::TimerFire<Timers>> timer_fire("timer_fire/libevent", 1'000'000);
const bench::Row<bench::TimerReset<Timers>> timer_reset("timer_reset/libevent", 5'000'000);

}  // namespace
