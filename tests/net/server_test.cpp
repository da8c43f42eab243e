// SRV: create_server and Server.
#include "tests/net/net_test.hpp"

#include <algorithm>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

constexpr auto echo = [] { return make_ref<Echo>(); };

Coro<std::exception_ptr> failure(EventLoop& loop, ServerOptions options) {
  try {
    const Ref<Server> server = co_await loop.create_server(echo, options);
    server->close();
    co_return nullptr;
  } catch (...) {
    co_return std::current_exception();
  }
}

bool is_invalid_argument(const std::exception_ptr& error) {
  try {
    if (error) {
      std::rethrow_exception(error);
    }
  } catch (const std::invalid_argument&) {
    return true;
  } catch (...) {
  }
  return false;
}

}  // namespace

WEIR_TEST("SRV-001 each accepted connection gets its own protocol from the factory") {
  Made made;
  auto server = co_await loop.create_server(made.factory(), {.host = "127.0.0.1", .port = 0});
  Socket first = co_await connect_to(loop, address_of(server));
  Socket second = co_await connect_to(loop, address_of(server));
  co_await loop.sock_sendall(first, "first");
  co_await loop.sock_sendall(second, "second");
  co_await until([&] {
    return made.all.size() == 2 && made.all[0]->received.size() + made.all[1]->received.size() == 11;
  });
  CHECK(made.all[0] != made.all[1]);
  const bool in_order = made.all[0]->received == "first";
  CHECK(made.all[in_order ? 1 : 0]->received == "second");
  CHECK(made.all[in_order ? 0 : 1]->received == "first");
  CHECK(made.all[in_order ? 0 : 1]->transport->get_extra_info<extra::peername>() == first.local_address());
  CHECK(&server->get_loop() == &loop);
  co_await stop_server(server);
  CHECK(made.lost() == 2);
}

WEIR_TEST("SRV-002 no host means all interfaces of both families, on one port") {
  auto server = co_await loop.create_server(echo, {.port = 0});
  const auto sockets = server->sockets();
  REQUIRE(sockets.size() == 2);
  CHECK(sockets[0].local_address().host() == "0.0.0.0");
  CHECK(sockets[1].local_address().host() == "::");
  const std::uint16_t port = sockets[0].local_address().port();
  CHECK(port != 0);
  CHECK(sockets[1].local_address().port() == port);
  for (const AddressFamily family : {AddressFamily::inet, AddressFamily::inet6}) {
    Socket client = co_await connect_to(loop, Address::loopback(family, port));
    co_await loop.sock_sendall(client, "both");
    CHECK(co_await read_exactly(loop, client, 4) == "both");
  }
  co_await stop_server(server);
  auto empty = co_await loop.create_server(echo, {.host = "", .port = port});
  CHECK(empty->sockets().size() == 2);
  co_await stop_server(empty);
}

WEIR_TEST("SRV-002 a list of hosts listens on each") {
  const std::string_view hosts[] = {"127.0.0.1", "::1"};
  auto server = co_await loop.create_server(echo, {.hosts = hosts});
  REQUIRE(server->sockets().size() == 2);
  const Address first = server->sockets()[0].local_address();
  const Address second = server->sockets()[1].local_address();
  CHECK(first.host() == "127.0.0.1");
  CHECK(second.host() == "::1");
  CHECK(first.port() == second.port());
  for (const Address& address : {first, second}) {
    Socket client = co_await connect_to(loop, address);
    co_await loop.sock_sendall(client, "each");
    CHECK(co_await read_exactly(loop, client, 4) == "each");
  }
  co_await stop_server(server);
}

namespace {

// A server on the port of all IPv4 interfaces; null when it is taken.
Coro<Ref<Server>> serve_ipv4(EventLoop& loop, std::uint16_t port) {
  try {
    co_return co_await loop.create_server(echo, {.host = "0.0.0.0", .port = port});
  } catch (const std::system_error& error) {
    CHECK(error.code() == std::errc::address_in_use);
  }
  co_return nullptr;
}

}  // namespace

