// DGRM: endpoints, what they carry, and how they end.
#include "tests/net/datagrams/datagram_test.hpp"

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

WEIR_TEST("DGRM-001 connection_made, then datagram_received once per datagram, with the sender") {
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await bound_endpoint(loop);
  CHECK(near.protocol->events == std::vector<std::string>{"made"});
  CHECK(near.protocol->transport == near.transport);
  far.transport->sendto("one", near.address());
  far.transport->sendto("two", near.address());
  co_await near.receives(2);
  co_await settle(loop);
  CHECK(near.protocol->received == std::vector<std::string>{"one", "two"});
  CHECK(near.protocol->senders == std::vector<Address>{far.address(), far.address()});
  co_await near.close();
  CHECK(near.protocol->events == std::vector<std::string>{"made", "data", "data", "lost"});
  CHECK(near.protocol->error == nullptr);
  co_await far.close();
}

WEIR_TEST("DGRM-001 many datagrams, each once and in order") {
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await bound_endpoint(loop);
  std::vector<std::string> sent;
  for (int round = 0; round != 20; ++round) {
    for (int i = 0; i != 50; ++i) {
      sent.push_back(std::to_string(sent.size()));
      far.transport->sendto(sent.back(), near.address());
    }
    co_await near.receives(sent.size());
  }
  CHECK(near.protocol->received == sent);
  co_await near.close();
  co_await far.close();
}

WEIR_TEST("DGRM-002 sendto with an address, and without one on a connected endpoint") {
  Endpoint server = co_await bound_endpoint(loop);
  Endpoint client = co_await endpoint_to(loop, server.address());
  CHECK(client.transport->get_extra_info<extra::peername>() == server.address());
  CHECK_FALSE(server.transport->get_extra_info<extra::peername>().has_value());
  client.transport->sendto("question");
  co_await server.receives(1);
  CHECK(server.protocol->senders[0] == client.address());
  server.transport->sendto("answer", server.protocol->senders[0]);
  co_await client.receives(1);
  CHECK(client.protocol->received[0] == "answer");
  CHECK(client.protocol->senders[0] == server.address());
  CHECK(refusal_of([&] {
          server.transport->sendto("whither?");
          return 0;
        }).find("needs an address") != std::string::npos);
  co_await client.close();
  co_await server.close();
}

WEIR_TEST("DGRM-002 a connected endpoint hears nobody else") {
  Endpoint server = co_await bound_endpoint(loop);
  Endpoint client = co_await endpoint_to(loop, server.address());
  Endpoint stranger = co_await bound_endpoint(loop);
  stranger.transport->sendto("unasked", client.address());
  co_await settle(loop);
  server.transport->sendto("asked", client.address());
  co_await client.receives(1);
  CHECK(client.protocol->received == std::vector<std::string>{"asked"});
  co_await client.close();
  co_await server.close();
  co_await stranger.close();
}

WEIR_TEST("DGRM-003 an empty datagram is sent and received") {
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await endpoint_to(loop, near.address());
  far.transport->sendto("");
  far.transport->sendto("after it");
  co_await near.receives(2);
  CHECK(near.protocol->received == std::vector<std::string>{"", "after it"});
  co_await near.close();
  co_await far.close();
}

WEIR_TEST("DGRM-003 the largest datagram of IPv4 arrives whole, one that is larger is an error of its own") {
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await bound_endpoint(loop);
  const std::string largest = pattern(65507);
  far.transport->sendto(largest, near.address());
  co_await near.receives(1);
  CHECK(near.protocol->received[0] == largest);
  far.transport->sendto(largest + "x", near.address());
  co_await until([recorder = far.protocol.get()] { return !recorder->errors.empty(); });
  CHECK(far.protocol->errors[0] == std::errc::message_size);
  CHECK(far.protocol->messages[0].find("sendto " + near.address().to_string()) != std::string::npos);
  co_await near.close();
  co_await far.close();
}

