// CONN: create_connection and connect_accepted_socket.
#include "tests/net/net_test.hpp"

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

constexpr auto echo = [] { return make_ref<Echo>(); };
constexpr auto recorder = [] { return make_ref<Recorder>(); };

std::uint16_t port_of(const Ref<Server>& server) { return server->sockets().at(0).local_address().port(); }

// How create_connection with these options fails; null when it does not.
Coro<std::exception_ptr> failure(EventLoop& loop, ConnectionOptions options) {
  try {
    auto [transport, protocol] = co_await loop.create_connection(recorder, options);
    transport->abort();
    co_return nullptr;
  } catch (...) {
    co_return std::current_exception();
  }
}

template <class E>
bool is(const std::exception_ptr& error) {
  try {
    if (error) {
      std::rethrow_exception(error);
    }
  } catch (const E&) {
    return true;
  } catch (...) {
  }
  return false;
}

std::error_code code_of(const std::exception_ptr& error) {
  return error_of([&] {
    if (error) {
      std::rethrow_exception(error);
    }
  });
}

}  // namespace

WEIR_TEST("CONN-001 create_connection calls the factory once, then connection_made, and returns both") {
  auto server = co_await loop.create_server(echo, {.host = "127.0.0.1"});
  int made = 0;
  const auto factory = [&] {
    ++made;
    return make_ref<Recorder>();
  };
  auto [transport, protocol] =
      co_await loop.create_connection(factory, {.host = "127.0.0.1", .port = port_of(server)});
  CHECK(made == 1);
  CHECK(protocol->events == std::vector<std::string>{"made"});
  CHECK(protocol->transport == transport);
  CHECK(transport->get_protocol() == protocol);
  CHECK(&transport->get_loop() == &loop);
  transport->write("over");
  co_await until([&] { return protocol->received == "over"; });
  transport->close();
  co_await until([&] { return protocol->lost != 0; });
  co_await stop_server(std::move(server));
}

WEIR_TEST("CONN-002 all addresses of the host are tried in order until one connects") {
  // No host means this machine: ::1, then 127.0.0.1.
  auto server = co_await loop.create_server(echo, {.host = "127.0.0.1"});
  auto [transport, protocol] = co_await loop.create_connection(recorder, {.port = port_of(server)});
  CHECK(transport->get_extra_info<extra::peername>()->host() == "127.0.0.1");
  transport->close();
  co_await until([&] { return protocol->lost != 0; });
  const std::uint16_t port = port_of(server);
  co_await stop_server(std::move(server));

  auto second = co_await loop.create_server(echo, {.host = "::1", .port = port});
  auto [transport6, protocol6] = co_await loop.create_connection(recorder, {.port = port});
  CHECK(transport6->get_extra_info<extra::peername>()->host() == "::1");
  transport6->close();
  co_await until([&] { return protocol6->lost != 0; });
  co_await stop_server(std::move(second));
}

WEIR_TEST("CONN-003 when every address fails, the error says so") {
  const std::uint16_t port = closed_port();
  const std::string v4 = "127.0.0.1:" + std::to_string(port);
  const std::string v6 = "[::1]:" + std::to_string(port);
  const auto single = co_await failure(loop, {.host = "127.0.0.1", .port = port});
  CHECK(code_of(single) == std::errc::connection_refused);
  CHECK(message_of(single).starts_with("create_connection " + v4));
  const auto several = co_await failure(loop, {.port = port});
  CHECK(code_of(several) == std::errc::connection_refused);
  CHECK(message_of(several).find(v4) != std::string::npos);
  CHECK(message_of(several).find(v6) != std::string::npos);
  const auto all = co_await failure(loop, {.port = port, .all_errors = true});
  REQUIRE(is<ExceptionGroup>(all));
  try {
    std::rethrow_exception(all);
  } catch (const ExceptionGroup& group) {
    REQUIRE(group.exceptions().size() == 2);
    CHECK(message_of(group.exceptions()[0]).find(v6) != std::string::npos);
    CHECK(message_of(group.exceptions()[1]).find(v4) != std::string::npos);
    CHECK(code_of(group.exceptions()[0]) == std::errc::connection_refused);
  }
  const auto one = co_await failure(loop, {.host = "::1", .port = port, .all_errors = true});
  CHECK(is<ExceptionGroup>(one));
}

