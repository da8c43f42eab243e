// ScopedTimer: a timer that does not outlive its scope.
#pragma once

#include "runtime/loop_access.hpp"

#include <weir/event_loop.hpp>

#include <utility>

namespace weir::inline WEIR_ABI::detail {

class ScopedTimer {
 public:
  // None at all for a deadline of TimePoint::max().
  template <class F>
  ScopedTimer(EventLoop& loop, TimePoint deadline, F callback) {
    if (deadline != TimePoint::max()) {
      timer_ = LoopAccess::call_at_plain(loop, deadline, Callback(std::move(callback)));
    }
  }
  ScopedTimer(const ScopedTimer&) = delete;
  ScopedTimer& operator=(const ScopedTimer&) = delete;
  ~ScopedTimer() { timer_.cancel(); }

 private:
  TimerHandle timer_;
};

}  // namespace weir::inline WEIR_ABI::detail
