// DGRM: what waits for room, and flow control. UDP on loopback never waits under Linux, Unix datagrams do.
#include "tests/net/datagrams/datagram_test.hpp"
#include "tests/net/folder.hpp"

#if defined(WEIR_BACKEND_EPOLL)
#include <sys/socket.h>
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// A Unix datagram socket that somebody can send to.
Socket unix_receiver(const std::string& path) {
  Socket socket = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  socket.bind(Address::unix_path(path));
  return socket;
}

Coro<std::string> receive_one(EventLoop& loop, Socket& socket) {
  const auto [text, from] = co_await loop.sock_recvfrom(socket, 100'000);
  co_return text.str();
}

// Sends numbered datagrams of 1,000 bytes until the protocol is paused; says how many.
int send_until_paused(Endpoint& sender, const Address& to) {
  std::string text;
  int sent = 0;
  while (sender.protocol->count("pause") == 0 && sent != 10'000) {
    text.assign(1000, 'x');
    text.replace(0, 5, std::to_string(10'000 + sent++));
    sender.transport->sendto(text, to);
    text.assign(1000, '?');  // the caller's memory is the caller's again (DGRM-006)
  }
  return sent;
}

Coro<void> check_order(EventLoop& loop, Socket& receiver, int count) {
  for (int i = 0; i != count; ++i) {
    const std::string text = co_await receive_one(loop, receiver);
    CHECK(text.size() == 1000);
    CHECK(text.substr(0, 6) == std::to_string(10'000 + i) + 'x');
  }
}

Coro<void> check_flow(EventLoop& loop, bool is_connected) {
  const Folder folder;
  const Address address = Address::unix_path(folder.file("receiver"));
  Socket receiver = unix_receiver(address.path());
  DatagramEndpointOptions options;
  if (is_connected) {
    options.remote_addr = address;
  } else {
    options.family = AddressFamily::unix_domain;
  }
  Endpoint sender = co_await endpoint(loop, options);
  const int sent = send_until_paused(sender, is_connected ? Address() : address);
  CHECK(sent < 10'000);
  CHECK(sender.transport->get_write_buffer_size() > 64 * 1024);
  CHECK(sender.transport->get_write_buffer_size() <= 64 * 1024 + 1008);
  co_await settle(loop);
  CHECK(sender.protocol->events == std::vector<std::string>{"made", "pause"});
  Task<void> checking = loop.create_task(check_order(loop, receiver, sent));
  co_await until([recorder = sender.protocol.get()] { return recorder->count("resume") == 1; });
  CHECK(sender.transport->get_write_buffer_size() <= 16 * 1024);
  co_await checking;
  co_await settle(loop);
  CHECK(sender.transport->get_write_buffer_size() == 0);
  CHECK(sender.protocol->events == std::vector<std::string>{"made", "pause", "resume"});
  co_await sender.close();
}

}  // namespace

WEIR_TEST("DGRM-005 DGRM-006 what would block is sent later in order; the marks are those of streams") {
  if (!has("unix_sockets")) {
    skip("DGRM-005", "unix_sockets");
    co_return;
  }
  co_await check_flow(loop, true);
}

WEIR_TEST("DGRM-005 LESSON-034 also to a receiver to which it is not connected") {
  if (!has("unix_sockets")) {
    skip("DGRM-005", "unix_sockets");
    co_return;
  }
  co_await check_flow(loop, false);
}

WEIR_TEST("DGRM-005 LESSON-034 an error while it is paused loses one datagram, and it is resumed") {
  if (!has("unix_sockets")) {
    skip("DGRM-005", "unix_sockets");
    co_return;
  }
  const Folder folder;
  const Address address = Address::unix_path(folder.file("receiver"));
  Socket receiver = unix_receiver(address.path());
  Endpoint sender = co_await endpoint_to(loop, address);
  const int sent = send_until_paused(sender, Address());
  receiver.close();  // every datagram that is left meets an error
  co_await until([recorder = sender.protocol.get()] { return recorder->count("resume") == 1; });
  co_await until([transport = sender.transport.get()] { return transport->get_write_buffer_size() == 0; });
  CHECK(sender.protocol->count("error") > 16);
  CHECK(sender.protocol->count("error") <= sent);
  CHECK(sender.protocol->lost == 0);
  co_await sender.close();
}

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

}  // namespace

WEIR_TEST(
    "DGRM-005 SOCK-013 sock_sendto to a full Unix receiver goes on when there is room, and can be "
    "cancelled") {
  if (!has("unix_sockets")) {
    skip("DGRM-005", "unix_sockets");
    co_return;
  }
  const Folder folder;
  const Address address = Address::unix_path(folder.file("receiver"));
  Socket receiver = unix_receiver(address.path());
  Socket sender = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  // What others have sent is in the way: their socket is the one that the system tells of room.
  Socket others = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  const int room = co_await fill(loop, others, address);
  CHECK(room > 0);
  Task<void> sending = loop.create_task(send_numbers(loop, sender, address, 20));
  co_await settle(loop);
  for (int i = 0; i != room + 20; ++i) {
    CHECK(co_await receive_one(loop, receiver) == std::to_string(10'000 + std::max(0, i - room)));
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

WEIR_TEST("DGRM-005 limits of one's own") {
  Endpoint near = co_await bound_endpoint(loop);
  CHECK(near.transport->get_write_buffer_limits() == WriteBufferLimits{16 * 1024, 64 * 1024});
  near.transport->set_write_buffer_limits(400);
  CHECK(near.transport->get_write_buffer_limits() == WriteBufferLimits{100, 400});
  CHECK_THROWS_AS(near.transport->set_write_buffer_limits(1, 2), std::invalid_argument);
  CHECK(near.transport->get_write_buffer_size() == 0);
  co_await near.close();
}

WEIR_TEST("DGRM-006 datagrams that leave together are copied") {
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await endpoint_to(loop, near.address());
  std::string text = "0";
  std::vector<std::string> sent;
  for (; text[0] <= '9'; ++text[0]) {
    sent.push_back(text);
    far.transport->sendto(text);
  }
  text.assign(1, '!');
  co_await near.receives(sent.size());
  CHECK(near.protocol->received == sent);
  co_await near.close();
  co_await far.close();
}

WEIR_TEST("DGRM-010 close sends what waits for room, however long that takes") {
  if (!has("unix_sockets")) {
    skip("DGRM-010", "unix_sockets");
    co_return;
  }
  const Folder folder;
  const Address address = Address::unix_path(folder.file("receiver"));
  Socket receiver = unix_receiver(address.path());
  Endpoint sender = co_await endpoint_to(loop, address);
  const int sent = send_until_paused(sender, Address());
  sender.transport->close();
  co_await settle(loop);
  CHECK(sender.protocol->lost == 0);
  sender.transport->sendto("ignored");
  co_await check_order(loop, receiver, sent);
  co_await until([recorder = sender.protocol.get()] { return recorder->lost == 1; });
  CHECK(sender.protocol->error == nullptr);
  // And abort does not wait.
  Endpoint hasty = co_await endpoint_to(loop, address);
  send_until_paused(hasty, Address());
  hasty.transport->abort();
  co_await until([recorder = hasty.protocol.get()] { return recorder->lost == 1; });
  CHECK(hasty.protocol->error == nullptr);
}

WEIR_TEST("DGRM-017 Unix endpoints by path, by socket, and in place of a stale file") {
  if (!has("unix_sockets")) {
    skip("DGRM-017", "unix_sockets");
    co_return;
  }
  const Folder folder;
  const Address server_address = Address::unix_path(folder.file("server"));
  unix_receiver(server_address.path()).close();  // leaves its file
  const DatagramEndpointOptions at_server{.local_addr = server_address};
  Endpoint server = co_await endpoint(loop, at_server);
  CHECK(server.address() == server_address);
  const DatagramEndpointOptions both{.local_addr = Address::unix_path(folder.file("client")),
                                     .remote_addr = server_address};
  Endpoint client = co_await endpoint(loop, both);
  CHECK(client.transport->get_extra_info<extra::peername>() == server_address);
  client.transport->sendto("by path");
  co_await server.receives(1);
  CHECK(server.protocol->senders[0] == both.local_addr);
  server.transport->sendto("back", server.protocol->senders[0]);
  co_await client.receives(1);
  CHECK(client.protocol->received[0] == "back");
  Socket given = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  co_await loop.sock_connect(given, server_address);
  const DatagramEndpointOptions by_socket{.sock = &given};
  Endpoint unnamed = co_await endpoint(loop, by_socket);
  unnamed.transport->sendto("by socket");
  unnamed.transport->sendto("", server_address);
  co_await server.receives(3);
  CHECK(server.protocol->received[1] == "by socket");
  CHECK(server.protocol->received[2].empty());
  CHECK(server.protocol->senders[1].family() == AddressFamily::unspecified);
  // Nobody has this name.
  const DatagramEndpointOptions free{.family = AddressFamily::unix_domain};
  Endpoint lone = co_await endpoint(loop, free);
  lone.transport->sendto("x", Address::unix_path(folder.file("nobody")));
  co_await until([recorder = lone.protocol.get()] { return !recorder->errors.empty(); });
  CHECK(lone.protocol->errors[0] == std::errc::no_such_file_or_directory);
  for (Endpoint* one : {&server, &client, &unnamed, &lone}) {
    co_await one->close();
  }
}

#if defined(WEIR_BACKEND_EPOLL)

WEIR_TEST("DGRM-009 a receive that would block is ignored") {
  Endpoint near = co_await bound_endpoint(loop);
  Socket far = bound_socket();
  const native_socket thief = near.transport->get_extra_info<extra::socket>()->native_handle();
  bool stolen = false;
  for (int round = 0; round != 5; ++round) {
    // The poll finds the datagram, and this callback, which runs before what was found, takes it.
    loop.call_soon([thief, &stolen] {
      char byte = 0;
      stolen = ::recv(thief, &byte, 1, MSG_DONTWAIT) == 1;
    });
    co_await loop.sock_sendto(far, "x", near.address());
    co_await settle(loop);
    CHECK(stolen);
  }
  CHECK(near.protocol->events == std::vector<std::string>{"made"});
  co_await loop.sock_sendto(far, "heard", near.address());
  co_await near.receives(1);
  CHECK(near.protocol->received[0] == "heard");
  co_await near.close();
}

#else

WEIR_TEST("DGRM-009 a receive that would block is ignored") {
  skip("DGRM-009", "native_descriptors");  // nobody else can take what was found
  co_return;
}

#endif
