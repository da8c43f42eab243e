// Future<T>: asyncio.Future. A cheap handle; copies share the state. Not thread-safe: use it on its loop's
// thread, and ConcurrentFuture between threads.
#pragma once

#include <weir/config.hpp>
#include <weir/future_base.hpp>
#include <weir/task_base.hpp>

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

struct Unit {
  friend bool operator==(const Unit&, const Unit&) = default;
};
template <class T>
using StoredResult = std::conditional_t<std::is_void_v<T>, Unit, T>;

// A future's or task's shared state with the room for its result.
template <class Base, class T>
class ResultState : public Base {
 public:
  using Base::Base;
  std::optional<StoredResult<T>> value;
};

template <class T>
class FutureState final : public ResultState<FutureBase, T> {
 public:
  FutureState(EventLoop& loop, std::source_location where) : ResultState<FutureBase, T>(loop, kind, where) {}

 private:
  static void destroy(FutureBase& self) noexcept { delete_block(static_cast<FutureState*>(&self)); }
  static constexpr FutureKind kind{.destroy = &destroy};
};

template <class T>
class TaskState;
struct FutureAccess;  // gather.hpp

template <class T>
std::optional<StoredResult<T>>& stored_result(FutureBase& state) noexcept {
  if (state.is_task()) {
    return static_cast<ResultState<TaskBase, T>&>(static_cast<TaskBase&>(state)).value;
  }
  return static_cast<ResultState<FutureBase, T>&>(state).value;
}

// The value, moved out or copied, or the exception thrown again.
template <class T, bool moves>
T get_result(FutureBase& state) {
  state.throw_unless_value();
  if constexpr (!std::is_void_v<T>) {
    if constexpr (moves) {
      return std::move(*stored_result<T>(state));
    } else {
      return *stored_result<T>(state);
    }
  }
}

template <class T, bool moves>
class FutureAwaiter;

WEIR_API EventLoop& running_loop_for(const char* call);
WEIR_API bool spend_await_budget(EventLoop& loop) noexcept;
// May awaiting this future, which is done, go on without suspending? False when the task has had its share of
// these, and for a future of another loop, which the suspension refuses.
WEIR_API bool may_go_on(const FutureBase& done_future) noexcept;
// Throws std::invalid_argument when `wanted` is given and is not the loop of `future`.
WEIR_API void check_same_loop(const FutureBase& future, const EventLoop* wanted, const char* call);
[[noreturn]] WEIR_API void refuse_await(const FutureBase& future, const TaskBase& task);

}  // namespace detail

// The handle. T may be void, and must not be a reference.
template <class T>
class Future {
  static_assert(!std::is_reference_v<T>,
                "Future<T&> is not supported: use a pointer or std::reference_wrapper");

 public:
  using value_type = T;

  // A pending future of the running loop. Throws RuntimeError when no loop runs in this thread.
  Future() : Future(detail::running_loop_for("Future")) {}
  // A pending future of `loop` (EventLoop::create_future).
  explicit Future(EventLoop& loop, std::source_location where = std::source_location::current())
      : state_(detail::new_block<detail::FutureState<T>>(loop, where)) {}

  bool done() const noexcept { return state_->done(); }
  bool cancelled() const noexcept { return state_->cancelled(); }
  // See FutureBase::cancel.
  bool cancel(std::string_view message = {}) noexcept { return state_->cancel(message); }
  std::exception_ptr exception() const { return state_->exception(); }
  void set_exception(std::exception_ptr exception) const { state_->set_exception(std::move(exception)); }
  // Completes it with an exception object.
  template <class E>
    requires(!std::convertible_to<E, std::exception_ptr>)
  void set_exception(E&& exception) const {
    state_->set_exception(std::make_exception_ptr(std::forward<E>(exception)));
  }
  EventLoop& get_loop() const noexcept { return state_->get_loop(); }

