// Semaphore and BoundedSemaphore: asyncio's, permits for a limited number of tasks of one loop, given out
// first come, first served.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/release_guard.hpp>
#include <weir/detail/sync_awaiter.hpp>
#include <weir/detail/wait_queue.hpp>

#include <cstddef>
#include <cstdint>

namespace weir::inline WEIR_ABI {

class Semaphore;
// Gives its permit back when it is destroyed: what `co_await semaphore.lock()` gives.
using SemaphoreGuard = detail::ReleaseGuard<Semaphore>;

// Every function is called on the loop's thread, which need not run a task. The semaphore belongs to the loop
// of the first task that has to wait for it. Destroying it makes those who wait throw RuntimeError.
class WEIR_API Semaphore {
 public:
  // With that many permits. Throws std::invalid_argument for a negative number.
  explicit Semaphore(std::ptrdiff_t value = 1);
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  // co_await: takes a permit (Semaphore.acquire); at once when there is one and nobody waits. Throws
  // CancelledError without having one, and RuntimeError in a task of another loop.
  [[nodiscard("nothing is acquired until it is awaited")]] detail::AcquireAwaiter<Semaphore>
  acquire() noexcept {
    return detail::AcquireAwaiter<Semaphore>(*this);
  }
  // The same; co_await gives a SemaphoreGuard, which gives the permit back (async with).
  [[nodiscard("nothing is acquired until it is awaited")]] detail::GuardAwaiter<Semaphore> lock() noexcept {
    return detail::GuardAwaiter<Semaphore>(*this);
  }
  // Gives a permit back, to who is first in line (Semaphore.release). From a plain callback too. Throws
  // RuntimeError when a bounded semaphore would have more than at its beginning.
  void release();
  // Would acquire() wait (Semaphore.locked)? Also while others wait or have been woken.
  bool locked() const noexcept { return permits_ == 0 || !waiters_.empty(); }

  // For guards: release() that ignores one too many.
  void release_held() noexcept;

 protected:
  void bound_to_value() noexcept { bound_ = permits_; }

 private:
  friend class detail::AcquireAwaiter<Semaphore>;

  bool try_take() noexcept {
    if (locked()) {
      return false;
    }
    --permits_;
    return true;
  }
  // Those that were woken have theirs, though they will only take them in their next step.
  std::size_t unclaimed() const noexcept { return permits_ - waiters_.woken(); }
  // See AcquireAwaiter.
  static constexpr const char* acquire_call = "Semaphore.acquire";
  // Who came while this one was about to go on has waited behind it, though there may be permits enough.
  void claim() noexcept {
    --permits_;
    pass_on();
  }
  // Wakes as many as there are permits for.
  void pass_on() noexcept;

  detail::WaitQueue waiters_;
  detail::LoopBinding binding_;
  std::size_t permits_;
  std::size_t bound_ = SIZE_MAX;
};

// A semaphore that refuses to be released above its initial value (asyncio.BoundedSemaphore).
class WEIR_API BoundedSemaphore : public Semaphore {
 public:
  // See Semaphore.
  explicit BoundedSemaphore(std::ptrdiff_t value = 1);
};

}  // namespace weir::inline WEIR_ABI
