// ConcurrentFuture<T>: concurrent.futures.Future, the thread-safe one with a blocking get().
#pragma once

#include <weir/config.hpp>
#include <weir/detail/callback.hpp>
#include <weir/event_loop.hpp>
#include <weir/exceptions.hpp>
#include <weir/future.hpp>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

namespace detail {

// Now plus `timeout` on the system's steady clock, clamped.
WEIR_API TimePoint steady_deadline(Duration timeout) noexcept;

// The state without its type. Callbacks run on the thread that completes it, outside the lock.
class WEIR_API ConcurrentStateBase {
 public:
  ConcurrentStateBase() = default;
  ConcurrentStateBase(const ConcurrentStateBase&) = delete;
  ConcurrentStateBase& operator=(const ConcurrentStateBase&) = delete;

  bool done() const;
  bool cancelled() const;
  bool cancel();
  void set_exception(std::exception_ptr exception);
  // False when it is done already.
  bool try_set_exception(std::exception_ptr exception);
  // True when it is done by then.
  bool wait_until(TimePoint deadline) const;
  void wait() const;
  void throw_unless_value() const;
  std::exception_ptr exception() const;
  void add_done_callback(Callback callback);

 protected:
  ~ConcurrentStateBase() = default;
  // Enters a final state; `fill` stores the value under the lock. False when it is done already.
  bool complete(FutureStatus status, UniqueFunction<void()> fill);

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  FutureStatus status_ = FutureStatus::pending;
  std::exception_ptr exception_;
  std::vector<Callback> callbacks_;
};

template <class T>
class ConcurrentState final : public ConcurrentStateBase {
 public:
  template <class... U>
  bool set_value(U&&... value_arguments) {
    return complete(FutureStatus::value, [&] { value.emplace(std::forward<U>(value_arguments)...); });
  }
  std::optional<StoredResult<T>> value;
};

// Ties a loop future to a thread future without a reference that another thread could drop: `future` is read
// and cleared on the loop's thread only.
struct FutureLink {
  FutureBase* future;
  LoopRemote remote;
};

// Part of a done-callback of the linked future: whatever becomes of the callback, the link ends with it.
class LinkEnd {
 public:
  explicit LinkEnd(std::shared_ptr<FutureLink> link) noexcept : link_(std::move(link)) {}
  LinkEnd(LinkEnd&&) noexcept = default;
  LinkEnd& operator=(LinkEnd&&) = delete;
  ~LinkEnd() {
    if (link_) {
      link_->future = nullptr;
    }
  }

 private:
  std::shared_ptr<FutureLink> link_;
};

// Cancels the linked future on its loop; does nothing when either is gone. Any thread.
WEIR_API void cancel_linked(const std::shared_ptr<FutureLink>& link) noexcept;

}  // namespace detail

// A handle; copies share the state. Every function may be called from any thread.
template <class T>
class ConcurrentFuture {
 public:
  // A pending one.
  ConcurrentFuture() : state_(std::make_shared<detail::ConcurrentState<T>>()) {}

  bool done() const { return state_->done(); }
  bool cancelled() const { return state_->cancelled(); }
  // Cancels it; false when it is done already (cancel). One made by run_coroutine_threadsafe cancels its
  // task.
  bool cancel() const { return state_->cancel(); }
  // Blocks until it is done, then gives a copy of the value, rethrows its exception or throws CancelledError
  // (result). Not to be called on a loop's thread.
  T get() const& {
    state_->wait();
    state_->throw_unless_value();
    if constexpr (!std::is_void_v<T>) {
      return *state_->value;
    }
  }
  // The same, moving the value out: the last access to it through any copy of the handle.
  T get() && {
    state_->wait();
    state_->throw_unless_value();
    if constexpr (!std::is_void_v<T>) {
      return std::move(*state_->value);
    }
  }
  // The same, but throws TimeoutError when it is not done after `timeout` of real time (result(timeout)).
  T get_for(Duration timeout) const& {
    throw_unless_done_in(timeout);
    return get();
  }
  // The same, moving the value out.
  T get_for(Duration timeout) && {
    throw_unless_done_in(timeout);
    return std::move(*this).get();
  }
  // Blocks until it is done or `timeout` of real time is over; true when it is done.
  bool wait_for(Duration timeout) const { return state_->wait_until(detail::steady_deadline(timeout)); }
  // The exception it failed with, or null; blocks until it is done (exception).
  std::exception_ptr exception() const {
    state_->wait();
    return state_->exception();
  }
  // Completes it. Throws InvalidStateError when it is done.
  template <class U = T>
    requires(!std::is_void_v<T>)
  void set_result(U&& value) const {
    if (!state_->set_value(std::forward<U>(value))) {
      throw InvalidStateError("ConcurrentFuture::set_result: it is done already");
    }
  }
  void set_result() const
    requires std::is_void_v<T>
  {
    if (!state_->set_value()) {
      throw InvalidStateError("ConcurrentFuture::set_result: it is done already");
    }
  }
  void set_exception(std::exception_ptr exception) const { state_->set_exception(std::move(exception)); }
  // Calls `callback` once when it is done, on the thread that completes it, or here when it is done already.
  // It must not throw.
  void add_done_callback(detail::Callback callback) const { state_->add_done_callback(std::move(callback)); }

  // For weir's own rooms.
  const std::shared_ptr<detail::ConcurrentState<T>>& state() const noexcept { return state_; }

 private:
  void throw_unless_done_in(Duration timeout) const {
    if (!wait_for(timeout)) {
      throw TimeoutError("ConcurrentFuture::get_for: timed out");
    }
  }

  std::shared_ptr<detail::ConcurrentState<T>> state_;
};

}  // namespace weir::inline WEIR_ABI