WEIR_TEST("DGRM-004 another address than the remote one is refused, the same one is accepted") {
  Endpoint server = co_await bound_endpoint(loop);
  Endpoint other = co_await bound_endpoint(loop);
  Endpoint client = co_await endpoint_to(loop, server.address());
  CHECK(refusal_of([&] {
          client.transport->sendto("x", other.address());
          return 0;
        }) == "sendto: the address must be none or " + server.address().to_string() + ", not " +
                  other.address().to_string());
  client.transport->sendto("same", server.address());
  co_await server.receives(1);
  CHECK(server.protocol->received == std::vector<std::string>{"same"});
  CHECK(other.protocol->received.empty());
  co_await client.close();
  co_await server.close();
  co_await other.close();
}

namespace {

// Somebody listened there, and does no more.
Address dead_address() { return bound_socket().local_address(); }

}  // namespace

WEIR_TEST("DGRM-007 LESSON-033 an error is given to error_received, and the endpoint goes on") {
  if (lacks("DGRM-007", "datagram_errors")) {
    co_return;
  }
  Socket server = bound_socket();
  const Address address = server.local_address();
  Endpoint client = co_await endpoint_to(loop, address);
  server.close();
  for (std::size_t round = 1; round != 4; ++round) {
    client.transport->sendto("is anybody there?");
    co_await until([recorder = client.protocol.get(), round] { return recorder->errors.size() >= round; });
    CHECK(client.protocol->errors.back() == std::errc::connection_refused);
    CHECK(client.protocol->messages.back().find(address.to_string()) != std::string::npos);
  }
  CHECK(client.protocol->lost == 0);
  CHECK_FALSE(client.transport->is_closing());
  // It is not deaf.
  Socket again = Socket::open(AddressFamily::inet, SocketType::datagram);
  again.bind(address);
  const std::string text = "now there is";
  co_await loop.sock_sendto(again, text, client.address());
  co_await client.receives(1);
  client.transport->sendto("good");
  const auto [answer, from] = co_await loop.sock_recvfrom(again, 100);
  CHECK(answer.view() == "good");
  CHECK(from == client.address());
  co_await client.close();
}

WEIR_TEST("DGRM-007 an error_received that sends again at once does not end the endpoint") {
  if (lacks("DGRM-007", "datagram_errors")) {
    co_return;
  }
  Endpoint client = co_await endpoint_to(loop, dead_address());
  DatagramRecorder& recorder = *client.protocol;
  recorder.on_error = [&recorder] {
    if (recorder.errors.size() < 200) {
      recorder.transport->sendto("again");
    }
  };
  client.transport->sendto("once");
  co_await until([&recorder] { return recorder.errors.size() >= 200; });
  CHECK_FALSE(client.transport->is_closing());
  co_await client.close();
  CHECK(recorder.error == nullptr);
}

WEIR_TEST("DGRM-007 what was received before and after an error is delivered") {
  if (lacks("DGRM-007", "datagram_errors")) {
    co_return;
  }
  Socket server = bound_socket();
  const Address address = server.local_address();
  Endpoint client = co_await endpoint_to(loop, address);
  const Address own = client.address();
  co_await loop.sock_sendto(server, "before", own);
  server.close();
  client.transport->sendto("to nobody");
  Socket again = Socket::open(AddressFamily::inet, SocketType::datagram);
  again.bind(address);
  co_await settle(loop);
  co_await loop.sock_sendto(again, "after", own);
  co_await client.receives(2);
  CHECK(client.protocol->received == std::vector<std::string>{"before", "after"});
  co_await client.close();
}

namespace {

class Failing final : public std::exception {
 public:
  const char* what() const noexcept override { return "meant to fail"; }
};

}  // namespace

WEIR_TEST("DGRM-007 an exception of a callback is reported, and the endpoint goes on") {
  if (lacks("DGRM-007", "datagram_errors")) {
    co_return;
  }
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await bound_endpoint(loop);
  near.protocol->on_datagram = [] { throw Failing(); };
  for (int i = 0; i != 3; ++i) {
    far.transport->sendto("x", near.address());
  }
  co_await near.receives(3);
  for (int i = 0; i != 3; ++i) {
    const Report report = env.expect_report("protocol.datagram_received() failed");
    CHECK(report.has_transport);
    CHECK(report.has_protocol);
  }
  near.protocol->on_datagram = nullptr;
  far.transport->sendto("y", near.address());
  co_await near.receives(4);
  co_await near.close();
  CHECK(near.protocol->error == nullptr);
  co_await far.close();

  Endpoint client = co_await endpoint_to(loop, dead_address());
  client.protocol->on_error = [] { throw Failing(); };
  client.transport->sendto("x");
  co_await until([recorder = client.protocol.get()] { return !recorder->errors.empty(); });
  env.expect_report("protocol.error_received() failed");
  CHECK_FALSE(client.transport->is_closing());
  co_await client.close();
}

