// Handle and TimerHandle: what call_soon, call_later and call_at return (asyncio.Handle,
// asyncio.TimerHandle).
#pragma once

#include <weir/config.hpp>
#include <weir/fwd.hpp>

#include <atomic>
#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <utility>

namespace weir::inline WEIR_ABI {

// Time points and durations of EventLoop::time(), call_later and call_at.
using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

namespace detail {

struct TimerSlot;
struct LoopAccess;
class SleepAwaiter;

// How a handle finds its loop, or learns that it is gone. Anchors are recycled and never freed, so that a
// handle may outlive its loop at no cost: it compares the number of the loop that made it.
struct LoopAnchor {
  std::atomic<std::uint64_t> loop_number{0};  // 0: free
  EventLoop* loop = nullptr;
};

}  // namespace detail

// A scheduled callback. Move-only, so that cancelled() has one truth; it may be dropped (the callback runs
// all the same) and may outlive the loop. Use it on the loop's thread. Two handles are equal when they are
// the same one.
class WEIR_API Handle {
 public:
  // A handle of nothing, as a moved-from one.
  Handle() noexcept = default;
  Handle(Handle&& other) noexcept { swap(other); }
  Handle& operator=(Handle&& other) noexcept {
    Handle(std::move(other)).swap(*this);
    return *this;
  }

  // Keeps the callback from running and destroys it with what it captured, at once or, if it is running, on
  // its return (Handle.cancel). Does nothing when it ran already, when the handle is empty, or after the loop
  // closed. Never throws.
  void cancel() noexcept;
  // Was cancel() called on it (Handle.cancelled)?
  bool cancelled() const noexcept { return cancelled_; }
  // A text for logs; in debug mode it names the callback and the place where it was scheduled.
  std::string describe() const;

  void swap(Handle& other) noexcept {
    std::swap(anchor_, other.anchor_);
    std::swap(loop_number_, other.loop_number_);
    std::swap(sequence_, other.sequence_);
    std::swap(cancelled_, other.cancelled_);
  }
  friend bool operator==(const Handle& a, const Handle& b) noexcept {
    return a.loop_number_ == b.loop_number_ && a.sequence_ == b.sequence_;
  }

 private:
  friend class EventLoop;
  Handle(detail::LoopAnchor* anchor, std::uint64_t loop_number, std::uint64_t sequence) noexcept
      : anchor_(anchor), loop_number_(loop_number), sequence_(sequence) {}
  EventLoop* loop() const noexcept;

  detail::LoopAnchor* anchor_ = nullptr;
  std::uint64_t loop_number_ = 0;
  std::uint64_t sequence_ = 0;
  bool cancelled_ = false;
};

// A callback scheduled for a time. As Handle, and ordered by deadline.
class WEIR_API TimerHandle {
 public:
  TimerHandle() noexcept = default;
  TimerHandle(TimerHandle&& other) noexcept { swap(other); }
  TimerHandle& operator=(TimerHandle&& other) noexcept {
    TimerHandle(std::move(other)).swap(*this);
    return *this;
  }

  // See Handle::cancel.
  void cancel() noexcept;
  bool cancelled() const noexcept { return cancelled_; }
  std::string describe() const;
  // The deadline on the clock of EventLoop::time() (TimerHandle.when); still known after it ran.
  TimePoint when() const noexcept { return when_; }
  // Moves the deadline and returns true; false when it has run or was cancelled (nothing happens then). Among
  // equal deadlines it is as if scheduled now.
  bool reschedule(TimePoint when) noexcept;

  void swap(TimerHandle& other) noexcept {
    std::swap(anchor_, other.anchor_);
    std::swap(loop_number_, other.loop_number_);
    std::swap(slot_, other.slot_);
    std::swap(id_, other.id_);
    std::swap(when_, other.when_);
    std::swap(cancelled_, other.cancelled_);
  }
  friend bool operator==(const TimerHandle& a, const TimerHandle& b) noexcept {
    return a.loop_number_ == b.loop_number_ && a.id_ == b.id_;
  }
  // By deadline. Handles with equal deadlines that are not the same are neither less, greater nor equal.
  friend std::partial_ordering operator<=>(const TimerHandle& a, const TimerHandle& b) noexcept {
    if (a == b) {
      return std::partial_ordering::equivalent;
    }
    if (a.when_ == b.when_) {
      return std::partial_ordering::unordered;
    }
    return a.when_ < b.when_ ? std::partial_ordering::less : std::partial_ordering::greater;
  }

 private:
  friend class EventLoop;
  friend struct detail::LoopAccess;
  friend class detail::SleepAwaiter;
  // False when it has run or was cancelled before.
  bool cancel_if_pending() noexcept;
  TimerHandle(detail::LoopAnchor* anchor, std::uint64_t loop_number, detail::TimerSlot* slot,
              std::uint64_t id, TimePoint when) noexcept
      : anchor_(anchor), loop_number_(loop_number), slot_(slot), id_(id), when_(when) {}
  EventLoop* loop() const noexcept;

  detail::LoopAnchor* anchor_ = nullptr;
  std::uint64_t loop_number_ = 0;
  detail::TimerSlot* slot_ = nullptr;
  std::uint64_t id_ = 0;
  TimePoint when_{};
  bool cancelled_ = false;
};

}  // namespace weir::inline WEIR_ABI
