// AFD polls. Facts that shape this file:
// - A poll answers once, also when what it asks about is the case already: asked again after each answer, it
//   reports a condition as long as it lasts.
// - Two polls of one socket wake the wrong one of the two: to change what is asked, the first is cancelled,
// and
//   its packet awaited.
// - What a poll is made of belongs to the system until its packet has come, whatever became of the socket.
#include "backends/iocp/poller.hpp"

#include <cassert>
#include <cerrno>
#include <new>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

AfdEvents events_of(Interest interest) noexcept {
  AfdEvents events = afd_abort | afd_connect_fail;
  if ((interest & read_interest) != 0) {
    events |= afd_receive | afd_accept | afd_disconnect;
  }
  if ((interest & write_interest) != 0) {
    events |= afd_send;
  }
  return events;
}

Readiness ready_of(AfdEvents events) noexcept {
  if ((events & (afd_abort | afd_connect_fail)) != 0) {
    return is_readable | is_writable | is_ended;
  }
  return static_cast<Readiness>(((events & (afd_receive | afd_accept)) != 0 ? is_readable : 0) |
                                ((events & afd_send) != 0 ? is_writable : 0) |
                                ((events & afd_disconnect) != 0 ? is_readable | is_ended : 0));
}

}  // namespace

AfdPoller::AfdPoller() {
  start_winsock();
  port_.add(afd_.handle(), PortKey::poll);
}

AfdPoller::~AfdPoller() {
  while (!registered_.empty()) {
    unwatch(registered_.begin()->first);
  }
  while (in_flight_ != 0) {
    collect(TimePoint::max());
  }
}

// Grown before anything is changed: nothing else allocates.
AfdPoller::Registration& AfdPoller::acquire(native_socket native) {
  if (free_.empty()) {
    const std::size_t room = all_.size() + 1;
    if (free_.capacity() < room) {
      const std::size_t more = 2 * room + 16;
      free_.reserve(more);
      changed_.reserve(more);
      events_.reserve(more);
    }
    all_.push_back(std::make_unique<Registration>());
    free_.push_back(all_.back().get());
  }
  Registration& registration = *free_.back();
  registered_.emplace(native, &registration);
  free_.pop_back();
  registration.native = native;
  return registration;
}

void AfdPoller::release(Registration& registration) noexcept {
  registration = Registration{};
  free_.push_back(&registration);
}

