// weir: timers.
#include "bench/micro/row.hpp"

#include <weir/event_loop.hpp>
#include <weir/policy.hpp>

#include <chrono>
#include <memory>
#include <vector>

namespace {

using bench::Meter;
using std::chrono::nanoseconds;

constexpr std::uint64_t hour = 3'600'000'000'000;
constexpr std::uint64_t ten_milliseconds = 10'000'000;

class Timers {
 public:
  explicit Timers(std::size_t count) : loop(weir::new_event_loop()), handles(count) {
    bench::Numbers numbers;
    for (std::size_t i = 0; i != count; ++i) {
      delays.push_back(nanoseconds(numbers.below(hour)));
    }
  }

 protected:
  void arm() {
    const weir::TimePoint now = loop->time();
    for (std::size_t i = 0; i != handles.size(); ++i) {
      handles[i] = loop->call_at(now + delays[i], [] {});
    }
  }
  void cancel() {
    for (weir::TimerHandle& handle : handles) {
      handle.cancel();
    }
  }

  std::unique_ptr<weir::EventLoop> loop;
  std::vector<nanoseconds> delays;
  std::vector<weir::TimerHandle> handles;
};

// Timers within an hour are armed.
class TimerAdd : public Timers {
 public:
  using Timers::Timers;

  void run(Meter& meter) {
    meter.start();
    arm();
    meter.stop();
    cancel();
  }
};

// They are cancelled in order.
class TimerCancel : public Timers {
 public:
  using Timers::Timers;

  void run(Meter& meter) {
    arm();
    meter.start();
    cancel();
    meter.stop();
  }
};

// Timers within ten milliseconds are armed and fire.
class TimerFire {
 public:
  explicit TimerFire(std::size_t count) : loop_(weir::new_event_loop()) {
    bench::Numbers numbers;
    for (std::size_t i = 0; i != count; ++i) {
      delays_.push_back(nanoseconds(numbers.below(ten_milliseconds)));
    }
  }

  void run(Meter& meter) {
    left_ = delays_.size();
    meter.start();
    const weir::TimePoint now = loop_->time();
    for (const nanoseconds delay : delays_) {
      loop_->call_at(now + delay, [this] {
        if (--left_ == 0) {
          loop_->stop();
        }
      });
    }
    loop_->run_forever();
    meter.stop();
  }

 private:
  std::unique_ptr<weir::EventLoop> loop_;
  std::vector<nanoseconds> delays_;
  std::size_t left_ = 0;
};

// One timer is moved on, as the timeout of a busy connection is.
class TimerReset {
 public:
  explicit TimerReset(std::size_t count) : loop_(weir::new_event_loop()), count_(count) {}

  void run(Meter& meter) {
    weir::TimePoint when = loop_->time() + nanoseconds(hour);
    weir::TimerHandle handle = loop_->call_at(when, [] {});
    meter.start();
    for (std::size_t i = 0; i != count_; ++i) {
      when += nanoseconds(100);
      handle.reschedule(when);
    }
    meter.stop();
    handle.cancel();
  }

 private:
  std::unique_ptr<weir::EventLoop> loop_;
  std::size_t count_;
};

const bench::Row<TimerAdd> timer_add("timer_add/weir", 1'000'000);
const bench::Row<TimerCancel> timer_cancel("timer_cancel/weir", 1'000'000);
const bench::Row<TimerFire> timer_fire("timer_fire/weir", 1'000'000);
const bench::Row<TimerReset> timer_reset("timer_reset/weir", 10'000'000);

}  // namespace
