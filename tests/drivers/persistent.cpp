// Scenarios whose task takes every cancellation for a nudge, and goes on with what it was doing: then nothing
// may be missing in the end. Futures and tasks are not among them; cancelling their waiter ends them.
#include "tests/drivers/protocols.hpp"
#include "tests/drivers/scenarios.hpp"

#include <weir/weir.hpp>

#include <chrono>
#include <system_error>
#include <utility>
#include <vector>

namespace weir::testing {

namespace {

using namespace std::chrono_literals;

constexpr int clients = 3;

Socket listen_somewhere() {
  Socket listener = Socket::open(AddressFamily::inet);
  listener.bind(Address::loopback(AddressFamily::inet, 0));
  listener.listen();
  return listener;
}

Coro<void> send_in_pieces(Stage& stage, Socket& socket) {
  const Guard guard(stage.guards);
  for (std::size_t at = 0; at < travelling_text.size(); at += 5) {
    co_await stage.loop.sock_sendall(socket, travelling_text.substr(at, 5));
    co_await sleep(5us);
  }
  socket.shutdown_write();
}

Coro<std::string> recv(Stage& stage) {
  const Guard guard(stage.guards);
  auto [near, far] = Socket::pair();
  Task<void> sending = stage.loop.create_task(send_in_pieces(stage, far));
  for (;;) {
    try {
      const Bytes piece = co_await stage.loop.sock_recv(near, 4);
      if (piece.empty()) {
        break;
      }
      stage.note += piece.view();
    } catch (const CancelledError&) {
    }
  }
  co_return {};
}

Coro<void> send_datagrams(Stage& stage, Address to) {
  const Guard guard(stage.guards);
  Socket socket = Socket::open(AddressFamily::inet, SocketType::datagram);
  for (std::size_t at = 0; at < travelling_text.size(); at += 5) {
    co_await stage.loop.sock_sendto(socket, travelling_text.substr(at, 5), to);
    co_await sleep(5us);
  }
  co_await stage.loop.sock_sendto(socket, std::string_view(), to);
}

Coro<std::string> recv_from(Stage& stage) {
  const Guard guard(stage.guards);
  Socket near = Socket::open(AddressFamily::inet, SocketType::datagram);
  near.bind(Address::loopback(AddressFamily::inet, 0));
  Task<void> sending = stage.loop.create_task(send_datagrams(stage, near.local_address()));
  for (;;) {
    try {
      const auto received = co_await stage.loop.sock_recvfrom(near, 64);
      if (received.first.empty()) {
        break;
      }
      stage.note += received.first.view();
    } catch (const CancelledError&) {
    }
  }
  co_return {};
}

Coro<std::string> recv_into(Stage& stage) {
  const Guard guard(stage.guards);
  auto [near, far] = Socket::pair();
  Task<void> sending = stage.loop.create_task(send_in_pieces(stage, far));
  std::vector<std::byte> memory(7);
  for (std::size_t count = 1; count != 0;) {
    try {
      count = co_await stage.loop.sock_recv_into(near, memory);
      stage.note += as_text(std::span(memory).first(count));
    } catch (const CancelledError&) {
    }
  }
  co_return {};
}

// A descriptor with every piece.
Coro<void> send_pieces_with_fds(Stage& stage, Socket& socket) {
  const Guard guard(stage.guards);
  const native_socket passed = socket.native_handle();
  for (std::size_t at = 0; at < travelling_text.size(); at += 5) {
    co_await socket.send_fds(stage.loop, as_bytes(travelling_text.substr(at, 5)), std::span(&passed, 1));
    co_await sleep(5us);
  }
  socket.shutdown_write();
}

Coro<std::string> recv_fds(Stage& stage) {
  const Guard guard(stage.guards);
  auto [near, far] = Socket::pair();
  Task<void> sending = stage.loop.create_task(send_pieces_with_fds(stage, far));
  std::size_t files = 0;
  for (;;) {
    try {
      const ReceivedDescriptors received = co_await near.recv_fds(stage.loop, 4, 3);
      if (received.data.empty()) {
        break;
      }
      files += received.files.size();
      stage.note += received.data.view();
    } catch (const CancelledError&) {
    }
  }
  stage.note += ", " + std::to_string(files);
  co_return {};
}

Coro<std::string> stream_read(Stage& stage) {
  const Guard guard(stage.guards);
  auto [near, far] = Socket::pair();
  Ref<StreamReader> reader;
  Ref<StreamWriter> writer;
  try {
    StreamPair pair = co_await open_connection({.sock = &near});
    reader = std::move(pair.first);
    writer = std::move(pair.second);
  } catch (const CancelledError&) {
    // The socket went with it: what follows is another one's to show.
    stage.note = travelling_text;
    co_return {};
  }
  Task<void> sending = stage.loop.create_task(send_in_pieces(stage, far));
  std::vector<std::byte> memory(3);
  for (int turn = 0; !reader->at_eof(); ++turn) {
    try {
      if (turn % 2 == 0) {
        const Bytes piece = co_await reader->read(4);
        stage.note += piece.view();
      } else {
        const std::size_t count = co_await reader->read_into(memory);
        stage.note += as_text(std::span(memory).first(count));
      }
    } catch (const CancelledError&) {
    }
  }
  writer->close();
  co_return {};
}

// More than the simulator's buffers take. Every place can be told from its neighbours.
std::string long_text() {
  std::string text;
  while (text.size() < 70'000) {
    text += std::to_string(text.size()) + ' ';
  }
  return text;
}

Coro<void> receive_all(Stage& stage, Socket& socket, std::string& received) {
  const Guard guard(stage.guards);
  for (Bytes piece(1); !piece.empty();) {
    piece = co_await stage.loop.sock_recv(socket, 20'000);
    received += piece.view();
  }
}

// It is not known how much of the text left when sock_sendall was cancelled, but it is a beginning of it, and
// nothing follows. The socket can go on being used.
Coro<std::string> sendall(Stage& stage) {
  const Guard guard(stage.guards);
  auto [near, far] = Socket::pair();
  std::string received;
  Task<void> receiving = stage.loop.create_task(receive_all(stage, far, received));
  static const std::string text = long_text();
  try {
    co_await stage.loop.sock_sendall(near, text);
  } catch (const CancelledError&) {
  }
  for (bool sent = false; !sent;) {
    try {
      co_await stage.loop.sock_sendall(near, "!");
      sent = true;
    } catch (const CancelledError&) {
    }
  }
  near.close();
  while (!receiving.done()) {
    try {
      co_await sleep(10us);
    } catch (const CancelledError&) {
    }
  }
  const std::size_t end = received.find('!');
  const bool is_right = end != std::string::npos && text.compare(0, end, received, 0, end) == 0 &&
                        received.find_first_not_of('!', end) == std::string::npos;
  stage.note = is_right ? "a beginning" : "not what was sent";
  co_return {};
}

Coro<void> knock(Stage& stage, Address address, char name) {
  const Guard guard(stage.guards);
  Socket socket = Socket::open(AddressFamily::inet);
  co_await stage.loop.sock_connect(socket, address);
  const std::string text(1, name);
  co_await stage.loop.sock_sendall(socket, text);
}

Coro<std::string> accept(Stage& stage) {
  const Guard guard(stage.guards);
  Socket listener = listen_somewhere();
  std::vector<Task<void>> tasks;
  for (int i = 0; i != clients; ++i) {
    tasks.push_back(
        stage.loop.create_task(knock(stage, listener.local_address(), static_cast<char>('a' + i))));
  }
  std::vector<Socket> accepted;
  while (accepted.size() != clients) {
    try {
      auto connection = co_await stage.loop.sock_accept(listener);
      accepted.push_back(std::move(connection.first));
    } catch (const CancelledError&) {
    }
  }
  int sum = 0;
  for (std::size_t heard = 0; heard != accepted.size();) {
    try {
      const Bytes name = co_await stage.loop.sock_recv(accepted[heard], 1);
      sum += name.empty() ? 1000 : static_cast<int>(name.view()[0]) - 'a' + 1;
      ++heard;
    } catch (const CancelledError&) {
    }
  }
  stage.note = "sum " + std::to_string(sum);
  co_return {};
}

Coro<std::string> connect(Stage& stage) {
  const Guard guard(stage.guards);
  Socket listener = listen_somewhere();
  for (Socket socket; !socket.is_open();) {
    socket = Socket::open(AddressFamily::inet);
    try {
      co_await stage.loop.sock_connect(socket, listener.local_address());
      stage.note = "connected";
    } catch (const CancelledError&) {
      socket.close();
    }
  }
  co_return {};
}

class Quiet final : public Guarded<Protocol> {
 public:
  using Guarded::Guarded;
};

// Whoever was told of a connection is told of its end.
Coro<std::string> create_connection(Stage& stage) {
  const Guard guard(stage.guards);
  Socket listener = listen_somewhere();
  const std::string host = listener.local_address().host();
  const ConnectionOptions options{.host = host, .port = listener.local_address().port()};
  std::vector<Ref<Quiet>> made;
  auto factory = [&] { return made.emplace_back(make_ref<Quiet>(stage)); };
  for (bool connected = false; !connected;) {
    try {
      const auto connection = co_await stage.loop.create_connection(factory, options);
      connected = true;
      connection.first->close();
    } catch (const CancelledError&) {
    }
  }
  const auto open = [&made] {
    std::size_t count = 0;
    for (const Ref<Quiet>& protocol : made) {
      count += protocol->is_open() ? 1 : 0;
    }
    return count;
  };
  while (open() != 0) {
    try {
      co_await sleep(5us);
    } catch (const CancelledError&) {
    }
  }
  stage.note = "all lost";
  co_return {};
}

Coro<std::string> server(Stage& stage) {
  const Guard guard(stage.guards);
  Ref<Server> server;
  auto factory = [&stage] { return make_ref<Quiet>(stage); };
  while (server == nullptr) {
    try {
      server = co_await stage.loop.create_server(factory, {.host = "127.0.0.1"});
    } catch (const CancelledError&) {
    }
  }
  Task<void> knocking = stage.loop.create_task(knock(stage, server->sockets().at(0).local_address(), 'a'));
  while (!knocking.done()) {
    try {
      co_await sleep(5us);
    } catch (const CancelledError&) {
    }
  }
  for (bool closed = false; !closed;) {
    try {
      server->close();
      co_await server->wait_closed();
      closed = true;
    } catch (const CancelledError&) {
    }
  }
  stage.note = "closed";
  co_return {};
}

AsyncGenerator<int> stubborn(Stage& stage) {
  const Guard guard(stage.guards);
  for (int i = 1; i != 6;) {
    try {
      co_await sleep(10us);
    } catch (const CancelledError&) {
    }
    co_yield i++;
  }
}

Coro<std::string> generator(Stage& stage) {
  const Guard guard(stage.guards);
  AsyncGenerator<int> items = stubborn(stage);
  int sum = 0;
  for (std::optional<int> item = 0; item;) {
    try {
      item = co_await items.next();
      sum += item.value_or(0);
    } catch (const CancelledError&) {
    }
  }
  stage.note = "sum " + std::to_string(sum);
  co_return {};
}

constexpr Scenario all[] = {
    {"sock_recv", &recv, travelling_text, false},
    {"sock_recv_into", &recv_into, travelling_text, false},
    {"recv_fds", &recv_fds, "0123456789abcdefghijklmn, 5", false},
    {"sock_recvfrom", &recv_from, travelling_text, false},
    {"StreamReader", &stream_read, travelling_text, false},
    {"sock_sendall", &sendall, "a beginning", false},
    {"sock_accept", &accept, "sum 6", false},
    {"sock_connect", &connect, "connected", false},
    {"create_connection", &create_connection, "all lost", false},
    {"create_server", &server, "closed", false},
    {"generator", &generator, "sum 15", false},
};

}  // namespace

std::span<const Scenario> persistent_scenarios() { return all; }

}  // namespace weir::testing
