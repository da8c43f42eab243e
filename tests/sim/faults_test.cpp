// The faults of the simulated network, each demanded, and each drawn by chance.
#include "driver.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <stdexcept>

using namespace sim_test;
using namespace std::chrono_literals;

namespace {

// Sends now, without waiting for anybody.
std::int64_t send_now(Loop& loop, End& end, std::string_view text) {
  const ConstBuffer buffer = std::as_bytes(std::span(text));
  return loop.backend.try_send(end.handle, std::span(&buffer, 1));
}

std::chrono::nanoseconds elapsed(Loop& loop, TimePoint since) { return loop.backend.now() - since; }

constexpr auto timeout = sim::Options{}.retransmit_timeout;

// The answers to one byte sent over a fresh connection, over many seeds: how often the receiver got it, and
// what the failures were.
struct Outcomes {
  int connected = 0, received = 0, reset = 0, timed_out = 0, refused = 0, no_descriptor = 0;
  std::chrono::nanoseconds longest{};
};

Outcomes outcomes_of(const sim::Options& given) {
  Outcomes outcomes;
  for (std::uint64_t seed = 1; seed != 101; ++seed) {
    sim::Options options = given;
    options.seed = seed;
    options.pending_chance = options.late_chance = 0;
    const Configured configured(options);
    Loop loop;
    End listener(loop);
    if (listener.listen_on(v4(0)) != 0) {
      ++outcomes.no_descriptor;
      continue;
    }
    End client(loop);
    const std::int64_t connected = client.connect(listener.address());
    outcomes.refused += connected == -ECONNREFUSED ? 1 : 0;
    if (connected != 0) {
      continue;
    }
    ++outcomes.connected;
    End server(loop, static_cast<native_socket>(listener.accept()));
    const TimePoint start = loop.backend.now();
    CHECK(send_now(loop, client, "x") == 1);
    Waited<RecvOp> op;
    std::byte byte[1];
    op.into = byte;
    loop.start(op, server.handle);
    while (!op.answered() && elapsed(loop, start) < 2 * timeout) {
      loop.turn(start + 2 * timeout);
    }
    outcomes.longest = std::max(outcomes.longest, elapsed(loop, start));
    outcomes.received += op.answered() && op.result == 1 ? 1 : 0;
    outcomes.reset += op.answered() && op.result == -ECONNRESET ? 1 : 0;
    if (!op.answered()) {
      const std::int64_t again = send_now(loop, client, "x");
      outcomes.timed_out += again == -ETIMEDOUT ? 1 : 0;
      server.close();
      loop.turn();  // which answers the reader
    }
  }
  return outcomes;
}

}  // namespace

TEST_CASE("sim: a reset on demand reaches both sides, and loses what is under way") {
  const Configured configured(calm());
  Loop loop;
  Connection connection(loop);
  REQUIRE(connection.client.send_all("arrived") == 0);
  loop.pass(1ms);
  REQUIRE(send_now(loop, connection.client, "lost") == 4);
  sim::reset(connection.client.native);
  std::string got;
  CHECK(connection.client.receive(got) == -ECONNRESET);
  CHECK(connection.server->receive(got) == 7);
  CHECK(got == "arrived");
  CHECK(connection.server->receive(got) == -ECONNRESET);
  CHECK(connection.server->receive(got) == 0);
  CHECK(connection.server->send("x") == -EPIPE);
  CHECK_THROWS_AS(sim::reset(connection.listener.native), std::invalid_argument);
  CHECK_THROWS_AS(sim::reset(connection.client.native), std::invalid_argument);
  CHECK_THROWS_AS(sim::reset(3), std::invalid_argument);
}

TEST_CASE("sim: a peer that vanished is noticed by the next write, when nobody acknowledges it") {
  const Configured configured(calm());
  Loop loop;
  Connection connection(loop);
  sim::vanish(connection.client.native);
  Waited<RecvOp> reading;
  std::byte byte[1];
  reading.into = byte;
  loop.start(reading, connection.server->handle);
  loop.pass(24h);
  CHECK(!reading.answered());  // half-open: whoever only reads waits for ever
  const TimePoint start = loop.backend.now();
  CHECK(send_now(loop, *connection.server, "anybody there?") == 14);
  CHECK(send_now(loop, connection.client, "never arrives") == 13);
  REQUIRE(loop.until([&] { return reading.answered(); }));
  CHECK(reading.result == -ETIMEDOUT);
  CHECK(elapsed(loop, start) >= timeout);
  CHECK(elapsed(loop, start) < timeout + 1s);
  CHECK(connection.server->send("x") == -EPIPE);
}

