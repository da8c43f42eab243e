// LibeventGuest: a LoopGuest whose host is an application's event_base. Compiled for the backend libevent
// alone.
#include "runtime/guest_state.hpp"
#include "runtime/loop_access.hpp"

#include <weir/guest.hpp>
#include <weir/libevent.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

namespace weir::inline WEIR_ABI {

// Held by itself while its turn runs, in which the loop may be detached and the LibeventGuest destroyed.
struct LibeventGuest::State : std::enable_shared_from_this<State> {
  explicit State(EventLoop& loop) : guest(loop), closing(loop, this) {}

  // Gives the base its own back before the loop's backend ends.
  struct Closing : detail::LoopResource {
    Closing(EventLoop& loop, State* its_state) noexcept : LoopResource(loop, &on_close), state(its_state) {}
    // In a child of fork() the base may be locked by a thread that is not there.
    static void on_close(LoopResource& resource) noexcept {
      State& its_state = *static_cast<Closing&>(resource).state;
      if (detail::LoopAccess::is_inherited(*resource.loop)) {
        its_state.guest.detach();
      } else {
        its_state.detach();
      }
    }
    State* state;
  };

  static void on_turn(void* object) noexcept {
    const std::shared_ptr<State> self = static_cast<State*>(object)->shared_from_this();
    self->in_turn = true;
    self->turn();
    self->in_turn = false;
    if (!self->guest.is_attached()) {
      self->host.reset();
    }
  }
  void turn() noexcept {
    stopped = false;
    try {
      stopped = !guest.run_ready();
      reschedule();
    } catch (...) {
      failed = std::current_exception();
      host->schedule(TimePoint::min());
    }
    if (stopped || failed != nullptr) {
      host->end_dispatch();
    }
  }
  void reschedule() {
    if (guest.is_attached()) {
      host->schedule(guest.next_deadline());
    }
  }
  void detach() noexcept {
    guest.detach();
    closing.leave();
    if (!in_turn) {
      host.reset();
    }
  }

  LoopGuest guest;
  Closing closing;
  std::optional<detail::LibeventHost> host;
  std::exception_ptr failed;
  bool stopped = false;
  bool in_turn = false;
};

LibeventGuest::LibeventGuest(EventLoop& loop, event_base* host) {
  if (host == nullptr) {
    throw std::invalid_argument("LibeventGuest: the event_base is null");
  }
  state_ = std::make_shared<State>(loop);
  state_->host.emplace(detail::LoopAccess::backend(loop).poller(), host, &State::on_turn, state_.get());
  update();
}

LibeventGuest::~LibeventGuest() { detach(); }

// Inside a turn the end of the turn does it.
void LibeventGuest::update() {
  if (!state_->in_turn) {
    state_->reschedule();
  }
}

void LibeventGuest::rethrow() {
  if (state_->failed != nullptr) {
    std::rethrow_exception(std::exchange(state_->failed, nullptr));
  }
}

bool LibeventGuest::is_stopped() const noexcept { return state_->stopped; }

bool LibeventGuest::is_attached() const noexcept { return state_->guest.is_attached(); }

void LibeventGuest::detach() noexcept { state_->detach(); }

}  // namespace weir::inline WEIR_ABI
