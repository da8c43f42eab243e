// A loop in a child of fork(): its parent goes on with it. Here it is inert from the return of fork() on, and
// stays in memory as it was: what it holds would otherwise do in its destructors what the parent's are to do.
#include "runtime/inbox.hpp"
#include "runtime/loop_access.hpp"
#include "runtime/loop_debug.hpp"
#include "runtime/loop_resource.hpp"
#include "runtime/running.hpp"
#include "runtime/signals.hpp"
#include "runtime/timer_heap.hpp"

#include <weir/event_loop.hpp>
#include <weir/executor.hpp>

#include <atomic>
#include <memory>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace {

void run_nothing(void*, std::uintptr_t, std::uintptr_t, detail::ReadyAction) {}

}  // namespace

// In the child, before fork() returns, on the only thread there is. One that another thread had in its hands
// may be in the middle of anything: what it holds is not looked at. The thread that has forked was in a
// callback of its loops, or in none of them.
void EventLoop::leave_to_parent() noexcept {
  if (closed_) {
    return;
  }
  inherited_ = true;
  closed_ = true;
  stopping_ = true;  // should its run call be on the stack
  running_.store(false, std::memory_order_relaxed);
  update_care();
  inbox_->leave_to_parent();
  const bool is_at_rest = home_.load(std::memory_order_relaxed) == &detail::running_loop_slot();
  if (backend_ != nullptr) {
    backend_->backend.leave_to_parent(is_at_rest);
  }
  if (is_at_rest) {
    let_go_of_everybody();
  }
}

// Nobody looks for this loop when it has been destroyed.
void EventLoop::let_go_of_everybody() noexcept {
  const std::uint64_t end = ready_.next_sequence();
  for (std::uint64_t sequence = end - ready_.size(); sequence != end; ++sequence) {
    ready_.find(sequence)->function = &run_nothing;  // the rest of a batch
  }
  while (first_generator_ != nullptr) {
    first_generator_->leave_loop();
  }
  while (first_resource_ != nullptr) {
    detail::LoopResource& resource = *first_resource_;
    resource.leave();
    resource.on_loop_close(resource);
  }
}

// Instead of destroying it. Whoever looks for leaks finds it in a list.
void EventLoop::keep_for_ever() noexcept {
  // A callback that has forked may destroy it, and the context that the callback runs in goes with it.
  if (detail::current_context_slot() == &callback_context_) {
    detail::current_context_slot() = nullptr;
  }
  struct Kept {
    std::unique_ptr<detail::BackendHolder> backend;
    std::unique_ptr<detail::TimerHeap> timers;
    std::shared_ptr<detail::Inbox> inbox;
    std::shared_ptr<detail::NetState> net;
    std::unique_ptr<detail::SignalState> signals;
    std::shared_ptr<Executor> executor;
    TaskFactory task_factory;
    ExceptionHandler exception_handler;
    TaskBase* first_task;
    Kept* next;
  };
  static constinit std::atomic<Kept*> first{nullptr};
  auto* const kept = new Kept{std::move(backend_),
                              std::move(timers_),
                              std::move(inbox_),
                              std::move(net_),
                              std::move(signals_),
                              std::move(default_executor_),
                              std::move(task_factory_),
                              std::move(exception_handler_),
                              first_task_,
                              nullptr};
  kept->next = first.exchange(kept);
}

}  // namespace weir::inline WEIR_ABI
