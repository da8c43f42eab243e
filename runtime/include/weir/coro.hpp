// Coro<T>: what an `async def` returns. Lazy and move-only: nothing runs until it is awaited or given to
// create_task.
#pragma once

#include <weir/config.hpp>
#include <weir/future.hpp>
#include <weir/task_base.hpp>

#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

template <class T>
class CoroPromise;
template <class T>
class CoroAwaiter;

// Is the exception being handled a cancellation? Answered without rethrowing it.
WEIR_API bool current_exception_is_cancellation() noexcept;
WEIR_API void report_never_awaited(const std::source_location& where) noexcept;
[[noreturn]] WEIR_API void throw_already_awaited();

// Resumes whoever awaited the coroutine that ended; the end of the outermost one ends the task.
struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> ended) const noexcept {
    PromiseBase& promise = ended.promise();
    if (promise.continuation) {
      return promise.continuation;
    }
    promise.task->root_done();
    return std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

// Stands for an awaiter that lives elsewhere, at least as long as the co_await expression: g++ 12 would copy
// it otherwise.
template <class A>
class AwaiterReference {
 public:
  explicit AwaiterReference(A& awaiter) noexcept : awaiter_(&awaiter) {}
  bool await_ready() { return awaiter_->await_ready(); }
  template <class P>
  decltype(auto) await_suspend(std::coroutine_handle<P> coroutine) {
    return awaiter_->await_suspend(coroutine);
  }
  decltype(auto) await_resume() { return awaiter_->await_resume(); }

 private:
  A* awaiter_;
};

// What may stand behind co_await in a coroutine of weir, and what becomes of it.
struct AwaitTransform : PromiseBase {
  template <class U>
  CoroAwaiter<U> await_transform(Coro<U>&& coro, std::source_location at = std::source_location::current()) {
    where = at;
    return CoroAwaiter<U>(coro.take());
  }
  template <class U>
  CoroAwaiter<U> await_transform(Coro<U>& coro, std::source_location at = std::source_location::current()) {
    where = at;
    return CoroAwaiter<U>(coro.take());
  }
  template <class U>
  FutureAwaiter<U, false> await_transform(const Future<U>& future,
                                          std::source_location at = std::source_location::current()) {
    where = at;
    return FutureAwaiter<U, false>(*future.base());
  }
  template <class U>
  FutureAwaiter<U, true> await_transform(Future<U>&& future,
                                         std::source_location at = std::source_location::current()) {
    where = at;
    return FutureAwaiter<U, true>(*future.base());
  }
  template <std::derived_from<AwaiterBase> A>
  AwaiterReference<A> await_transform(A&& awaiter,
                                      std::source_location at = std::source_location::current()) {
    where = at;
    return AwaiterReference<A>(awaiter);
  }
  template <class A>
    requires std::derived_from<A, AwaiterBase>
  AwaiterReference<A> await_transform(A& awaiter, std::source_location at = std::source_location::current()) {
    where = at;
    return AwaiterReference<A>(awaiter);
  }
};

template <class T>
class PromiseResult : public AwaitTransform {
 public:
  template <class U = T>
    requires std::convertible_to<U&&, T>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T take_value() { return std::move(*value_); }

 private:
  std::optional<T> value_;
};

template <class T>
class PromiseResult<T&> : public AwaitTransform {
 public:
  void return_value(T& value) noexcept { value_ = &value; }
  T& take_value() noexcept { return *value_; }

 private:
  T* value_ = nullptr;
};

template <>
class PromiseResult<void> : public AwaitTransform {
 public:
  void return_void() noexcept {}
  void take_value() noexcept {}
};

template <class T>
class CoroPromise final : public PromiseResult<T> {
 public:
  Coro<T> get_return_object(std::source_location at = std::source_location::current()) noexcept {
    this->where = at;
    return Coro<T>(std::coroutine_handle<CoroPromise>::from_promise(*this));
  }
  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept {
    exception_ = std::current_exception();
    is_cancellation_ = current_exception_is_cancellation();
  }

  const std::exception_ptr& exception() const noexcept { return exception_; }
  bool is_cancellation() const noexcept { return is_cancellation_; }
  // The value, or the exception thrown again.
  T take() {
    if (exception_) [[unlikely]] {
      std::rethrow_exception(std::move(exception_));
    }
    return this->take_value();
  }

 private:
  std::exception_ptr exception_;
  bool is_cancellation_ = false;
};

// Owns a child coroutine while its parent awaits it.
template <class T>
class CoroAwaiter {
 public:
  explicit CoroAwaiter(std::coroutine_handle<CoroPromise<T>> child) noexcept : child_(child), frame_(child) {}
  CoroAwaiter(const CoroAwaiter&) = delete;
  ~CoroAwaiter() {
    if (frame_) {
      frame_.destroy();
    }
  }

  bool await_ready() const noexcept { return false; }
  template <std::derived_from<PromiseBase> P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> parent) noexcept {
    PromiseBase& promise = child_.promise();
    promise.task = parent.promise().task;
    promise.parent = &parent.promise();
    promise.continuation = parent;
    promise.owner_slot = &frame_;
    return child_;
  }
  T await_resume() { return child_.promise().take(); }

 private:
  std::coroutine_handle<CoroPromise<T>> child_;
  std::coroutine_handle<> frame_;  // null once the loop has destroyed the frame
};

}  // namespace detail

// The coroutine object. A function becomes a coroutine of weir by returning Coro<T> and using co_await or
// co_return. T may be void or a reference. A coroutine that was never started is destroyed with its
// arguments; debug mode reports it.
template <class T = void>
class [[nodiscard("a Coro does nothing until it is awaited or given to create_task")]] Coro {
 public:
  using promise_type = detail::CoroPromise<T>;
  using value_type = T;

  Coro(Coro&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Coro& operator=(Coro&& other) noexcept {
    Coro(std::move(other)).swap(*this);
    return *this;
  }
  ~Coro() {
    if (frame_) {
      detail::report_never_awaited(frame_.promise().where);
      frame_.destroy();
    }
  }

  // Is there a coroutine that has not been started?
  explicit operator bool() const noexcept { return static_cast<bool>(frame_); }
  // The place of the coroutine function.
  std::source_location where() const noexcept {
    return frame_ ? frame_.promise().where : std::source_location();
  }
  void swap(Coro& other) noexcept { std::swap(frame_, other.frame_); }

  // For weir's own rooms: gives the frame away. Throws RuntimeError when it has been awaited before.
  std::coroutine_handle<promise_type> take() {
    if (!frame_) {
      detail::throw_already_awaited();
    }
    return std::exchange(frame_, nullptr);
  }

 private:
  friend promise_type;
  explicit Coro(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

  std::coroutine_handle<promise_type> frame_;
};

}  // namespace weir::inline WEIR_ABI