namespace {

ContextVar<std::string> where("where", "nowhere");

class SeesContext final : public DatagramRecorder {
 public:
  void connection_made(Ref<DatagramTransport> made) override {
    seen.push_back("made " + where.get());
    DatagramRecorder::connection_made(std::move(made));
  }
  void datagram_received(std::span<const std::byte> data, const Address& from) override {
    seen.push_back("data " + where.get());
    DatagramRecorder::datagram_received(data, from);
  }
  void error_received(const std::system_error& why) override {
    seen.push_back("error " + where.get());
    DatagramRecorder::error_received(why);
  }
  void connection_lost(std::exception_ptr why) override {
    seen.push_back("lost " + where.get());
    DatagramRecorder::connection_lost(std::move(why));
  }
  std::vector<std::string> seen;
};

}  // namespace

WEIR_TEST("DGRM-001 CTX-007 callbacks run in the context in which create_datagram_endpoint was called") {
  if (lacks("DGRM-001", "datagram_errors")) {
    co_return;
  }
  Socket peer = bound_socket();
  const DatagramEndpointOptions options{.remote_addr = peer.local_address()};
  auto factory = [] { return make_ref<SeesContext>(); };
  where.set("endpoint");
  auto [transport, protocol] = co_await loop.create_datagram_endpoint(factory, options);
  where.set("elsewhere");
  co_await loop.sock_sendto(peer, "x", transport->get_extra_info<extra::sockname>().value());
  SeesContext* const recorder = protocol.get();
  co_await until([recorder] { return recorder->count("data") == 1; });
  peer.close();
  transport->sendto("to nobody");
  co_await until([recorder] { return recorder->count("error") == 1; });
  transport->close();
  co_await until([recorder] { return recorder->lost == 1; });
  CHECK(protocol->seen ==
        std::vector<std::string>{"made endpoint", "data endpoint", "error endpoint", "lost endpoint"});
}

WEIR_TEST("DGRM-010 close sends what is buffered and then calls connection_lost, abort drops it") {
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await bound_endpoint(loop);
  for (int i = 0; i != 10; ++i) {
    far.transport->sendto(std::to_string(i), near.address());
  }
  CHECK(far.transport->get_write_buffer_size() > 0);
  far.transport->close();
  CHECK(far.transport->is_closing());
  CHECK(far.protocol->lost == 0);
  co_await until([recorder = far.protocol.get()] { return recorder->lost == 1; });
  CHECK(far.protocol->error == nullptr);
  CHECK(far.transport->get_protocol() == nullptr);
  co_await near.receives(10);
  Endpoint third = co_await bound_endpoint(loop);
  for (int i = 0; i != 10; ++i) {
    third.transport->sendto("dropped", near.address());
  }
  third.transport->abort();
  CHECK(third.transport->get_write_buffer_size() == 0);
  CHECK(third.protocol->lost == 0);
  co_await until([recorder = third.protocol.get()] { return recorder->lost == 1; });
  CHECK(third.protocol->error == nullptr);
  co_await settle(loop);
  CHECK(near.protocol->received.size() <= 11);  // the first one had left
  co_await near.close();
}

WEIR_TEST("DGRM-011 sendto on a closed endpoint is ignored") {
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await bound_endpoint(loop);
  const Address address = near.address();
  far.transport->abort();
  far.transport->abort();
  far.transport->close();
  co_await far.close();
  for (int i = 0; i != 10; ++i) {
    far.transport->sendto("x", address);
  }
  env.expect_log("the endpoint is closed");
  far.transport->close();
  far.transport->abort();
  co_await settle(loop);
  CHECK(near.protocol->received.empty());
  CHECK(far.protocol->lost == 1);
  co_await near.close();
}

