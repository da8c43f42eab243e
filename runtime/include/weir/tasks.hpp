// Functions around tasks and futures, named as asyncio's module-level ones.
#pragma once

#include <weir/concurrent_future.hpp>
#include <weir/config.hpp>
#include <weir/context.hpp>
#include <weir/event_loop.hpp>
#include <weir/policy.hpp>

#include <chrono>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

namespace detail {

// What sleep() returns.
class WEIR_API SleepAwaiter : public AwaiterBase, private CancelHook {
 public:
  explicit SleepAwaiter(Duration delay) noexcept : CancelHook(&cancel_sleep, "sleep"), delay_(delay) {}
  SleepAwaiter(SleepAwaiter&&) noexcept = default;  // until it is awaited

  bool await_ready() const noexcept { return false; }
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    task_ = coroutine.promise().task;
    begin();
    task_->suspend(coroutine, coroutine.promise(), *this);
  }
  void await_resume() { task_->throw_if_cancelled(); }

 private:
  static bool cancel_sleep(CancelHook& hook, std::string_view message) noexcept;
  // Starts the timer, or queues the task for the next turn when there is nothing to wait for.
  void begin();

  Duration delay_;
  TaskBase* task_ = nullptr;
  TimerHandle timer_;
};

template <class T>
class SleepValueAwaiter : public SleepAwaiter {
 public:
  SleepValueAwaiter(Duration delay, T value) : SleepAwaiter(delay), value_(std::move(value)) {}
  T await_resume() {
    SleepAwaiter::await_resume();
    return std::move(value_);
  }

 private:
  T value_;
};

template <class A>
using AwaitResult = std::remove_cvref_t<decltype(std::declval<A&>().await_resume())>;

template <class A>
Coro<AwaitResult<A>> await_in_coro(A awaiter) {
  co_return co_await awaiter;
}

}  // namespace detail

// co_await suspends the task for at least `delay`; for zero or less it yields once (asyncio.sleep).
template <class Rep, class Period>
detail::SleepAwaiter sleep(std::chrono::duration<Rep, Period> delay) {
  return detail::SleepAwaiter(detail::to_duration(delay, "sleep"));
}
// The same; co_await gives `value`.
template <class Rep, class Period, class T>
detail::SleepValueAwaiter<T> sleep(std::chrono::duration<Rep, Period> delay, T value) {
  return detail::SleepValueAwaiter<T>(detail::to_duration(delay, "sleep"), std::move(value));
}

// The task that runs now in this thread's running loop; null in a plain callback (current_task). Throws
// RuntimeError when no loop runs.
WEIR_API Ref<TaskBase> current_task();
// The task that runs now on `loop`, or null.
WEIR_API Ref<TaskBase> current_task(EventLoop& loop) noexcept;
// The tasks of the running loop (or of `loop`) that are not done, oldest first (all_tasks). Throws
// RuntimeError when no loop runs.
WEIR_API std::vector<Ref<TaskBase>> all_tasks();
WEIR_API std::vector<Ref<TaskBase>> all_tasks(EventLoop& loop);

// Starts a task on the running loop (asyncio.create_task). Throws RuntimeError when no loop runs.
template <class T>
Task<T> create_task(Coro<T> coro, TaskOptions options = {},
                    std::source_location where = std::source_location::current()) {
  return detail::running_loop_for("create_task").create_task(std::move(coro), options, where);
}

// Gives tasks and futures back unchanged and wraps a coroutine in a task (ensure_future). `loop`: null means
// the future's own, or the running one. Throws std::invalid_argument when a future belongs to another loop.
template <class T>
Future<T> ensure_future(Future<T> future, EventLoop* loop = nullptr) {
  detail::check_same_loop(*future.base(), loop, "ensure_future");
  return future;
}
template <class T>
Task<T> ensure_future(Task<T> task, EventLoop* loop = nullptr) {
  detail::check_same_loop(*task.base(), loop, "ensure_future");
  return task;
}
// Any other awaitable of weir is wrapped in a task too.
template <std::derived_from<detail::AwaiterBase> A>
Task<detail::AwaitResult<A>> ensure_future(A awaiter, EventLoop* loop = nullptr,
                                           std::source_location where = std::source_location::current()) {
  EventLoop& target = loop != nullptr ? *loop : detail::running_loop_for("ensure_future");
  return target.create_task(detail::await_in_coro(std::move(awaiter)), {}, where);
}
template <class T>
Task<T> ensure_future(Coro<T> coro, EventLoop* loop = nullptr,
                      std::source_location where = std::source_location::current()) {
  EventLoop& target = loop != nullptr ? *loop : detail::running_loop_for("ensure_future");
  return target.create_task(std::move(coro), {}, where);
}

namespace detail {

// Cancels the thread future when it is destroyed before it was given an outcome: the loop closed.
template <class T>
class CancelUnlessDone {
 public:
  explicit CancelUnlessDone(std::shared_ptr<ConcurrentState<T>> state) noexcept : state_(std::move(state)) {}
  CancelUnlessDone(CancelUnlessDone&&) noexcept = default;
  CancelUnlessDone& operator=(CancelUnlessDone&&) = delete;
  ~CancelUnlessDone() {
    if (state_) {
      state_->cancel();
    }
  }
  ConcurrentState<T>* operator->() const noexcept { return state_.get(); }
  const std::shared_ptr<ConcurrentState<T>>& state() const noexcept { return state_; }

