// A task's states:
//
//   prepared   made by create_task, not yet listed by its loop: a task factory may still refuse it
//   ready      listed; its step is in the ready queue                     -> running
//   running    on the stack of step()                                     -> suspended, done
//   suspended  waiting_for_ is the hook of the awaitable it waits for     -> ready, by wake()
//   done       has its outcome; no longer listed, its frames destroyed
//
// cancel() on a suspended task asks the awaitable. What refuses (it is complete already, or cannot be
// cancelled by itself) leaves must_cancel_, which throws at the resumption, or is handed to the next
// awaitable when the resumption did not look at it, or ends the task cancelled when there is none. From the
// moment an awaitable was stopped for it until the resumption the task is interrupted_: a further cancel()
// adds nothing, and uncancel() comes too late.
#include "runtime/loop_access.hpp"
#include "runtime/loop_debug.hpp"
#include "runtime/running.hpp"

#include <weir/event_loop.hpp>
#include <weir/log.hpp>
#include <weir/task.hpp>

#include <cxxabi.h>

#include <algorithm>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

bool current_exception_is_cancellation() noexcept {
  const std::type_info* type = abi::__cxa_current_exception_type();
  return type != nullptr && *type == typeid(CancelledError);
}

void throw_already_awaited() { throw RuntimeError("cannot reuse a coroutine that was already awaited"); }

void run_task(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action) {
  if (action != ReadyAction::run) {
    return;
  }
  auto* task = static_cast<TaskBase*>(object);
  EventLoop& loop = task->get_loop();
  if (!loop.get_debug()) [[likely]] {
    task->step();
    return;
  }
  const Ref<TaskBase> keep(task);
  task->step();
  LoopAccess::debugging(loop).running = task->describe();
}

}  // namespace detail

TaskBase::TaskBase(EventLoop& loop, const detail::FutureKind& kind, Collect collect,
                   std::source_location where) noexcept
    : FutureBase(loop, kind, where), collect_(collect) {}

bool TaskBase::cancel_task(FutureBase& self, std::string_view message) noexcept {
  return static_cast<TaskBase&>(self).cancel(message);
}

TaskBase::~TaskBase() {
  if (root_) {
    destroy_frames();
  }
}

void TaskBase::start(const TaskOptions& options) {
  detail::LoopAccess::check_open(*loop_, "create_task");
  if (options.context != nullptr) {
    context_ = *options.context;
  } else if (const Context* current = detail::current_context_slot();
             current != nullptr && !detail::ContextAccess::empty(*current)) {
    context_ = current->copy();
  }
  if (!options.name.empty()) {
    name_ = options.name;
  }
  number_ = loop_->next_task_number_++;
  previous_ = loop_->last_task_;
  (previous_ != nullptr ? previous_->next_ : loop_->first_task_) = this;
  loop_->last_task_ = this;
  listed_ = true;
  add_ref();  // the loop's, until leave_loop()
  if (options.eager_start.value_or(false) && detail::running_loop_slot() == loop_) {
    step();
  } else {
    wake();
  }
}

void TaskBase::wake() noexcept { detail::LoopAccess::ready(*loop_).push(&detail::run_task, this); }

void TaskBase::step() noexcept {
  if (!started_ && must_cancel_) {
    destroy_frames();
    const Ref<TaskBase> keep(this);
    leave_loop();
    complete_cancelled(cancel_message_.str());
    return;
  }
  started_ = true;
  interrupted_ = false;
  waiting_for_ = nullptr;
  innermost_ = nullptr;
  TaskBase* const outer = std::exchange(loop_->current_task_, this);
  // A task that starts another eagerly goes on with what is left of its own.
  const int outer_budget = std::exchange(loop_->await_budget_, detail::LoopAccess::first_await_budget);
  {
    const detail::ContextScope scope(context_);
    std::exchange(resume_point_, nullptr).resume();
  }
  loop_->current_task_ = outer;
  loop_->await_budget_ = outer_budget;
  if (root_finished_) {
    finish();
  }
}