WEIR_TEST("SRV-003 an IPv6 server socket is IPv6-only") {
  Ref<Server> server;
  Ref<Server> other;
  // A port that is free for one family may be another process' in the other.
  for (int draw = 0; other == nullptr; ++draw) {
    REQUIRE(draw < 20);
    if (server != nullptr) {
      co_await stop_server(server);
    }
    server = co_await loop.create_server(echo, {.host = "::"});
    CHECK(server->sockets()[0].ipv6_only());
    other = co_await serve_ipv4(loop, address_of(server).port());
  }
  const std::uint16_t port = address_of(server).port();
  co_await stop_server(other);
  CHECK(co_await connect_error(loop, Address::loopback(AddressFamily::inet, port)) ==
        std::errc::connection_refused);
  co_await stop_server(server);
}

WEIR_TEST("SRV-004 contradicting options are an invalid argument") {
  Socket socket = listening_socket();
  Socket datagram = Socket::open(AddressFamily::inet, SocketType::datagram);
  Socket closed;
  const std::string_view hosts[] = {"127.0.0.1"};
  CHECK(is_invalid_argument(co_await failure(loop, {})));
  CHECK(is_invalid_argument(co_await failure(loop, {.host = "127.0.0.1", .sock = &socket})));
  CHECK(is_invalid_argument(co_await failure(loop, {.hosts = hosts, .sock = &socket})));
  CHECK(is_invalid_argument(co_await failure(loop, {.port = 0, .sock = &socket})));
  CHECK(is_invalid_argument(co_await failure(loop, {.sock = &datagram})));
  CHECK(is_invalid_argument(co_await failure(loop, {.sock = &closed})));
  CHECK(is_invalid_argument(co_await failure(loop, {.host = "127.0.0.1", .hosts = hosts})));
  CHECK(is_invalid_argument(co_await failure(loop, {.host = "127.0.0.1", .backlog = -1})));
  CHECK((socket.is_open() && datagram.is_open()));
  // A socket that is right is taken over.
  const Address address = socket.local_address();
  auto server = co_await loop.create_server(echo, {.sock = &socket});
  CHECK(!socket.is_open());
  CHECK(address_of(server) == address);
  Socket client = co_await connect_to(loop, address);
  co_await loop.sock_sendall(client, "given");
  CHECK(co_await read_exactly(loop, client, 5) == "given");
  co_await stop_server(server);
}

WEIR_TEST("SRV-005 an address that cannot be had is an OS error that names it, and no socket stays open") {
  Socket taken = listening_socket();
  const Address address = taken.local_address();
  const std::size_t before = open_descriptors();
  const auto in_use = co_await failure(loop, {.host = "127.0.0.1", .port = address.port()});
  CHECK(error_of([&] { std::rethrow_exception(in_use); }) == std::errc::address_in_use);
  CHECK(message_of(in_use).find(address.to_string()) != std::string::npos);
  // The second address fails after the first was bound.
  const std::string_view hosts[] = {"127.0.0.2", "127.0.0.1"};
  const auto second = co_await failure(loop, {.hosts = hosts, .port = address.port()});
  CHECK(message_of(second).find(address.to_string()) != std::string::npos);
  const auto foreign = co_await failure(loop, {.host = "192.0.2.1"});
  CHECK(error_of([&] { std::rethrow_exception(foreign); }) == std::errc::address_not_available);
  CHECK(message_of(foreign).find("192.0.2.1") != std::string::npos);
  CHECK(open_descriptors() == before);
}

WEIR_TEST("SRV-006 with reuse_port two servers share a port") {
  if (!has("reuse_port")) {
    CHECK(is_invalid_argument(co_await failure(loop, {.host = "127.0.0.1", .reuse_port = true})));
    skip("SRV-006", "reuse_port");
    co_return;
  }
  auto first = co_await loop.create_server(echo, {.host = "127.0.0.1", .reuse_port = true});
  const std::uint16_t port = address_of(first).port();
  auto second = co_await loop.create_server(echo, {.host = "127.0.0.1", .port = port, .reuse_port = true});
  CHECK(co_await failure(loop, {.host = "127.0.0.1", .port = port}) != nullptr);
  co_await stop_server(first);
  Socket client = co_await connect_to(loop, address_of(second));
  co_await loop.sock_sendall(client, "shared");
  CHECK(co_await read_exactly(loop, client, 6) == "shared");
  co_await stop_server(second);
}

