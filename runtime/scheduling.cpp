// call_soon and its family, beyond the fast path in the header; handles.
#include "runtime/guest_state.hpp"
#include "runtime/inbox.hpp"
#include "runtime/loop_access.hpp"
#include "runtime/loop_debug.hpp"
#include "runtime/running.hpp"
#include "runtime/timer_heap.hpp"

#include <weir/event_loop.hpp>

#include <thread>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

namespace {

// A callback with a context of its own, or in debug mode with the place where it was scheduled.
struct Scheduled {
  EventLoop* loop;
  Callback callback;
  Context context;
  std::source_location where;
};

Context context_for(const CallOptions& options) {
  return options.context != nullptr ? *options.context : copy_context();
}

void call_in(Context& context, Callback& callback) {
  if (ContextAccess::is_fresh(context)) {
    callback();
    return;
  }
  const ContextScope scope(context);
  callback();
}

void drop_item(void*, std::uintptr_t, std::uintptr_t, ReadyAction) {}

}  // namespace

void run_scheduled(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action) {
  struct Freed {
    Scheduled* scheduled;
    ~Freed() { delete_block(scheduled); }
  } const freed{static_cast<Scheduled*>(object)};
  if (action == ReadyAction::run) {
    Scheduled& scheduled = *freed.scheduled;
    if (scheduled.loop->get_debug()) {
      LoopAccess::debugging(*scheduled.loop).running = describe_callback(scheduled.callback, scheduled.where);
    }
    call_in(scheduled.context, scheduled.callback);
  }
}

void run_timer(void* object, std::uintptr_t id, std::uintptr_t, ReadyAction action) {
  if (action != ReadyAction::run) {
    return;  // the heap owns the slot
  }
  auto* slot = static_cast<TimerSlot*>(object);
  EventLoop& loop = *slot->loop;
  if (loop.get_debug()) {
    LoopAccess::debugging(loop).running = describe_callback(slot->callback, slot->where);
  }
  Callback callback;
  Context context;
  if (LoopAccess::timers(loop).take(slot, id, callback, context)) {
    call_in(context, callback);
  }
}

}  // namespace detail

void EventLoop::check_thread(const char* call) const {
  if (!debug_) {
    return;
  }
  const bool foreign = is_running() ? detail::running_loop_slot() != this
                                    : guest_ != nullptr && guest_->thread != std::this_thread::get_id();
  if (foreign) {
    throw RuntimeError(std::string(call) +
                       ": called from a thread that is not the loop's; use call_soon_threadsafe or remote()");
  }
}

Handle EventLoop::call_soon_with_care(detail::Callback callback, CallOptions options,
                                      std::source_location where) {
  check_open("call_soon");
  check_thread("call_soon");
  auto* scheduled = detail::new_block<detail::Scheduled>(
      detail::Scheduled{this, std::move(callback), detail::context_for(options), where});
  return Handle(anchor_, number_, ready_.push(&detail::run_scheduled, scheduled));
}

TimerHandle EventLoop::schedule_at(TimePoint when, detail::Callback&& callback, CallOptions options,
                                   std::source_location where) {
  if (call_soon_needs_care_) [[unlikely]] {
    check_open("call_at");
    check_thread("call_at");
  }
  const Context* current = detail::current_context_slot();
  if (options.context != nullptr || (current != nullptr && !detail::ContextAccess::empty(*current)))
      [[unlikely]] {
    Context context = detail::context_for(options);
    detail::TimerSlot* slot = timers_->add(when, std::move(callback), where);
    slot->context = std::move(context);
    return TimerHandle(anchor_, number_, slot, slot->id, when);
  }
  detail::TimerSlot* slot = timers_->add(when, std::move(callback), where);
  return TimerHandle(anchor_, number_, slot, slot->id, when);
}

TimerHandle detail::LoopAccess::call_at_plain(EventLoop& loop, TimePoint when, Callback callback) {
  TimerSlot* slot = loop.timers_->add(when, std::move(callback), {});
  return TimerHandle(loop.anchor_, loop.number_, slot, slot->id, when);
}

void EventLoop::post(detail::Callback callback, CallOptions options) {
  if (detail::running_loop_slot() == this) {
    call_soon_with_care(std::move(callback), options, {});
    return;
  }
  const Context* current = detail::current_context_slot();
  Context context;
  if (options.context != nullptr || (current != nullptr && !detail::ContextAccess::empty(*current))) {
    context = (options.context != nullptr ? *options.context : *current).cross_thread_copy();
  }
  inbox_->post(std::move(callback), std::move(context));
}

// --- Handles

EventLoop* Handle::loop() const noexcept {
  return anchor_ != nullptr && anchor_->loop_number.load(std::memory_order_relaxed) == loop_number_
             ? anchor_->loop
             : nullptr;
}

void Handle::cancel() noexcept {
  if (anchor_ == nullptr) {
    return;
  }
  cancelled_ = true;
  EventLoop* owner = loop();
  detail::ReadyItem* queued = owner != nullptr ? owner->ready_.find(sequence_) : nullptr;
  if (queued == nullptr) {
    return;
  }
  // What the callback captured may use the loop when it is destroyed, so the queue is left in order first.
  detail::ReadyItem dropped = *queued;
  queued->function = &detail::drop_item;
  dropped(detail::ReadyAction::drop);
}

std::string Handle::describe() const {
  if (cancelled_) {
    return "<Handle cancelled>";
  }
  EventLoop* owner = loop();
  const detail::ReadyItem* queued = owner != nullptr ? owner->ready_.find(sequence_) : nullptr;
  if (queued == nullptr) {
    return "<Handle>";
  }
  if (queued->function != &detail::run_scheduled) {
    return "<Handle callback>";
  }
  const auto* scheduled = static_cast<const detail::Scheduled*>(queued->object);
  return "<Handle " + detail::describe_callback(scheduled->callback, scheduled->where) + ">";
}

EventLoop* TimerHandle::loop() const noexcept {
  return anchor_ != nullptr && anchor_->loop_number.load(std::memory_order_relaxed) == loop_number_
             ? anchor_->loop
             : nullptr;
}

void TimerHandle::cancel() noexcept {
  cancelled_ = anchor_ != nullptr;
  cancel_if_pending();
}

bool TimerHandle::cancel_if_pending() noexcept {
  EventLoop* owner = loop();
  return owner != nullptr && owner->timers_->cancel(slot_, id_);
}

bool TimerHandle::reschedule(TimePoint when) noexcept {
  EventLoop* owner = loop();
  if (owner == nullptr || !owner->timers_->reschedule(slot_, id_, when)) {
    return false;
  }
  when_ = when;
  return true;
}

std::string TimerHandle::describe() const {
  if (cancelled_) {
    return "<TimerHandle cancelled>";
  }
  if (loop() == nullptr || slot_->id != id_) {
    return "<TimerHandle>";
  }
  return "<TimerHandle " + detail::describe_callback(slot_->callback, slot_->where) + ">";
}

}  // namespace weir::inline WEIR_ABI
