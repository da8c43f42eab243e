// DGRM: what waits for room, and flow control. UDP on loopback never waits under Linux, Unix datagrams do.
#include "tests/net/datagrams/datagram_test.hpp"
#include "tests/net/folder.hpp"
#include "tests/support/raw_sockets.hpp"
#include "tests/support/sanitizer.hpp"

#include <cstdint>
#include <ctime>
#include <new>

#if defined(WEIR_TEST_POSIX)
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
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

constexpr std::size_t counted = 1008;  // what a datagram of 1,000 bytes counts in the buffer

// Sends datagrams, each from a callback of its own, until the first one has to wait: how many.
Coro<int> send_until_one_waits(EventLoop& loop, Endpoint& sender) {
  const std::string text(1000, 'x');
  int sent = 0;
  while (sender.transport->get_write_buffer_size() == 0 && sent != 10'000) {
    co_await sleep(0s);
    sender.transport->sendto(text);
    ++sent;
    if (sender.transport->get_write_buffer_size() != 0) {
      co_await settle(loop);  // it may only wait for its turn
    }
  }
  co_return sent;
}

}  // namespace

WEIR_TEST("DGRM-005 paused above the high mark, resumed at the low one, each once") {
  if (!has("unix_sockets")) {
    skip("DGRM-005", "unix_sockets");
    co_return;
  }
  const Folder folder;
  const Address address = Address::unix_path(folder.file("receiver"));
  Socket receiver = unix_receiver(address.path());
  Endpoint sender = co_await endpoint_to(loop, address);
  DatagramTransport& transport = *sender.transport;
  DatagramRecorder& recorder = *sender.protocol;
  transport.set_write_buffer_limits(5 * counted, 3 * counted);
  const std::string text(1000, 'x');
  int sent = co_await send_until_one_waits(loop, sender);
  REQUIRE(transport.get_write_buffer_size() == counted);
  for (; transport.get_write_buffer_size() < 5 * counted; ++sent) {
    transport.sendto(text);
  }
  CHECK(transport.get_write_buffer_size() == 5 * counted);
  CHECK(recorder.events == std::vector<std::string>{"made"});
  transport.set_write_buffer_limits(4 * counted, 3 * counted + 8);
  CHECK(recorder.events == std::vector<std::string>{"made", "pause"});
  transport.sendto("");
  CHECK(transport.get_write_buffer_size() == 5 * counted + 8);
  ++sent;
  for (; transport.get_write_buffer_size() > 3 * counted + 8; --sent) {
    CHECK(recorder.count("resume") == 0);
    co_await receive_one(loop, receiver);
    co_await settle(loop);
  }
  CHECK(recorder.events == std::vector<std::string>{"made", "pause", "resume"});
  for (; sent != 0; --sent) {
    co_await receive_one(loop, receiver);
  }
  CHECK(transport.get_write_buffer_size() == 0);
  co_await sender.close();
  CHECK(recorder.events == std::vector<std::string>{"made", "pause", "resume", "lost"});
}

WEIR_TEST("DGRM-005 a datagram overtakes none that waits, though there is room at that moment") {
  if (!has("unix_sockets")) {
    skip("DGRM-005", "unix_sockets");
    co_return;
  }
  const Folder folder;
  const Address address = Address::unix_path(folder.file("receiver"));
  Socket receiver = unix_receiver(address.path());
  Endpoint sender = co_await endpoint_to(loop, address);
  const int sent = co_await send_until_one_waits(loop, sender);
  co_await settle(loop);
  co_await receive_one(loop, receiver);  // what is there is given at once: no turn in which the room is seen
  sender.transport->sendto("last");
  for (int i = 1; i != sent; ++i) {
    const std::string text = co_await receive_one(loop, receiver);
    CHECK(text.size() == 1000);
  }
  const std::string last = co_await receive_one(loop, receiver);
  CHECK(last == "last");
  co_await sender.close();
}

WEIR_TEST("DGRM-005 LESSON-034 room that others have taken is found when they are gone") {
  if (!has("unix_sockets")) {
    skip("DGRM-005", "unix_sockets");
    co_return;
  }
  const Folder folder;
  const Address address = Address::unix_path(folder.file("receiver"));
  Socket receiver = unix_receiver(address.path());
  Endpoint other = co_await endpoint_to(loop, address);
  int theirs = co_await send_until_one_waits(loop, other);
  const DatagramEndpointOptions unconnected{.family = AddressFamily::unix_domain};
  Endpoint sender = co_await endpoint(loop, unconnected);
  const std::string waiting(1000, 'w');
  sender.transport->sendto(waiting, address);
  CHECK(sender.transport->get_write_buffer_size() == counted);
  if (has("real_clock")) {  // the system does not tell of room: it is asked now and then, not all the time
    const std::clock_t before = std::clock();
    co_await sleep(100ms);
    CHECK(std::clock() - before < CLOCKS_PER_SEC / 20);
  }
  other.transport->abort();
  std::string text;
  for (; text != waiting && theirs >= 0; --theirs) {
    text = co_await receive_one(loop, receiver);
  }
  CHECK(text == waiting);
  CHECK(sender.protocol->events == std::vector<std::string>{"made"});
  co_await sender.close();
  co_await other.close();
}