WEIR_TEST("SRV-007 sockets lists the listening sockets, and nothing after close") {
  auto server = co_await loop.create_server(echo, {.host = "127.0.0.1"});
  REQUIRE(server->sockets().size() == 1);
  CHECK(server->sockets()[0].local_address().host() == "127.0.0.1");
  server->close();
  CHECK(server->sockets().empty());
  co_await server->wait_closed();
}

WEIR_TEST("SRV-008 start_serving=false does not accept until start_serving") {
  auto server = co_await loop.create_server(echo, {.host = "127.0.0.1", .start_serving = false});
  const Address address = address_of(server);
  CHECK(address.port() != 0);
  CHECK(co_await connect_error(loop, address) == std::errc::connection_refused);
  co_await server->start_serving();
  co_await server->start_serving();
  Socket client = co_await connect_to(loop, address);
  co_await loop.sock_sendall(client, "now");
  CHECK(co_await read_exactly(loop, client, 3) == "now");
  co_await stop_server(server);
  CHECK_THROWS_AS(co_await server->start_serving(), RuntimeError);
}

WEIR_TEST("SRV-009 is_serving tells whether connections are being accepted") {
  auto server = co_await loop.create_server(echo, {.host = "127.0.0.1", .start_serving = false});
  CHECK(!server->is_serving());
  co_await server->start_serving();
  CHECK(server->is_serving());
  server->close();
  CHECK(!server->is_serving());
  co_await server->wait_closed();
}

WEIR_TEST("SRV-010 serve_forever serves until it is cancelled, then closes the server") {
  Made made;
  auto server = co_await loop.create_server(made.factory(), {.host = "127.0.0.1", .start_serving = false});
  auto serving = loop.create_task(server->serve_forever());
  co_await until([&] { return server->is_serving(); });
  CHECK_THROWS_AS(co_await server->serve_forever(), RuntimeError);
  Socket client = co_await connect_to(loop, address_of(server));
  co_await until([&] { return made.all.size() == 1; });
  CHECK(!serving.done());
  serving.cancel();
  CHECK_THROWS_AS(co_await serving, CancelledError);
  CHECK(!server->is_serving());
  CHECK(server->sockets().empty());
  CHECK(made.lost() == 1);
  CHECK_THROWS_AS(co_await server->serve_forever(), RuntimeError);

  // close() ends it too.
  auto second = co_await loop.create_server(made.factory(), {.host = "127.0.0.1"});
  auto again = loop.create_task(second->serve_forever());
  co_await settle(loop);
  second->close();
  CHECK_THROWS_AS(co_await again, CancelledError);
}

WEIR_TEST("SRV-011 close stops accepting at once, and existing connections live on") {
  auto server = co_await loop.create_server(echo, {.host = "127.0.0.1"});
  const Address address = address_of(server);
  Socket client = co_await connect_to(loop, address);
  co_await loop.sock_sendall(client, "one");
  CHECK(co_await read_exactly(loop, client, 3) == "one");
  server->close();
  CHECK(co_await connect_error(loop, address) == std::errc::connection_refused);
  co_await loop.sock_sendall(client, "two");
  CHECK(co_await read_exactly(loop, client, 3) == "two");
  co_await stop_server(server);
}

WEIR_TEST("SRV-012 close twice does nothing the second time") {
  auto server = co_await loop.create_server(echo, {.host = "127.0.0.1"});
  server->close();
  server->close();
  co_await server->wait_closed();
  server->close();
  co_await server->wait_closed();
}

