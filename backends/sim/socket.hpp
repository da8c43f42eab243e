// One stream socket of the simulated network, and the bytes on their way to it. Plain state; network.cpp
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
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// Bytes for one receiver: the first `arrived` can be read, the rest is still under way.
class Inbound {
 public:
  std::size_t size() const noexcept { return bytes_.size() - head_; }
  std::size_t arrived() const noexcept { return arrived_; }

  void append(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

  void arrive(std::size_t count) noexcept { arrived_ += std::min(count, size() - arrived_); }

  // Forgets what is still under way.
  void lose() noexcept { bytes_.resize(head_ + arrived_); }

  void take(std::span<std::byte> into) noexcept {
    std::memcpy(into.data(), bytes_.data() + head_, into.size());
    head_ += into.size();
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
  std::vector<std::byte> bytes_;
  std::size_t head_ = 0;
  std::size_t arrived_ = 0;
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
  std::uint64_t id = 0;                   // never used twice in a world
  native_socket number = invalid_socket;  // invalid until accepted
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
  std::array<int, 10> options{};  // by SocketOption

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

  std::vector<BackendHandle*> handles;  // to be told when this changes

  int option(SocketOption which) const noexcept { return options[static_cast<std::size_t>(which)]; }
  bool is_unix() const noexcept { return family == AddressFamily::unix_domain; }
  bool is_pipe() const noexcept { return pipe_end != PipeEnd::none; }
  // Are both ends in one machine, so that no fault of a network befalls it?
  bool is_local() const noexcept { return is_unix() || is_pipe(); }
  bool is_bound() const noexcept { return local.port != 0 || local.path_size != 0; }
};

}  // namespace weir::inline WEIR_ABI::detail
