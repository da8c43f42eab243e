// Handshakes, addresses, listen queues and descriptors of the simulated network.
#include "driver.hpp"

#include <doctest/doctest.h>

#include <cerrno>

using namespace sim_test;

TEST_CASE("sim: a request and its answer") {
  for (std::uint64_t seed = 1; seed != 50; ++seed) {
    sim::Options options;
    options.seed = seed;
    const Configured configured(options);
    Loop loop;
    Connection connection(loop);
    REQUIRE(connection.connected == 0);
    REQUIRE(connection.accepted >= 0);
    CHECK(connection.listener.peer == connection.client.address());
    REQUIRE(connection.client.send_all("ping") == 0);
    std::string got;
    while (got.size() < 4) {
      std::string part;
      REQUIRE(connection.server->receive(part) > 0);
      got += part;
    }
    CHECK(got == "ping");
    REQUIRE(connection.server->send_all("pong!") == 0);
    connection.server->close();
    got.clear();
    CHECK(connection.client.receive_all(got) == 0);
    CHECK(got == "pong!");
  }
}

TEST_CASE("sim: a connect to a port where nobody listens is refused, and the socket may try again") {
  for (std::uint64_t seed = 1; seed != 20; ++seed) {
    sim::Options options;
    options.seed = seed;
    const Configured configured(options);
    Loop loop;
    End listener(loop);
    REQUIRE(listener.listen_on(v4(0)) == 0);
    const RawAddress to = listener.address();
    listener.close();
    End client(loop);
    CHECK(client.connect(to) == -ECONNREFUSED);
    CHECK(Sockets::get_option(client.native, SocketOption::error) == 0);  // told once
    End again(loop);
    REQUIRE(again.listen_on(to) == 0);
    CHECK(client.connect(to) == 0);
    CHECK(client.connect(to) == -EISCONN);
  }
}

TEST_CASE("sim: a connect into the documentation networks times out after 127 seconds") {
  Loop loop;
  End client(loop);
  const TimePoint before = loop.backend.now();
  CHECK(client.connect(v4(80, {192, 0, 2, 1})) == -ETIMEDOUT);
  CHECK(loop.backend.now() - before >= std::chrono::seconds(127));
  CHECK(loop.backend.now() - before < std::chrono::seconds(128));
  CHECK(client.connect(v4(80, {8, 8, 8, 8})) == -ENETUNREACH);
}

TEST_CASE("sim: who may bind what") {
  Loop loop;
  End first(loop);
  REQUIRE(first.listen_on(v4(8000)) == 0);
  End second(loop);
  CHECK(Sockets::bind(second.native, v4(8000)) == -EADDRINUSE);
  CHECK(Sockets::bind(second.native, v4(8000, {0, 0, 0, 0})) == -EADDRINUSE);
  CHECK(Sockets::bind(second.native, v4(8000, {10, 0, 0, 1})) == -EADDRNOTAVAIL);
  CHECK(Sockets::bind(second.native, v6(8000)) == -EAFNOSUPPORT);
  CHECK(Sockets::bind(second.native, v4(8000, {127, 0, 0, 2})) == 0);
  CHECK(Sockets::bind(second.native, v4(8001)) == -EINVAL);
  End six(loop, open(AddressFamily::inet6));
  CHECK(Sockets::bind(six.native, v6(8000, 0)) == -EADDRINUSE);  // both families
  CHECK(Sockets::set_option(six.native, SocketOption::ipv6_only, 1) == 0);
  CHECK(Sockets::bind(six.native, v6(8000, 0)) == 0);
}

TEST_CASE("sim: reuse_address lets a server come back, but not listen twice") {
  const Configured configured(calm());
  Loop loop;
  Connection connection(loop);
  const RawAddress address = connection.listener.address();
  End next(loop);
  Sockets::set_option(next.native, SocketOption::reuse_address, 1);
  CHECK(Sockets::bind(next.native, address) == -EADDRINUSE);
  connection.listener.close();
  CHECK(Sockets::bind(next.native, address) == -EADDRINUSE);  // the accepted one does not share it
  connection.server->close();
  CHECK(next.listen_on(address) == 0);
  End one(loop);
  End two(loop);
  for (const End* end : {&one, &two}) {
    Sockets::set_option(end->native, SocketOption::reuse_address, 1);
    REQUIRE(Sockets::bind(end->native, v4(9000)) == 0);
  }
  CHECK(Sockets::listen(one.native, 1) == 0);
  CHECK(Sockets::listen(two.native, 1) == -EADDRINUSE);
}

TEST_CASE("sim: listeners with reuse_port share a port, and each gets some") {
  Loop loop;
  End one(loop);
  End two(loop);
  for (End* end : {&one, &two}) {
    REQUIRE(Sockets::set_option(end->native, SocketOption::reuse_port, 1) == 0);
    REQUIRE(end->listen_on(v4(9000)) == 0);
  }
  std::deque<End> clients;
  for (int i = 0; i != 40; ++i) {
    REQUIRE(clients.emplace_back(loop).connect(v4(9000)) == 0);
  }
  loop.pass(std::chrono::seconds(1));
  int taken[2] = {};
  End* ends[2] = {&one, &two};
  for (int i = 0; i != 2; ++i) {
    Waited<AcceptOp> op;
    loop.start(op, ends[i]->handle);
    while (loop.pass(std::chrono::milliseconds(1)), op.answered()) {
      REQUIRE(op.result >= 0);
      Sockets::close(static_cast<native_socket>(op.result));
      ++taken[i];
      loop.start(op, ends[i]->handle);
    }
    loop.backend.cancel(op);
    loop.turn();
    CHECK(op.result == -ECANCELED);
  }
  CHECK(taken[0] > 0);
  CHECK(taken[1] > 0);
  CHECK(taken[0] + taken[1] == 40);
}

