// The untyped state of ConcurrentFuture: the one place of runtime/ where threads block on each other.
#include <weir/concurrent_future.hpp>

#include <utility>

namespace weir::inline WEIR_ABI::detail {

TimePoint steady_deadline(Duration timeout) noexcept {
  return add_clamped(std::chrono::steady_clock::now(), timeout);
}

bool ConcurrentStateBase::done() const {
  const std::lock_guard lock(mutex_);
  return status_ != FutureStatus::pending;
}

bool ConcurrentStateBase::cancelled() const {
  const std::lock_guard lock(mutex_);
  return status_ == FutureStatus::cancelled;
}

bool ConcurrentStateBase::complete(FutureStatus status, UniqueFunction<void()> fill) {
  std::vector<Callback> callbacks;
  {
    const std::lock_guard lock(mutex_);
    if (status_ != FutureStatus::pending) {
      return false;
    }
    if (fill) {
      fill();
    }
    status_ = status;
    callbacks.swap(callbacks_);
    changed_.notify_all();
  }
  for (Callback& callback : callbacks) {
    callback();
  }
  return true;
}

bool ConcurrentStateBase::cancel() { return complete(FutureStatus::cancelled, {}); }

void ConcurrentStateBase::set_exception(std::exception_ptr exception) {
  if (!exception) {
    throw std::invalid_argument("ConcurrentFuture::set_exception: the exception is null");
  }
  if (!try_set_exception(std::move(exception))) {
    throw InvalidStateError("ConcurrentFuture::set_exception: it is done already");
  }
}

bool ConcurrentStateBase::try_set_exception(std::exception_ptr exception) {
  return complete(FutureStatus::exception, [&] { exception_ = std::move(exception); });
}

void ConcurrentStateBase::wait() const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return status_ != FutureStatus::pending; });
}

bool ConcurrentStateBase::wait_until(TimePoint deadline) const {
  std::unique_lock lock(mutex_);
  const auto is_done = [this] { return status_ != FutureStatus::pending; };
  if (deadline == TimePoint::max()) {
    changed_.wait(lock, is_done);
    return true;
  }
  return changed_.wait_until(lock, deadline, is_done);
}

void ConcurrentStateBase::throw_unless_value() const {
  const std::lock_guard lock(mutex_);
  if (status_ == FutureStatus::cancelled) {
    throw CancelledError();
  }
  if (status_ == FutureStatus::exception) {
    std::rethrow_exception(exception_);
  }
  if (status_ == FutureStatus::pending) {
    throw InvalidStateError("ConcurrentFuture: it is not done");
  }
}

std::exception_ptr ConcurrentStateBase::exception() const {
  const std::lock_guard lock(mutex_);
  if (status_ == FutureStatus::cancelled) {
    throw CancelledError();
  }
  return exception_;
}

void ConcurrentStateBase::add_done_callback(Callback callback) {
  {
    const std::lock_guard lock(mutex_);
    if (status_ == FutureStatus::pending) {
      callbacks_.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

void cancel_linked(const std::shared_ptr<FutureLink>& link) noexcept {
  try {
    link->remote.post([link] {
      if (link->future != nullptr) {
        link->future->cancel();
      }
    });
  } catch (...) {
    // The loop is closed: there is nothing left to cancel.
  }
}

}  // namespace weir::inline WEIR_ABI::detail
