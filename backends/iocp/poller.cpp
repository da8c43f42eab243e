// Polls and probes. Facts that shape this file:
// - A poll answers once, also when what it asks about is the case already: asked again after each answer, it
//   reports a condition as long as it lasts. So does a probe.
// - Two polls of one socket wake the wrong one of the two: to change what is asked, the first is cancelled,
// and
//   its packet awaited.
// - What they are made of belongs to the system until their packets have come, whatever became of the socket.
// - Of datagrams a probe has to look only: it would lose the first one.
#include "backends/iocp/poller.hpp"

#include "backends/host.hpp"
#include "backends/windows/errors.hpp"

#include <cerrno>
#include <cstdlib>
#include <new>
#include <string_view>
#include <system_error>
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
  if ((interest & end_interest) != 0) {
    events |= afd_disconnect;
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

bool is_wine() noexcept {
  const HMODULE system = ::GetModuleHandleW(L"ntdll.dll");
  return system != nullptr && ::GetProcAddress(system, "wine_get_version") != nullptr;
}

bool is_afd_forced() noexcept {
  const char* const set = std::getenv("WEIR_IOCP_AFD");
  return set != nullptr && std::string_view(set) == "1";
}

}  // namespace

IocpPoller::IocpPoller() : afd_only_(is_afd_forced()) {
  start_winsock();
  if (const std::int64_t error = port_.add(afd_.handle(), PortKey::poll); error < 0) {
    throw std::system_error(static_cast<int>(-error), os_category(), "CreateIoCompletionPort");
  }
  completed_.reserve(CompletionPort::most_packets);
}

IocpPoller::~IocpPoller() {
  while (!registered_.empty()) {
    unwatch(registered_.begin()->first);
  }
  while (in_flight_ != 0) {
    collect(TimePoint::max());
  }
}

bool IocpPoller::adopt(native_socket native) noexcept {
  return (!afd_only_ || WindowsSockets::type(native) == -ENOTSOCK) &&
         port_.add(reinterpret_cast<HANDLE>(native), PortKey::socket) == 0;
}

// --- Registrations

// Grown before anything is changed: nothing else allocates.
IocpPoller::Registration& IocpPoller::acquire(native_socket native) {
  if (free_.empty()) {
    const std::size_t room = all_.size() + 1;
    if (free_.capacity() < room) {
      const std::size_t more = 2 * room + 16;
      free_.reserve(more);
      changed_.reserve(more);
      asking_.reserve(more);
      events_.reserve(most_events * more);
    }
    all_.push_back(std::make_unique<Registration>());
    free_.push_back(all_.back().get());
  }
  Registration& registration = *free_.back();
  registered_.emplace(native, &registration);
  free_.pop_back();
  registration.native = native;
  registration.probe.owner = &registration;
  return registration;
}

void IocpPoller::release(Registration& registration) noexcept {
  registration.is_over = false;
  registration.base = nullptr;
  registration.was_reset = false;
  registration.has_ended = false;
  free_.push_back(&registration);
}

IocpPoller::Registration& IocpPoller::registration_of(native_socket native, bool is_process) {
  const auto found = registered_.find(native);
  if (found != registered_.end() && !is_process && !found->second->is_process) {
    return *found->second;
  }
  if (found != registered_.end()) {
    end(*found->second);
  }
  return acquire(native);
}

