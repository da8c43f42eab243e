// Rows that are the same for every peer, over a loop or timers that the peer's file gives them.
#pragma once

#include "bench/micro/on_core.hpp"
#include "bench/micro/row.hpp"

#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace bench {

struct PeerCallback {
  void (*function)(void*);
  void* object;
};

// `L` has post(PeerCallback) for any thread, run() and stop() for its own.
template <class L>
class CrossPost {
 public:
  explicit CrossPost(std::size_t count) : count_(count) {}

  void run(Meter& meter) {
    ran_ = 0;
    std::uint64_t allocations = 0;
    const OnCore here(0);
    std::thread poster([this, &allocations] {
      const OnCore there(1);
      const std::uint64_t before = allocations_so_far();
      for (std::size_t i = 0; i != count_; ++i) {
        loop_.post({&count_one, this});
      }
      allocations = allocations_so_far() - before;
    });
    meter.start();
    loop_.run();
    meter.stop();
    poster.join();
    meter.add_allocations(allocations);
  }

 private:
  static void count_one(void* object) {
    auto& self = *static_cast<CrossPost*>(object);
    if (++self.ran_ == self.count_) {
      self.loop_.stop();
    }
  }

  L loop_;
  std::size_t count_;
  std::size_t ran_ = 0;
};

template <class L>
class RoundTrip {
 public:
  explicit RoundTrip(std::size_t count)
      : here_core_(0),
        thread_([this] {
          const OnCore there(1);
          there_.run();
        }),
        count_(count) {}
  RoundTrip(const RoundTrip&) = delete;
  ~RoundTrip() {
    there_.post({[](void* self) { static_cast<RoundTrip*>(self)->there_.stop(); }, this});
    thread_.join();
  }

  void run(Meter& meter) {
    left_ = count_;
    meter.start();
    go(this);
    here_.run();
    meter.stop();
  }

 private:
  static void go(void* object) {
    auto& self = *static_cast<RoundTrip*>(object);
    if (self.left_-- == 0) {
      self.here_.stop();
      return;
    }
    self.there_.post({[](void* there) { static_cast<RoundTrip*>(there)->here_.post({&go, there}); }, object});
  }

  L here_;
  L there_;
  OnCore here_core_;
  std::thread thread_;
  std::size_t count_;
  std::size_t left_ = 0;
};

// `T(count)` holds so many timers: arm(i, nanoseconds from now), cancel(i), update_time(), and run() until no
// timer is armed.
template <class T>
class TimerRow {
 public:
  TimerRow(std::size_t count, std::uint64_t within) : timers_(count) {
    Numbers numbers;
    for (std::size_t i = 0; i != count; ++i) {
      delays_.push_back(numbers.below(within));
    }
  }

 protected:
  void arm() {
    timers_.update_time();
    for (std::size_t i = 0; i != delays_.size(); ++i) {
      timers_.arm(i, delays_[i]);
    }
  }
  void cancel() {
    for (std::size_t i = 0; i != delays_.size(); ++i) {
      timers_.cancel(i);
    }
  }

  T timers_;
  std::vector<std::uint64_t> delays_;
};

constexpr std::uint64_t an_hour = 3'600'000'000'000;

template <class T>
class TimerAdd : TimerRow<T> {
 public:
  explicit TimerAdd(std::size_t count) : TimerRow<T>(count, an_hour) {}
  void run(Meter& meter) {
    meter.start();
    this->arm();
    meter.stop();
    this->cancel();
  }
};

template <class T>
class TimerCancel : TimerRow<T> {
 public:
  explicit TimerCancel(std::size_t count) : TimerRow<T>(count, an_hour) {}
  void run(Meter& meter) {
    this->arm();
    meter.start();
    this->cancel();
    meter.stop();
  }
};

template <class T>
class TimerFire : TimerRow<T> {
 public:
  explicit TimerFire(std::size_t count) : TimerRow<T>(count, 10'000'000) {}
  void run(Meter& meter) {
    meter.start();
    this->arm();
    this->timers_.run();
    meter.stop();
  }
};

template <class T>
class TimerReset {
 public:
  explicit TimerReset(std::size_t count) : timers_(1), count_(count) {}
  void run(Meter& meter) {
    std::uint64_t delay = an_hour;
    timers_.update_time();
    timers_.arm(0, delay);
    meter.start();
    for (std::size_t i = 0; i != count_; ++i) {
      timers_.arm(0, delay += 100);
    }
    meter.stop();
    timers_.cancel(0);
  }

 private:
  T timers_;
  std::size_t count_;
};

}  // namespace bench
