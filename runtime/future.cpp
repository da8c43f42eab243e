// FutureBase: completing, waiting, done-callbacks, and the report of an exception that nobody retrieved.
#include "runtime/loop_access.hpp"
#include "runtime/loop_debug.hpp"
#include "runtime/running.hpp"

#include <weir/event_loop.hpp>
#include <weir/future.hpp>
#include <weir/log.hpp>

#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

namespace {

// One add_done_callback() registration. From the end of its future on it belongs to its ready item.
struct DoneCallback final : WaitNode {
  DoneCallback() : WaitNode(&queue) {}
  static void queue(WaitNode& node) noexcept;
  static void run(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action);

  Callback callback;
  Context context;
  Ref<FutureBase> keep;  // set when it is queued: the future lives until its callbacks have run
};

void DoneCallback::queue(WaitNode& node) noexcept {
  auto& self = static_cast<DoneCallback&>(node);
  LoopAccess::ready(self.keep->get_loop()).push(&run, &self);
}

void DoneCallback::run(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action) {
  struct Freed {
    DoneCallback* self;
    ~Freed() { delete_block(self); }
  } const freed{static_cast<DoneCallback*>(object)};
  if (action != ReadyAction::run) {
    return;
  }
  if (freed.self->keep->get_loop().get_debug()) {
    LoopAccess::debugging(freed.self->keep->get_loop()).running =
        "done callback " + describe_callback(freed.self->callback, {});
  }
  if (ContextAccess::is_fresh(freed.self->context)) {
    freed.self->callback();
    return;
  }
  const ContextScope scope(freed.self->context);
  freed.self->callback();
}

}  // namespace

void refuse_await(const FutureBase& future, const TaskBase& task) {
  if (&future == &task) {
    throw RuntimeError("Task cannot await on itself: " + task.describe());
  }
  throw RuntimeError("Task " + task.describe() + " got " + future.describe() +
                     " attached to a different loop");
}

}  // namespace detail

FutureBase::FutureBase(EventLoop& loop, const detail::FutureKind& kind, std::source_location where) noexcept
    : loop_(&loop),
      anchor_(detail::LoopAccess::anchor(loop)),
      loop_number_(detail::LoopAccess::number(loop)),
      kind_(&kind) {
  if (loop.get_debug()) {
    created_at_ = where;
  }
}

bool FutureBase::loop_is_open() const noexcept {
  return anchor_->loop_number.load(std::memory_order_relaxed) == loop_number_ &&
         !detail::LoopAccess::is_closing(*loop_);
}

bool FutureBase::cancel(std::string_view message) noexcept {
  if (kind_->cancel != nullptr) {
    return kind_->cancel(*this, message);
  }
  if (done() || !loop_is_open()) {
    return false;
  }
  complete_cancelled(message);
  return true;
}

std::exception_ptr FutureBase::exception() const {
  if (!done()) {
    throw InvalidStateError("Future.exception: " + describe() + " is not done");
  }
  if (cancelled()) {
    throw_unless_value();
  }
  exception_unseen_ = false;
  return exception_;
}

void FutureBase::throw_outcome() const {
  if (!done()) {
    throw InvalidStateError("Future.result: " + describe() + " is not done");
  }
  exception_unseen_ = false;
  if (exception_) {
    std::rethrow_exception(exception_);
  }
  throw CancelledError(cancel_message_.str());
}

void FutureBase::check_can_set(const char* call) const {
  if (kind_->cancel != nullptr) {
    throw RuntimeError(std::string(call) +
                       (is_task() ? ": a task does not support it; its coroutine gives the result"
                                  : ": a gather does not support it; its children give the result"));
  }
  if (done()) {
    throw InvalidStateError(std::string(call) + ": " + describe() + " is done already");
  }
}

void FutureBase::set_exception(std::exception_ptr exception) {
  check_can_set("set_exception");
  if (!exception) {
    throw std::invalid_argument("set_exception: the exception is null");
  }
  complete_with_exception(std::move(exception));
}

void FutureBase::complete_with_exception(std::exception_ptr exception) noexcept {
  exception_ = std::move(exception);
  exception_unseen_ = !exception_ignored_;
  complete(detail::FutureStatus::exception);
}

void FutureBase::complete_cancelled(std::string_view message) noexcept {
  cancel_message_ = message;
  complete(detail::FutureStatus::cancelled);
}