WEIR_TEST("CONN-005 host and port together with a socket, or none of them, is an invalid argument") {
  Socket socket = Socket::open(AddressFamily::inet);
  CHECK(is<std::invalid_argument>(co_await failure(loop, {})));
  CHECK(is<std::invalid_argument>(co_await failure(loop, {.host = "127.0.0.1", .sock = &socket})));
  CHECK(is<std::invalid_argument>(co_await failure(loop, {.port = 1, .sock = &socket})));
  const Address local = Address::loopback(AddressFamily::inet, 0);
  CHECK(is<std::invalid_argument>(co_await failure(loop, {.sock = &socket, .local_addr = local})));
  CHECK(socket.is_open());
}

WEIR_TEST("CONN-006 a given socket must be a stream socket, and becomes the transport's property") {
  Socket closed;
  CHECK(is<std::invalid_argument>(co_await failure(loop, {.sock = &closed})));
  SocketPair s = co_await connected_sockets(loop);
  const Address name = s.near.local_address();
  auto [transport, protocol] = co_await loop.create_connection(recorder, {.sock = &s.near});
  CHECK(!s.near.is_open());
  CHECK(transport->get_extra_info<extra::sockname>() == name);
  transport->close();
  co_await until([&] { return protocol->lost != 0; });
  CHECK(co_await read_all(loop, s.far) == "");
}

WEIR_TEST("CONN-006 a datagram socket is refused") {
  Socket datagram = Socket::open(AddressFamily::inet, SocketType::datagram);
  CHECK(is<std::invalid_argument>(co_await failure(loop, {.sock = &datagram})));
  CHECK(datagram.is_open());
}

WEIR_TEST("CONN-007 local_addr binds the socket before connecting") {
  auto server = co_await loop.create_server(echo, {.host = "127.0.0.1"});
  const std::uint16_t port = port_of(server);
  const std::uint16_t own_port = closed_port();
  const Address own = Address::inet("127.0.0.1", own_port);
  auto [transport, protocol] =
      co_await loop.create_connection(recorder, {.host = "127.0.0.1", .port = port, .local_addr = own});
  CHECK(transport->get_extra_info<extra::sockname>() == own);
  // In use now.
  const auto in_use = co_await failure(
      loop, {.host = "127.0.0.1", .port = port, .local_addr = server->sockets()[0].local_address()});
  CHECK(code_of(in_use) == std::errc::address_in_use);
  CHECK(message_of(in_use).find("127.0.0.1:" + std::to_string(port)) != std::string::npos);
  // Of the other family: none fits for the one, one is skipped for several.
  const Address other = Address::loopback(AddressFamily::inet6, 0);
  const auto none_fits = co_await failure(loop, {.host = "127.0.0.1", .port = port, .local_addr = other});
  CHECK(code_of(none_fits) == std::errc::address_not_available);
  const Address any_port = Address::loopback(AddressFamily::inet, 0);
  auto [skipped, second] = co_await loop.create_connection(recorder, {.port = port, .local_addr = any_port});
  CHECK(skipped->get_extra_info<extra::sockname>()->host() == "127.0.0.1");
  transport->close();
  skipped->close();
  co_await until([&] { return protocol->lost + second->lost == 2; });
  co_await stop_server(std::move(server));
}

