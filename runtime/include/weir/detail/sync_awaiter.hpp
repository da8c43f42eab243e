// What the awaiters of the synchronisation primitives and queues share: waiting in a WaitQueue, and what a
// cancellation does to that.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/release_guard.hpp>
#include <weir/detail/wait_queue.hpp>
#include <weir/task_base.hpp>

#include <concepts>
#include <coroutine>
#include <string_view>

namespace weir::inline WEIR_ABI::detail {

// A task that is cancelled while it waits leaves the queue at once. One that has been woken is cancelled all
// the same, as in asyncio, and what it was woken for goes to the next.
class WEIR_API SyncAwaiter : public AwaiterBase, protected CancelHook, public Waiter {
 protected:
  explicit SyncAwaiter(const char* call, Cancel cancel_function = &cancel_wait) noexcept
      : CancelHook(cancel_function, call) {}
  // Before it is awaited: it is in no queue.
  SyncAwaiter(SyncAwaiter&& other) noexcept : SyncAwaiter(other.awaits, other.cancel) {}

  // The task waits. Throws RuntimeError when the primitive is another loop's.
  template <std::derived_from<PromiseBase> P>
  void wait_in(WaitQueue& queue, LoopBinding& binding, std::coroutine_handle<P> coroutine) {
    TaskBase* const task = coroutine.promise().task;
    binding.bind(*task, awaits);
    task_ = task;
    queue.push(*this);
    task->suspend(coroutine, coroutine.promise(), *this);
  }
  bool suspended() const noexcept { return task_ != nullptr; }
  // Leaves the queue at the resumption. False when the task was cancelled after it was woken: then the caller
  // gives what it was woken for to the next and calls throw_if_cancelled(). Throws CancelledError when it was
  // cancelled before, and RuntimeError when the primitive has been destroyed; only after a return may the
  // primitive be touched.
  bool leave();

 private:
  static bool cancel_wait(CancelHook& hook, std::string_view message) noexcept;
};

// Acquires a Lock or a Semaphore. `Held` has try_take(); claim(), for a task that was woken and goes on; and
// pass_on(), for one that was woken and has been cancelled.
template <class Held>
class AcquireAwaiter : public SyncAwaiter {
 public:
  explicit AcquireAwaiter(Held& held) noexcept : SyncAwaiter(Held::acquire_call), held_(&held) {}
  AcquireAwaiter(AcquireAwaiter&&) noexcept = default;

  bool await_ready() noexcept { return held_->try_take(); }
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    this->wait_in(held_->waiters_, held_->binding_, coroutine);
  }
  void await_resume() {
    if (!this->suspended()) {
      return;
    }
    if (!this->leave()) {
      held_->pass_on();
      task_->throw_if_cancelled();
    }
    held_->claim();
  }

 protected:
  Held* held_;
};

// The same; co_await gives a guard that releases it.
template <class Held>
class GuardAwaiter : public AcquireAwaiter<Held> {
 public:
  using AcquireAwaiter<Held>::AcquireAwaiter;
  ReleaseGuard<Held> await_resume() {
    AcquireAwaiter<Held>::await_resume();
    return ReleaseGuard<Held>(*this->held_);
  }
};

// Waits until a flag is set: Event::wait() and Queue::join().
class WEIR_API FlagAwaiter : public SyncAwaiter {
 public:
  FlagAwaiter(const bool& flag, WaitQueue& waiters, LoopBinding& binding, const char* call) noexcept
      : SyncAwaiter(call), flag_(&flag), waiters_(&waiters), binding_(&binding) {}
  FlagAwaiter(FlagAwaiter&&) noexcept = default;

  bool await_ready() const noexcept { return *flag_; }
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    wait_in(*waiters_, *binding_, coroutine);
  }
  void await_resume();

 private:
  const bool* flag_;
  WaitQueue* waiters_;
  LoopBinding* binding_;
};

}  // namespace weir::inline WEIR_ABI::detail
