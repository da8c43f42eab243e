// libevent's echo server on plain events, with one buffer for all connections: its bufferevents copy.
//
// Usage: echo_libevent [--discard]
#include "bench/echo/listening.hpp"

#include <event2/event.h>
#include <event2/event_struct.h>

#include <cerrno>
#include <vector>

namespace {

std::vector<char> buffer(64 * 1024);
bool discards = false;

struct Connection {
  event reading;
  event writing;
  int descriptor;
  std::vector<char> unsent;
};

void drop(Connection* connection) {
  event_del(&connection->reading);
  event_del(&connection->writing);
  ::close(connection->descriptor);
  delete connection;
}

void writable(evutil_socket_t descriptor, short, void* argument) {
  auto* connection = static_cast<Connection*>(argument);
  std::vector<char>& data = connection->unsent;
  const ssize_t sent = ::send(descriptor, data.data(), data.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) {
    drop(connection);
    return;
  }
  data.erase(data.begin(), data.begin() + (sent < 0 ? 0 : sent));
  if (data.empty()) {
    event_del(&connection->writing);
    event_add(&connection->reading, nullptr);
  }
}

void readable(evutil_socket_t descriptor, short, void* argument) {
  auto* connection = static_cast<Connection*>(argument);
  const ssize_t count = ::recv(descriptor, buffer.data(), buffer.size(), 0);
  if (count <= 0) {
    if (count == 0 || errno != EAGAIN) {
      drop(connection);
    }
    return;
  }
  if (discards) {
    return;
  }
  const ssize_t sent = ::send(descriptor, buffer.data(), static_cast<std::size_t>(count), MSG_NOSIGNAL);
  if (sent == count) {
    return;
  }
  if (sent < 0 && errno != EAGAIN) {
    drop(connection);
    return;
  }
  connection->unsent.assign(buffer.data() + (sent < 0 ? 0 : sent), buffer.data() + count);
  event_del(&connection->reading);
  event_add(&connection->writing, nullptr);
}

void connected(evutil_socket_t listener, short, void* base) {
  for (;;) {
    const int descriptor = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
      return;
    }
    bench::set_no_delay(descriptor);
    auto* connection = new Connection{{}, {}, descriptor, {}};
    event_assign(&connection->reading, static_cast<event_base*>(base), descriptor, EV_READ | EV_PERSIST,
                 &readable, connection);
    event_assign(&connection->writing, static_cast<event_base*>(base), descriptor, EV_WRITE | EV_PERSIST,
                 &writable, connection);
    event_add(&connection->reading, nullptr);
  }
}

}  // namespace

int main(int argc, char** argv) {
  discards = bench::discards(argc, argv);
  event_config* config = event_config_new();
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  event_base* base = event_base_new_with_config(config);
  event listening;
  event_assign(&listening, base, bench::listen_anywhere(), EV_READ | EV_PERSIST, &connected, base);
  event_add(&listening, nullptr);
  return event_base_dispatch(base);
}
