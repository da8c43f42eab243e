// `weir echo --api sock`: a coroutine a connection, on the calls named sock_….
#include "tools/weir/verbs.hpp"

#include <weir/bytes.hpp>
#include <weir/exceptions.hpp>
#include <weir/net/sock_ops.hpp>
#include <weir/net/socket.hpp>
#include <weir/task.hpp>
#include <weir/tasks.hpp>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace program {

namespace {

using weir::Coro;
using weir::EventLoop;
using weir::Socket;

// A connection that waits owns its buffer, so it begins small and grows for those who fill it.
constexpr std::size_t first_buffer = 2 * 1024;
constexpr std::size_t largest_buffer = 256 * 1024;

Coro<void> echo_connection(EventLoop& loop, Socket socket, bool is_tcp) {
  weir::Bytes buffer(first_buffer);
  try {
    if (is_tcp) {
      socket.set_no_delay();
    }
    while (const std::size_t count = co_await loop.sock_recv_into(socket, buffer.span())) {
      const std::span<const std::byte> data = buffer.span().first(count);
      co_await loop.sock_sendall(socket, data);
      if (count == buffer.size() && count < largest_buffer) {
        buffer = weir::Bytes(count * 2);
      }
    }
  } catch (const std::system_error&) {
    // The other side went away in the middle: its business.
  }
}

// What the acceptors of one run share.
struct Acceptors {
  Acceptors(EventLoop& loop, bool only_one) : once(only_one), done(loop) {}

  bool once;
  weir::Future<void> done;  // with `once`: the first connection is gone
  std::vector<weir::Task<void>> tasks;
};

// With `once`: this acceptor has a connection, so no other may take one.
void cancel_others(const Acceptors& acceptors, std::size_t self) {
  for (std::size_t i = 0; i != acceptors.tasks.size(); ++i) {
    if (i != self) {
      weir::Task<void> other = acceptors.tasks[i];
      other.cancel();
    }
  }
}

Coro<void> accept_connections(EventLoop& loop, Socket listener, std::shared_ptr<Acceptors> shared,
                              std::size_t self) {
  for (;;) {
    Socket connection;
    bool is_tcp = true;
    std::error_code error;
    try {
      std::pair<Socket, weir::Address> accepted = co_await loop.sock_accept(listener);
      connection = std::move(accepted.first);
      is_tcp = accepted.second.family() != weir::AddressFamily::unix_domain;
    } catch (const std::system_error& failure) {
      error = failure.code();
    }
    if (error) {
      // Out of descriptors, most likely: connections wait in the system until some are free again.
      std::fprintf(stderr, "weir echo: cannot accept, trying again in a second: %s\n",
                   error.message().c_str());
      co_await weir::sleep(std::chrono::seconds(1));
    } else if (shared->once) {
      cancel_others(*shared, self);
      listener.close();
      co_await echo_connection(loop, std::move(connection), is_tcp);
      shared->done.set_result();
      co_return;
    } else {
      loop.create_task(echo_connection(loop, std::move(connection), is_tcp));
    }
  }
}

// The file of our Unix socket, which goes with us.
class SocketFile {
 public:
  explicit SocketFile(std::string path) : path_(std::move(path)) {}
  SocketFile(SocketFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  SocketFile& operator=(SocketFile&&) = delete;
  ~SocketFile() {
    std::error_code error;
    if (!path_.empty()) {
      std::filesystem::remove(path_, error);
    }
  }

 private:
  std::string path_;
};

Socket listen_on(const Endpoint& endpoint, const weir::Address& address) {
  Socket listener = Socket::open(address.family());
  std::error_code error;
  if (!endpoint.is_unix()) {
    listener.set_reuse_address();
  } else if (std::filesystem::is_socket(endpoint.path, error)) {
    std::filesystem::remove(endpoint.path, error);  // a dead server left it
  }
  if (address.family() == weir::AddressFamily::inet6) {
    listener.set_ipv6_only();
  }
  listener.bind(address);
  listener.listen();
  return listener;
}

}  // namespace

// Whoever ends this leaves the tasks to run(), which cancels them: each owns its socket.
Coro<void> echo_by_coroutines(EventLoop& loop, const Serving& serving) {
  loop.set_busy_poll(serving.busy_poll);
  std::vector<Socket> listeners;
  std::vector<SocketFile> files;
  for (const Endpoint& endpoint : serving.listen) {
    const std::vector<weir::Address> addresses = co_await addresses_of(loop, endpoint);
    for (const weir::Address& address : addresses) {
      listeners.push_back(listen_on(endpoint, address));
    }
    if (endpoint.is_unix() && endpoint.path.front() != '\0') {
      files.emplace_back(endpoint.path);
    }
  }
  const auto shared = std::make_shared<Acceptors>(loop, serving.once);
  for (Socket& listener : listeners) {
    announce(listener.local_address());
    const std::size_t index = shared->tasks.size();
    shared->tasks.push_back(loop.create_task(accept_connections(loop, std::move(listener), shared, index)));
  }
  co_await shared->done;
}

}  // namespace program
