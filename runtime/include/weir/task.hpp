// Task<T>: asyncio.Task, a Future<T> that runs a Coro<T>. Made by create_task; the loop keeps it alive until
// it is done.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/future.hpp>
#include <weir/task_base.hpp>

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

template <class T>
class Task;

namespace detail {

// The state of a task whose outermost coroutine is the Coro<T> itself, or a wrapper that a task factory put
// around it.
template <class T>
class TaskState final : public ResultState<TaskBase, T> {
 public:
  TaskState(EventLoop& loop, Coro<T> coro, std::source_location where)
      : ResultState<TaskBase, T>(loop, kind, &collect, where), coro_(coro.take()) {
    this->set_root(coro_, coro_.promise());
  }

 private:
  static void destroy(FutureBase& self) noexcept {
    delete_block(static_cast<TaskState*>(&static_cast<TaskBase&>(self)));
  }
  static constexpr FutureKind kind{.destroy = &destroy, .cancel = &TaskState::cancel_task, .is_task = true};

  static bool collect(TaskBase& base, std::exception_ptr& exception) noexcept {
    auto& self = static_cast<TaskState&>(base);
    CoroPromise<T>& promise = self.coro_.promise();
    exception = promise.exception();
    if (exception) {
      return promise.is_cancellation();
    }
    try {
      if constexpr (std::is_void_v<T>) {
        self.value.emplace();
      } else {
        self.value.emplace(promise.take_value());
      }
    } catch (...) {
      exception = std::current_exception();
    }
    return false;
  }

  std::coroutine_handle<CoroPromise<T>> coro_;
};

}  // namespace detail

// The handle. Everything of Future<T>, and what is a task's alone.
template <class T>
class Task : public Future<T> {
 public:
  // See TaskBase for each of these.
  bool cancel(std::string_view message = {}) noexcept { return task().cancel(message); }
  int cancelling() const noexcept { return task().cancelling(); }
  int uncancel() noexcept { return task().uncancel(); }
  std::string get_name() const { return task().get_name(); }
  void set_name(std::string_view name) { task().set_name(name); }
  const Context& get_context() const noexcept { return task().get_context(); }
  std::vector<std::source_location> get_stack() const { return task().get_stack(); }

  // The shared state, without its type.
  TaskBase& task() const noexcept { return static_cast<TaskBase&>(*this->state_); }

 private:
  friend class EventLoop;
  explicit Task(Ref<FutureBase> state) noexcept : Future<T>(std::move(state)) {}
};

namespace detail {

// co_await of an AnyCoro, inside a task factory's wrapper.
class WEIR_API AnyCoroAwaiter : public AwaiterBase {
 public:
  AnyCoroAwaiter(TaskBase& task, std::coroutine_handle<> frame, PromiseBase& promise) noexcept
      : task_(&task), frame_(frame), promise_(&promise) {}
  AnyCoroAwaiter(const AnyCoroAwaiter&) = delete;
  ~AnyCoroAwaiter();

  bool await_ready() const noexcept { return false; }
  template <std::derived_from<PromiseBase> P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> parent) noexcept {
    promise_->parent = &parent.promise();
    promise_->continuation = parent;
    promise_->owner_slot = &frame_;
    return frame_;
  }
  // Rethrows what the coroutine threw; its value goes to the task.
  void await_resume();

 private:
  TaskBase* task_;
  std::coroutine_handle<> frame_;
  PromiseBase* promise_;
};

}  // namespace detail

// A coroutine of any result type on its way to becoming a task: what a task factory gets. Move-only.
class WEIR_API AnyCoro {
 public:
  AnyCoro(AnyCoro&& other) noexcept
      : task_(std::move(other.task_)),
        frame_(std::exchange(other.frame_, nullptr)),
        promise_(other.promise_) {}
  AnyCoro& operator=(AnyCoro&&) = delete;
  ~AnyCoro();

  // Inside a wrapper: co_await runs the coroutine and rethrows what it throws. Throws RuntimeError when
  // called twice, or outside a wrapper.
  detail::AnyCoroAwaiter run();

  // Makes the task, as the default factory does, and returns it. Throws RuntimeError when called twice.
  Ref<TaskBase> create_task(TaskOptions options = {}) &&;
  // Makes the task run `wrapper(coro)` instead, in which `co_await coro.run()` runs the original; its outcome
  // is the task's. A wrapper that ends without awaiting it makes the task fail with RuntimeError; one that
  // throws, with that exception.
  Ref<TaskBase> create_task_wrapped(detail::UniqueFunction<Coro<void>(AnyCoro)> wrapper,
                                    TaskOptions options = {}) &&;
  // The loop that the task will belong to.
  EventLoop& get_loop() const noexcept;
  // The place of the coroutine function.
  std::source_location where() const noexcept;

 private:
  friend class EventLoop;
  explicit AnyCoro(Ref<TaskBase> task) noexcept : task_(std::move(task)) {}
  Ref<TaskBase> take_task(const char* call);

  Ref<TaskBase> task_;             // not started; null in a wrapper and once it is made
  std::coroutine_handle<> frame_;  // in a wrapper: the coroutine
  detail::PromiseBase* promise_ = nullptr;
};

// A task factory that starts every task eagerly (asyncio.eager_task_factory).
WEIR_API Ref<TaskBase> eager_task_factory(EventLoop& loop, AnyCoro coro, const TaskOptions& options);

}  // namespace weir::inline WEIR_ABI
