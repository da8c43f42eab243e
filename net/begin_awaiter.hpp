// BeginAwaiter: connection_made of a new transport, in a turn of its own.
#pragma once

#include "runtime/loop_access.hpp"

#include <weir/coro.hpp>
#include <weir/task_base.hpp>

#include <concepts>
#include <coroutine>
#include <string_view>

namespace weir::inline WEIR_ABI::detail {

// Calls begin() of the transport outside of any task, and resumes the task after it. One that was cancelled
// meanwhile aborts the transport, which nobody would get.
template <class T>
class BeginAwaiter : public AwaiterBase, private CancelHook {
 public:
  BeginAwaiter(T& transport, const char* call) noexcept
      : CancelHook([](CancelHook&, std::string_view) noexcept { return false; }, call),
        transport_(&transport) {}

  bool await_ready() const noexcept { return false; }
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    task_ = coroutine.promise().task;
    LoopAccess::ready(transport_->get_loop()).push(&run, this);
    task_->suspend(coroutine, coroutine.promise(), *this);
  }
  void await_resume() {
    if (task_->must_cancel()) {
      transport_->abort();
    }
    task_->throw_if_cancelled();
  }

 private:
  static void run(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action) {
    if (action == ReadyAction::run) {
      auto& self = *static_cast<BeginAwaiter*>(object);
      self.transport_->begin();
      self.task_->wake();
    }
  }

  T* transport_;
  TaskBase* task_ = nullptr;
};

}  // namespace weir::inline WEIR_ABI::detail
