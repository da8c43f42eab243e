// Task<T>: asyncio.Task, a Future<T> that runs a Coro<T>. Made by create_task; the loop keeps it alive until it is done.
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

// The state of a task whose outermost coroutine is the Coro<T> itself, or a wrapper that a task factory put around it.
template <class T>
class TaskState final : public ResultState<TaskBase, T> {
 public:
  TaskState(EventLoop& loop, Coro<T> coro, std::source_location where)
      : ResultState<TaskBase, T>(
            loop, [](FutureBase& self) noexcept { delete_block(static_cast<TaskState*>(&static_cast<TaskBase&>(self))); }, &coro_done,
            where),
        coro_(coro.take()) {
    this->set_root(coro_, coro_.promise());
  }

 private:
  static void coro_done(TaskBase& base) noexcept {
    auto& self = static_cast<TaskState&>(base);
    CoroPromise<T>& promise = self.coro_.promise();
    if (promise.exception()) {
      self.finish_exception(promise.exception(), promise.is_cancellation());
      return;
    }
    try {
      if constexpr (std::is_void_v<T>) {
        self.value.emplace();
      } else {
        self.value.emplace(promise.take_value());
      }
    } catch (...) {
      self.finish_exception(std::current_exception(), false);
      return;
    }
    self.finish_value();
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

// A coroutine of any result type on its way to becoming a task: what a task factory gets. Move-only.
class WEIR_API AnyCoro {
 public:
  AnyCoro(AnyCoro&&) noexcept = default;
  AnyCoro& operator=(AnyCoro&&) noexcept = default;
  ~AnyCoro();

  // Makes the task, as the default factory does, and returns it. Throws RuntimeError when called twice.
  Ref<TaskBase> create_task(TaskOptions options = {}) &&;
  // Makes the task run `wrapper(coro)` instead, in which `co_await std::move(coro)` runs the original; its outcome is
  // the task's. A wrapper that ends without awaiting it makes the task fail with RuntimeError; one that throws, with that exception.
  Ref<TaskBase> create_task_wrapped(detail::UniqueFunction<Coro<void>(AnyCoro)> wrapper, TaskOptions options = {}) &&;
  // The loop that the task will belong to.
  EventLoop& get_loop() const noexcept;
  // The place of the coroutine function.
  std::source_location where() const noexcept;

 private:
  friend class EventLoop;
  friend struct detail::LoopAccess;
  explicit AnyCoro(Ref<TaskBase> prepared) noexcept : prepared_(std::move(prepared)) {}

  Ref<TaskBase> prepared_;
};

}  // namespace weir::inline WEIR_ABI
