// Lock, Event, Semaphore, Condition and Barrier: what happens when tasks wait and are woken.
#include "runtime/loop_access.hpp"

#include <weir/barrier.hpp>
#include <weir/condition.hpp>
#include <weir/event.hpp>
#include <weir/exceptions.hpp>
#include <weir/lock.hpp>
#include <weir/semaphore.hpp>

#include <stdexcept>

namespace weir::inline WEIR_ABI {

// --- Lock

void Lock::release() {
  if (!locked_) {
    throw RuntimeError("Lock.release: the lock is not acquired");
  }
  release_held();
}

void Lock::release_held() noexcept {
  if (locked_) {
    locked_ = false;
    pass_on();
  }
}

void Lock::pass_on() noexcept {
  if (waiters_.woken() == 0) {
    waiters_.wake_one();
  }
}

// --- Event

void Event::set() noexcept {
  if (!set_) {
    set_ = true;
    waiters_.wake_all();
  }
}

// --- Semaphore

Semaphore::Semaphore(std::ptrdiff_t value) : permits_(static_cast<std::size_t>(value)) {
  if (value < 0) {
    throw std::invalid_argument("Semaphore: the initial value must not be negative");
  }
}

BoundedSemaphore::BoundedSemaphore(std::ptrdiff_t value) : Semaphore(value) { bound_to_value(); }

void Semaphore::release() {
  if (unclaimed() >= bound_) {
    throw RuntimeError("BoundedSemaphore.release: released too many times");
  }
  release_held();
}

void Semaphore::release_held() noexcept {
  if (unclaimed() < bound_) {
    ++permits_;
    waiters_.wake_one();
  }
}

void Semaphore::pass_on() noexcept {
  while (unclaimed() != 0 && waiters_.wake_one() != nullptr) {
  }
}

// --- Condition

void Condition::notify(std::size_t count) {
  if (!locked()) {
    throw RuntimeError("Condition.notify: the lock is not acquired");
  }
  wake(count);
}

void Condition::notify_all() { notify(waiters_.waiting()); }

void Condition::wake(std::size_t count) noexcept {
  for (; count != 0; --count) {
    detail::Waiter* const waiter = waiters_.wake_one();
    if (waiter == nullptr) {
      return;
    }
    static_cast<detail::ConditionAwaiter&>(*waiter).notified_ = true;
  }
}

namespace detail {

bool ConditionAwaiter::await_ready() const {
  if (!lock_->locked()) {
    throw RuntimeError("Condition.wait: the lock is not acquired");
  }
  return false;
}

// Nothing has changed when this throws.
void ConditionAwaiter::release_lock(const TaskBase& task) {
  lock_->binding_.bind(task, awaits);
  condition_->binding_.bind(task, awaits);
  look_ = &acquire_again;
  lock_->release_held();
}

// Also when it is cancelled it has to get the lock first. It stays in the condition's queue meanwhile, and so
// learns of its end; once it waits for the lock, a cancellation does not cost it its place there.
bool ConditionAwaiter::cancel_wait(CancelHook& hook, std::string_view) noexcept {
  auto& self = static_cast<ConditionAwaiter&>(static_cast<SyncAwaiter&>(hook));
  if (self.linked() && !self.woken()) {
    self.task_->interrupted();
    self.condition_->waiters_.wake(self);
  }
  return false;
}

void ConditionAwaiter::acquire_again(Waiter& waiter) noexcept {
  auto& self = static_cast<ConditionAwaiter&>(waiter);
  if (self.task_->must_cancel()) {
    self.task_->interrupted();
  }
  const bool lock_is_gone = self.owns_lock_ && !self.linked();
  if (!lock_is_gone && !self.lock_->try_take()) {
    self.in_lock_.task_ = self.task_;
    self.lock_->waiters_.push(self.in_lock_);
    return;
  }
  self.holds_ = !lock_is_gone;
  self.resume_now();
}

void ConditionAwaiter::await_resume() {
  if (in_lock_.linked()) {
    in_lock_.unlink();
    lock_->locked_ = true;
    holds_ = true;
  }
  if (!leave()) {
    if (notified_) {
      condition_->wake(1);
    }
    task_->throw_if_cancelled();
  }
  if (!holds_) {
    throw RuntimeError("Condition.wait: its lock was destroyed");
  }
}

}  // namespace detail

// --- Barrier

Barrier::Barrier(std::ptrdiff_t parties) : parties_(static_cast<std::size_t>(parties)) {
  if (parties < 1) {
    throw std::invalid_argument("Barrier: there must be one party at least");
  }
}

void Barrier::reset() noexcept {
  broken_ = false;
  break_waiters();
}

void Barrier::abort() noexcept {
  broken_ = true;
  break_waiters();
}

// They find broken_index.
void Barrier::break_waiters() noexcept { waiters_.wake_all(); }

namespace detail {

bool BarrierAwaiter::await_ready() {
  if (barrier_->broken_) {
    throw BrokenBarrierError("Barrier.wait: the barrier is broken");
  }
  if (barrier_->n_waiting() + 1 < barrier_->parties_) {
    return false;
  }
  index_ = 0;
  while (Waiter* const waiter = barrier_->waiters_.wake_one()) {
    static_cast<BarrierAwaiter&>(*waiter).index_ = index_++;
  }
  return true;
}

std::size_t BarrierAwaiter::await_resume() {
  if (suspended() && !leave()) {
    task_->throw_if_cancelled();
  }
  if (index_ == broken_index) {
    throw BrokenBarrierError("Barrier.wait: aborted or reset while the task waited");
  }
  return index_;
}

}  // namespace detail
}  // namespace weir::inline WEIR_ABI