std::int64_t AfdPoller::watch(native_socket native, std::uint64_t token, Interest interest) noexcept {
  HANDLE base = nullptr;
  if (const std::int64_t error = Afd::base_of(native, base); error < 0) {
    DWORD flags = 0;
    const bool is_open = ::GetHandleInformation(reinterpret_cast<HANDLE>(native), &flags) != 0;
    return error != -ENOTSOCK ? error : is_open ? -ENOTSUP : -EBADF;
  }
  auto found = registered_.find(native);
  if (found != registered_.end() && found->second->base != base) {
    unwatch(native);
    found = registered_.end();
  }
  try {
    Registration& registration = found != registered_.end() ? *found->second : acquire(native);
    registration.base = base;
    registration.token = token;
    registration.interest = interest;
    mark_changed(registration);
    return 0;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

void AfdPoller::unwatch(native_socket native) noexcept {
  if (const auto found = registered_.find(native); found != registered_.end()) {
    end(*found->second);
  }
}

void AfdPoller::end(Registration& registration) noexcept {
  registered_.erase(registration.native);
  if (std::exchange(registration.is_changed, false)) {
    std::erase(changed_, &registration);
  }
  if (registration.asked == Asked::nothing) {
    release(registration);
    return;
  }
  registration.is_over = true;
  if (std::exchange(registration.asked, Asked::cancelled) == Asked::something) {
    afd_.cancel(registration.poll);
  }
}

void AfdPoller::mark_changed(Registration& registration) noexcept {
  if (!std::exchange(registration.is_changed, true)) {
    changed_.push_back(&registration);
  }
}

Polled<PollEvent> AfdPoller::poll(TimePoint deadline) {
  Look look(sleep_, deadline);
  events_.clear();
  // What was cancelled in order to be asked again is asked in the same look.
  do {
    ask_again();
  } while (collect(look.deadline()) && events_.empty() && !changed_.empty());
  Polled<Event> polled;
  polled.woken = look.woken();
  polled.events = events_;
  return polled;
}

void AfdPoller::ask_again() noexcept {
  // ask() may end a registration, which then is no longer in the list.
  for (std::size_t i = changed_.size(); i-- != 0;) {
    Registration& registration = *changed_[i];
    registration.is_changed = false;
    ask(registration);
  }
  changed_.clear();
}

void AfdPoller::ask(Registration& registration) noexcept {
  const AfdEvents events = events_of(registration.interest);
  if (registration.asked == Asked::something) {
    if ((registration.asked_events & events) != events) {
      registration.asked = Asked::cancelled;
      afd_.cancel(registration.poll);
    }
    return;
  }
  if (registration.asked == Asked::cancelled) {
    return;  // its packet is on the way
  }
  if (afd_.begin(registration.poll, registration.base, events) < 0) {
    end(registration);  // closed behind our back: its registration goes with it, as under other pollers
    return;
  }
  registration.asked = Asked::something;
  registration.asked_events = events;
  ++in_flight_;
}

// False: the time is up, or there was a wake.
bool AfdPoller::collect(TimePoint deadline) {
  DWORD milliseconds = INFINITE;
  if (deadline != TimePoint::max()) {
    const TimePoint current = deadline == TimePoint::min() ? deadline : now();
    milliseconds = deadline <= current ? 0 : to_milliseconds(deadline - current);
  }
  const auto packets = port_.wait(milliseconds);
  bool goes_on = !packets.empty();
  for (const OVERLAPPED_ENTRY& packet : packets) {
    if (packet.lpCompletionKey == static_cast<ULONG_PTR>(PortKey::poll)) {
      take(*reinterpret_cast<Registration*>(packet.lpOverlapped), status_of(packet));
    } else {
      goes_on = false;
    }
  }
  return goes_on;
}

void AfdPoller::take(Registration& registration, std::int32_t status) noexcept {
  --in_flight_;
  const bool was_cancelled = std::exchange(registration.asked, Asked::nothing) == Asked::cancelled;
  if (registration.is_over) {
    release(registration);
    return;
  }
  // A poll that failed by itself: whoever waits asks the socket, and is told.
  const AfdEvents failed = was_cancelled ? 0 : afd_abort;
  const AfdEvents answer = registration.poll.count != 0 ? registration.poll.socket.events : 0;
  const AfdEvents events = status < 0 ? failed : answer;
  if ((events & afd_local_close) != 0) {
    end(registration);
    return;
  }
  mark_changed(registration);
  if (const Readiness ready = ready_of(events & events_of(registration.interest)); ready != 0) {
    events_.push_back({registration.token, ready});
  }
}

bool AfdPoller::has(Capability capability) noexcept {
  const auto opens = [](AddressFamily family) {
    const std::int64_t probe = WindowsSockets::open(family, SocketType::stream, 0);
    return probe >= 0 && WindowsSockets::close(static_cast<native_socket>(probe)) == 0;
  };
  switch (capability) {
    case Capability::real_clock:
    case Capability::real_network:
    case Capability::signals:
      return true;
    case Capability::ipv6: {
      static const bool ipv6 = opens(AddressFamily::inet6);
      return ipv6;
    }
    case Capability::unix_sockets: {
      static const bool unix_sockets = opens(AddressFamily::unix_domain);
      return unix_sockets;
    }
    default:
      return false;
  }
}

}  // namespace weir::inline WEIR_ABI::detail
