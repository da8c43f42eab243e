// A kernel of a few lines, so that the operation layer is tested by itself: sockets that hold bytes, and a
// poller that reports them in a drawn order, edge- or level-triggered, late, twice, and for registrations
// that are over.
#pragma once

#include "tests/backends/whole_layer.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

namespace fake {

using namespace weir::detail;
using weir::native_socket;

struct Socket {
  bool open = false;
  std::string inbound;
  bool peer_ended = false;
  int failed = 0;  // an errno, told once
  bool connecting = false;
  bool connected = true;
  std::size_t room = 0;  // of the send buffer
  std::string sent;
  int waiting_connections = 0;
  // What the poller knows.
  bool registered = false;
  std::uint64_t token = 0;
  Interest interest = no_interest;
  bool changed = false;  // an edge that was not reported yet

  bool readable() const { return !inbound.empty() || peer_ended || failed != 0 || waiting_connections > 0; }
  bool writable() const { return !connecting && (room > 0 || failed != 0); }
  Readiness state() const {
    Readiness ready = 0;
    ready |= readable() ? is_readable : Readiness{0};
    ready |= writable() ? is_writable : Readiness{0};
    ready |= peer_ended || failed != 0 ? is_ended : Readiness{0};
    return ready;
  }
};

struct Counts {
  int receives = 0, empty_receives = 0, sends = 0, full_sends = 0, accepts = 0, controls = 0, polls = 0;
};

struct Kernel {
  std::array<Socket, 64> sockets;
  std::vector<PollEvent> events;
  std::vector<std::uint64_t> old_tokens;
  Counts counts;
  std::uint64_t random = 1;
  bool reports_late = false;   // an event may stay away for some polls
  bool reports_stale = false;  // events of earlier registrations come again
  bool reports_twice = false;  // and so do those of living ones, with nothing behind them
  bool is_shuffled = false;
  int refusal = 0;    // an errno for the next registration
  int forbidden = 0;  // an errno for every accept

  std::uint64_t draw(std::uint64_t bound) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    return (random >> 33) % bound;
  }
  native_socket open(std::size_t room = 1000) {
    for (std::size_t i = 3; i < sockets.size(); ++i) {
      if (!sockets[i].open) {
        sockets[i] = Socket{};
        sockets[i].open = true;
        sockets[i].room = room;
        return static_cast<native_socket>(i);
      }
    }
    return -1;
  }
  Socket& at(native_socket native) { return sockets[static_cast<std::size_t>(native)]; }
  void arrive(native_socket native, std::string_view bytes) {
    at(native).inbound += bytes;
    at(native).changed = true;
  }
  void end(native_socket native) {
    at(native).peer_ended = true;
    at(native).changed = true;
  }
  void give_room(native_socket native, std::size_t room) {
    Socket& socket = at(native);
    // As TCP does: an edge only for a sender that was turned away.
    socket.changed |= socket.room == 0;
    socket.room += room;
  }
};

inline Kernel* kernel = nullptr;

struct Sockets : NoSendFile {
  static std::int64_t open(weir::AddressFamily, weir::SocketType, int) noexcept { return kernel->open(); }
  static std::int64_t open_pair(native_socket (&)[2]) noexcept { return -ENOTSUP; }
  static std::int64_t close(native_socket native) noexcept {
    kernel->at(native) = Socket{};
    return 0;
  }
  static std::int64_t bind(native_socket, const RawAddress&) noexcept { return 0; }
  static std::int64_t listen(native_socket, int) noexcept { return 0; }
  static std::int64_t local_address(native_socket, RawAddress&) noexcept { return 0; }
  static std::int64_t peer_address(native_socket, RawAddress&) noexcept { return 0; }
  static std::int64_t set_option(native_socket, SocketOption, int) noexcept { return 0; }
  static std::int64_t get_option(native_socket, SocketOption) noexcept { return 0; }
  static std::int64_t shutdown(native_socket, ShutdownHow) noexcept { return 0; }
  static std::int64_t adopt(native_socket) noexcept { return 0; }
  static std::int64_t is_blocking(native_socket) noexcept { return 0; }
  static std::int64_t type(native_socket) noexcept { return 0; }
  static std::int64_t family(native_socket) noexcept { return static_cast<int>(weir::AddressFamily::inet); }
  static std::int64_t socket_file(const RawAddress&, FileIdentity&) noexcept { return -ENOTSUP; }
  static std::int64_t remove_file(const RawAddress&) noexcept { return -ENOTSUP; }
  static std::int64_t connect(native_socket native, const RawAddress&) noexcept {
    kernel->at(native).connecting = true;
    return -EINPROGRESS;
  }
  static std::int64_t connect_result(native_socket native) noexcept {
    Socket& socket = kernel->at(native);
    return socket.failed != 0 ? -std::exchange(socket.failed, 0) : socket.connecting ? -EINPROGRESS : 0;
  }
  static std::int64_t accept(native_socket native, RawAddress&) noexcept {
    ++kernel->counts.accepts;
    Socket& socket = kernel->at(native);
    if (socket.failed != 0) {
      return -std::exchange(socket.failed, 0);
    }
    if (kernel->forbidden != 0) {
      return -kernel->forbidden;
    }
    return socket.waiting_connections > 0 ? --socket.waiting_connections, 1000 : -EAGAIN;
  }
  static bool concerns_one_connection(std::int64_t result) noexcept {
    return result == -ECONNABORTED || result == -EPERM;
  }
  static std::int64_t receive(native_socket native, std::span<std::byte> into) noexcept {
    Socket& socket = kernel->at(native);
    ++kernel->counts.receives;
    if (socket.inbound.empty()) {
      if (socket.failed != 0) {
        return -std::exchange(socket.failed, 0);
      }
      kernel->counts.empty_receives += socket.peer_ended ? 0 : 1;
      return socket.peer_ended ? 0 : -EAGAIN;
    }
    const std::size_t taken = std::min(into.size(), socket.inbound.size());
    std::memcpy(into.data(), socket.inbound.data(), taken);
    socket.inbound.erase(0, taken);
    return static_cast<std::int64_t>(taken);
  }
  static std::int64_t send(native_socket native, ConstBuffer buffer) noexcept {
    Socket& socket = kernel->at(native);
    ++kernel->counts.sends;
    if (socket.failed != 0) {
      return -std::exchange(socket.failed, 0);
    }
    if (socket.room == 0) {
      ++kernel->counts.full_sends;
      return -EAGAIN;
    }
    const std::size_t taken = std::min(buffer.size(), socket.room);
    socket.sent.append(reinterpret_cast<const char*>(buffer.data()), taken);
    socket.room -= taken;
    return static_cast<std::int64_t>(taken);
  }
  static std::int64_t send_gather(native_socket native, std::span<const ConstBuffer> buffers) noexcept {
    std::int64_t total = 0;
    for (const ConstBuffer& buffer : buffers) {
      const std::int64_t sent = buffer.empty() ? 0 : send(native, buffer);
      if (sent < 0) {
        return total > 0 ? total : sent;
      }
      total += sent;
      if (static_cast<std::size_t>(sent) < buffer.size()) {
        break;
      }
    }
    return total;
  }
};

