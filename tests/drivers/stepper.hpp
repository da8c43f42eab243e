// Runs a loop turn by turn and acts after the callback that is chosen by number. A callback is anything that
// the loop takes out of its ready queue: a user's callback, a task's step, a completed operation, a timer.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/ready_queue.hpp>
#include <weir/event_loop.hpp>

#include <cstdint>
#include <functional>

namespace weir::testing {

class Stepper {
 public:
  explicit Stepper(EventLoop& loop) noexcept : loop_(loop) {}
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;

  // Runs `action` inside the loop, right after the callback number `step` (from 0) has run.
  // The action may choose another one.
  void at(std::uint64_t step, std::function<void()> action);
  // Runs after that callback, and leaves the loop at once: what was ready stays in the queue.
  void leave_at(std::uint64_t step);
  // Runs turns until `done`, or until the loop was left; fails the test when that takes more than `most`
  // turns. False when it was left, or took too long.
  bool run(const std::function<bool()>& done, std::uint64_t most = 300'000);
  // Did the chosen callback run? How many were chosen, one after another, and ran?
  bool reached() const noexcept { return count_ != 0; }
  std::uint64_t count() const noexcept { return count_; }

 private:
  void choose();
  void unchoose();
  static void run_chosen(void* object, std::uintptr_t first, std::uintptr_t second,
                         detail::ReadyAction action);

  EventLoop& loop_;
  std::uint64_t step_ = UINT64_MAX;
  std::function<void()> action_;
  std::uint64_t own_ = 0;       // callbacks that this stepper has queued: they do not count
  std::uint64_t sequence_ = 0;  // of the chosen one
  detail::ReadyItem::Function chosen_ = nullptr;
  std::uint64_t count_ = 0;
};

}  // namespace weir::testing
