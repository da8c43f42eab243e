// The virtual clock of a world. It moves only when a loop waits, when a turn is charged, and through
// sim::advance.
#pragma once

#include "backends/backend.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

class Clock {
 public:
  TimePoint now() const noexcept {
    return TimePoint(std::chrono::nanoseconds(since_epoch_.load(std::memory_order_relaxed)));
  }

  // Never moves back, and stops at the end of time instead of overflowing.
  void jump(TimePoint to) noexcept {
    const TimePoint from = now();
    if (to > from) {
      set(to);
    }
  }

  void advance(std::chrono::nanoseconds duration) noexcept {
    if (duration.count() > 0) {
      const TimePoint from = now();
      set(duration > TimePoint::max() - from ? TimePoint::max() : from + duration);
    }
  }

 private:
  void set(TimePoint to) noexcept {
    const auto value = std::chrono::duration_cast<std::chrono::nanoseconds>(to.time_since_epoch());
    since_epoch_.store(value.count(), std::memory_order_relaxed);
  }

  // Not 0: code that takes a zero time point for "none" must fail here. Atomic because any thread may ask the
  // time.
  std::atomic<std::int64_t> since_epoch_ = 1'000'000'000'000;
};

}  // namespace weir::inline WEIR_ABI::detail
