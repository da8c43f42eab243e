// Condition: asyncio.Condition, tasks that wait, with a lock let go meanwhile, until another task notifies
// them. For the tasks of one loop.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/sync_awaiter.hpp>
#include <weir/detail/wait_queue.hpp>
#include <weir/lock.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <optional>
#include <type_traits>

namespace weir::inline WEIR_ABI {

namespace detail {
class ConditionAwaiter;
}

// Every function is called on the loop's thread. The condition belongs to the loop of the first task that
// waits, and so does its lock. Destroying it makes those who wait throw RuntimeError.
class WEIR_API Condition {
 public:
  // With a lock of its own.
  Condition() : own_lock_(std::in_place), lock_(&*own_lock_) {}
  // With a lock that others use too. It must outlive the condition.
  explicit Condition(Lock& lock) noexcept : lock_(&lock) {}
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  // Those of the lock: see Lock.
  [[nodiscard("nothing is acquired until it is awaited")]] detail::AcquireAwaiter<Lock> acquire() noexcept {
    return lock_->acquire();
  }
  [[nodiscard("nothing is acquired until it is awaited")]] detail::GuardAwaiter<Lock> lock() noexcept {
    return lock_->lock();
  }
  void release() { lock_->release(); }
  bool locked() const noexcept { return lock_->locked(); }

  // co_await: releases the lock, waits to be notified, and acquires the lock again before it goes on
  // (Condition.wait). Whoever waits may find that another task was there first: wait_for() looks again. A
  // task that is cancelled throws CancelledError when it holds the lock again, and a notification that it had
  // got goes to another. Throws RuntimeError when nobody holds the lock, and, with the lock still held, in a
  // task of another loop than the condition's or the lock's.
  [[nodiscard("nothing waits until it is awaited")]] detail::ConditionAwaiter wait() noexcept;
  // Waits until predicate() gives something true, and gives that (Condition.wait_for). It is called with the
  // lock held, the first time before waiting. Errors are those of wait() and of the predicate. A lambda with
  // captures by value gets a name on a line before the co_await (g++ 12 destroys it twice).
  template <std::invocable Predicate>
  Coro<std::decay_t<std::invoke_result_t<Predicate&>>> wait_for(Predicate predicate);
  // Wakes `count` of those who wait, or all when there are fewer, in the order in which they came; they go on
  // when they get the lock (Condition.notify). Throws RuntimeError when nobody holds the lock.
  void notify(std::size_t count = 1);
  // Wakes all (Condition.notify_all). Throws RuntimeError when nobody holds the lock.
  void notify_all();

 private:
  friend class detail::ConditionAwaiter;
  void wake(std::size_t count) noexcept;

  std::optional<Lock> own_lock_;  // first: it outlives the waiters
  Lock* lock_;
  detail::WaitQueue waiters_;
  detail::LoopBinding binding_;
};

namespace detail {

// What Condition::wait() returns: first in the condition's queue, then, woken there, in that of the lock.
class WEIR_API ConditionAwaiter : public SyncAwaiter {
 public:
  explicit ConditionAwaiter(Condition& condition) noexcept
      : SyncAwaiter("Condition.wait", &cancel_wait),
        condition_(&condition),
        lock_(condition.lock_),
        owns_lock_(condition.own_lock_.has_value()) {}
  ConditionAwaiter(ConditionAwaiter&& other) noexcept : ConditionAwaiter(*other.condition_) {}

  bool await_ready() const;
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    release_lock(*coroutine.promise().task);
    wait_in(condition_->waiters_, condition_->binding_, coroutine);
  }
  void await_resume();

 private:
  friend class weir::Condition;
  static bool cancel_wait(CancelHook& hook, std::string_view message) noexcept;
  static void acquire_again(Waiter& waiter) noexcept;
  void release_lock(const TaskBase& task);

  Condition* condition_;
  Lock* lock_;
  Waiter in_lock_;         // the place in the lock's queue
  bool owns_lock_;         // the lock is the condition's own and goes with it
  bool notified_ = false;  // woken by notify(), not by a cancellation
  bool holds_ = false;     // the lock was free when it was woken
};

}  // namespace detail

inline detail::ConditionAwaiter Condition::wait() noexcept { return detail::ConditionAwaiter(*this); }

template <std::invocable Predicate>
Coro<std::decay_t<std::invoke_result_t<Predicate&>>> Condition::wait_for(Predicate predicate) {
  while (true) {
    auto result = predicate();
    if (result) {
      co_return result;
    }
    co_await wait();
  }
}

}  // namespace weir::inline WEIR_ABI