template <bool edge>
struct Poller {
  using Sockets = fake::Sockets;
  using Files = PosixFiles;
  using Event = PollEvent;
  static constexpr bool has_edge = edge;

  std::int64_t watch(native_socket native, std::uint64_t token, Interest interest) noexcept {
    ++kernel->counts.controls;
    if (kernel->refusal != 0) {
      return -std::exchange(kernel->refusal, 0);
    }
    Socket& socket = kernel->at(native);
    if (!socket.open) {
      return -EBADF;
    }
    if (socket.registered) {
      kernel->old_tokens.push_back(socket.token);
    }
    socket.registered = true;
    socket.token = token;
    socket.interest = interest;
    socket.changed = true;
    return 0;
  }
  std::int64_t rewatch(native_socket native, std::uint64_t token, Interest interest) noexcept {
    return watch(native, token, interest);
  }
  void unwatch(native_socket native) noexcept {
    ++kernel->counts.controls;
    Socket& socket = kernel->at(native);
    if (socket.registered) {
      kernel->old_tokens.push_back(socket.token);
    }
    socket.registered = false;
  }
  Polled<Event> poll(TimePoint) {
    ++kernel->counts.polls;
    auto& events = kernel->events;
    events.clear();
    for (Socket& socket : kernel->sockets) {
      if (!socket.open || !socket.registered || (kernel->reports_late && kernel->draw(3) == 0)) {
        continue;
      }
      Readiness ready = socket.state();
      const bool ended_both = socket.failed != 0;  // reported whether asked for or not
      if (!ended_both) {
        ready &= socket.interest | is_ended;
        ready = (ready & (is_readable | is_writable)) != 0 ? ready : Readiness{0};
      }
      if ((socket.interest & edge_interest) != 0) {
        ready = socket.changed ? ready : Readiness{0};
        socket.changed = false;
      }
      if (ready != 0) {
        events.push_back({socket.token, ready});
      } else if (kernel->reports_twice && kernel->draw(4) == 0) {
        events.push_back({socket.token, static_cast<Readiness>(1 + kernel->draw(7))});
      }
    }
    if (kernel->reports_stale) {
      for (int i = 0; i < 3 && !kernel->old_tokens.empty(); ++i) {
        const auto which = kernel->draw(kernel->old_tokens.size());
        events.push_back({kernel->old_tokens[which], is_readable | is_writable | is_ended});
      }
    }
    if (kernel->is_shuffled) {
      for (std::size_t i = events.size(); i > 1; --i) {
        std::swap(events[i - 1], events[kernel->draw(i)]);
      }
    }
    return {events, false};
  }
  bool take_wake() noexcept { return false; }
  void wake() noexcept {}
  TimePoint now() const noexcept { return TimePoint(); }
  static bool has(Capability) noexcept { return true; }
};

static_assert(IsPoller<Poller<true>> && IsPoller<Poller<false>>);

// A loop on such a kernel.
template <bool edge>
struct Loop {
  Loop() { fake::kernel = &kernel; }
  ~Loop() {
    backend.close_all();
    while (!queue.empty()) {
      ReadyItem item = queue.pop();
      item(ReadyAction::drop);
    }
  }
  void run() {
    for (std::size_t left = queue.size(); left > 0; --left) {
      ReadyItem item = queue.pop();
      item(ReadyAction::run);
    }
  }
  void turn() {
    backend.poll(TimePoint::min());
    run();
  }
  void turns(int count) {
    while (count-- > 0) {
      turn();
    }
  }

  Kernel kernel;
  ReadyQueue queue;
  ReadinessBackend<Poller<edge>> backend{queue};
};

}  // namespace fake
