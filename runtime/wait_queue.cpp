// WaitQueue, and what the awaiters of primitives and queues share.
#include "runtime/loop_access.hpp"
#include "runtime/running.hpp"

#include <weir/detail/sync_awaiter.hpp>
#include <weir/detail/wait_queue.hpp>
#include <weir/exceptions.hpp>

#include <string>

namespace weir::inline WEIR_ABI::detail {

void LoopBinding::bind(const TaskBase& task, const char* call) {
  if (loop_number_ == 0) {
    loop_number_ = task.loop_number();
  } else if (loop_number_ != task.loop_number()) {
    throw RuntimeError(std::string(call) + ": bound to a different event loop");
  }
}

// --- Waiter

Waiter::~Waiter() { unlink(); }

void Waiter::unlink() noexcept {
  if (queue_ != nullptr) {
    queue_->erase(*this);
  }
}

void Waiter::schedule() noexcept {
  EventLoop& loop = task_->get_loop();
  if (LoopAccess::is_closing(loop)) {
    return;
  }
  if (look_ != nullptr) {
    LoopAccess::ready(loop).push(&run_look, this);
  } else {
    task_->wake();
  }
}

void Waiter::run_look(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action) {
  if (action == ReadyAction::run) {
    auto& self = *static_cast<Waiter*>(object);
    self.look_(self);
  }
}

void Waiter::resume_now() noexcept { run_task(task_, 0, 0, ReadyAction::run); }

// --- WaitQueue

WaitQueue::~WaitQueue() {
  while (first_ != nullptr) {
    Waiter& waiter = *first_;
    erase(waiter);
    if (!waiter.woken_) {
      waiter.schedule();
    }
  }
}

void WaitQueue::push(Waiter& waiter) noexcept {
  waiter.queue_ = this;
  waiter.woken_ = false;
  waiter.previous_ = last_;
  waiter.next_ = nullptr;
  (last_ != nullptr ? last_->next_ : first_) = &waiter;
  last_ = &waiter;
  ++size_;
  if (first_waiting_ == nullptr) {
    first_waiting_ = &waiter;
  }
}

void WaitQueue::erase(Waiter& waiter) noexcept {
  if (first_waiting_ == &waiter) {
    first_waiting_ = skip_woken(waiter.next_);
  }
  (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
  (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
  waiter.queue_ = nullptr;
  --size_;
  woken_ -= waiter.woken_ ? 1 : 0;
}

Waiter* WaitQueue::wake_one() noexcept {
  Waiter* const waiter = first_waiting_;
  if (waiter != nullptr) {
    wake(*waiter);
  }
  return waiter;
}

void WaitQueue::wake_all() noexcept {
  while (wake_one() != nullptr) {
  }
}

void WaitQueue::wake(Waiter& waiter) noexcept {
  waiter.woken_ = true;
  ++woken_;
  if (first_waiting_ == &waiter) {
    first_waiting_ = skip_woken(waiter.next_);
  }
  waiter.schedule();
}

void WaitQueue::put_back(Waiter& waiter) noexcept {
  waiter.woken_ = false;
  --woken_;
  first_waiting_ = skip_woken(first_);
}

Waiter* WaitQueue::skip_woken(Waiter* waiter) noexcept {
  while (waiter != nullptr && waiter->woken_) {
    waiter = waiter->next_;
  }
  return waiter;
}

// --- SyncAwaiter

// Refuses in any case: the cancellation then waits in the task and is thrown by leave().
bool SyncAwaiter::cancel_wait(CancelHook& hook, std::string_view) noexcept {
  auto& self = static_cast<SyncAwaiter&>(hook);
  if (self.linked() && !self.woken()) {
    self.unlink();
    self.task_->interrupted();
    self.task_->wake();
  }
  return false;
}

bool SyncAwaiter::leave() {
  if (!linked()) {
    task_->throw_if_cancelled();
    throw RuntimeError(std::string(awaits) + ": destroyed while a task waited for it");
  }
  unlink();
  return !task_->must_cancel();
}

void FlagAwaiter::await_resume() {
  if (suspended() && !leave()) {
    task_->throw_if_cancelled();
  }
}

}  // namespace weir::inline WEIR_ABI::detail
