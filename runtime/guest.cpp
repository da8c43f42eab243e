// Guest mode: the turn, called by a host. The loop counts as asleep whenever run_ready() is not on the stack.
#include "runtime/guest_state.hpp"
#include "runtime/loop_access.hpp"
#include "runtime/running.hpp"

#include <weir/exceptions.hpp>
#include <weir/guest.hpp>

#include <string>

namespace weir::inline WEIR_ABI {

namespace detail {

namespace {

void forget(LoopResource& state) noexcept { LoopAccess::guest(*state.loop) = nullptr; }

// The loop, if it is attached and this is its thread.
EventLoop& loop_of(const GuestState& state, const char* call) {
  if (!state.listed) {
    throw RuntimeError(std::string(call) + ": the loop is not attached any more");
  }
  if (state.thread != std::this_thread::get_id()) {
    throw RuntimeError(std::string(call) +
                       ": called from another thread than the one that attached the loop");
  }
  return *state.loop;
}

EventLoop& checked(EventLoop& loop) {
  LoopAccess::check_open(loop, "LoopGuest");
  if (loop.is_running()) {
    throw RuntimeError("LoopGuest: this event loop is already running");
  }
  if (LoopAccess::guest(loop) != nullptr) {
    throw RuntimeError("LoopGuest: this event loop is attached already");
  }
  return loop;
}

// A wake that came before this made nothing readable.
void fall_asleep(EventLoop& loop) {
  if (LoopAccess::let_host_wait(loop) == TimePoint::min() && LoopAccess::ready(loop).empty()) {
    LoopAccess::backend(loop).wake();
  }
}

}  // namespace

GuestState::GuestState(EventLoop& owner) noexcept : LoopResource(owner, &forget) {}

}  // namespace detail

LoopGuest::LoopGuest(EventLoop& loop) : state_(std::make_shared<detail::GuestState>(detail::checked(loop))) {
  detail::LoopAccess::guest(loop) = state_.get();
  detail::fall_asleep(loop);
}

LoopGuest::~LoopGuest() { detach(); }

native_socket LoopGuest::descriptor() const {
  EventLoop& loop = detail::loop_of(*state_, "descriptor");
  if (!detail::Backend::has(detail::Capability::pollable_descriptor)) {
    throw NotSupportedError("descriptor", "pollable_descriptor");
  }
  return detail::LoopAccess::backend(loop).pollable_descriptor();
}

TimePoint LoopGuest::next_deadline() {
  EventLoop& loop = detail::loop_of(*state_, "next_deadline");
  return loop.is_running() ? TimePoint::max() : detail::LoopAccess::let_host_wait(loop);
}

// What it calls may detach the loop and destroy this object.
bool LoopGuest::run_ready() {
  EventLoop& loop = detail::loop_of(*state_, "run_ready");
  if (loop.is_running()) {
    return true;
  }
  if (detail::running_loop_slot() != nullptr) {
    throw RuntimeError("run_ready: another event loop is running in this thread");
  }
  const std::shared_ptr<detail::GuestState> state = state_;
  bool goes_on = true;
  try {
    goes_on = detail::LoopAccess::run_guest_turn(loop);
  } catch (...) {
    if (state->listed) {
      detail::fall_asleep(loop);
    }
    throw;
  }
  if (state->listed) {
    detail::fall_asleep(loop);
  }
  return goes_on;
}

bool LoopGuest::is_attached() const noexcept { return state_->listed; }

void LoopGuest::detach() noexcept {
  if (state_->listed) {
    detail::forget(*state_);
    state_->leave();
  }
}

}  // namespace weir::inline WEIR_ABI