 private:
  std::shared_ptr<ConcurrentState<T>> state_;
};

// `to` may be done by the time: another thread cancels it when it likes.
template <class T>
void copy_outcome(const Future<T>& from, ConcurrentState<T>& to) {
  if (from.cancelled()) {
    to.cancel();
  } else if (std::exception_ptr exception = from.exception()) {
    to.try_set_exception(std::move(exception));
  } else if constexpr (std::is_void_v<T>) {
    to.set_value();
  } else if constexpr (std::is_copy_constructible_v<T>) {
    to.set_value(from.result());
  } else {
    to.set_value(std::move(*stored_result<T>(*from.base())));
  }
}

// `to` ends as `from` does, and cancelling `to` cancels `from`. On the loop's thread.
template <class T>
void chain_to_thread(const Future<T>& from, CancelUnlessDone<T> to) {
  auto link = std::make_shared<FutureLink>(FutureLink{from.base().get(), from.get_loop().remote()});
  ConcurrentState<T>* state = to.state().get();
  std::shared_ptr<ConcurrentState<T>> keep = to.state();
  from.add_done_callback([to = std::move(to), end = LinkEnd(link)](const Future<T>& done) {
    if (!to->done()) {
      copy_outcome(done, *to.state());
    }
  });
  keep->add_done_callback([link, state] {
    if (state->cancelled()) {
      cancel_linked(link);
    }
  });
}

template <class T>
void take_outcome(ConcurrentState<T>& from, FutureBase& to) {
  if (from.cancelled()) {
    to.cancel();
    return;
  }
  std::exception_ptr exception = from.exception();
  if (!exception) {
    try {
      if constexpr (std::is_copy_constructible_v<StoredResult<T>>) {
        stored_result<T>(to).emplace(*from.value);
      } else {
        stored_result<T>(to).emplace(std::move(*from.value));
      }
      to.complete_value();
      return;
    } catch (...) {
      exception = std::current_exception();
    }
  }
  to.set_exception(std::move(exception));
}

// The other way round.
template <class T>
void chain_to_loop(const std::shared_ptr<ConcurrentState<T>>& from, const Future<T>& to) {
  auto link = std::make_shared<FutureLink>(FutureLink{to.base().get(), to.get_loop().remote()});
  to.add_done_callback([from, end = LinkEnd(link)](const Future<T>& done) {
    if (done.cancelled()) {
      from->cancel();
    }
  });
  from->add_done_callback([link, weak = std::weak_ptr<ConcurrentState<T>>(from)] {
    auto state = weak.lock();
    try {
      link->remote.post([link, state] {
        if (link->future == nullptr || link->future->done()) {
          return;
        }
        take_outcome(*state, *link->future);
      });
    } catch (const RuntimeError&) {
      // The loop is closed; nobody waits there any more.
    }
  });
}

}  // namespace detail

// A loop future that follows a thread future: value, exception and cancellation travel both ways
// (wrap_future). A move-only value moves out of the thread future. The thread future does not keep the loop's
// alive: done-callbacks of one that nobody holds or awaits are dropped. `loop`: null means the running one.
template <class T>
Future<T> wrap_future(const ConcurrentFuture<T>& future, EventLoop* loop = nullptr) {
  EventLoop& target = loop != nullptr ? *loop : detail::running_loop_for("wrap_future");
  Future<T> wrapped(target);
  detail::chain_to_loop<T>(future.state(), wrapped);
  return wrapped;
}
// A loop future is returned as it is.
template <class T>
Future<T> wrap_future(Future<T> future, EventLoop* loop = nullptr) {
  detail::check_same_loop(*future.base(), loop, "wrap_future");
  return future;
}

// Starts the coroutine on `loop` from any other thread (run_coroutine_threadsafe). Cancelling the result
// cancels the task. Throws RuntimeError when the loop is closed; a loop that closes before the coroutine
// ended cancels the result.
template <class T>
ConcurrentFuture<T> run_coroutine_threadsafe(Coro<T> coro, EventLoop& loop) {
  ConcurrentFuture<T> result;
  loop.call_soon_threadsafe(
      [coro = std::move(coro), state = detail::CancelUnlessDone<T>(result.state()), loop = &loop]() mutable {
        if (state->cancelled()) {
          coro.take().destroy();  // on purpose: not to be reported as one that was forgotten
          return;
        }
        const std::shared_ptr<detail::ConcurrentState<T>> outcome = state.state();
        try {
          Task<T> task = loop->create_task(std::move(coro));
          detail::chain_to_thread<T>(task, std::move(state));
        } catch (...) {
          outcome->try_set_exception(std::current_exception());
        }
      });
  return result;
}

// Calls function(arguments...) on a thread of the default executor, in a copy of the caller's context
// (to_thread).
template <class F, class... Args>
Coro<std::invoke_result_t<std::decay_t<F>&, std::decay_t<Args>&...>> to_thread(F function,
                                                                               Args... arguments) {
  EventLoop& loop = detail::running_loop_for("to_thread");
  Context context = copy_context().cross_thread_copy();
  auto job = [context = std::move(context), function = std::move(function),
              arguments = std::tuple<Args...>(std::move(arguments)...)]() mutable {
    return context.run([&]() -> decltype(auto) { return std::apply(function, arguments); });
  };
  auto future = loop.run_in_executor(nullptr, std::move(job));
  co_return co_await std::move(future);
}

}  // namespace weir::inline WEIR_ABI