TEST_CASE("sim: an IPv6 socket serves IPv4 unless it is told not to") {
  Loop loop;
  End listener(loop, open(AddressFamily::inet6));
  REQUIRE(listener.listen_on(v6(0, 0)) == 0);
  const std::uint16_t port = listener.address().port;
  End four(loop);
  REQUIRE(four.connect(v4(port)) == 0);
  const std::int64_t accepted = listener.accept();
  REQUIRE(accepted >= 0);
  CHECK(listener.peer.family == AddressFamily::inet6);
  CHECK(listener.peer.ip[10] == 0xff);
  CHECK(listener.peer.ip[12] == 127);
  CHECK(Sockets::family(static_cast<native_socket>(accepted)) == static_cast<int>(AddressFamily::inet6));
  Sockets::close(static_cast<native_socket>(accepted));
  End only(loop, open(AddressFamily::inet6));
  Sockets::set_option(only.native, SocketOption::ipv6_only, 1);
  REQUIRE(only.listen_on(v6(7777, 0)) == 0);
  End refused(loop);
  CHECK(refused.connect(v4(7777)) == -ECONNREFUSED);
  End six(loop, open(AddressFamily::inet6));
  CHECK(six.connect(v6(7777)) == 0);
  RawAddress peer;
  REQUIRE(Sockets::peer_address(six.native, peer) == 0);
  CHECK(peer == v6(7777));
}

TEST_CASE("sim: a full listen queue makes connects wait, not fail") {
  const Configured configured(calm());
  Loop loop;
  End listener(loop);
  REQUIRE(listener.listen_on(v4(0), 1) == 0);  // two fit, as on Linux
  End first(loop);
  End second(loop);
  End third(loop);
  REQUIRE(first.connect(listener.address()) == 0);
  REQUIRE(second.connect(listener.address()) == 0);
  Waited<ConnectOp> connect;
  connect.address = listener.address();
  loop.start(connect, third.handle);
  loop.pass(std::chrono::milliseconds(500));
  CHECK(!connect.answered());
  const std::int64_t accepted = listener.accept();
  REQUIRE(accepted >= 0);
  CHECK(loop.until([&] { return connect.answered(); }));
  CHECK(connect.result == 0);
  Sockets::close(static_cast<native_socket>(accepted));
}

TEST_CASE("sim: descriptors run out, and the connection waits for one") {
  sim::Options options;
  options.descriptor_limit = 2;
  const Configured configured(options);
  Loop loop;
  End listener(loop);
  REQUIRE(listener.listen_on(v4(0)) == 0);
  End client(loop);
  CHECK(open() == -EMFILE);
  native_socket pair[2];
  CHECK(Sockets::open_pair(pair) == -EMFILE);
  REQUIRE(client.connect(listener.address()) == 0);
  CHECK(listener.accept() == -EMFILE);
  sim::set_descriptor_limit(3);
  const std::int64_t accepted = listener.accept();
  REQUIRE(accepted >= 0);
  CHECK(sim::open_sockets() == 3);
  Sockets::close(static_cast<native_socket>(accepted));
  CHECK(sim::open_sockets() == 2);
  const native_socket again = open();
  CHECK(again == accepted);  // the lowest free number, as POSIX has it
  Sockets::close(again);
}

TEST_CASE("sim: a listener that closes resets who waits in its queue and refuses who comes") {
  for (std::uint64_t seed = 1; seed != 20; ++seed) {
    sim::Options options;
    options.seed = seed;
    const Configured configured(options);
    Loop loop;
    End listener(loop);
    REQUIRE(listener.listen_on(v4(0)) == 0);
    const RawAddress to = listener.address();
    End client(loop);
    REQUIRE(client.connect(to) == 0);
    listener.close();
    std::string got;
    CHECK(client.receive(got) == -ECONNRESET);
    End late(loop);
    CHECK(late.connect(to) == -ECONNREFUSED);
  }
}

TEST_CASE("sim: an accept stream takes many, and ends with EMFILE") {
  sim::Options options;
  options.descriptor_limit = 31;
  const Configured configured(options);
  struct Taking : AcceptStream {
    std::vector<native_socket> taken;
    int ends = 0;
  } stream;
  stream.on_accept = [](AcceptStream& self, native_socket socket, const RawAddress&) noexcept {
    static_cast<Taking&>(self).taken.push_back(socket);
  };
  stream.on_done = [](Op& self) noexcept { ++static_cast<Taking&>(self).ends; };
  Loop loop;
  End listener(loop);
  REQUIRE(listener.listen_on(v4(0)) == 0);
  std::deque<End> clients;
  for (int i = 0; i != 20; ++i) {
    REQUIRE(clients.emplace_back(loop).connect(listener.address()) == 0);
  }
  stream.handle = listener.handle;
  REQUIRE(loop.backend.start(stream) == Started::pending);
  REQUIRE(loop.until([&] { return stream.ends > 0; }));
  CHECK(stream.result == -EMFILE);
  CHECK(stream.taken.size() == 10);
  sim::set_descriptor_limit(100);
  REQUIRE(loop.backend.start(stream) == Started::pending);
  CHECK(loop.until([&] { return stream.taken.size() == 20; }));
  loop.backend.stop(stream);
  loop.pass(std::chrono::seconds(1));
  CHECK(stream.ends == 1);
  for (const native_socket socket : stream.taken) {
    Sockets::close(socket);
  }
}
