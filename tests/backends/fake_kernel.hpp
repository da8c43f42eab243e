// A kernel of a few lines: sockets that hold bytes and datagrams, and the calls on them.
#pragma once

#include "tests/backends/whole_layer.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace fake {

using namespace weir::detail;
using weir::native_socket;
using weir::PeerCredentials;

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
  std::deque<std::string> datagrams;  // as inbound, but each by itself
  std::vector<std::string> sent_datagrams;
  // What the poller knows.
  bool registered = false;
  std::uint64_t token = 0;
  Interest interest = no_interest;
  bool changed = false;  // an edge that was not reported yet
  bool told_of_reset = false;

  bool readable() const {
    return !inbound.empty() || peer_ended || failed != 0 || waiting_connections > 0 || !datagrams.empty();
  }
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
  void arrive_datagram(native_socket native, std::string_view bytes) {
    at(native).datagrams.emplace_back(bytes);
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

// As recvmmsg: an error behind a datagram is told by the next call.
class DatagramBatch {
 public:
  static constexpr std::size_t capacity = 4;
  std::int64_t receive(native_socket native) noexcept {
    ++kernel->counts.receives;
    Socket& socket = kernel->at(native);
    if (socket.failed != 0) {
      return -std::exchange(socket.failed, 0);
    }
    received_.clear();
    while (!socket.datagrams.empty() && received_.size() != capacity) {
      received_.push_back(std::move(socket.datagrams.front()));
      socket.datagrams.pop_front();
    }
    kernel->counts.empty_receives += received_.empty() ? 1 : 0;
    return received_.empty() ? -EAGAIN : static_cast<std::int64_t>(received_.size());
  }
  std::span<std::byte> data(std::size_t index) noexcept {
    return std::as_writable_bytes(std::span(received_[index]));
  }
  RawAddress from(std::size_t) const noexcept { return {}; }
  std::int64_t error() const noexcept { return 0; }
  bool is_full() const noexcept { return received_.size() == capacity; }

 private:
  std::vector<std::string> received_;
};

struct Sockets : NoSendFile {
  using DatagramBatch = fake::DatagramBatch;
  static std::int64_t join_group(native_socket, const RawAddress&, std::uint32_t) noexcept {
    return -ENOTSUP;
  }
  static std::int64_t leave_group(native_socket, const RawAddress&, std::uint32_t) noexcept {
    return -ENOTSUP;
  }
  static std::int64_t receive_from(native_socket native, std::span<std::byte> into, RawAddress&) noexcept {
    ++kernel->counts.receives;
    Socket& socket = kernel->at(native);
    if (socket.failed != 0) {
      return -std::exchange(socket.failed, 0);
    }
    if (socket.datagrams.empty()) {
      ++kernel->counts.empty_receives;
      return -EAGAIN;
    }
    const std::string received = std::move(socket.datagrams.front());
    socket.datagrams.pop_front();
    const std::size_t size = std::min(received.size(), into.size());
    std::memcpy(into.data(), received.data(), size);
    return static_cast<std::int64_t>(size);
  }
  static std::int64_t send_datagrams(native_socket native, std::span<const Datagram> datagrams,
                                     bool) noexcept {
    ++kernel->counts.sends;
    Socket& socket = kernel->at(native);
    if (socket.failed != 0) {
      return -std::exchange(socket.failed, 0);
    }
    std::int64_t sent = 0;
    for (; sent != static_cast<std::int64_t>(datagrams.size()) && socket.room != 0; ++sent, --socket.room) {
      const ConstBuffer data = datagrams[static_cast<std::size_t>(sent)].data;
      socket.sent_datagrams.emplace_back(reinterpret_cast<const char*>(data.data()), data.size());
    }
    return sent != 0 ? sent : -EAGAIN;
  }
  static bool join_datagrams(native_socket) noexcept { return false; }
  static bool concerns_peer(std::int64_t error) noexcept { return error == -ECONNREFUSED; }
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
  static bool is_listening(native_socket) noexcept { return true; }
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

}  // namespace fake
