// Semaphore and BoundedSemaphore: asyncio's, permits for a limited number of tasks of one loop, given out
// first come, first served.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/release_guard.hpp>
#include <weir/detail/sync_awaiter.hpp>
#include <weir/detail/wait_queue.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>

namespace weir::inline WEIR_ABI {

class Semaphore;
// Gives its permit back when it is destroyed: what `co_await semaphore.lock()` gives.
using SemaphoreGuard = detail::ReleaseGuard<Semaphore>;

namespace detail {
class SemaphoreAwaiter;
class SemaphoreGuardAwaiter;
}  // namespace detail

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
  [[nodiscard("nothing is acquired until it is awaited")]] detail::SemaphoreAwaiter acquire() noexcept;
  // The same; co_await gives a SemaphoreGuard, which gives the permit back (async with).
  [[nodiscard("nothing is acquired until it is awaited")]] detail::SemaphoreGuardAwaiter lock() noexcept;
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
  friend class detail::SemaphoreAwaiter;

  bool try_take() noexcept {
    if (locked()) {
      return false;
    }
    --permits_;
    return true;
  }
  // Those that were woken have theirs, though they will only take them in their next step.
  std::size_t unclaimed() const noexcept { return permits_ - waiters_.woken(); }
  // Wakes as many as there are permits for.
  void serve() noexcept;

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

namespace detail {

// What Semaphore::acquire() returns.
class WEIR_API SemaphoreAwaiter : public SyncAwaiter {
 public:
  explicit SemaphoreAwaiter(Semaphore& semaphore) noexcept
      : SyncAwaiter("Semaphore.acquire"), semaphore_(&semaphore) {}
  SemaphoreAwaiter(SemaphoreAwaiter&&) noexcept = default;

  bool await_ready() noexcept { return semaphore_->try_take(); }
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    wait_in(semaphore_->waiters_, semaphore_->binding_, coroutine);
  }
  void await_resume() {
    if (suspended()) {
      take_over();
    }
  }

 protected:
  Semaphore& semaphore() const noexcept { return *semaphore_; }

 private:
  void take_over();

  Semaphore* semaphore_;
};

// What Semaphore::lock() returns.
class SemaphoreGuardAwaiter : public SemaphoreAwaiter {
 public:
  using SemaphoreAwaiter::SemaphoreAwaiter;
  SemaphoreGuard await_resume() {
    SemaphoreAwaiter::await_resume();
    return SemaphoreGuard(semaphore());
  }
};

}  // namespace detail

inline detail::SemaphoreAwaiter Semaphore::acquire() noexcept { return detail::SemaphoreAwaiter(*this); }
inline detail::SemaphoreGuardAwaiter Semaphore::lock() noexcept {
  return detail::SemaphoreGuardAwaiter(*this);
}

}  // namespace weir::inline WEIR_ABI