std::int64_t IocpPoller::watch(native_socket native, std::uint64_t token, Interest interest) noexcept {
  const std::int64_t type = WindowsSockets::type(native);
  const bool is_pipe = type == -ENOTSOCK && (interest & adopted_interest) != 0;
  const bool is_process =
      type == -ENOTSOCK && !is_pipe && ::GetProcessId(reinterpret_cast<HANDLE>(native)) != 0;
  if (type < 0 && !is_pipe && !is_process) {
    return type == -ENOTSOCK ? -ENOTSUP : type;
  }
  try {
    Registration& registration = registration_of(native, is_process);
    registration.base = nullptr;  // the number may be another socket's by now
    registration.was_reset = registration.was_reset && registration.token == token;
    registration.token = token;
    registration.interest = interest;
    registration.is_pipe = is_pipe;
    registration.is_process = is_process;
    registration.is_datagram = type == static_cast<std::int64_t>(SocketType::datagram);
    registration.can_probe = (interest & adopted_interest) != 0;
    if (is_process) {
      return wait_for(registration);
    }
    mark_changed(registration);
    return 0;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

std::int64_t IocpPoller::wait_for(Registration& process) noexcept {
  const std::int64_t error = process.process.begin(port_, reinterpret_cast<HANDLE>(process.native), &process);
  if (error < 0) {
    end(process);
    return error;
  }
  process.polled = Asked::something;
  ++in_flight_;
  return 0;
}

void IocpPoller::unwatch(native_socket native) noexcept {
  if (const auto found = registered_.find(native); found != registered_.end()) {
    end(*found->second);
  }
}

bool IocpPoller::was_reset(native_socket native) const noexcept {
  const auto found = registered_.find(native);
  return found != registered_.end() && found->second->was_reset;
}

void IocpPoller::end(Registration& registration) noexcept {
  registered_.erase(registration.native);
  if (std::exchange(registration.is_changed, false)) {
    std::erase(changed_, &registration);
  }
  if (registration.polled == Asked::something) {
    if (!registration.is_process) {
      registration.polled = Asked::cancelled;
      afd_.cancel(registration.poll);
    } else if (registration.process.end()) {
      registration.polled = Asked::cancelled;  // its packet is on the way
    } else {
      registration.polled = Asked::nothing;
      --in_flight_;
    }
  }
  if (registration.probe.asked == Asked::something) {
    registration.probe.asked = Asked::cancelled;
    ::CancelIoEx(reinterpret_cast<HANDLE>(registration.native), &registration.probe.system);
  }
  registration.is_over = true;
  is_over(registration);
}

// Also gives it back, once nothing of it is with the system.
bool IocpPoller::is_over(Registration& registration) noexcept {
  if (!registration.is_over) {
    return false;
  }
  if (registration.polled == Asked::nothing && registration.probe.asked == Asked::nothing) {
    release(registration);
  }
  return true;
}

void IocpPoller::mark_changed(Registration& registration) noexcept {
  if (!std::exchange(registration.is_changed, true)) {
    changed_.push_back(&registration);
  }
}

// --- Asking

Polled<PollEvent> IocpPoller::poll(TimePoint deadline) {
  Look look(sleep_, deadline);
  events_.clear();
  completed_.clear();
  // What was cancelled in order to be asked again is asked in the same look.
  do {
    ask_again();
  } while (collect(events_.empty() ? look.deadline() : TimePoint::min()) && events_.empty() &&
           completed_.empty() && !changed_.empty());
  Polled<Event> polled;
  polled.woken = look.woken();
  polled.events = events_;
  polled.completed = completed_;
  return polled;
}

void IocpPoller::ask_again() noexcept {
  asking_.swap(changed_);
  for (Registration* const registration : asking_) {
    registration->is_changed = false;
    ask(*registration);
  }
  asking_.clear();
}

void IocpPoller::ask(Registration& registration) noexcept {
  Interest interest = registration.interest;
  if (registration.is_process) {
    if (registration.has_ended && (interest & read_interest) != 0) {
      report(registration, is_readable);
    }
    return;
  }
  if (registration.is_pipe) {
    probe(registration);
    return;
  }
  if ((interest & read_interest) != 0 && registration.can_probe) {
    probe(registration);
  }
  if (registration.can_probe) {
    interest &= ~read_interest;
  }
  if ((interest & (read_interest | write_interest | end_interest)) != 0) {
    poll_for(registration, events_of(interest));
  }
}

// The readers of a socket that cannot be probed, because it has neither peer nor address, wait for a poll.
void IocpPoller::probe(Registration& registration) noexcept {
  Probe& probe = registration.probe;
  if (probe.asked != Asked::nothing) {
    return;
  }
  const DWORD error = begin_probe(registration);
  if (error == NO_ERROR) {
    probe.asked = Asked::something;
    ++in_flight_;
  } else if (error == WSAENOTCONN || error == WSAEINVAL) {
    registration.can_probe = false;
  } else if (error != ERROR_ACCESS_DENIED) {  // a writing end that may not read: its next write tells
    registration.was_reset |= negated_error(error) == -ECONNRESET;
    report(registration, is_readable | is_writable | is_ended);
  }
}

// NO_ERROR: there will be a packet.
DWORD IocpPoller::begin_probe(Registration& registration) noexcept {
  OVERLAPPED& system = registration.probe.system;
  system = {};
  bool has_failed = false;
  if (registration.is_pipe) {
    char nothing = 0;
    has_failed =
        ::ReadFile(reinterpret_cast<HANDLE>(registration.native), &nothing, 0, nullptr, &system) == FALSE;
  } else {
    WSABUF nothing{0, nullptr};
    DWORD flags = registration.is_datagram ? MSG_PEEK : 0;
    has_failed = ::WSARecv(registration.native, &nothing, 1, nullptr, &flags, &system, nullptr) != 0;
  }
  const DWORD error = has_failed ? ::GetLastError() : NO_ERROR;
  // A datagram that is there already is too large, and yet has a packet.
  return error == ERROR_IO_PENDING || error == WSAEMSGSIZE ? NO_ERROR : error;
}

void IocpPoller::poll_for(Registration& registration, AfdEvents events) noexcept {
  if (registration.polled == Asked::something) {
    if ((registration.polled_events & events) != events) {
      registration.polled = Asked::cancelled;
      afd_.cancel(registration.poll);
    }
    return;
  }
  if (registration.polled == Asked::cancelled) {
    return;  // its packet is on the way
  }
  const bool is_known =
      registration.base != nullptr || Afd::base_of(registration.native, registration.base) == 0;
  if (!is_known || afd_.begin(registration.poll, registration.base, events) < 0) {
    end(registration);  // closed behind our back: its registration goes with it, as under other pollers
    return;
  }
  registration.polled = Asked::something;
  registration.polled_events = events;
  ++in_flight_;
}

// --- Collecting

// False: the time is up, or there was a wake.
bool IocpPoller::collect(TimePoint deadline) {
  const auto packets = port_.wait(deadline);
  bool goes_on = !packets.empty();
  for (const OVERLAPPED_ENTRY& packet : packets) {
    if (packet.lpOverlapped == nullptr) {
      goes_on = false;
    } else {
      take(packet);
    }
  }
  return goes_on;
}

void IocpPoller::take(const OVERLAPPED_ENTRY& packet) noexcept {
  if (packet.lpCompletionKey == static_cast<ULONG_PTR>(PortKey::process)) {
    take_process(*reinterpret_cast<Registration*>(packet.lpOverlapped));
    return;
  }
  const std::int32_t status = status_of(packet);
  if (packet.lpCompletionKey == static_cast<ULONG_PTR>(PortKey::poll)) {
    take_poll(*reinterpret_cast<Registration*>(packet.lpOverlapped), status);
    return;
  }
  SystemRequest& request = SystemRequest::of(packet);
  if (request.kind == RequestKind::probe) {
    take_probe(static_cast<Probe&>(request), status);
  } else {
    completed_.push_back(operations_.take(request, status, packet.dwNumberOfBytesTransferred));
  }
}

void IocpPoller::take_poll(Registration& registration, std::int32_t status) noexcept {
  --in_flight_;
  const bool was_cancelled = std::exchange(registration.polled, Asked::nothing) == Asked::cancelled;
  if (is_over(registration)) {
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
  registration.was_reset |= status >= 0 && (answer & afd_abort) != 0;
  report(registration, ready_of(events & events_of(registration.interest)));
}

void IocpPoller::take_probe(Probe& probe, std::int32_t status) noexcept {
  --in_flight_;
  Registration& registration = *probe.owner;
  const bool was_cancelled = std::exchange(probe.asked, Asked::nothing) == Asked::cancelled;
  if (is_over(registration)) {
    return;
  }
  constexpr auto too_small =
      static_cast<std::int32_t>(0x80000005);  // STATUS_BUFFER_OVERFLOW: a datagram is there
  const bool has_failed = status < 0 && status != too_small;
  registration.was_reset |= has_failed && negated_status(status) == -ECONNRESET;
  const Readiness failed = was_cancelled ? 0 : is_readable | is_writable | is_ended;
  report(registration, has_failed ? failed : is_readable);
}

void IocpPoller::take_process(Registration& registration) noexcept {
  --in_flight_;
  registration.process.end();
  registration.polled = Asked::nothing;
  if (!is_over(registration)) {
    registration.has_ended = true;
    report(registration, is_readable);
  }
}

// It is asked again in the next look, if somebody then waits for it still.
void IocpPoller::report(Registration& registration, Readiness ready) noexcept {
  mark_changed(registration);
  const Interest wanted = registration.interest;
  const bool is_awaited = (ready & is_ended) != 0 ||
                          ((ready & is_readable) != 0 && (wanted & read_interest) != 0) ||
                          ((ready & is_writable) != 0 && (wanted & write_interest) != 0);
  if (is_awaited) {
    events_.push_back({registration.token, ready});
  }
}

bool IocpPoller::has(Capability capability) noexcept {
  const auto opens = [](AddressFamily family) {
    const std::int64_t probe = WindowsSockets::open(family, SocketType::stream, 0);
    return probe >= 0 && WindowsSockets::close(static_cast<native_socket>(probe)) == 0;
  };
  switch (capability) {
    case Capability::real_clock:
    case Capability::real_network:
    case Capability::signals:
    case Capability::subprocesses:
      return true;
    case Capability::datagram_errors:
      return !is_wine();  // which never tells
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