WEIR_TEST("CONN-011 TCP transports get TCP_NODELAY, other stream sockets are left alone") {
  std::vector<Ref<Recorder>> accepted;
  const auto factory = [&] { return accepted.emplace_back(make_ref<Recorder>()); };
  auto server = co_await loop.create_server(factory, {.host = "127.0.0.1"});
  auto [transport, protocol] =
      co_await loop.create_connection(recorder, {.host = "127.0.0.1", .port = port_of(server)});
  CHECK(transport->get_extra_info<extra::socket>()->no_delay());
  co_await until([&] { return !accepted.empty() && accepted[0]->transport != nullptr; });
  CHECK(accepted[0]->transport->get_extra_info<extra::socket>()->no_delay());
  SocketPair s = co_await connected_sockets(loop);
  auto [given, third] = co_await loop.create_connection(recorder, {.sock = &s.near});
  CHECK(given->get_extra_info<extra::socket>()->no_delay());
  auto [a, b] = Socket::pair();
  auto [local, fourth] = co_await loop.create_connection(recorder, {.sock = &a});
  local->write("no TCP");
  CHECK(co_await read_exactly(loop, b, 6) == "no TCP");
  CHECK(local->get_extra_info<extra::peername>()->path().empty());
  transport->close();
  given->close();
  local->close();
  co_await until([&] { return protocol->lost + third->lost + fourth->lost == 3; });
  co_await stop_server(std::move(server));
}

WEIR_TEST("CONN-012 a refused connection closes its socket and calls nobody") {
  const std::size_t before = open_descriptors();
  int made = 0;
  const auto factory = [&] {
    ++made;
    return make_ref<Recorder>();
  };
  bool refused = false;
  std::string text;
  try {
    co_await loop.create_connection(factory, {.host = "127.0.0.1", .port = closed_port()});
  } catch (const std::system_error& e) {
    refused = e.code() == std::errc::connection_refused;
    text = e.what();
  }
  CHECK(refused);
  CHECK(text.ends_with(": Connection refused"));
  CHECK(made == 0);
  CHECK(open_descriptors() == before);
}

namespace {

// A listening socket whose queue is full: it ignores whoever knocks.
class Silence {
 public:
  Socket listener = Socket::open(AddressFamily::inet);
  std::vector<Socket> queued;
};
Coro<void> fill_queue(EventLoop& loop, Silence& silence) {
  silence.listener.bind(Address::loopback(AddressFamily::inet, 0));
  silence.listener.listen(1);
  for (;;) {
    Socket client = Socket::open(AddressFamily::inet);
    auto connecting = ensure_future(loop.sock_connect(client, silence.listener.local_address()), &loop);
    co_await settle(loop);
    const bool ignored = !connecting.done();
    connecting.cancel();
    co_await settle(loop);
    if (ignored) {
      co_return;
    }
    REQUIRE(silence.queued.size() < 100);
    silence.queued.push_back(std::move(client));
  }
}

}  // namespace

WEIR_TEST("CONN-013 a connection to an address that drops packets ends with a time-out") {
  Silence silence;
  co_await fill_queue(loop, silence);
  const std::uint16_t port = silence.listener.local_address().port();
  const std::size_t before = open_descriptors();
  const TimePoint begun = loop.time();
  const auto error = co_await failure(loop, {.host = "127.0.0.1", .port = port, .timeout = 50ms});
  CHECK(is<TimeoutError>(error));
  CHECK(loop.time() - begun >= 50ms);
  CHECK(open_descriptors() == before);
  // In good time, the limit does nothing.
  auto server = co_await loop.create_server(echo, {.host = "127.0.0.1"});
  auto [transport, protocol] = co_await loop.create_connection(
      recorder, {.host = "127.0.0.1", .port = port_of(server), .timeout = 5s});
  transport->close();
  co_await until([&] { return protocol->lost != 0; });
  co_await stop_server(std::move(server));
}

