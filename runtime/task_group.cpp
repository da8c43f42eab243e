// TaskGroup: a member for each task that has not ended. As in asyncio, the end of a task is looked at in the
// turn after it, so that two that fail in one turn are both told of.
#include "runtime/loop_access.hpp"

#include <weir/task_group.hpp>
#include <weir/tasks.hpp>

#include <string>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

// Belongs to its group from its making until member_ended().
struct GroupMember : WaitNode {
  GroupMember() noexcept : WaitNode(&ended) {}
  static void ended(WaitNode& node) noexcept {
    auto& self = static_cast<GroupMember&>(node);
    LoopAccess::ready(self.task->get_loop()).push(&look, &self);
  }
  static void look(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action) {
    if (action == ReadyAction::run) {
      auto& self = *static_cast<GroupMember*>(object);
      self.group->member_ended(self);
    }
  }

  TaskGroup* group = nullptr;
  Ref<TaskBase> task;
  GroupMember* previous_member = nullptr;
  GroupMember* next_member = nullptr;
};

}  // namespace detail

// What the end of the group waits with: until there is no member, or for a cancellation, of which it is told
// in the same way.
class TaskGroup::Join : public detail::AwaiterBase, private detail::CancelHook {
 public:
  explicit Join(TaskGroup& group) noexcept : CancelHook(&cancel_join, "task_group"), group_(&group) {}
  Join(const Join&) = delete;
  Join& operator=(const Join&) = delete;
  ~Join() { group_->joining_ = nullptr; }

  bool await_ready() const noexcept { return false; }
  template <std::derived_from<detail::PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    group_->joining_ = this;
    group_->parent_->suspend(coroutine, coroutine.promise(), *this);
  }
  void await_resume() const { group_->parent_->throw_if_cancelled(); }

  void wake() noexcept {
    if (!std::exchange(woken_, true)) {
      group_->parent_->wake();
    }
  }

 private:
  static bool cancel_join(CancelHook& hook, std::string_view) noexcept {
    auto& self = static_cast<Join&>(hook);
    if (!self.woken_) {
      self.group_->parent_->interrupted();
      self.wake();
    }
    return false;
  }

  TaskGroup* group_;
  bool woken_ = false;
};

TaskGroup::TaskGroup() : parent_(current_task().get()) {}

TaskGroup::~TaskGroup() {
  while (first_ != nullptr) {
    forget(*first_);
  }
}

const char* TaskGroup::why_not() const noexcept {
  return aborting_ ? "is shutting down" : leaving_ && size_ == 0 ? "has ended" : nullptr;
}

void TaskGroup::refuse(const char* reason) {
  throw RuntimeError(std::string("TaskGroup::create_task: the group ") + reason);
}

detail::GroupMember& TaskGroup::new_member() {
  auto* member = detail::new_block<detail::GroupMember>();
  member->group = this;
  member->previous_member = last_;
  (last_ != nullptr ? last_->next_member : first_) = member;
  last_ = member;
  ++size_;
  return *member;
}

void TaskGroup::add(detail::GroupMember& member, TaskBase& task) noexcept {
  member.task = Ref<TaskBase>(&task);
  task.link(member);
  if (aborting_) {  // it was started eagerly, and has cancelled the group
    task.cancel();
  }
}

void TaskGroup::forget(detail::GroupMember& member) noexcept {
  if (member.future != nullptr) {
    member.future->unlink(member);
  }
  (member.previous_member != nullptr ? member.previous_member->next_member : first_) = member.next_member;
  (member.next_member != nullptr ? member.next_member->previous_member : last_) = member.previous_member;
  --size_;
  detail::delete_block(&member);
}

void TaskGroup::member_ended(detail::GroupMember& member) noexcept {
  const Ref<TaskBase> task = member.task;
  forget(member);
  if (task->failed()) {
    errors_.push_back(task->exception());
    if (!aborting_ && !parent_cancelled_) {
      abort();
      cancel_parent();
    }
  }
  if (size_ == 0 && joining_ != nullptr) {
    joining_->wake();
  }
}

void TaskGroup::abort() noexcept {
  aborting_ = true;
  for (detail::GroupMember* member = first_; member != nullptr; member = member->next_member) {
    if (member->task != nullptr) {
      member->task->cancel();
    }
  }
}

void TaskGroup::cancel_parent() noexcept {
  parent_cancelled_ = true;
  parent_->cancel();
}

void TaskGroup::cancel() noexcept {
  if (!aborting_) {
    abort();
  }
  if (!parent_cancelled_) {
    cancel_parent();
  }
}

namespace {

enum class Kind : std::uint8_t { error, cancellation, interrupt };

Kind kind_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const CancelledError&) {
    return Kind::cancellation;
  } catch (const KeyboardInterrupt&) {
    return Kind::interrupt;
  } catch (...) {
    return Kind::error;
  }
}

}  // namespace

Coro<void> TaskGroup::leave(std::exception_ptr body_error) {
  leaving_ = true;
  std::exception_ptr cancellation;
  if (body_error) {
    if (kind_of(body_error) == Kind::cancellation) {
      cancellation = std::exchange(body_error, nullptr);
    }
    if (!aborting_) {
      abort();
    }
  }
  while (size_ != 0) {
    try {
      co_await Join(*this);
    } catch (const CancelledError&) {
      if (!aborting_) {
        cancellation = std::current_exception();
        abort();
      }
    }
  }
  throw_errors(std::move(body_error), std::move(cancellation));
}

void TaskGroup::throw_errors(std::exception_ptr body_error, std::exception_ptr cancellation) {
  if (body_error) {
    errors_.push_back(std::move(body_error));
  }
  // The group's own request is taken back. When there is none left, nobody else has cancelled the task.
  if (parent_cancelled_ && parent_->uncancel() == 0) {
    cancellation = nullptr;
  }
  for (const std::exception_ptr& error : errors_) {
    if (kind_of(error) == Kind::interrupt) {
      std::rethrow_exception(error);
    }
  }
  if (cancellation && errors_.empty()) {
    std::rethrow_exception(cancellation);
  }
  if (errors_.empty()) {
    return;
  }
  if (parent_->cancelling() > 0) {  // whoever cancelled the task is still owed a CancelledError
    parent_->uncancel();
    parent_->cancel();
  }
  throw ExceptionGroup("unhandled errors in a task group", std::move(errors_));
}

}  // namespace weir::inline WEIR_ABI
