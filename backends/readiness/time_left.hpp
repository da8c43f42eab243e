// A poller's deadline as the system calls want it.
#pragma once

#include "backends/backend.hpp"

#include <time.h>
#include <algorithm>
#include <chrono>

namespace weir::inline WEIR_ABI::detail {

// How long to sleep until the deadline, which is not TimePoint::max(): nothing when it has passed, and at
// most a day, because systems refuse or wrap what is far away. A poll() may end early.
inline std::chrono::nanoseconds time_left(TimePoint deadline) noexcept {
  if (deadline == TimePoint::min()) {
    return {};  // without looking at the clock
  }
  const TimePoint current = std::chrono::steady_clock::now();
  if (deadline <= current) {
    return {};
  }
  return std::min<std::chrono::nanoseconds>(deadline - current, std::chrono::hours(24));
}

inline timespec to_timespec(std::chrono::nanoseconds left) noexcept {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  timespec result{};
  result.tv_sec = static_cast<time_t>(seconds.count());
  result.tv_nsec = static_cast<long>((left - seconds).count());
  return result;
}

// Rounded up: no deadline fires early.
inline int to_milliseconds(std::chrono::nanoseconds left) noexcept {
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

}  // namespace weir::inline WEIR_ABI::detail