WEIR_TEST("CONN-014 a protocol factory that throws makes the call fail and closes the socket") {
  auto server = co_await loop.create_server(echo, {.host = "127.0.0.1"});
  const std::size_t before = open_descriptors();
  const auto factory = []() -> Ref<Recorder> { throw std::domain_error("factory"); };
  std::string what;
  try {
    co_await loop.create_connection(factory, {.host = "127.0.0.1", .port = port_of(server)});
  } catch (const std::domain_error& e) {
    what = e.what();
  }
  CHECK(what == "factory");
  const auto none = []() -> Ref<Recorder> { return nullptr; };
  CHECK_THROWS_AS(co_await loop.create_connection(none, {.host = "127.0.0.1", .port = port_of(server)}),
                  std::invalid_argument);
  co_await settle(loop);
  server->abort_clients();
  co_await until([&] { return open_descriptors() == before; });
  co_await stop_server(std::move(server));
}

namespace {

Coro<void> connect_and_keep(EventLoop& loop, std::uint16_t port, Ref<Recorder> protocol, bool& returned) {
  const auto factory = [&] { return protocol; };
  co_await loop.create_connection(factory, {.host = "127.0.0.1", .port = port});
  returned = true;
}

}  // namespace

WEIR_TEST("CONN-015 cancelling create_connection closes the attempt's socket") {
  auto server = co_await loop.create_server(echo, {.host = "127.0.0.1"});
  int connected = 0;
  for (int turns = 0; turns != 60; ++turns) {
    const std::size_t before = open_descriptors();
    auto protocol = make_ref<Recorder>();
    bool returned = false;
    auto task = loop.create_task(connect_and_keep(loop, port_of(server), protocol, returned));
    for (int i = 0; i != turns; ++i) {
      co_await sleep(0s);
    }
    task.cancel();
    co_await until([&] { return task.done(); });
    CHECK(task.cancelled() == !returned);
    if (returned) {
      ++connected;
      protocol->transport->abort();
    }
    if (protocol->count("made") != 0) {
      co_await until([&] { return protocol->lost == 1; });
    }
    server->abort_clients();
    co_await settle(loop);
    server->abort_clients();
    co_await until([&] { return open_descriptors() == before; });
  }
  CHECK(connected > 0);
  CHECK(connected < 60);
  co_await stop_server(std::move(server));
}

WEIR_TEST("CONN-015 also while nobody answers") {
  Silence silence;
  co_await fill_queue(loop, silence);
  const std::size_t before = open_descriptors();
  bool returned = false;
  auto task = loop.create_task(
      connect_and_keep(loop, silence.listener.local_address().port(), make_ref<Recorder>(), returned));
  co_await settle(loop);
  CHECK(open_descriptors() == before + 1);
  task.cancel();
  CHECK_THROWS_AS(co_await task, CancelledError);
  CHECK(open_descriptors() == before);
}

WEIR_TEST("CONN-017 connect_accepted_socket builds a transport on an accepted socket") {
  SocketPair s = co_await connected_sockets(loop);
  auto [transport, protocol] = co_await loop.connect_accepted_socket(recorder, std::move(s.far), {});
  CHECK(protocol->events == std::vector<std::string>{"made"});
  co_await loop.sock_sendall(s.near, "hello");
  co_await until([&] { return protocol->received == "hello"; });
  transport->write("you too");
  CHECK(co_await read_exactly(loop, s.near, 7) == "you too");
  transport->close();
  co_await until([&] { return protocol->lost != 0; });
  CHECK_THROWS_AS(co_await loop.connect_accepted_socket(recorder, Socket(), {}), std::invalid_argument);
  CHECK_THROWS_AS(co_await loop.connect_accepted_socket(
                      recorder, Socket::open(AddressFamily::inet, SocketType::datagram), {}),
                  std::invalid_argument);
}

WEIR_TEST("CONN-018 connection_made runs before any data_received and before create_connection returns") {
  for (int i = 0; i != 20; ++i) {
    SocketPair s = co_await connected_sockets(loop);
    co_await loop.sock_sendall(s.far, "already there");
    auto [transport, protocol] = co_await loop.create_connection(recorder, {.sock = &s.near});
    REQUIRE(!protocol->events.empty());
    CHECK(protocol->events[0] == "made");
    co_await until([&] { return protocol->received == "already there"; });
    CHECK(protocol->count("made") == 1);
    transport->close();
    co_await until([&] { return protocol->lost != 0; });
  }
}

