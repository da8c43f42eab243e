// The ends of connections that the tests of net/ work with.
#include "tests/net/net_test.hpp"

namespace weir::testing {

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i != size; ++i) {
    text[i] = static_cast<char>('A' + (i * 7 + i / 251) % 53);
  }
  return text;
}

Socket listening_socket(bool small) {
  Socket socket = Socket::open(AddressFamily::inet);
  if (small) {
    socket.set_receive_buffer_size(4096);
  }
  socket.bind(Address::loopback(AddressFamily::inet, 0));
  socket.listen();
  return socket;
}

Coro<SocketPair> connected_sockets(EventLoop& loop, bool small) {
  Socket listener = listening_socket(small);
  Socket near = Socket::open(AddressFamily::inet);
  if (small) {
    near.set_send_buffer_size(4096);
    near.set_receive_buffer_size(4096);
  }
  auto connecting = ensure_future(loop.sock_connect(near, listener.local_address()), &loop);
  auto [far, from] = co_await loop.sock_accept(listener);
  co_await connecting;
  if (small) {
    far.set_send_buffer_size(4096);
  }
  co_return SocketPair(std::move(near), std::move(far));
}

Coro<Socket> connect_to(EventLoop& loop, Address address) {
  Socket socket = Socket::open(address.family());
  co_await loop.sock_connect(socket, address);
  co_return socket;
}

Coro<std::error_code> connect_error(EventLoop& loop, Address address) {
  try {
    co_await connect_to(loop, address);
  } catch (const std::system_error& e) {
    co_return e.code();
  }
  co_return std::error_code();
}

Coro<void> stop_server(Ref<Server> server) {
  server->close();
  server->abort_clients();
  co_await server->wait_closed();
}

std::string clog(Transport& transport) {
  std::string written;
  const std::string piece = pattern(200'003);
  while (transport.get_write_buffer_size() < 300'000) {
    transport.write(piece);
    written += piece;
    REQUIRE(written.size() < 100'000'000);
  }
  return written;
}

Coro<std::string> read_all(EventLoop& loop, Socket& socket) {
  std::string text;
  std::vector<std::byte> buffer(65536);
  for (;;) {
    const std::size_t count = co_await loop.sock_recv_into(socket, buffer);
    if (count == 0) {
      co_return text;
    }
    text += as_text(std::span(buffer).first(count));
  }
}

Coro<std::string> read_rest(EventLoop& loop, Socket& socket) {
  std::string text;
  try {
    text = co_await read_all(loop, socket);
  } catch (const std::system_error&) {
  }
  co_return text;
}

Coro<std::string> read_exactly(EventLoop& loop, Socket& socket, std::size_t size) {
  std::string text;
  std::vector<std::byte> buffer(65536);
  while (text.size() != size) {
    const std::span<std::byte> room = std::span(buffer).first(std::min(buffer.size(), size - text.size()));
    const std::size_t count = co_await loop.sock_recv_into(socket, room);
    if (count == 0) {
      break;
    }
    text += as_text(room.first(count));
  }
  co_return text;
}

namespace {

Coro<void> send_all(EventLoop& loop, Socket& socket, std::string text) {
  try {
    co_await loop.sock_sendall(socket, text);
  } catch (const std::system_error&) {
  }
}

}  // namespace

Task<void> start_sending(EventLoop& loop, Socket& socket, std::string text) {
  return loop.create_task(send_all(loop, socket, std::move(text)));
}

std::string message_of(const std::exception_ptr& exception) {
  try {
    if (exception) {
      std::rethrow_exception(exception);
    }
  } catch (const std::exception& e) {
    return e.what();
  }
  return {};
}

Coro<void> settle(EventLoop&) {
  if (!has("real_clock")) {
    co_await sleep(std::chrono::milliseconds(10));
    co_return;
  }
  for (int i = 0; i != 50; ++i) {
    co_await sleep(std::chrono::seconds(0));
  }
}

std::uint16_t closed_port() {
  Socket socket = Socket::open(AddressFamily::inet);
  socket.bind(Address::loopback(AddressFamily::inet, 0));
  return socket.local_address().port();
}

}  // namespace weir::testing