WEIR_TEST("DGRM-012 local_addr, remote_addr and family fit together, and there is one of them") {
  const auto refused = [&loop](DatagramEndpointOptions options) {
    return refusal_of(
        [&] { return loop.create_datagram_endpoint([] { return make_ref<DatagramRecorder>(); }, options); });
  };
  const Address inet = Address::loopback(AddressFamily::inet, 1);
  const Address inet6 = Address::loopback(AddressFamily::inet6, 1);
  CHECK(refused({}).find("unexpected address family") != std::string::npos);
  CHECK(refused({.local_addr = inet, .remote_addr = inet6}).find("not of one family") != std::string::npos);
  CHECK(refused({.local_addr = inet, .family = AddressFamily::inet6}).find("not of one family") !=
        std::string::npos);
  CHECK(refused({.remote_addr = Address()}).find("of no family") != std::string::npos);
  CHECK(refused({.remote_addr = inet, .remote_host = "localhost"}).find("remote_host") != std::string::npos);
  const Address path = Address::unix_path("/run/nothing");
  CHECK(refused({.local_addr = path, .remote_host = "localhost"}).find("remote_host") != std::string::npos);
  // The family alone is enough to send from.
  const DatagramEndpointOptions family_only{.family = AddressFamily::inet};
  Endpoint sender = co_await endpoint(loop, family_only);
  Endpoint receiver = co_await bound_endpoint(loop);
  sender.transport->sendto("x", receiver.address());
  co_await receiver.receives(1);
  co_await sender.close();
  co_await receiver.close();
}

WEIR_TEST("DGRM-013 a given socket excludes addresses and options, and is a datagram socket") {
  Socket given = bound_socket();
  const Address address = given.local_address();
  const auto refused = [&loop](DatagramEndpointOptions options) {
    return refusal_of(
        [&] { return loop.create_datagram_endpoint([] { return make_ref<DatagramRecorder>(); }, options); });
  };
  for (DatagramEndpointOptions options :
       {DatagramEndpointOptions{.local_addr = address}, DatagramEndpointOptions{.remote_addr = address},
        DatagramEndpointOptions{.family = AddressFamily::inet}, DatagramEndpointOptions{.reuse_port = true},
        DatagramEndpointOptions{.allow_broadcast = true}}) {
    options.sock = &given;
    CHECK(refused(options).find("can not be used when sock is specified") != std::string::npos);
  }
  CHECK(given.is_open());
  Socket stream = Socket::open(AddressFamily::inet);
  CHECK(refused({.sock = &stream}).find("a datagram socket was expected") != std::string::npos);
  Socket none;
  CHECK(refused({.sock = &none}).find("is closed") != std::string::npos);
  const DatagramEndpointOptions options{.sock = &given};
  Endpoint near = co_await endpoint(loop, options);
  CHECK_FALSE(given.is_open());
  CHECK(near.address() == address);
  co_await near.close();
}

WEIR_TEST("DGRM-014 reuse_port and allow_broadcast set their options") {
  DatagramEndpointOptions options{.local_addr = any_port};
  options.reuse_port = has("reuse_port");
  options.allow_broadcast = true;
  Endpoint one = co_await endpoint(loop, options);
  const SocketView socket = one.transport->get_extra_info<extra::socket>().value();
  CHECK(socket.broadcast());
  CHECK(socket.reuse_port() == has("reuse_port"));
  Endpoint plain = co_await bound_endpoint(loop);
  CHECK_FALSE(plain.transport->get_extra_info<extra::socket>()->broadcast());
  CHECK_FALSE(plain.transport->get_extra_info<extra::socket>()->reuse_port());
  // A port that is shared.
  if (has("reuse_port")) {
    DatagramEndpointOptions same{.local_addr = one.address()};
    same.reuse_port = true;
    Endpoint two = co_await endpoint(loop, same);
    CHECK(two.address() == one.address());
    co_await two.close();
  }
  // With a remote address and allow_broadcast it is not connected, and hears everybody.
  DatagramEndpointOptions to_plain{.remote_addr = plain.address()};
  to_plain.allow_broadcast = true;
  Endpoint three = co_await endpoint(loop, to_plain);
  CHECK_FALSE(three.transport->get_extra_info<extra::peername>().has_value());
  three.transport->sendto("to the remote address");
  co_await plain.receives(1);
  one.transport->sendto("from another", plain.protocol->senders[0]);
  co_await three.receives(1);
  CHECK(refusal_of([&] {
          three.transport->sendto("x", one.address());
          return 0;
        }) != "");
  co_await one.close();
  co_await plain.close();
  co_await three.close();
}