void FutureBase::complete(detail::FutureStatus status) noexcept {
  status_ = status;
  const bool open = first_waiter_ != nullptr && loop_is_open();
  while (first_waiter_ != nullptr) {
    detail::WaitNode& node = *first_waiter_;
    unlink(node);
    if (node.schedule == &detail::DoneCallback::queue) {
      auto& callback = static_cast<detail::DoneCallback&>(node);
      if (!open) {
        detail::delete_block(&callback);
        continue;
      }
      callback.keep = Ref<FutureBase>(this);
    }
    if (open) {
      node.schedule(node);
    }
  }
}

void FutureBase::link(detail::WaitNode& node) noexcept {
  if (done()) {
    node.schedule(node);
    return;
  }
  node.future = this;
  node.previous = last_waiter_;
  node.next = nullptr;
  (last_waiter_ != nullptr ? last_waiter_->next : first_waiter_) = &node;
  last_waiter_ = &node;
}

void FutureBase::unlink(detail::WaitNode& node) noexcept {
  (node.previous != nullptr ? node.previous->next : first_waiter_) = node.next;
  (node.next != nullptr ? node.next->previous : last_waiter_) = node.previous;
  node.future = nullptr;
}

DoneCallbackToken FutureBase::add_callback(detail::Callback callback, CallOptions options) {
  auto* node = detail::new_block<detail::DoneCallback>();
  node->callback = std::move(callback);
  if (options.context != nullptr) {
    node->context = *options.context;
  } else {
    node->context = copy_context();
  }
  const auto token = static_cast<DoneCallbackToken>(++last_callback_);
  node->number = last_callback_;
  if (!done()) {
    link(*node);
  } else if (loop_is_open()) {
    node->keep = Ref<FutureBase>(this);
    node->schedule(*node);
  } else {
    detail::delete_block(node);
  }
  return token;
}

bool FutureBase::remove_done_callback(DoneCallbackToken token) noexcept {
  for (detail::WaitNode* node = first_waiter_; node != nullptr; node = node->next) {
    if (node->number == static_cast<std::uint64_t>(token) && node->schedule == &detail::DoneCallback::queue) {
      unlink(*node);
      detail::delete_block(static_cast<detail::DoneCallback*>(node));
      return true;
    }
  }
  return false;
}

std::string FutureBase::describe() const {
  const char* state = status_ == detail::FutureStatus::pending     ? "pending"
                      : status_ == detail::FutureStatus::value     ? "finished"
                      : status_ == detail::FutureStatus::exception ? "failed"
                                                                   : "cancelled";
  if (!is_task()) {
    return detail::describe_at(std::string("<Future ") + state, created_at_) + ">";
  }
  const auto& task = static_cast<const TaskBase&>(*this);
  std::string text = std::string("<Task ") + state + " name='" + task.get_name() + "'";
  if (std::string_view awaits = task.awaiting(); !awaits.empty()) {
    text += " awaiting " + std::string(awaits);
    if (const auto stack = task.get_stack(); !stack.empty()) {
      text = detail::describe_at(text, stack.front());
    }
  }
  return text + ">";
}

void FutureBase::report_unretrieved() noexcept {
  try {
    const std::string kind = is_task() ? "Task" : "Future";
    if (!loop_is_open()) {
      detail::log(LogLevel::error,
                  kind + " exception was never retrieved\n  exception: " + describe_exception(exception_));
      return;
    }
    ExceptionContext context;
    context.message = kind + " exception was never retrieved";
    context.exception = exception_;
    context.future = this;
    context.task = is_task() ? static_cast<TaskBase*>(this) : nullptr;
    context.source_location = created_at_;
    loop_->call_exception_handler(context);
  } catch (...) {
    detail::log(LogLevel::error, "an exception was never retrieved, and there was no memory to report it");
  }
}

void FutureBase::last_reference_gone() noexcept {
  if (exception_unseen_) {
    references_ = 1;  // the handler may take references
    exception_unseen_ = false;
    report_unretrieved();
    if (--references_ != 0) {
      return;
    }
  }
  while (first_waiter_ != nullptr) {
    auto& callback = static_cast<detail::DoneCallback&>(*first_waiter_);
    unlink(callback);
    detail::delete_block(&callback);
  }
  kind_->destroy(*this);
}

}  // namespace weir::inline WEIR_ABI