TEST_CASE("sim: writes to a vanished peer go on until the buffers are full") {
  const Configured configured(calm());
  Loop loop;
  Connection connection(loop);
  sim::vanish(connection.client.native);
  connection.client.close();  // an end that nobody hears
  std::size_t taken = 0;
  const std::string block(10'000, 'x');
  std::int64_t result = 0;
  while ((result = send_now(loop, *connection.server, block)) > 0) {
    taken += static_cast<std::size_t>(result);
    loop.pass(1ms);
    REQUIRE(taken < 1'000'000);
  }
  CHECK(result == -EAGAIN);
  CHECK(taken > block.size());
  CHECK(connection.server->send("x") == -ETIMEDOUT);
}

TEST_CASE("sim: a host that comes back answers what it does not know with a reset") {
  const Configured configured(calm());
  Loop loop;
  Connection connection(loop);
  sim::vanish(connection.client.native, 10s);
  CHECK(send_now(loop, *connection.server, "hello?") == 6);
  const TimePoint start = loop.backend.now();
  std::string got;
  CHECK(connection.server->receive(got) == -ECONNRESET);
  CHECK(elapsed(loop, start) >= 9s);
  CHECK(elapsed(loop, start) < 11s);
  CHECK(connection.client.receive(got) == -ECONNRESET);
}

TEST_CASE("sim: a clogged way delays what is under way and what comes later, and keeps the order") {
  const Configured configured(calm());
  Loop loop;
  Connection connection(loop);
  const TimePoint start = loop.backend.now();
  CHECK(send_now(loop, connection.client, "one ") == 4);
  sim::clog(connection.server->native, 5s);
  CHECK(send_now(loop, connection.client, "two ") == 4);
  CHECK(connection.client.send("three") == 5);
  CHECK(connection.server->send("the other way is free") > 0);
  std::string got;
  CHECK(connection.client.receive(got) > 0);
  got.clear();
  CHECK(elapsed(loop, start) < 1s);
  connection.client.close();
  CHECK(connection.server->receive_all(got) == 0);
  CHECK(got == "one two three");
  CHECK(elapsed(loop, start) >= 5s);
  CHECK(elapsed(loop, start) < 6s);
}

TEST_CASE("sim: a partition holds segments until it is healed, and keeps their order") {
  const Configured configured(calm());
  Loop loop;
  Connection connection(loop);
  sim::partition({.host = "127.0.0.1"}, {.host = "127.0.0.1"});
  CHECK(connection.client.send_all("held") == 0);
  connection.client.close();
  Waited<RecvOp> op;
  std::string memory(100, '\0');
  op.into = std::as_writable_bytes(std::span(memory));
  loop.start(op, connection.server->handle);
  loop.pass(60s);
  CHECK(!op.answered());
  sim::heal({.host = "127.0.0.1"}, {.host = "127.0.0.2"});  // another one
  loop.pass(1s);
  CHECK(!op.answered());
  sim::heal({.host = "127.0.0.1"}, {.host = "127.0.0.1"});
  REQUIRE(loop.until([&] { return op.answered(); }));
  CHECK(op.result == 4);
  std::string got;
  CHECK(connection.server->receive_all(got) == 0);
}

TEST_CASE("sim: connects across a partition hang, go through when it heals, and give up when it does not") {
  const Configured configured(calm());
  Loop loop;
  End listener(loop);
  REQUIRE(listener.listen_on(v4(0)) == 0);
  End other(loop);
  REQUIRE(other.listen_on(v4(0)) == 0);
  sim::partition({}, {.port = listener.address().port});
  End near(loop);
  CHECK(near.connect(other.address()) == 0);  // another port
  End hangs(loop);
  Waited<ConnectOp> op;
  op.address = listener.address();
  loop.start(op, hangs.handle);
  loop.pass(10s);
  CHECK(!op.answered());
  sim::heal();
  REQUIRE(loop.until([&] { return op.answered(); }));
  CHECK(op.result == 0);
  sim::partition({.port = listener.address().port}, {});
  End fails(loop);
  const TimePoint start = loop.backend.now();
  CHECK(fails.connect(listener.address()) == -ETIMEDOUT);
  CHECK(elapsed(loop, start) >= 120s);
}

TEST_CASE("sim: a handshake that a partition breaks off begins again") {
  for (std::uint64_t seed = 1; seed != 31; ++seed) {
    sim::Options options = calm(seed);
    options.pending_chance = 1;  // no connect is answered at once
    const Configured configured(options);
    Loop loop;
    End listener(loop);
    REQUIRE(listener.listen_on(v4(0)) == 0);
    End client(loop);
    Waited<ConnectOp> op;
    op.address = listener.address();
    loop.start(op, client.handle);
    loop.pass(std::chrono::microseconds(5 * seed));
    sim::partition({}, {});
    loop.pass(20s);
    sim::heal();
    REQUIRE(loop.until([&] { return op.answered(); }));
    CHECK(op.result == 0);
    const std::int64_t accepted = listener.accept();
    REQUIRE(accepted >= 0);
    End server(loop, static_cast<native_socket>(accepted));
    CHECK(client.send_all("through") == 0);
    client.close();
    std::string got;
    CHECK(server.receive_all(got) == 0);
    CHECK(got == "through");
  }
}

TEST_CASE("sim: a side that gets no answer through a partition gives up, and the other learns of it later") {
  const Configured configured(calm());
  Loop loop;
  Connection connection(loop);
  sim::partition({.host = "127.0.0.1"}, {});
  CHECK(connection.client.send_all("lost") == 0);
  std::string got;
  const TimePoint start = loop.backend.now();
  CHECK(connection.client.receive(got) == -ETIMEDOUT);
  CHECK(elapsed(loop, start) >= timeout - 1s);
  sim::heal();
  loop.pass(1s);
  CHECK(send_now(loop, *connection.server, "still there?") > 0);
  CHECK(connection.server->receive(got) == -ECONNRESET);
}

TEST_CASE("sim: a partition that heals in time resets the clock of the sender's patience") {
  const Configured configured(calm());
  Loop loop;
  Connection connection(loop);
  for (int round = 0; round != 3; ++round) {
    sim::partition({}, {});
    CHECK(connection.client.send_all("x") == 0);
    loop.pass(timeout - 1min);
    sim::heal();
    std::string got;
    CHECK(connection.server->receive(got) == 1);
  }
}

TEST_CASE("sim: an endpoint's host is numeric") {
  CHECK_THROWS_AS(sim::partition({.host = "localhost"}, {}), std::invalid_argument);
  CHECK_THROWS_AS(sim::heal({}, {.host = "127.0.0.1:80"}), std::invalid_argument);
  const Configured configured(calm());
  Loop loop;
  End listener(loop, open(AddressFamily::inet6));
  REQUIRE(listener.listen_on(v6(0)) == 0);
  sim::partition({.host = "127.0.0.1"}, {});
  End client(loop, open(AddressFamily::inet6));
  CHECK(client.connect(listener.address()) == 0);
  sim::partition({.host = "::1"}, {});
  End hangs(loop, open(AddressFamily::inet6));
  CHECK(hangs.connect(listener.address()) == -ETIMEDOUT);
}

TEST_CASE("sim: faults by chance happen to some seeds and not to others") {
  const Outcomes quiet = outcomes_of({});
  CHECK(quiet.received == 100);
  const Outcomes reset = outcomes_of({.reset_chance = 0.3});
  CHECK(reset.reset > 15);
  CHECK(reset.received > 50);
  CHECK(reset.reset + reset.received == 100);
  const Outcomes vanished = outcomes_of({.vanish_chance = 0.3});
  CHECK(vanished.timed_out + vanished.reset > 15);
  CHECK(vanished.received > 50);
  const Outcomes clogged = outcomes_of({.clog_chance = 0.5, .clog_max = 30s});
  CHECK(clogged.received == 100);
  CHECK(clogged.longest > 15s);
  CHECK(clogged.longest < 300s);
  const Outcomes parted = outcomes_of({.partition_chance = 0.5, .partition_max = 100s});
  CHECK(parted.received == 100);
  CHECK(parted.longest > 50s);
  const Outcomes refused = outcomes_of({.refuse_chance = 0.3});
  CHECK(refused.refused > 15);
  CHECK(refused.connected + refused.refused == 100);
}

TEST_CASE("sim: descriptors run out by chance, and an unaccepted connection waits for the next attempt") {
  sim::Options options;
  options.descriptor_chance = 0.3;
  int failed = 0;
  for (std::uint64_t seed = 1; seed != 101; ++seed) {
    options.seed = seed;
    const Configured configured(options);
    Loop loop;
    const auto open_at_last = [&] {
      std::int64_t number = -EMFILE;
      while (number == -EMFILE) {
        number = Sockets::open(AddressFamily::inet, SocketType::stream, 0);
        failed += number == -EMFILE ? 1 : 0;
      }
      return static_cast<native_socket>(number);
    };
    End listener(loop, open_at_last());
    REQUIRE(listener.listen_on(v4(0)) == 0);
    End client(loop, open_at_last());
    REQUIRE(client.connect(listener.address()) == 0);
    std::int64_t accepted = -EMFILE;
    while (accepted == -EMFILE) {
      accepted = listener.accept();
      failed += accepted == -EMFILE ? 1 : 0;
    }
    REQUIRE(accepted >= 0);
    CHECK(Sockets::close(static_cast<native_socket>(accepted)) == 0);
    native_socket pair[2];
    const std::int64_t made = Sockets::open_pair(pair);
    failed += made == -EMFILE ? 1 : 0;
    if (made == 0) {
      Sockets::close(pair[0]);
      Sockets::close(pair[1]);
    }
  }
  CHECK(failed > 100);
  CHECK(failed < 250);
}

TEST_CASE("sim: the clock jumps by chance, forwards only") {
  sim::Options options = calm(1);
  options.clock_jump_chance = 0.1;
  options.clock_jump_max = 1h;
  const Configured configured(options);
  Loop loop;
  int jumps = 0;
  for (int turn = 0; turn != 1000; ++turn) {
    const TimePoint before = loop.backend.now();
    loop.turn();
    CHECK(loop.backend.now() >= before);
    CHECK(elapsed(loop, before) <= 1h + 3us);
    jumps += elapsed(loop, before) > 1s ? 1 : 0;
  }
  CHECK(jumps > 50);
  CHECK(jumps < 150);
}
