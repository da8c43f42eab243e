// One socket of the simulated network, and the bytes on their way to it. Plain state; network.cpp
// moves it.
#pragma once

#include "backends/backend.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <span>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// Sockets that travel as descriptors, by their ids.
using Passed = std::vector<std::uint64_t>;

// Bytes for one receiver: the first `arrived` can be read, the rest is still under way.
class Inbound {
 public:
  std::size_t size() const noexcept { return bytes_.size() - head_; }
  std::size_t arrived() const noexcept { return arrived_; }

  void append(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

  // Sockets that travel with the last `count` bytes appended, and arrive with the first of them.
  void pass(std::size_t count, Passed sockets) {
    const std::uint64_t end = taken_ + size();
    passed_.push_back({end - count, end, std::move(sockets)});
  }
  // How many of the next `count` bytes one read gives: it ends behind a message with which sockets come.
  std::size_t up_to_passed(std::size_t count) const noexcept {
    return brings_passed(count) ? std::min(count, passed_.front().end - taken_) : count;
  }
  // The sockets that come with the next `count` bytes, which are taken out of it.
  Passed take_passed(std::size_t count) {
    if (!brings_passed(count)) {
      return {};
    }
    Passed sockets = std::move(passed_.front().sockets);
    passed_.pop_front();
    return sockets;
  }

  Passed take_all_passed() {
    Passed all;
    for (const Message& message : std::exchange(passed_, {})) {
      all.insert(all.end(), message.sockets.begin(), message.sockets.end());
    }
    return all;
  }

  void arrive(std::size_t count) noexcept { arrived_ += std::min(count, size() - arrived_); }

  // Forgets what is still under way, and gives the sockets that were.
  Passed lose() {
    bytes_.resize(head_ + arrived_);
    Passed lost;
    while (!passed_.empty() && passed_.back().begin >= taken_ + arrived_) {
      lost.insert(lost.end(), passed_.back().sockets.begin(), passed_.back().sockets.end());
      passed_.pop_back();
    }
    return lost;
  }

  void take(std::span<std::byte> into) noexcept {
    std::memcpy(into.data(), bytes_.data() + head_, into.size());
    head_ += into.size();
    taken_ += into.size();
    arrived_ -= into.size();
    if (head_ == bytes_.size()) {
      bytes_.clear();
      head_ = 0;
    } else if (head_ > bytes_.size() / 2) {
      bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
  }

 private:
  // From `begin` to `end` of all bytes that there ever were.
  struct Message {
    std::uint64_t begin;
    std::uint64_t end;
    Passed sockets;
  };
  bool brings_passed(std::size_t count) const noexcept {
    return !passed_.empty() && passed_.front().begin < taken_ + count;
  }

  std::vector<std::byte> bytes_;
  std::size_t head_ = 0;
  std::size_t arrived_ = 0;
  std::uint64_t taken_ = 0;
  std::deque<Message> passed_;
};

// A datagram that has arrived.
struct Received {
  std::vector<std::byte> data;
  RawAddress from;  // of family unspecified when the sender has no name
};

enum class SocketState : std::uint8_t {
  fresh,  // neither connected nor listening; also after a refused connect
  listening,
  connecting,  // sent its SYN
  half_open,   // the server's side of a handshake, and not in the accept queue yet
  connected,
  reset,  // was connected
};

// Which end of a pipe a socket plays, if any.
enum class PipeEnd : std::uint8_t { none, read, write };

struct Socket {
  std::uint64_t id = 0;        // never used twice in a world
  std::size_t references = 0;  // numbers that it has, and messages in which it travels; it ends with the last
  AddressFamily family = AddressFamily::unspecified;
  SocketType type = SocketType::stream;
  SocketState state = SocketState::fresh;
  PipeEnd pipe_end = PipeEnd::none;
  bool write_shut = false;
  bool read_shut = false;
  bool ended = false;  // the peer's FIN has arrived
  int error = 0;       // pending, a positive errno
  // IPv4 addresses stand here as such, also on an IPv6 socket that serves both.
  RawAddress local;
  RawAddress peer;
  std::array<int, socket_option_count> options{};  // by SocketOption

  std::uint64_t peer_id = 0;      // 0: none, or none yet
  std::uint64_t listener_id = 0;  // of a half-open socket
  std::size_t attempts = 0;       // SYNs sent
  Inbound in;
  TimePoint quiet_from{};     // when the last of what is under way to here arrives; later segments come later
  TimePoint clogged_until{};  // nothing arrives before
  TimePoint stuck_since = TimePoint::max();  // since when something that it sent is held
  std::size_t unanswered = 0;                // bytes that it sent to nobody
  bool cut = false;                          // its host or the peer's has vanished

  std::size_t backlog = 0;
  std::vector<std::uint64_t> half_open;    // ids of handshakes that will end in the queue
  std::deque<std::uint64_t> accept_queue;  // ids

  // Of a datagram socket, whose state is fresh or connected.
  std::deque<Received> datagrams;
  std::size_t datagram_cost = 0;               // what these take of the receive buffer
  std::size_t sending_cost = 0;                // what is under way takes of the send buffer
  TimePoint datagrams_until{};                 // when the last of what it sent arrives; later ones come later
  std::vector<std::uint64_t> waiting_senders;  // ids of Unix sockets for which it had no room
  std::vector<RawAddress> groups;              // without ports

  std::vector<BackendHandle*> handles;  // to be told when this changes

  int option(SocketOption which) const noexcept { return options[static_cast<std::size_t>(which)]; }
  bool is_unix() const noexcept { return family == AddressFamily::unix_domain; }
  bool is_pipe() const noexcept { return pipe_end != PipeEnd::none; }
  // Are both ends in one machine, so that no fault of a network befalls it?
  bool is_local() const noexcept { return is_unix() || is_pipe(); }
  bool is_bound() const noexcept { return local.port != 0 || local.path_size != 0; }
};

}  // namespace weir::inline WEIR_ABI::detail
