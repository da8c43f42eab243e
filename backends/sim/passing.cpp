// Who refers to a socket of the simulated network: descriptors, of which several may mean the same socket,
// and messages in which it travels. It ends with the last of these.
#include "backends/sim/network.hpp"
#include "backends/sim/world.hpp"

#include <cerrno>

namespace weir::inline WEIR_ABI::detail {

Passed Network::share(std::span<const native_socket> fds) {
  Passed passed;
  for (const native_socket fd : fds) {
    Socket& socket = *find(fd);
    ++socket.references;
    passed.push_back(socket.id);
    world_.record(TraceKind::pass, socket.id, 0, fd);
  }
  return passed;
}

// The references of the message stay: whoever took it out lets go of them.
void Network::hand_over(const Passed& passed, FdBatch& fds) {
  fds.count = 0;
  fds.lost = 0;
  for (const std::uint64_t id : passed) {
    if (fds.count == fds.room.size()) {
      fds.lost = EMSGSIZE;
      return;
    }
    if (is_short_of_descriptors()) {
      fds.lost = EMFILE;
      return;
    }
    Socket& socket = *by_id(id);
    const std::int64_t number = take_number(socket);
    world_.record(TraceKind::pass, socket.id, 1, number);
    fds.room[fds.count++] = static_cast<native_socket>(number);
  }
}

void Network::let_go(const Passed& passed) {
  for (const std::uint64_t id : passed) {
    let_go(*by_id(id));
  }
}

void Network::let_go(Socket& socket) {
  if (--socket.references == 0) {
    end(socket);
  }
}

void Network::close(native_socket number, bool keep_number) {
  Socket& socket = *find(number);
  world_.record(TraceKind::close, socket.id, 0, number);
  numbers_[static_cast<std::size_t>(number - first_number)] = no_socket;
  let_go(socket);
  if (!keep_number) {
    release_number(number);
  }
}

void Network::end(Socket& socket) {
  if (socket.state == SocketState::listening) {
    for (const std::uint64_t id : socket.accept_queue) {
      Socket& unaccepted = *by_id(id);
      if (unaccepted.state == SocketState::connected) {
        schedule(Segment::reset, unaccepted, unaccepted.peer_id);
      }
      erase(unaccepted);
    }
    for (const std::uint64_t id : socket.half_open) {
      Socket& server = *by_id(id);
      schedule(Segment::reset, server, server.peer_id);
      erase(server);
    }
  } else if (socket.pipe_end == PipeEnd::read) {
    // Whoever writes is told at once: by EPIPE, and by a hang-up that wakes those who wait.
    if (Socket* const writer = by_id(socket.peer_id); writer != nullptr) {
      writer->state = SocketState::reset;
      changed(*writer);
    }
  } else if (socket.type == SocketType::datagram) {
    for (const std::uint64_t id : std::exchange(socket.waiting_senders, {})) {
      if (Socket* sender = by_id(id); sender != nullptr) {
        changed(*sender);
      }
    }
  } else if (socket.state == SocketState::connected) {
    // As Linux does it: unread bytes were not taken note of, so the other side must not believe that they
    // were.
    if (socket.option(SocketOption::linger_abort) != 0 || socket.in.arrived() > 0) {
      schedule(Segment::reset, socket, socket.peer_id);
    } else if (!socket.write_shut || socket.is_unix()) {  // a second one says that nobody reads any more
      schedule(Segment::fin, socket, socket.peer_id);
    }
  }
  erase(socket);
}

}  // namespace weir::inline WEIR_ABI::detail
