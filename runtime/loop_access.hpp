// What the other rooms may do to a loop beyond its public interface. Private to weir's own sources.
#pragma once

#include "backends/chosen.hpp"

#include <weir/event_loop.hpp>

#include <memory>

namespace weir::inline WEIR_ABI::detail {

struct BackendHolder {
  explicit BackendHolder(ReadyQueue& ready) : backend(ready) {}
  Backend backend;
};

// Of an error, behind the name of the call.
inline constexpr const char* is_inherited_text =
    ": the loop was inherited from the parent of this forked process, which alone can use it";

struct LoopAccess {
  // The backend; the loop must not be closed.
  static Backend& backend(EventLoop& loop) noexcept { return loop.backend_->backend; }
  static ReadyQueue& ready(EventLoop& loop) noexcept { return loop.ready_; }
  // Is close() under way or over? Then nothing is started, and cancel, close and abort do nothing.
  static bool is_closing(const EventLoop& loop) noexcept { return loop.closing_ || loop.closed_; }
  // Is this process a child of the one that made it? Then it is closed, and nothing may be done that the
  // parent could notice.
  static bool is_inherited(const EventLoop& loop) noexcept { return loop.inherited_; }
  static void leave_to_parent(EventLoop& loop) noexcept { loop.leave_to_parent(); }
  // net/'s state of this loop; empty until net/ puts something there. Destroyed by close().
  static std::shared_ptr<NetState>& net(EventLoop& loop) noexcept { return loop.net_; }
  static LoopResource*& first_resource(EventLoop& loop) noexcept { return loop.first_resource_; }
  // Set while a host drives the loop.
  static GuestState*& guest(EventLoop& loop) noexcept { return loop.guest_; }
  static TimePoint let_host_wait(EventLoop& loop) { return loop.let_host_wait(); }
  static bool run_guest_turn(EventLoop& loop) { return loop.run_guest_turn(); }
  static TaskBase* current_task(EventLoop& loop) noexcept { return loop.current_task_; }
  // Throws RuntimeError "<call>: the loop is closed".
  static void check_open(const EventLoop& loop, const char* call) { loop.check_open(call); }
  // How many operations a task may complete without suspending before it has to yield to the others (tokio's
  // figure is 128).
  static constexpr int first_await_budget = 64;
  // One awaited operation completed without suspending; false when the task has had its share of them and
  // must yield.
  static bool spend_await_budget(EventLoop& loop) noexcept {
    return --loop.await_budget_ > 0 && !rare_path(FaultPoint::await_yields);
  }
  static std::unique_ptr<SignalState>& signals(EventLoop& loop) noexcept { return loop.signals_; }
  static AsyncGeneratorBase*& first_generator(EventLoop& loop) noexcept { return loop.first_generator_; }
  static bool generators_shut_down(const EventLoop& loop) noexcept { return loop.generators_shut_down_; }
  static std::vector<Ref<TaskBase>> all_tasks(EventLoop& loop);
  // A timer in the context of nobody, for weir's own use.
  static TimerHandle call_at_plain(EventLoop& loop, TimePoint when, Callback callback);
  static LoopAnchor* anchor(EventLoop& loop) noexcept { return loop.anchor_; }
  static std::uint64_t number(const EventLoop& loop) noexcept { return loop.number_; }
  static TimerHeap& timers(EventLoop& loop) noexcept { return *loop.timers_; }
  static LoopDebug& debugging(EventLoop& loop) noexcept { return *loop.debugging_; }
  static Inbox& inbox(EventLoop& loop) noexcept { return *loop.inbox_; }
};

}  // namespace weir::inline WEIR_ABI::detail