  // Completes it with a value (Future.set_result). Throws InvalidStateError when it is done, RuntimeError for
  // a task.
  template <class U = T>
    requires(!std::is_void_v<T> && std::convertible_to<U &&, detail::StoredResult<T>>)
  void set_result(U&& value) const {
    state_->check_can_set("set_result");
    detail::stored_result<T>(*state_).emplace(std::forward<U>(value));
    state_->complete(detail::FutureStatus::value);
  }
  void set_result() const
    requires std::is_void_v<T>
  {
    state_->check_can_set("set_result");
    state_->complete(detail::FutureStatus::value);
  }

  // The value (Future.result). Rethrows the exception it failed with, any number of times; throws
  // CancelledError when it was cancelled and InvalidStateError while it is pending. The reference lives as
  // long as any handle on the future.
  std::add_lvalue_reference_t<const T> result() const {
    state_->throw_unless_value();
    if constexpr (!std::is_void_v<T>) {
      return *detail::stored_result<T>(*state_);
    }
  }

  // Calls `callback` in a later turn once the future is done (Future.add_done_callback), with this future if
  // it takes one argument. Callbacks run in the order of adding. One that captures its own future keeps it
  // alive until then; the argument does not. Throws std::invalid_argument when it is empty.
  template <class F>
    requires(std::invocable<std::decay_t<F>&, const Future&> || std::invocable<std::decay_t<F>&>)
  DoneCallbackToken add_done_callback(F&& callback, CallOptions options = {}) const {
    detail::check_not_empty(callback, "add_done_callback");
    if constexpr (std::invocable<std::decay_t<F>&, const Future&>) {
      // No reference is kept here: the future keeps itself alive until its callbacks have run.
      return state_->add_callback(
          [state = state_.get(), f = std::decay_t<F>(std::forward<F>(callback))]() mutable {
            f(Future(Ref<FutureBase>(state)));
          },
          options);
    } else {
      return state_->add_callback(detail::Callback(std::forward<F>(callback)), options);
    }
  }
  // See FutureBase::remove_done_callback.
  bool remove_done_callback(DoneCallbackToken token) const noexcept {
    return state_->remove_done_callback(token);
  }

  // The shared state, without its type.
  const Ref<FutureBase>& base() const noexcept { return state_; }
  friend bool operator==(const Future& a, const Future& b) noexcept { return a.state_ == b.state_; }

 protected:
  explicit Future(Ref<FutureBase> state) noexcept : state_(std::move(state)) {}

  Ref<FutureBase> state_;

  template <class>
  friend class Task;
  friend struct detail::FutureAccess;
};

namespace detail {

// What `co_await future` becomes. Awaiting an lvalue gives a copy of the value, awaiting an rvalue moves it
// out.
template <class T, bool moves>
class FutureAwaiter : private CancelHook, private WaitNode {
 public:
  explicit FutureAwaiter(FutureBase& state) noexcept
      : CancelHook(&cancel_future, state.is_task() ? "task" : "future",
                   state.may_outlive_cancel() ? &state : nullptr),
        WaitNode(&schedule_task),
        state_(&state) {}
  FutureAwaiter(const FutureAwaiter&) = delete;
  ~FutureAwaiter() {
    if (future != nullptr) {
      state_->unlink(*this);
    }
  }

  bool await_ready() const noexcept { return state_->done() && may_go_on(*state_); }

  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    task_ = coroutine.promise().task;
    check_awaitable();
    state_->link(*this);
    task_->suspend(coroutine, coroutine.promise(), *this);
  }

  T await_resume() const {
    if (task_ != nullptr) {
      task_->throw_if_cancelled();
    }
    return get_result<T, moves>(*state_);
  }

 private:
  static bool cancel_future(CancelHook& hook, std::string_view message) noexcept {
    return static_cast<FutureAwaiter&>(hook).state_->cancel(message);
  }
  static void schedule_task(WaitNode& node) noexcept { static_cast<FutureAwaiter&>(node).task_->wake(); }
  // Throws RuntimeError when the task awaits itself, or a future of another loop.
  void check_awaitable() const {
    if (state_.get() == task_ || state_->loop_number() != task_->loop_number()) [[unlikely]] {
      refuse_await(*state_, *task_);
    }
  }

  Ref<FutureBase> state_;
  TaskBase* task_ = nullptr;
};

}  // namespace detail
}  // namespace weir::inline WEIR_ABI
