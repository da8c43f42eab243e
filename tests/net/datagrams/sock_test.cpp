// SOCK: sock_recvfrom, sock_recvfrom_into, sock_sendto.
#include "tests/net/datagrams/datagram_test.hpp"
#include "tests/net/folder.hpp"

using namespace weir;
using namespace weir::testing;

namespace {

Coro<void> send_numbers(EventLoop& loop, Socket& sender, Address to, int count) {
  for (int i = 0; i != count; ++i) {
    const std::string text = std::to_string(10'000 + i);
    const std::size_t sent = co_await loop.sock_sendto(sender, text, to);
    CHECK(sent == 5);
  }
}

// Sends until the receiver takes no more.
Coro<int> fill(EventLoop& loop, Socket& sender, const Address& to) {
  for (int sent = 0;; ++sent) {
    Task<void> sending = loop.create_task(send_numbers(loop, sender, to, 1));
    co_await settle(loop);
    if (!sending.done()) {
      sending.cancel();
      CHECK_THROWS_AS(co_await sending, CancelledError);
      co_return sent;
    }
  }
}

Coro<Bytes> receive_some(EventLoop& loop, Socket& socket) { co_return co_await loop.sock_recv(socket, 100); }

}  // namespace

WEIR_TEST("SOCK-008 datagrams travel with addresses") {
  Socket near = bound_socket();
  Socket far = bound_socket();
  CHECK(co_await loop.sock_sendto(far, "hello", near.local_address()) == 5);
  CHECK(co_await loop.sock_sendto(far, "", near.local_address()) == 0);
  CHECK(co_await loop.sock_sendto(far, "a long one", near.local_address()) == 10);
  const auto [text, from] = co_await loop.sock_recvfrom(near, 100);
  CHECK(text.view() == "hello");
  CHECK(from == far.local_address());
  const auto [nothing, again] = co_await loop.sock_recvfrom(near, 100);
  CHECK(nothing.empty());
  CHECK(again == far.local_address());
  std::vector<std::byte> memory(6);
  const auto [size, sender] = co_await loop.sock_recvfrom_into(near, memory);
  CHECK(size == 6);  // the rest of the datagram is lost
  CHECK(as_text(memory) == "a long");
  CHECK(sender == far.local_address());
}

WEIR_TEST("SOCK-008 a receive waits for its datagram, and a connected socket needs no address") {
  Socket near = bound_socket();
  Socket far = bound_socket();
  co_await loop.sock_connect(far, near.local_address());
  Task<std::pair<Bytes, Address>> receiving = ensure_future(loop.sock_recvfrom(near, 100), &loop);
  co_await settle(loop);
  CHECK_FALSE(receiving.done());
  co_await loop.sock_sendto(far, "late", Address());
  const auto [text, from] = co_await receiving;
  CHECK(text.view() == "late");
  CHECK(from == far.local_address());
}

WEIR_TEST("SOCK-013 a port where nobody listens does not make later receives fail for good") {
  if (lacks("SOCK-013", "datagram_errors")) {
    co_return;
  }
  Socket dead = bound_socket();
  const Address address = dead.local_address();
  Socket socket = bound_socket();
  co_await loop.sock_connect(socket, address);
  dead.close();
  for (int round = 0; round != 3; ++round) {
    std::error_code code;
    try {
      co_await loop.sock_sendto(socket, "x", Address());
      co_await loop.sock_recvfrom(socket, 10);
    } catch (const std::system_error& error) {
      code = error.code();
    }
    CHECK(code == std::errc::connection_refused);
  }
  Socket again = Socket::open(AddressFamily::inet, SocketType::datagram);
  again.bind(address);
  co_await loop.sock_sendto(again, "alive", socket.local_address());
  const auto [text, from] = co_await loop.sock_recvfrom(socket, 10);
  CHECK(text.view() == "alive");
  // One that is not connected hears nothing of it at all.
  Socket open = bound_socket();
  co_await loop.sock_sendto(
      open, "x", closed_port() == 0 ? address : Address::loopback(AddressFamily::inet, closed_port()));
  co_await settle(loop);
  co_await loop.sock_sendto(again, "still", open.local_address());
  const auto [second, sender] = co_await loop.sock_recvfrom(open, 10);
  CHECK(second.view() == "still");
}

WEIR_TEST("SOCK-010 SOCK-011 a cancelled sock_recvfrom takes no datagram with it") {
  Socket near = bound_socket();
  Socket far = bound_socket();
  for (int round = 0; round != 20; ++round) {
    std::vector<std::byte> untouched(10, std::byte{7});
    auto receiving = ensure_future(loop.sock_recvfrom_into(near, untouched), &loop);
    for (int turns = 0; turns != round % 4; ++turns) {
      co_await sleep(Duration::zero());
    }
    co_await loop.sock_sendto(far, "kept", near.local_address());
    for (int turns = 0; turns != round % 5; ++turns) {
      co_await sleep(Duration::zero());
    }
    receiving.cancel();
    std::string got;
    try {
      const auto [size, from] = co_await receiving;
      got = as_text(std::span(untouched).first(size));
    } catch (const CancelledError&) {
      CHECK(untouched[0] == std::byte{7});
    }
    if (got.empty()) {
      const auto [text, from] = co_await loop.sock_recvfrom(near, 10);
      got = text.view();
    }
    CHECK(got == "kept");
  }
}

WEIR_TEST("SOCK-015 a second receive is refused, and leaves the first alone") {
  Socket near = bound_socket();
  Socket far = bound_socket();
  auto first = ensure_future(loop.sock_recvfrom(near, 10), &loop);
  co_await settle(loop);
  CHECK_THROWS_AS(co_await loop.sock_recvfrom(near, 10), RuntimeError);
  co_await loop.sock_sendto(far, "x", near.local_address());
  const auto [text, from] = co_await first;
  CHECK(text.view() == "x");
}

WEIR_TEST("SOCK-014 closing the socket ends a pending sock_recvfrom") {
  Socket near = bound_socket();
  auto receiving = ensure_future(loop.sock_recvfrom(near, 10), &loop);
  co_await settle(loop);
  near.close();
  std::error_code code;
  try {
    co_await receiving;
  } catch (const std::system_error& error) {
    code = error.code();
  }
  CHECK(code == std::errc::bad_file_descriptor);
}

WEIR_TEST("SOCK-008 sock_recv takes the datagrams that wait one by one, though none fills its memory") {
  Socket near = bound_socket();
  Socket far = bound_socket();
  const Address from = far.local_address();
  co_await loop.sock_connect(near, from);
  co_await loop.sock_connect(far, near.local_address());
  Task<Bytes> first = loop.create_task(receive_some(loop, near));
  co_await settle(loop);  // it waits
  for (const std::string_view text : {"1", "22", "333", "4444"}) {
    co_await loop.sock_sendall(far, text);
  }
  CHECK((co_await first).view() == "1");
  for (const std::string_view text : {"22", "333", "4444"}) {
    const Bytes received = co_await loop.sock_recv(near, 100);
    CHECK(received.view() == text);
  }
}

WEIR_TEST("SOCK-008 an error of sock_sendto names the address") {
  Socket near = bound_socket();
  std::string what;
  try {
    co_await loop.sock_sendto(near, std::string(70000, 'x'), near.local_address());
  } catch (const std::system_error& error) {
    CHECK(error.code() == std::errc::message_size);
    what = error.what();
  }
  CHECK(what.find("sock_sendto " + near.local_address().to_string()) != std::string::npos);
}

WEIR_TEST("SOCK-013 sock_sendto to a full Unix receiver goes on when there is room, and can be cancelled") {
  if (!has("unix_sockets")) {
    skip("SOCK-013", "unix_sockets");
    co_return;
  }
  const Folder folder;
  const Address address = Address::unix_path(folder.file("receiver"));
  Socket receiver = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  receiver.bind(address);
  Socket sender = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  // What others have sent is in the way: their socket is the one that the system tells of room.
  Socket others = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  const int room = co_await fill(loop, others, address);
  CHECK(room > 0);
  Task<void> sending = loop.create_task(send_numbers(loop, sender, address, 20));
  co_await settle(loop);
  for (int i = 0; i != room + 20; ++i) {
    const Bytes text = co_await loop.sock_recv(receiver, 100);
    CHECK(text.view() == std::to_string(10'000 + std::max(0, i - room)));
  }
  co_await sending;
  // The socket is closed, and so is the other side, while one waits.
  co_await fill(loop, others, address);
  Task<void> waiting = loop.create_task(send_numbers(loop, sender, address, 1));
  co_await settle(loop);
  sender.close();
  CHECK_THROWS_AS(co_await waiting, std::system_error);
  Socket another = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  Task<void> refused = loop.create_task(send_numbers(loop, another, address, 1));
  co_await settle(loop);
  receiver.close();
  CHECK_THROWS_AS(co_await refused, std::system_error);
}