// The frame goes before the callbacks are queued, so that whoever is woken finds its locals destroyed.
void TaskBase::finish() noexcept {
  const Ref<TaskBase> keep(this);
  std::exception_ptr exception;
  const bool is_cancellation = wrapped_ ? collect_wrapped(exception) : collect_(*this, exception);
  std::exchange(root_, nullptr).destroy();
  leave_loop();
  if (!exception && must_cancel_) {
    complete_cancelled(
        cancel_message_.str());  // asked for in the last step, where nothing was awaited any more
  } else if (!exception) {
    complete(detail::FutureStatus::value);
  } else if (is_cancellation) {
    exception_ = std::move(exception);
    complete(detail::FutureStatus::cancelled);
  } else {
    complete_with_exception(std::move(exception));
  }
}

bool TaskBase::collect_wrapped(std::exception_ptr& exception) noexcept {
  const auto wrapper = std::coroutine_handle<detail::CoroPromise<void>>::from_address(root_.address());
  if (wrapper.promise().exception()) {
    exception = wrapper.promise().exception();
    exception_ = nullptr;
    return wrapper.promise().is_cancellation();
  }
  if (!inner_collected_) {
    exception = std::make_exception_ptr(
        RuntimeError("the task factory's wrapper ended without running the coroutine"));
    return false;
  }
  exception = std::exchange(exception_, nullptr);
  return inner_cancelled_;
}

void TaskBase::inner_done() {
  inner_collected_ = true;
  inner_cancelled_ = collect_(*this, exception_);
  if (exception_) {
    std::rethrow_exception(exception_);
  }
}

void TaskBase::leave_loop() noexcept {
  if (!std::exchange(listed_, false)) {
    return;
  }
  (previous_ != nullptr ? previous_->next_ : loop_->first_task_) = next_;
  (next_ != nullptr ? next_->previous_ : loop_->last_task_) = previous_;
  previous_ = nullptr;
  next_ = nullptr;
  release();
}

void TaskBase::destroy_frames() noexcept {
  std::coroutine_handle<> frame = std::exchange(resume_point_, nullptr);
  detail::PromiseBase* promise = std::exchange(innermost_, nullptr);
  waiting_for_ = nullptr;
  while (promise != nullptr) {
    detail::PromiseBase* const parent = promise->parent;
    const std::coroutine_handle<> continuation = promise->continuation;
    if (promise->owner_slot != nullptr) {
      *promise->owner_slot = nullptr;
    }
    frame.destroy();
    promise = parent;
    frame = continuation;
  }
}

bool TaskBase::cancel(std::string_view message) noexcept {
  if (done() || !loop_is_open()) {
    return false;
  }
  // Tasks may wait for each other in a circle. It is found by Brent's algorithm: every now and then the walk
  // remembers where it is, and closes a circle when it comes there again.
  TaskBase* task = this;
  TaskBase* remembered = this;
  std::uint64_t steps_left = 1;
  std::uint64_t next_steps = 2;
  ++task->cancel_requests_;
  for (TaskBase* next = nullptr; !task->interrupted_ && task->waiting_for_ != nullptr &&
                                 (next = task->waiting_for_->awaited_task()) != nullptr && !next->done();) {
    task = next;
    ++task->cancel_requests_;
    if (task == remembered) [[unlikely]] {
      task->must_cancel_ = true;
      task->cancel_message_ = message;
      task->interrupted_ = true;
      task->wake();
      return true;
    }
    if (--steps_left == 0) {
      remembered = task;
      steps_left = next_steps;
      next_steps *= 2;
    }
  }
  if (!task->interrupted_) {
    task->deliver_cancel(message);
  }
  return true;
}

void TaskBase::deliver_cancel(std::string_view message) noexcept {
  must_cancel_ = false;
  if (waiting_for_ != nullptr && waiting_for_->cancel(*waiting_for_, message)) {
    interrupted_ |= waiting_for_->awaited == nullptr;  // which may catch the cancellation and go on
    return;
  }
  must_cancel_ = true;
  cancel_message_ = message;
}

void TaskBase::deliver_kept_cancel() noexcept { deliver_cancel(cancel_message_.str()); }

