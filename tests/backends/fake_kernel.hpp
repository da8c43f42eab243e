// What fake_poller.hpp is made of: sockets that hold bytes, and what a test does to them.
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

}  // namespace fake
