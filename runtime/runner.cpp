// Runner: one loop from its making through the main task to its orderly close.
#include "runtime/loop_access.hpp"
#include "runtime/running.hpp"
#include "runtime/signals.hpp"

#include <weir/log.hpp>
#include <weir/runner.hpp>
#include <weir/tasks.hpp>

#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

Runner::~Runner() {
  try {
    close();
  } catch (...) {
    detail::log(LogLevel::error, "Runner::close failed: " + describe_exception(std::current_exception()));
  }
}

void Runner::ensure_loop() {
  if (closed_) {
    throw RuntimeError("Runner: it is closed");
  }
  if (loop_ != nullptr) {
    return;
  }
  loop_ = options_.loop_factory != nullptr ? options_.loop_factory() : new_event_loop();
  if (loop_ == nullptr) {
    throw RuntimeError("Runner: the loop factory made no loop");
  }
  if (options_.debug.has_value()) {
    loop_->set_debug(*options_.debug);
  }
  context_ = copy_context();
}

void Runner::begin() {
  if (detail::running_loop_slot() != nullptr) {
    throw RuntimeError("Runner::run: cannot be called from a running event loop");
  }
  ensure_loop();
}

EventLoop& Runner::get_loop() {
  ensure_loop();
  return *loop_;
}

void Runner::run_main(TaskBase& task) {
  int interrupts = 0;
  bool late_interrupt = false;
  {
    detail::InterruptWatch watch(*loop_, [&interrupts, &task] {
      if (++interrupts == 1 && !task.done()) {
        task.cancel();
      } else {
        throw KeyboardInterrupt();
      }
    });
    loop_->run_until_done(Ref<TaskBase>(&task));
    late_interrupt = watch.end();  // in the loop's last batch
  }
  if (late_interrupt) {
    throw KeyboardInterrupt();
  }
  if (interrupts != 0 && task.cancelled() && task.uncancel() == 0) {
    throw KeyboardInterrupt();
  }
}

void Runner::cancel_all_tasks(EventLoop& loop) {
  const std::vector<Ref<TaskBase>> tasks = all_tasks(loop);
  if (tasks.empty()) {
    return;
  }
  Future<void> all_done(loop);
  std::size_t left = tasks.size();
  for (const Ref<TaskBase>& task : tasks) {
    task->cancel();
    task->add_callback(
        [&left, all_done] {
          if (--left == 0 && !all_done.done()) {
            all_done.set_result();
          }
        },
        {});
  }
  loop.run_until_complete(all_done);
  for (const Ref<TaskBase>& task : tasks) {
    if (task->cancelled()) {
      continue;
    }
    if (std::exception_ptr exception = task->exception()) {
      ExceptionContext context;
      context.message = "unhandled exception while a task was cancelled at the end of run()";
      context.exception = exception;
      context.task = task.get();
      context.future = task.get();
      loop.call_exception_handler(context);
    }
  }
}

void Runner::close() {
  if (closed_) {
    return;
  }
  if (loop_ != nullptr && detail::running_loop_slot() != nullptr) {
    throw RuntimeError("Runner::close: cannot be called from a running event loop");
  }
  closed_ = true;
  if (loop_ == nullptr) {
    return;
  }
  const std::unique_ptr<EventLoop> loop = std::move(loop_);
  if (detail::LoopAccess::is_inherited(*loop)) {
    return;
  }
  struct Closed {
    EventLoop& loop;
    Runner& runner;
    ~Closed() {
      runner.context_ = Context();
      loop.close();
    }
  } const closed{*loop, *this};
  loop_ = nullptr;
  cancel_all_tasks(*loop);
  loop->run_until_complete(loop->shutdown_asyncgens());
  loop->run_until_complete(loop->shutdown_default_executor(options_.executor_timeout));
}

}  // namespace weir::inline WEIR_ABI