void TaskBase::throw_cancelled() {
  must_cancel_ = false;
  throw CancelledError(std::exchange(cancel_message_, {}).str());
}

int TaskBase::uncancel() noexcept {
  if (cancel_requests_ > 0 && --cancel_requests_ == 0 && !interrupted_) {
    must_cancel_ = false;
  }
  return cancel_requests_;
}

std::string TaskBase::get_name() const {
  return name_.empty() ? "Task-" + std::to_string(number_) : name_.str();
}

std::vector<std::source_location> TaskBase::get_stack() const {
  std::vector<std::source_location> stack;
  for (const detail::PromiseBase* promise = innermost_; promise != nullptr; promise = promise->parent) {
    stack.push_back(promise->where);
  }
  return stack;
}

std::string_view TaskBase::awaiting() const noexcept {
  return waiting_for_ != nullptr ? std::string_view(waiting_for_->awaits) : std::string_view();
}

std::vector<Ref<TaskBase>> detail::LoopAccess::all_tasks(EventLoop& loop) {
  std::vector<Ref<TaskBase>> tasks;
  for (TaskBase* task = loop.first_task_; task != nullptr; task = task->next_) {
    tasks.emplace_back(task);
  }
  return tasks;
}

// --- Task factories

void EventLoop::start_by_factory(TaskBase& task, const TaskOptions& options) {
  const TaskFactory factory = task_factory_;  // it may replace itself
  const Ref<TaskBase> made = factory(*this, AnyCoro(Ref<TaskBase>(&task)), options);
  if (made.get() != &task) {
    throw RuntimeError("create_task: the task factory returned another task than the one it was given");
  }
}

AnyCoro::~AnyCoro() {
  if (frame_) {
    detail::report_never_awaited(promise_->where);
    frame_.destroy();
  }
}

Ref<TaskBase> AnyCoro::take_task(const char* call) {
  if (task_ == nullptr) {
    throw RuntimeError(std::string(call) + ": the task was made already");
  }
  return std::move(task_);
}

Ref<TaskBase> AnyCoro::create_task(TaskOptions options) && {
  Ref<TaskBase> task = take_task("AnyCoro::create_task");
  task->start(options);
  return task;
}

Ref<TaskBase> AnyCoro::create_task_wrapped(detail::UniqueFunction<Coro<void>(AnyCoro)> wrapper,
                                           TaskOptions options) && {
  Ref<TaskBase> task = take_task("AnyCoro::create_task_wrapped");
  AnyCoro inner{Ref<TaskBase>()};
  inner.frame_ = std::exchange(task->root_, nullptr);
  inner.promise_ = task->innermost_;
  inner.promise_->owner_slot = nullptr;
  task->innermost_ = nullptr;
  task->resume_point_ = nullptr;
  const auto outer = wrapper(std::move(inner)).take();
  task->set_root(outer, outer.promise());
  task->wrapped_ = true;
  task->start(options);
  return task;
}

detail::AnyCoroAwaiter AnyCoro::run() {
  if (!frame_) {
    throw RuntimeError(
        "AnyCoro::run: the coroutine was run already, or this is not a task factory's wrapper");
  }
  return detail::AnyCoroAwaiter(*promise_->task, std::exchange(frame_, nullptr), *promise_);
}

EventLoop& AnyCoro::get_loop() const noexcept {
  return (task_ != nullptr ? task_.get() : promise_->task)->get_loop();
}

std::source_location AnyCoro::where() const noexcept {
  return promise_ != nullptr ? promise_->where
         : task_ != nullptr  ? task_->innermost_->where
                             : std::source_location();
}

namespace detail {

AnyCoroAwaiter::~AnyCoroAwaiter() {
  if (frame_) {
    frame_.destroy();
  }
}

void AnyCoroAwaiter::await_resume() { task_->inner_done(); }

}  // namespace detail

Ref<TaskBase> eager_task_factory(EventLoop&, AnyCoro coro, const TaskOptions& options) {
  TaskOptions eager = options;
  if (!eager.eager_start.has_value()) {
    eager.eager_start = true;
  }
  return std::move(coro).create_task(eager);
}

}  // namespace weir::inline WEIR_ABI
