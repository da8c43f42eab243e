// SleepState: waking a loop that waits for events in its poller. The waker makes a system call only when
// the loop sleeps or is about to. wake() may be called by any thread and by signal handlers.
#pragma once

#include <weir/config.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

class SleepState {
 public:
  // Before the loop looks for events. False: it was woken already, and must not sleep.
  bool begin() noexcept { return state_.exchange(State::asleep, std::memory_order_acq_rel) != State::woken; }
  // After it. Was it woken meanwhile?
  bool end() noexcept { return state_.exchange(State::awake, std::memory_order_acq_rel) == State::woken; }
  // When to look has failed.
  void abandon() noexcept { state_.store(State::awake, std::memory_order_release); }
  // Was there a wake, outside begin() and end()? It is over then, and so is the sleep of a host.
  bool take() noexcept {
    return state_.load(std::memory_order_relaxed) != State::awake &&
           state_.exchange(State::awake, std::memory_order_acq_rel) == State::woken;
  }
  // True: the loop sleeps, and the caller has to end that.
  bool wake() noexcept { return state_.exchange(State::woken, std::memory_order_acq_rel) == State::asleep; }

 private:
  enum class State : std::uint8_t { awake, asleep, woken };
  static_assert(std::atomic<State>::is_always_lock_free, "signal handlers call wake()");
  std::atomic<State> state_ = State::awake;
};

// One poll(): the sleep, if any, from its beginning to its end. Without woken(), the look has failed.
class Look {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // TimePoint::min(): it does not sleep.
  Look(SleepState& state, TimePoint deadline) noexcept
      : state_(state), may_sleep_(deadline != TimePoint::min()) {
    came_first_ = may_sleep_ && !state_.begin();
    deadline_ = came_first_ ? TimePoint::min() : deadline;
  }
  ~Look() {
    if (!is_over_) [[unlikely]] {
      state_.abandon();
    }
  }
  Look(const Look&) = delete;
  Look& operator=(const Look&) = delete;

  // Until when it may sleep: not at all when a wake came first; what is ready now is collected all the same.
  TimePoint deadline() const noexcept { return deadline_; }
  // It is over: was there a wake?
  bool woken() noexcept {
    is_over_ = true;
    return may_sleep_ ? state_.end() || came_first_ : state_.take();
  }

 private:
  SleepState& state_;
  const bool may_sleep_;
  bool came_first_;
  bool is_over_ = false;
  TimePoint deadline_;
};

}  // namespace weir::inline WEIR_ABI::detail
