// Timeout: its states are created -> active -> (expiring ->) ended or expired.
#include "runtime/loop_access.hpp"

#include <weir/timeout.hpp>

#include <string>

namespace weir::inline WEIR_ABI {

void Timeout::enter() {
  if (state_ != State::created) {
    throw RuntimeError("Timeout::run: it has been run already");
  }
  task_ = current_task().get();
  cancelling_ = task_->cancelling();
  state_ = State::active;
  reschedule(when_);
}

void Timeout::reschedule(std::optional<TimePoint> when) {
  if (state_ != State::active) {
    throw RuntimeError(std::string("Timeout::reschedule: it ") + (state_ == State::created
                                                                      ? "has not been run yet"
                                                                  : expired() ? "has expired"
                                                                              : "has ended"));
  }
  when_ = when;
  disarm();
  if (!when) {
    return;
  }
  EventLoop& loop = task_->get_loop();
  if (*when <= loop.time()) {
    soon_ = loop.call_soon([this] { expire(); });
  } else {
    timer_ = detail::LoopAccess::call_at_plain(loop, *when, [this] { expire(); });
  }
}

void Timeout::expire() noexcept {
  state_ = State::expiring;
  task_->cancel();
}

void Timeout::disarm() noexcept {
  timer_.cancel();
  soon_.cancel();
}

bool Timeout::leave() noexcept {
  if (state_ == State::active) {
    disarm();
    state_ = State::ended;
  } else if (state_ == State::expiring) {
    state_ = State::expired;
    return task_->uncancel() <= cancelling_;
  }
  return false;
}

}  // namespace weir::inline WEIR_ABI