namespace {

ContextVar<std::string> where("where", "nowhere");

class SeesContext final : public RecorderOf<Protocol> {
 public:
  void connection_made(Ref<Transport> made) override {
    seen.push_back("made " + where.get());
    RecorderOf<Protocol>::connection_made(std::move(made));
  }
  void data_received(std::span<const std::byte>) override { seen.push_back("data " + where.get()); }
  bool eof_received() override {
    seen.push_back("eof " + where.get());
    return false;
  }
  void connection_lost(std::exception_ptr why) override {
    seen.push_back("lost " + where.get());
    RecorderOf<Protocol>::connection_lost(std::move(why));
  }
  void pause_writing() override { seen.push_back("pause " + where.get()); }
  std::vector<std::string> seen;
};

}  // namespace

WEIR_TEST("CTX-005 protocol callbacks of a client run in the context in which create_connection was called") {
  SocketPair s = co_await connected_sockets(loop, true);
  where.set("client");
  auto [transport, protocol] =
      co_await loop.create_connection([] { return make_ref<SeesContext>(); }, {.sock = &s.near});
  where.set("elsewhere");
  co_await loop.sock_sendall(s.far, "x");
  co_await until([&] { return protocol->seen.size() >= 2; });
  clog(*transport);
  s.far.shutdown_write();
  co_await until([&] { return protocol->seen.size() >= 4; });
  transport->abort();
  co_await until([&] { return protocol->lost != 0; });
  CHECK(protocol->seen ==
        std::vector<std::string>{"made client", "data client", "pause client", "eof client", "lost client"});
  CHECK(where.get() == "elsewhere");
}

WEIR_TEST("CTX-006 factory and callbacks of a server run in a context derived from that of create_server") {
  std::vector<std::string> in_factory;
  std::vector<Ref<SeesContext>> made;
  const auto factory = [&] {
    in_factory.push_back(where.get());
    where.set("changed by the factory");
    return made.emplace_back(make_ref<SeesContext>());
  };
  where.set("server");
  auto server = co_await loop.create_server(factory, {.host = "127.0.0.1"});
  where.set("elsewhere");
  Socket first = Socket::open(AddressFamily::inet);
  co_await loop.sock_connect(first, server->sockets()[0].local_address());
  co_await until([&] { return made.size() == 1; });
  Socket second = Socket::open(AddressFamily::inet);
  co_await loop.sock_connect(second, server->sockets()[0].local_address());
  co_await until([&] { return made.size() == 2; });
  co_await loop.sock_sendall(second, "x");
  co_await until([&] { return made[1]->seen.size() == 2; });
  co_await stop_server(std::move(server));
  // Each connection has a copy of its own.
  CHECK(in_factory == std::vector<std::string>{"server", "server"});
  CHECK(made[1]->seen == std::vector<std::string>{"made changed by the factory",
                                                  "data changed by the factory",
                                                  "lost changed by the factory"});
  CHECK(where.get() == "elsewhere");
}

WEIR_TEST("EXCH-007 an exception in a protocol callback reaches the handler with transport and protocol") {
  const auto check = [&](std::string_view callback) {
    const Report report = env.expect_report(callback);
    CHECK(report.exception);
    CHECK(report.has_transport);
    CHECK(report.has_protocol);
  };
  auto made = make_ref<Recorder>();
  made->on_made = [] { throw std::domain_error("made"); };
  made->on_lost = [] { throw std::domain_error("lost"); };
  auto w = co_await wire(loop, made);
  check("connection_made");
  // The connection goes on, as in asyncio.
  co_await loop.sock_sendall(w.peer->socket(), "x");
  co_await until([&] { return made->received == "x"; });
  made->on_data = [] { throw std::domain_error("data"); };
  co_await loop.sock_sendall(w.peer->socket(), "x");
  co_await until([&] { return made->lost != 0; });
  check("data_received");
  check("connection_lost");
  made->transport.reset();
}
