// Embedding. A turn is an event of its own, activated when something is collected: libevent runs it behind
// the events that it has found in the same round, so that a turn has all of them.
#include "backends/libevent/host.hpp"

#include <event2/event.h>

#include <algorithm>
#include <new>
#include <system_error>

namespace weir::inline WEIR_ABI::detail {

LibeventHost::LibeventHost(LibeventPoller& poller, event_base* base, Turn turn, void* object)
    : poller_(poller),
      base_(base),
      turn_(turn),
      object_(object),
      event_(::event_new(base, -1, 0, &on_turn, this)) {
  if (event_ == nullptr) {
    throw std::bad_alloc();
  }
  if (const std::int64_t error = poller_.move_to(base, event_.get()); error < 0) {
    throw std::system_error(static_cast<int>(-error), std::generic_category(), "event_add");
  }
}

LibeventHost::~LibeventHost() { poller_.move_home(); }

void LibeventHost::on_turn(int, short, void* host) noexcept {
  const LibeventHost& self = *static_cast<LibeventHost*>(host);
  self.turn_(self.object_);
}

// With no time at all libevent still looks for events before it comes back.
void LibeventHost::schedule(TimePoint when) noexcept {
  if (when == TimePoint::max()) {
    ::event_del(event_.get());
    return;
  }
  const TimePoint current = when == TimePoint::min() ? when : poller_.now();
  const timeval left = to_timeval(when <= current ? std::chrono::nanoseconds(0) : when - current);
  ::event_add(event_.get(), &left);
}

void LibeventHost::end_dispatch() noexcept { ::event_base_loopbreak(base_); }

}  // namespace weir::inline WEIR_ABI::detail