WEIR_TEST("DGRM-010 an endpoint that is aborted while it asks again and again") {
  if (!has("unix_sockets")) {
    skip("DGRM-010", "unix_sockets");
    co_return;
  }
  const Folder folder;
  const Address address = Address::unix_path(folder.file("receiver"));
  Socket receiver = unix_receiver(address.path());
  Endpoint other = co_await endpoint_to(loop, address);
  co_await send_until_one_waits(loop, other);
  const DatagramEndpointOptions unconnected{.family = AddressFamily::unix_domain};
  for (int turns = 0; turns != 5; ++turns) {
    Endpoint sender = co_await endpoint(loop, unconnected);
    sender.transport->sendto("waits", address);
    for (int i = 0; i != turns; ++i) {
      co_await sleep(0s);
    }
    sender.transport->abort();
    CHECK(sender.transport->get_write_buffer_size() == 0);
    co_await sender.close();
    CHECK(sender.protocol->events == std::vector<std::string>{"made", "lost"});
  }
  co_await sleep(5ms);  // beyond the time at which it would have asked again
  other.transport->abort();
  co_await other.close();
}

WEIR_TEST("DGRM-010 an abort out of error_received drops what is behind") {
  if (!has("unix_sockets")) {
    skip("DGRM-010", "unix_sockets");
    co_return;
  }
  const Folder folder;
  const Address address = Address::unix_path(folder.file("receiver"));
  Socket receiver = unix_receiver(address.path());
  const DatagramEndpointOptions unconnected{.family = AddressFamily::unix_domain};
  Endpoint sender = co_await endpoint(loop, unconnected);
  sender.protocol->on_error = [&sender] { sender.transport->abort(); };
  sender.transport->sendto("first", address);
  for (int i = 0; i != 5; ++i) {
    sender.transport->sendto("x", Address::unix_path(folder.file("nobody")));
  }
  sender.transport->sendto("never", address);
  co_await until([recorder = sender.protocol.get()] { return recorder->lost == 1; });
  CHECK(sender.protocol->events == std::vector<std::string>{"made", "error", "lost"});
  CHECK(sender.protocol->error == nullptr);
  Socket other = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  co_await loop.sock_sendto(other, "last", address);
  const std::string first = co_await receive_one(loop, receiver);
  CHECK(first == "first");
  const std::string last = co_await receive_one(loop, receiver);
  CHECK(last == "last");
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

WEIR_TEST("DGRM-005 whoever is paused by lower limits is resumed, though the next datagram takes all along") {
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await endpoint_to(loop, near.address());
  for (const char* text : {"leaves at once", "waits for its turn"}) {
    far.transport->sendto(text);
  }
  far.transport->set_write_buffer_limits(4);
  CHECK(far.protocol->events == std::vector<std::string>{"made", "pause"});
  far.transport->sendto("too many");
  co_await near.receives(3);
  co_await settle(loop);
  CHECK(far.protocol->events == std::vector<std::string>{"made", "pause", "resume"});
  co_await near.close();
  co_await far.close();
}

WEIR_TEST("DGRM-010 an endpoint that error_received closes while much is sent is lost all the same") {
  if (!has("unix_sockets")) {
    skip("DGRM-010", "unix_sockets");
    co_return;
  }
  const Folder folder;
  const DatagramEndpointOptions unconnected{.family = AddressFamily::unix_domain};
  Endpoint sender = co_await endpoint(loop, unconnected);
  sender.protocol->on_error = [&sender] {
    if (sender.protocol->errors.size() == 10) {
      sender.transport->close();
    }
  };
  for (int i = 0; i != 100 && !sender.transport->is_closing(); ++i) {
    sender.transport->sendto("x", Address::unix_path(folder.file("nobody")));
  }
  co_await until([recorder = sender.protocol.get()] { return recorder->lost == 1; });
  CHECK(sender.protocol->error == nullptr);
  CHECK(sender.protocol->events.back() == "lost");
}

WEIR_TEST("DGRM-007 an error_received that sends much in the midst of what is sent") {
  if (!has("unix_sockets")) {
    skip("DGRM-007", "unix_sockets");
    co_return;
  }
  const Folder folder;
  const Address nobody = Address::unix_path(folder.file("nobody"));
  const DatagramEndpointOptions unconnected{.family = AddressFamily::unix_domain};
  Endpoint sender = co_await endpoint(loop, unconnected);
  DatagramRecorder& recorder = *sender.protocol;
  recorder.on_error = [&recorder, &nobody] {
    for (int i = 0; i != 100 && recorder.errors.size() == 2; ++i) {
      recorder.transport->sendto("more", nobody);
    }
  };
  for (int i = 0; i != 4; ++i) {
    sender.transport->sendto("x", nobody);
  }
  co_await until([&recorder] { return recorder.errors.size() == 104; });
  co_await settle(loop);
  CHECK(recorder.errors.size() == 104);
  co_await sender.close();
}

WEIR_TEST("DGRM-008 no memory for a datagram that has to wait closes the endpoint, and is thrown") {
  if (under_sanitizer) {
    co_return;  // operator new ends the program where it should throw
  }
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await endpoint_to(loop, near.address());
  const std::string_view first = "leaves at once";
  far.transport->sendto(first);
  const std::span<const std::byte> endless(as_bytes(first).data(), PTRDIFF_MAX / 2);
  CHECK_THROWS_AS(far.transport->sendto(endless), std::bad_alloc);
  CHECK(far.transport->is_closing());
  co_await until([recorder = far.protocol.get()] { return recorder->lost == 1; });
  CHECK_THROWS_AS(std::rethrow_exception(far.protocol->error), std::bad_alloc);
  CHECK(far.protocol->events == std::vector<std::string>{"made", "lost"});
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

WEIR_TEST("DGRM-006 each datagram that waits keeps its address") {
  Endpoint one = co_await bound_endpoint(loop);
  Endpoint two = co_await bound_endpoint(loop);
  Endpoint sender = co_await bound_endpoint(loop);
  std::vector<std::string> odd, even;
  for (int i = 0; i != 40; ++i) {
    const bool is_odd = i % 2 == 1;
    (is_odd ? odd : even).push_back(std::to_string(i));
    Address to = is_odd ? one.address() : two.address();
    sender.transport->sendto(std::to_string(i), to);
    to = Address();
  }
  co_await one.receives(20);
  co_await two.receives(20);
  CHECK(one.protocol->received == odd);
  CHECK(two.protocol->received == even);
  for (Endpoint* each : {&one, &two, &sender}) {
    co_await each->close();
  }
}

WEIR_TEST("DGRM-010 close sends what waits for room, however long that takes") {
  if (!has("unix_sockets")) {
    skip("DGRM-010", "unix_sockets");
    co_return;
  }
  const Folder folder;
  const Address address = Address::unix_path(folder.file("receiver"));
  Socket receiver = unix_receiver(address.path());
  const DatagramEndpointOptions named{.local_addr = Address::unix_path(folder.file("sender")),
                                      .remote_addr = address};
  Endpoint sender = co_await endpoint(loop, named);
  const int sent = send_until_paused(sender, Address());
  sender.transport->close();
  co_await loop.sock_sendto(receiver, "too late", named.local_addr.value());
  co_await settle(loop);
  CHECK(sender.protocol->lost == 0);
  sender.transport->sendto("ignored");
  co_await check_order(loop, receiver, sent);
  co_await until([recorder = sender.protocol.get()] { return recorder->lost == 1; });
  CHECK(sender.protocol->error == nullptr);
  CHECK(sender.protocol->received.empty());
  Socket other = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  co_await loop.sock_sendto(other, "behind all", address);
  const std::string last = co_await receive_one(loop, receiver);
  CHECK(last == "behind all");
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

#if !defined(WEIR_BACKEND_SIM)

WEIR_TEST("DGRM-009 a receive that would block is ignored") {
  Endpoint near = co_await bound_endpoint(loop);
  Socket far = bound_socket();
  const native_socket thief = near.transport->get_extra_info<extra::socket>()->native_handle();
  bool stolen = false;
  for (int round = 0; round != 5; ++round) {
    // The poll finds the datagram, and this callback, which runs before what was found, takes it.
    loop.call_soon([thief, &stolen] {
      char byte = 0;
      stolen = raw_receive(thief, std::span(&byte, 1)) == 1;
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

#if defined(WEIR_TEST_WINDOWS)
WEIR_TEST("DGRM-008 a receive that fails for good closes the endpoint with its error") {
  CHECK(lacks("DGRM-008", Trait::descriptor_numbers));
  co_return;
}
#elif !defined(WEIR_BACKEND_KQUEUE)  // where the number takes its events with it
WEIR_TEST("DGRM-008 a receive that fails for good closes the endpoint with its error") {
  Endpoint near = co_await bound_endpoint(loop);
  Socket far = bound_socket();
  const Address address = near.address();
  // Another file under its number: the poll still hears the socket, and every receive meets the file.
  const native_socket number = near.transport->get_extra_info<extra::socket>()->native_handle();
  const File kept = File::duplicate(number);
  ::close(number);
  std::vector<File> below;
  int other = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  for (; other >= 0 && other != number; other = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) {
    below.push_back(File::adopt(other));
  }
  REQUIRE(other == number);
  co_await loop.sock_sendto(far, "x", address);
  co_await until([recorder = near.protocol.get()] { return recorder->lost == 1; });
  CHECK(near.protocol->received.empty());
  CHECK(near.protocol->errors.size() > 1);
  CHECK(near.protocol->errors[0] == std::errc::not_a_socket);
  CHECK(message_of(near.protocol->error).find("recvfrom") != std::string::npos);
  env.expect_report("the endpoint can receive no more");
}
#endif

#else

WEIR_TEST("DGRM-009 a receive that would block is ignored") {
  skip("DGRM-009", "native_descriptors");  // nobody else can take what was found
  co_return;
}

#endif