WEIR_TEST("DGRM-015 reuse_address is refused") {
  DatagramEndpointOptions options{.local_addr = any_port};
  options.reuse_address = true;
  CHECK(refusal_of([&] {
          return loop.create_datagram_endpoint([] { return make_ref<DatagramRecorder>(); }, options);
        }).find("reuse_address is not supported") != std::string::npos);
  co_return;
}

namespace {

Coro<std::error_code> creation_error(EventLoop& loop, DatagramEndpointOptions options) {
  try {
    Endpoint made = co_await endpoint(loop, options);
    co_await made.close();
    co_return std::error_code();
  } catch (const std::system_error& error) {
    CHECK(std::string_view(error.what()).find("127.0.0.1") != std::string_view::npos);
    co_return error.code();
  }
}

}  // namespace

WEIR_TEST("DGRM-016 a bind or connect error closes the socket and fails the call") {
  Endpoint taken = co_await bound_endpoint(loop);
  const DatagramEndpointOptions same{.local_addr = taken.address()};
  CHECK(co_await creation_error(loop, same) == std::errc::address_in_use);
  // A broadcast address without leave to send to one: the system refuses to connect.
  DatagramEndpointOptions far{.local_addr = any_port};
  far.remote_addr = Address::inet("255.255.255.255", 9);
  std::error_code code;
  try {
    co_await endpoint(loop, far);
  } catch (const std::system_error& error) {
    code = error.code();
    CHECK(std::string_view(error.what()).find("255.255.255.255:9") != std::string_view::npos);
  }
  CHECK(code);
  co_await taken.close();
  // That the sockets are closed is what every test looks at in the end.
}

WEIR_TEST("DGRM-016 a factory that throws, or gives nothing, closes the socket") {
  const DatagramEndpointOptions options{.local_addr = any_port};
  auto throwing = []() -> Ref<DatagramRecorder> { throw Failing(); };
  CHECK_THROWS_AS(co_await loop.create_datagram_endpoint(throwing, options), Failing);
  auto empty = []() -> Ref<DatagramRecorder> { return {}; };
  CHECK_THROWS_AS(co_await loop.create_datagram_endpoint(empty, options), std::invalid_argument);
}

WEIR_TEST("DGRM-016 a call that is cancelled in whatever turn closes the socket") {
  const DatagramEndpointOptions options{.local_addr = any_port};
  int cancelled = 0;
  for (int turns = 0; turns != 8; ++turns) {
    CAPTURE(turns);
    Ref<DatagramRecorder> made;
    auto factory = [&made] { return made = make_ref<DatagramRecorder>(); };
    auto making = ensure_future(loop.create_datagram_endpoint(factory, options), &loop);
    for (int i = 0; i != turns; ++i) {
      co_await sleep(0s);
    }
    making.cancel();
    try {
      co_await making;
      made->transport->close();
    } catch (const CancelledError&) {
      ++cancelled;
    }
    if (made != nullptr) {
      co_await until([recorder = made.get()] { return recorder->lost == 1; });
      CHECK(made->events == std::vector<std::string>{"made", "lost"});
      CHECK(made->error == nullptr);
    }
  }
  CHECK(cancelled > 0);
  CHECK(cancelled < 8);
}

