// QueueBase and its awaiters: who of those that wait at a queue goes on, and when.
#include "runtime/loop_access.hpp"

#include <weir/detail/queue_base.hpp>
#include <weir/exceptions.hpp>

namespace weir::inline WEIR_ABI::detail {

void QueueBase::task_done() {
  if (unfinished_ == 0) {
    throw RuntimeError("Queue.task_done: called too many times");
  }
  if (--unfinished_ == 0) {
    finished_ = true;
    joiners_.wake_all();
  }
}

void QueueBase::check_get_now() const {
  if (size_ == 0) {
    if (shut_down_) {
      throw QueueShutDown("Queue.get_nowait: the queue was shut down");
    }
    throw QueueEmpty("Queue.get_nowait: the queue is empty");
  }
}

void QueueBase::check_put_now() const {
  if (shut_down_) {
    throw QueueShutDown("Queue.put_nowait: the queue was shut down");
  }
  if (full()) {
    throw QueueFull("Queue.put_nowait: the queue is full");
  }
}

void QueueBase::added() noexcept {
  ++size_;
  ++unfinished_;
  finished_ = false;
  serve();
}

void QueueBase::taken() noexcept {
  --size_;
  serve();
}

void QueueBase::serve() noexcept {
  while ((getters_.woken() < size_ || (shut_down_ && size_ == 0)) && getters_.wake_one() != nullptr) {
  }
  while ((putters_.woken() < room() || shut_down_) && putters_.wake_one() != nullptr) {
  }
}

void QueueBase::shut_down(bool immediate) noexcept {
  shut_down_ = true;
  if (immediate) {
    unfinished_ -= size_ < unfinished_ ? size_ : unfinished_;
    size_ = 0;
    if (unfinished_ == 0) {
      finished_ = true;
      joiners_.wake_all();
    }
  }
  serve();
}

// --- get

bool GetAwaiterBase::await_ready() const {
  if (queue_->size_ != 0) {
    return queue_->getters_.empty();
  }
  if (queue_->shut_down_) {
    throw QueueShutDown("Queue.get: the queue was shut down");
  }
  return false;
}

// get_nowait() may have taken the item for which it was woken.
void GetAwaiterBase::look_again(Waiter& waiter) noexcept {
  auto& self = static_cast<GetAwaiterBase&>(waiter);
  if (!self.linked() || self.task_->must_cancel() || self.queue_->may_get(self)) {
    self.resume_now();
    return;
  }
  self.queue_->getters_.put_back(self);
  self.queue_->serve();
}

void GetAwaiterBase::finish() {
  if (!suspended()) {
    return;
  }
  if (!leave()) {
    queue_->serve();
    task_->throw_if_cancelled();
  }
  if (queue_->size_ == 0) {
    throw QueueShutDown("Queue.get: the queue was shut down");
  }
}

// --- put

bool PutAwaiterBase::await_ready() const {
  if (queue_->shut_down_) {
    throw QueueShutDown("Queue.put: the queue was shut down");
  }
  return !queue_->full() && queue_->putters_.empty();
}

// put_nowait() may have filled the room for which it was woken.
void PutAwaiterBase::look_again(Waiter& waiter) noexcept {
  auto& self = static_cast<PutAwaiterBase&>(waiter);
  if (!self.linked() || self.task_->must_cancel() || self.queue_->may_put(self)) {
    self.resume_now();
    return;
  }
  self.queue_->putters_.put_back(self);
  self.queue_->serve();
}

void PutAwaiterBase::finish() {
  if (!suspended()) {
    return;
  }
  if (!leave()) {
    queue_->serve();
    task_->throw_if_cancelled();
  }
  if (queue_->shut_down_) {
    throw QueueShutDown("Queue.put: the queue was shut down");
  }
}

}  // namespace weir::inline WEIR_ABI::detail
