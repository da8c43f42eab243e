// Lock: asyncio.Lock, held by one task at a time and handed on first come, first served. For the tasks of one
// loop; between threads, std::mutex.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/release_guard.hpp>
#include <weir/detail/sync_awaiter.hpp>
#include <weir/detail/wait_queue.hpp>

namespace weir::inline WEIR_ABI {

class Lock;
// Releases the lock when it is destroyed: what `co_await lock.lock()` gives.
using LockGuard = detail::ReleaseGuard<Lock>;

namespace detail {
class ConditionAwaiter;
}  // namespace detail

// Every function is called on the loop's thread, which need not run a task. The lock belongs to the loop of
// the first task that has to wait for it. Destroying it makes those who wait throw RuntimeError.
class WEIR_API Lock {
 public:
  Lock() noexcept = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  // co_await: the task holds the lock (Lock.acquire). A free lock is taken at once, without a turn of the
  // loop. Throws CancelledError without holding it, and RuntimeError in a task of another loop.
  [[nodiscard("nothing is acquired until it is awaited")]] detail::AcquireAwaiter<Lock> acquire() noexcept {
    return detail::AcquireAwaiter<Lock>(*this);
  }
  // The same; co_await gives a LockGuard, which releases the lock on every way out of its scope (async with).
  [[nodiscard("nothing is acquired until it is awaited")]] detail::GuardAwaiter<Lock> lock() noexcept {
    return detail::GuardAwaiter<Lock>(*this);
  }
  // Frees the lock and wakes who is first in line, which holds it from its next step on (Lock.release). From
  // a plain callback too, and by another task than the one that acquired it. Throws RuntimeError when nobody
  // holds it.
  void release();
  // Does a task hold it (Lock.locked)? Not between a release and the step of the task that it woke.
  bool locked() const noexcept { return locked_; }

  // For guards: release(), if there is anything to release.
  void release_held() noexcept;

 private:
  friend class detail::AcquireAwaiter<Lock>;
  friend class detail::ConditionAwaiter;

  // Nobody overtakes those who wait, nor the one that was woken and has not come yet.
  bool try_take() noexcept {
    const bool free = !locked_ && waiters_.empty();
    locked_ |= free;
    return free;
  }
  // See AcquireAwaiter.
  static constexpr const char* acquire_call = "Lock.acquire";
  void claim() noexcept { locked_ = true; }
  void pass_on() noexcept;

  detail::WaitQueue waiters_;
  detail::LoopBinding binding_;
  bool locked_ = false;
};

}  // namespace weir::inline WEIR_ABI