WEIR_TEST("DGRM-018 IPv6 endpoints report addresses with flow and scope") {
  if (!has("ipv6")) {
    skip("DGRM-018", "ipv6");
    co_return;
  }
  const DatagramEndpointOptions options{.local_addr = Address::loopback(AddressFamily::inet6, 0)};
  Endpoint near = co_await endpoint(loop, options);
  Endpoint far = co_await endpoint(loop, options);
  far.transport->sendto("six", near.address());
  co_await near.receives(1);
  const Address from = near.protocol->senders[0];
  CHECK(from == far.address());
  CHECK(from.family() == AddressFamily::inet6);
  CHECK(from.host() == "::1");
  CHECK(from.scope_id() == 0);
  CHECK(from.flow_info() == 0);
  const Address labelled = near.address().with_flow_info(0x12345);
  CHECK(labelled.flow_info() == 0x12345);
  CHECK(labelled != near.address());
  CHECK(std::hash<Address>()(labelled) != std::hash<Address>()(near.address()));
  CHECK(any_port.with_flow_info(5) == any_port);
  near.protocol->received.clear();
  far.transport->sendto("labelled", labelled);
  co_await near.receives(1);
  CHECK(near.protocol->received == std::vector<std::string>{"labelled"});
  CHECK(Address::inet("fe80::1%7", 9).scope_id() == 7);
  co_await near.close();
  co_await far.close();
}

WEIR_TEST("DGRM-019 an address that is none, or of another family, is refused") {
  Endpoint near = co_await bound_endpoint(loop);
  CHECK_FALSE(Address::parse("localhost", 80).has_value());  // no Address without getaddrinfo
  CHECK(refusal_of([&] {
          near.transport->sendto("x", Address());
          return 0;
        }).find("needs an address") != std::string::npos);
  CHECK(refusal_of([&] {
          near.transport->sendto("x", Address::loopback(AddressFamily::inet6, 9));
          return 0;
        }).find("another family") != std::string::npos);
  CHECK(refusal_of([&] {
          near.transport->sendto("x", Address::unix_path("/x"));
          return 0;
        }).find("another family") != std::string::npos);
  CHECK(near.protocol->events == std::vector<std::string>{"made"});
  co_await near.close();
}

WEIR_TEST("M4 set_protocol directs what follows to another protocol, of the same kind") {
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await endpoint_to(loop, near.address());
  far.transport->sendto("first");
  co_await near.receives(1);
  auto second = make_ref<DatagramRecorder>();
  near.transport->set_protocol(second);
  CHECK(near.transport->get_protocol() == second);
  far.transport->sendto("second");
  co_await until([&second] { return second->received.size() == 1; });
  CHECK(near.protocol->received.size() == 1);
  CHECK_THROWS_AS(near.transport->set_protocol(nullptr), std::invalid_argument);
  CHECK_THROWS_AS(near.transport->set_protocol(make_ref<Recorder>()), std::invalid_argument);
  near.transport->close();
  co_await until([&second] { return second->lost == 1; });
  near.protocol->transport.reset();
  co_await far.close();
}

WEIR_TEST("DGRM-001 a callback may abort its endpoint in the midst of datagrams") {
  Endpoint near = co_await bound_endpoint(loop);
  Endpoint far = co_await endpoint_to(loop, near.address());
  near.protocol->on_datagram = [&near] { near.transport->abort(); };
  for (int i = 0; i != 20; ++i) {
    far.transport->sendto("x");
  }
  co_await until([recorder = near.protocol.get()] { return recorder->lost == 1; });
  co_await settle(loop);
  CHECK(near.protocol->events == std::vector<std::string>{"made", "data", "lost"});
  co_await far.close();
}

TEST_CASE_FIXTURE(LoopFixture, "DBG-007 an endpoint that its loop closes is reported, and all goes") {
  Ref<DatagramRecorder> protocol;
  loop.run_until_complete([](EventLoop& on, Ref<DatagramRecorder>& out) -> Coro<void> {
    Endpoint made = co_await bound_endpoint(on);
    out = made.protocol;
    made.transport->sendto("a", made.address());
    made.transport->sendto("b", made.address());
  }(loop, protocol));
  loop.close();
  env.expect_log("unclosed transport <DatagramTransport sockname=127.0.0.1:");
  CHECK(protocol->lost == 0);
  protocol->transport.reset();
}
