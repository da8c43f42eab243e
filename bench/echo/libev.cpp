// libev's echo server, with one buffer for all connections.
//
// Usage: echo_libev [--discard]
#include "bench/echo/listening.hpp"

#include <cerrno>
#include <vector>

// Watchers are structs that the application fills: its macros cast between them.
#pragma GCC diagnostic ignored "-Wstrict-aliasing"
#include <ev.h>

namespace {

std::vector<char> buffer(64 * 1024);
bool discards = false;

struct Connection {
  ev_io reading;
  ev_io writing;
  std::vector<char> unsent;
};

void drop(struct ev_loop* loop, Connection* connection) {
  ev_io_stop(loop, &connection->reading);
  ev_io_stop(loop, &connection->writing);
  ::close(connection->reading.fd);
  delete connection;
}

void writable(struct ev_loop* loop, ev_io* watcher, int) {
  auto* connection = static_cast<Connection*>(watcher->data);
  std::vector<char>& data = connection->unsent;
  const ssize_t sent = ::send(watcher->fd, data.data(), data.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) {
    drop(loop, connection);
    return;
  }
  data.erase(data.begin(), data.begin() + (sent < 0 ? 0 : sent));
  if (data.empty()) {
    ev_io_stop(loop, &connection->writing);
    ev_io_start(loop, &connection->reading);
  }
}

void readable(struct ev_loop* loop, ev_io* watcher, int) {
  auto* connection = static_cast<Connection*>(watcher->data);
  const ssize_t count = ::recv(watcher->fd, buffer.data(), buffer.size(), 0);
  if (count <= 0) {
    if (count == 0 || errno != EAGAIN) {
      drop(loop, connection);
    }
    return;
  }
  if (discards) {
    return;
  }
  const ssize_t sent = ::send(watcher->fd, buffer.data(), static_cast<std::size_t>(count), MSG_NOSIGNAL);
  if (sent == count) {
    return;
  }
  if (sent < 0 && errno != EAGAIN) {
    drop(loop, connection);
    return;
  }
  connection->unsent.assign(buffer.data() + (sent < 0 ? 0 : sent), buffer.data() + count);
  ev_io_stop(loop, &connection->reading);
  ev_io_start(loop, &connection->writing);
}

void connected(struct ev_loop* loop, ev_io* watcher, int) {
  for (;;) {
    const int descriptor = ::accept4(watcher->fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
      return;
    }
    bench::set_no_delay(descriptor);
    auto* connection = new Connection;
    ev_io_init(&connection->reading, &readable, descriptor, EV_READ);
    ev_io_init(&connection->writing, &writable, descriptor, EV_WRITE);
    connection->reading.data = connection->writing.data = connection;
    ev_io_start(loop, &connection->reading);
  }
}

}  // namespace

int main(int argc, char** argv) {
  discards = bench::discards(argc, argv);
  struct ev_loop* loop = ev_default_loop(EVBACKEND_EPOLL);
  ev_io listening;
  ev_io_init(&listening, &connected, bench::listen_anywhere(), EV_READ);
  ev_io_start(loop, &listening);
  ev_run(loop, 0);
  return 0;
}
