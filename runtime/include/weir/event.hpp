// Event: asyncio.Event, a flag that tasks wait for. For the tasks of one loop.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/sync_awaiter.hpp>
#include <weir/detail/wait_queue.hpp>

namespace weir::inline WEIR_ABI {

// Every function is called on the loop's thread, which need not run a task. The event belongs to the loop of
// the first task that has to wait for it. Destroying it makes those who wait throw RuntimeError.
class WEIR_API Event {
 public:
  Event() noexcept = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // Is the flag set (Event.is_set)?
  bool is_set() const noexcept { return set_; }
  // Sets the flag and wakes all who wait, in the order in which they came (Event.set). They go on even if it
  // is cleared before their turn.
  void set() noexcept;
  // Clears the flag; concerns later calls of wait() only (Event.clear).
  void clear() noexcept { set_ = false; }
  // co_await: waits until the flag is set; goes on at once when it is (Event.wait). Throws CancelledError,
  // and RuntimeError in a task of another loop.
  [[nodiscard("nothing waits until it is awaited")]] detail::FlagAwaiter wait() noexcept {
    return {set_, waiters_, binding_, "Event.wait"};
  }

 private:
  detail::WaitQueue waiters_;
  detail::LoopBinding binding_;
  bool set_ = false;
};

}  // namespace weir::inline WEIR_ABI
