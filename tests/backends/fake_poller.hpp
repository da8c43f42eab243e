// A kernel of a few lines, so that the operation layer is tested by itself: sockets that hold bytes, and a
// poller that reports them in a drawn order, edge- or level-triggered, late, twice, and for registrations
// that are over.
#pragma once

#include "tests/backends/fake_kernel.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fake {

struct Sockets {
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
  static std::int64_t peer_credentials(native_socket, PeerCredentials&) noexcept { return -ENOTSUP; }
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
  static std::int64_t read(native_socket native, std::span<std::byte> into) noexcept {
    return receive(native, into);
  }
  static std::int64_t write(native_socket native, std::span<const ConstBuffer> buffers) noexcept {
    return send_gather(native, buffers);
  }
  static std::int64_t has_hung_up(native_socket native) noexcept {
    const Socket& socket = kernel->at(native);
    return socket.peer_ended || socket.failed != 0;
  }
  // Descriptors are not among what this kernel knows.
  static std::int64_t receive_fds(native_socket native, std::span<std::byte> into, FdBatch&) noexcept {
    return receive(native, into);
  }
  static std::int64_t send_fds(native_socket native, ConstBuffer data,
                               std::span<const native_socket>) noexcept {
    return send(native, data);
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
