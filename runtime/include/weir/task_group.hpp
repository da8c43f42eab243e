// TaskGroup: tasks that end together (asyncio.TaskGroup).
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/block_pool.hpp>
#include <weir/event_loop.hpp>
#include <weir/exceptions.hpp>
#include <weir/task.hpp>
#include <weir/timeout.hpp>

#include <cstddef>
#include <exception>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

class TaskGroup;
namespace detail {
struct GroupMember;
}

template <class F>
Coro<detail::BodyResult<F, TaskGroup>> task_group(F body);

// The tasks that the body of a task_group() starts. It is there while the body runs and until all of them
// have ended. On its loop's thread.
class WEIR_API TaskGroup {
 public:
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup();

  // Starts a task in the group (TaskGroup.create_task), from the body or from any of its tasks. Throws
  // RuntimeError, and destroys the coroutine unrun, when the group is shutting down or has ended.
  template <class T>
  Task<T> create_task(Coro<T> coro, TaskOptions options = {},
                      std::source_location where = std::source_location::current()) {
    if (const char* reason = why_not()) {
      coro.take().destroy();  // on purpose: not to be reported as one that was forgotten
      refuse(reason);
    }
    detail::GroupMember& member = new_member();
    try {
      Task<T> task = loop().create_task(std::move(coro), options, where);
      add(member, task.task());
      return task;
    } catch (...) {
      forget(member);
      throw;
    }
  }
  // Cancels all of its tasks and the body; then task_group() returns as if they had ended by themselves
  // (TaskGroup.cancel). Again, or when all have ended: nothing.
  void cancel() noexcept;
  // How many of its tasks have not ended.
  std::size_t size() const noexcept { return size_; }

 private:
  template <class F>
  friend Coro<detail::BodyResult<F, TaskGroup>> task_group(F body);
  friend struct detail::GroupMember;
  class Join;

  TaskGroup();
  EventLoop& loop() const noexcept { return parent_->get_loop(); }
  const char* why_not() const noexcept;
  [[noreturn]] static void refuse(const char* reason);
  detail::GroupMember& new_member();
  void add(detail::GroupMember& member, TaskBase& task) noexcept;
  void forget(detail::GroupMember& member) noexcept;
  void member_ended(detail::GroupMember& member) noexcept;
  void abort() noexcept;
  void cancel_parent() noexcept;
  // Waits for the tasks, after a body that ended with this exception or none, and throws what the group
  // throws.
  Coro<void> leave(std::exception_ptr body_error);
  void throw_errors(std::exception_ptr body_error, std::exception_ptr cancellation);

  TaskBase* parent_;
  detail::GroupMember* first_ = nullptr;
  detail::GroupMember* last_ = nullptr;
  std::size_t size_ = 0;
  std::vector<std::exception_ptr> errors_;
  Join* joining_ = nullptr;
  bool leaving_ = false;
  bool aborting_ = false;
  bool parent_cancelled_ = false;  // by the group
};

// co_await runs `body(group)`, a Coro<T>, in this task, waits for all tasks that it has started in the group,
// and gives its value (async with asyncio.TaskGroup()). The body lives until then.
//
// When a task fails, or the body throws, the others and the body are cancelled; when all have ended, an
// ExceptionGroup of all failures is thrown. Cancelling the task that awaits this cancels all, waits for them
// and comes out as CancelledError, unless one of them failed. A task that was merely cancelled does not make
// the group fail. A KeyboardInterrupt of one comes out by itself. A body with a value that
// TaskGroup::cancel() has kept from giving it throws CancelledError.
//
//   co_await task_group([&](TaskGroup& group) -> Coro<void> {
//     group.create_task(serve(first));
//     group.create_task(serve(second));
//     co_return;
//   });
template <class F>
Coro<detail::BodyResult<F, TaskGroup>> task_group(F body) {
  using T = detail::BodyResult<F, TaskGroup>;
  TaskGroup group;
  std::optional<detail::StoredResult<T>> value;
  std::exception_ptr error;
  try {
    if constexpr (std::is_void_v<T>) {
      co_await detail::call_body(body, group);
    } else {
      value.emplace(co_await detail::call_body(body, group));
    }
  } catch (...) {
    error = std::current_exception();
  }
  co_await group.leave(std::move(error));
  if constexpr (!std::is_void_v<T>) {
    if (!value) {
      throw CancelledError("the task group was cancelled before its body gave a value");
    }
    co_return std::move(*value);
  }
}

}  // namespace weir::inline WEIR_ABI