WEIR_TEST("SRV-013 wait_closed returns when the server is closed and its connections are gone") {
  Made made;
  auto server = co_await loop.create_server(made.factory(), {.host = "127.0.0.1"});
  Socket client = co_await connect_to(loop, address_of(server));
  co_await until([&] { return made.all.size() == 1; });
  auto early = loop.create_task(server->wait_closed());
  auto cancelled = loop.create_task(server->wait_closed());
  co_await settle(loop);
  CHECK(!early.done());
  server->close();
  auto late = loop.create_task(server->wait_closed());
  co_await settle(loop);
  CHECK((!early.done() && !late.done()));
  cancelled.cancel();
  co_await settle(loop);
  CHECK(cancelled.cancelled());
  int lost_when_done = -1;
  early.add_done_callback([&] { lost_when_done = made.lost(); });
  client.close();
  co_await early;
  co_await late;
  CHECK(lost_when_done == 1);
  // Without connections it returns when the server closes.
  auto idle = co_await loop.create_server(made.factory(), {.host = "127.0.0.1"});
  auto waiting = loop.create_task(idle->wait_closed());
  co_await settle(loop);
  CHECK(!waiting.done());
  idle->close();
  co_await waiting;
}

WEIR_TEST("SRV-014 close_clients closes gracefully, abort_clients at once") {
  for (const bool abort : {false, true}) {
    Made made;
    auto server = co_await loop.create_server(made.factory(), {.host = "127.0.0.1"});
    Socket first = co_await connect_to(loop, address_of(server));
    Socket second = co_await connect_to(loop, address_of(server));
    co_await until([&] { return made.all.size() == 2; });
    std::string written;
    for (int i = 0; i != 100; ++i) {
      made.all[0]->transport->write(pattern(200'000));
      written += pattern(200'000);
    }
    REQUIRE(made.all[0]->transport->get_write_buffer_size() > 0);
    const bool first_has_it =
        made.all[0]->transport->get_extra_info<extra::peername>() == first.local_address();
    Socket& reader = first_has_it ? first : second;
    abort ? server->abort_clients() : server->close_clients();
    CHECK((made.all[0]->transport->is_closing() && made.all[1]->transport->is_closing()));
    CHECK(made.lost() == 0);
    const std::string read = co_await read_all(loop, reader);
    CHECK((abort ? read.size() < written.size() : read == written));
    co_await until([&] { return made.lost() == 2; });
    CHECK(server->is_serving());
    co_await stop_server(server);
  }
}

namespace {

Coro<int> serve_one(EventLoop& loop, Made& made, Address& address, Server& server) {
  address = server.sockets()[0].local_address();
  Socket client = co_await connect_to(loop, address);
  co_await loop.sock_sendall(client, "x");
  co_await until([&] { return made.all.size() == 1 && made.all[0]->received == "x"; });
  co_return 7;
}

}  // namespace

WEIR_TEST("SRV-015 leaving the server's scope closes it") {
  Made made;
  Address address;
  auto server = co_await loop.create_server(made.factory(), {.host = "127.0.0.1"});
  const int result =
      co_await serve(server, [&](Server& inside) { return serve_one(loop, made, address, inside); });
  CHECK(result == 7);
  CHECK(made.lost() == 1);
  CHECK(!server->is_serving());
  CHECK(co_await connect_error(loop, address) == std::errc::connection_refused);

  auto second = co_await loop.create_server(made.factory(), {.host = "127.0.0.1"});
  const auto throws = [](Server&) -> Coro<void> {
    throw std::domain_error("body");
    co_return;
  };
  CHECK_THROWS_AS(co_await serve(second, throws), std::domain_error);
  CHECK(!second->is_serving());

  auto third = co_await loop.create_server(made.factory(), {.host = "127.0.0.1"});
  co_await third->aclose();
  CHECK(third->sockets().empty());
}

WEIR_TEST("SRV: connections live on when their server is dropped") {
  Made made;
  auto server = co_await loop.create_server(made.factory(), {.host = "127.0.0.1"});
  Socket client = co_await connect_to(loop, address_of(server));
  co_await until([&] { return made.all.size() == 1; });
  server->close();
  server.reset();
  co_await loop.sock_sendall(client, "still here");
  co_await until([&] { return made.all[0]->received == "still here"; });
  client.close();
  co_await until([&] { return made.lost() == 1; });
}

WEIR_TEST("DBG-008 dropping the last reference to a serving server is reported, and closes it") {
  auto server = co_await loop.create_server(echo, {.host = "127.0.0.1"});
  const Address address = address_of(server);
  server.reset();
  const std::string line = env.expect_log("unclosed server");
  CHECK(line.find(address.to_string()) != std::string::npos);
  CHECK(co_await connect_error(loop, address) == std::errc::connection_refused);
  // A server that does not serve is nothing to warn of.
  auto idle = co_await loop.create_server(echo, {.host = "127.0.0.1", .start_serving = false});
  idle.reset();
  auto closed = co_await loop.create_server(echo, {.host = "127.0.0.1"});
  closed->close();
  closed.reset();
}

WEIR_TEST("LESSON-015 shutdown lets clients finish, and aborts those that do not by the deadline") {
  Made made;
  auto server = co_await loop.create_server(made.factory(), {.host = "127.0.0.1"});
  const Address address = address_of(server);
  // Real sockets are descriptors, of which a process has few.
  const std::size_t idle = has("real_network") ? 200 : 1'000;
  constexpr std::size_t stuck = 10;
  std::vector<Socket> clients;
  for (std::size_t i = 0; i != idle + stuck; ++i) {
    clients.push_back(co_await connect_to(loop, address));
  }
  co_await until([&] { return made.all.size() == idle + stuck; });
  for (std::size_t i = 0; i != stuck; ++i) {
    clog(*made.all[i]->transport);  // what its client never reads
    made.all[i]->transport->close();
  }
  const TimePoint begun = loop.time();
  auto shutting_down = loop.create_task(server->shutdown(begun + 300ms));
  co_await settle(loop);
  CHECK(server->sockets().empty());
  CHECK_FALSE(shutting_down.done());
  constexpr std::size_t finishing = 50;
  for (std::size_t i = 0; i != finishing; ++i) {
    made.all[stuck + i]->transport->close();
  }
  CHECK(co_await shutting_down == idle + stuck - finishing);
  CHECK(loop.time() >= begun + 300ms);
  CHECK((has("real_clock") || loop.time() < begun + 310ms));
  CHECK(made.lost() == static_cast<int>(idle + stuck));
}

WEIR_TEST("LESSON-015 shutdown returns with the last client, and at once when there is none") {
  Made made;
  auto server = co_await loop.create_server(made.factory(), {.host = "127.0.0.1"});
  Socket client = co_await connect_to(loop, address_of(server));
  co_await until([&] { return made.all.size() == 1; });
  auto shutting_down = loop.create_task(server->shutdown(TimePoint::max()));
  auto another = loop.create_task(server->shutdown(loop.time() + 1h));
  co_await settle(loop);
  CHECK_FALSE(shutting_down.done());
  client.close();
  CHECK(co_await shutting_down == 0);
  CHECK(co_await another == 0);
  CHECK(made.all[0]->error == nullptr);
  CHECK(co_await server->shutdown(loop.time() - 1h) == 0);
}

WEIR_TEST("LESSON-015 a cancelled shutdown leaves the connections alone") {
  Made made;
  auto server = co_await loop.create_server(made.factory(), {.host = "127.0.0.1"});
  Socket client = co_await connect_to(loop, address_of(server));
  co_await until([&] { return made.all.size() == 1; });
  auto shutting_down = loop.create_task(server->shutdown(loop.time() + 1h));
  co_await settle(loop);
  shutting_down.cancel();
  co_await until([&] { return shutting_down.done(); });
  CHECK(shutting_down.cancelled());
  CHECK(server->sockets().empty());
  CHECK(made.lost() == 0);
  CHECK(co_await server->shutdown(loop.time()) == 1);
  CHECK(made.lost() == 1);
}
