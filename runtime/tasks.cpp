// sleep, current_task, all_tasks.
#include "runtime/loop_access.hpp"
#include "runtime/running.hpp"

#include <weir/tasks.hpp>

#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

void SleepAwaiter::begin() {
  EventLoop& loop = task_->get_loop();
  if (delay_.count() <= 0) {
    task_->wake();
    return;
  }
  // The task outlives the timer, which its awaiter cancels.
  timer_ =
      LoopAccess::call_at_plain(loop, add_clamped(loop.time(), delay_), [task = task_] { task->wake(); });
}

// Refuses in any case: the cancellation then waits in the task and is thrown by await_resume().
bool SleepAwaiter::cancel_sleep(CancelHook& hook, std::string_view) noexcept {
  auto& self = static_cast<SleepAwaiter&>(hook);
  if (self.timer_.cancel_if_pending()) {
    self.task_->interrupted();
    self.task_->wake();
  }
  return false;
}

}  // namespace detail

Ref<TaskBase> current_task() { return current_task(detail::running_loop_for("current_task")); }

Ref<TaskBase> current_task(EventLoop& loop) noexcept {
  return Ref<TaskBase>(detail::LoopAccess::current_task(loop));
}

std::vector<Ref<TaskBase>> all_tasks() { return all_tasks(detail::running_loop_for("all_tasks")); }

std::vector<Ref<TaskBase>> all_tasks(EventLoop& loop) { return detail::LoopAccess::all_tasks(loop); }

}  // namespace weir::inline WEIR_ABI
