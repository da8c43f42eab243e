// Clause 4: cancel() asks, the answer is -ECANCELED or the true result, and nothing that moved is lost.
#include "tests/contract/connected.hpp"

using namespace contract;

TEST_CASE("clause 4: a cancelled receive loses no byte, whenever it is cancelled") {
  Loop loop;
  Pair pair(loop);
  std::string sent;
  std::string got;
  int cancelled = 0;
  for (unsigned round = 0; round < 60; ++round) {
    std::array<std::byte, 16> memory;
    Waited<RecvOp> receiving;
    receiving.into = memory;
    const std::string text = pattern(10, round);
    if (round % 3 == 0) {  // the data come first
      pair.client.send_all(text);
      loop.pass(100us);
      loop.start(receiving, pair.server.handle);
    } else {
      loop.start(receiving, pair.server.handle);
      pair.client.send_all(text);
      if (round % 3 == 2 && !receiving.is_answered()) {
        CHECK(loop.collect());  // reported, and not yet run
      }
    }
    sent += text;
    if (!receiving.is_answered()) {
      inside([&] { loop.backend.cancel(receiving); });
      CHECK(receiving.state == OpState::completing);
      inside([&] { loop.backend.cancel(receiving); });  // does nothing
      REQUIRE(loop.until([&] { return receiving.is_answered(); }));
      CHECK(receiving.answers == 1);
    }
    if (receiving.result == -ECANCELED) {
      ++cancelled;
    } else {
      REQUIRE(receiving.result > 0);
      got.append(reinterpret_cast<const char*>(memory.data()), static_cast<std::size_t>(receiving.result));
    }
  }
  CHECK(cancelled > 0);
  while (got.size() < sent.size()) {
    REQUIRE(pair.server.receive(got) > 0);
  }
  CHECK(got == sent);
}

TEST_CASE("clause 4: an event collected for a cancelled operation does nothing to its successor") {
  Loop loop;
  Pair pair(loop);
  std::array<std::byte, 16> memory;
  Waited<RecvOp> first;
  first.into = memory;
  REQUIRE_FALSE(loop.start(first, pair.server.handle));
  pair.client.send_all("x");
  if (!first.is_answered()) {
    REQUIRE(loop.collect());
    loop.backend.cancel(first);
  }
  REQUIRE(loop.until([&] { return first.is_answered(); }));
  if (first.result == -ECANCELED) {
    CHECK(pair.server.receive_exactly(1) == "x");
  }
  // The successor has nothing to read, and must wait.
  Waited<RecvOp> second;
  second.into = memory;
  loop.start(second, pair.server.handle);
  loop.pass();
  CHECK_FALSE(second.is_answered());
  pair.client.send_all("y");
  REQUIRE(loop.until([&] { return second.is_answered(); }));
  CHECK(second.result == 1);
  CHECK(memory[0] == std::byte{'y'});
}

TEST_CASE("clause 4: a cancelled accept loses no connection") {
  Loop loop;
  Listener listener(loop);
  int accepted = 0;
  constexpr int rounds = 20;
  std::vector<std::unique_ptr<End>> clients;
  for (int round = 0; round < rounds; ++round) {
    Waited<AcceptOp> accepting;
    loop.start(accepting, listener.handle);
    clients.push_back(std::make_unique<End>(loop));
    Waited<ConnectOp> connecting;
    connecting.address = listener.address;
    loop.start(connecting, clients.back()->handle);
    if (round % 2 == 0) {
      loop.collect();
    }
    loop.backend.cancel(accepting);
    REQUIRE(loop.until([&] { return accepting.is_answered() && connecting.is_answered(); }));
    CHECK(connecting.result == 0);
    if (accepting.result >= 0) {
      ++accepted;
      Sockets::close(static_cast<native_socket>(accepting.result));
    } else {
      CHECK(accepting.result == -ECANCELED);
    }
  }
  for (; accepted < rounds; ++accepted) {
    Waited<AcceptOp> accepting;
    REQUIRE(loop.finish(accepting, listener.handle) >= 0);
    Sockets::close(static_cast<native_socket>(accepting.result));
  }
  Waited<AcceptOp> none;
  loop.start(none, listener.handle);
  loop.pass();
  CHECK_FALSE(none.is_answered());
  loop.backend.cancel(none);
  loop.pass(1ms);
}

TEST_CASE("clause 4: the answers of sends say exactly what was sent, cancelled ones included") {
  Loop loop;
  Pair pair(loop);
  const std::string block = pattern(1 << 20);
  const ConstBuffer buffer = std::as_bytes(std::span(block));
  Waited<SendOp> sending;
  std::size_t sent = clog(pair.client, sending, buffer);
  loop.backend.cancel(sending);
  REQUIRE(loop.until([&] { return sending.is_answered(); }));
  if (sending.result > 0) {
    sent += static_cast<std::size_t>(sending.result);
  } else {
    CHECK(sending.result == -ECANCELED);
  }
  pair.client.close();
  std::size_t received = 0;
  std::string text;
  while (pair.server.receive(text) > 0) {
    received += std::exchange(text, {}).size();
  }
  CHECK(received == sent);
}

TEST_CASE("clause 4: a cancelled connect answers, and leaves the socket to its owner") {
  Loop loop;
  Listener listener(loop);
  for (int round = 0; round < 10; ++round) {
    End client(loop);
    Waited<ConnectOp> connecting;
    connecting.address = listener.address;
    loop.start(connecting, client.handle);
    if (round % 2 == 1 && !connecting.is_answered()) {
      loop.collect();
    }
    loop.backend.cancel(connecting);
    REQUIRE(loop.until([&] { return connecting.is_answered(); }));
    CHECK((connecting.result == -ECANCELED || connecting.result == 0));
    CHECK(loop.backend.pending(client.handle, Direction::write) == nullptr);
    CHECK(Sockets::type(client.native) == static_cast<std::int64_t>(SocketType::stream));
  }
}

TEST_CASE("clause 4: a stream stopped after its cancel is idle, and its end is not told") {
  Loop loop;
  Pair pair(loop);
  auto reading = std::make_unique<Reading>();
  REQUIRE(loop.begin(*reading, pair.server.handle) == Started::pending);
  loop.backend.cancel(*reading);
  CHECK(reading->state == OpState::completing);
  loop.backend.stop(*reading);
  CHECK(reading->state == OpState::idle);
  REQUIRE(loop.begin(*reading, pair.server.handle) == Started::pending);
  pair.client.send_all("on");
  REQUIRE(loop.until([&] { return reading->text == "on"; }));
  CHECK(reading->ends == 0);
  loop.backend.cancel(*reading);
  loop.backend.stop(*reading);
  reading.reset();  // what is still queued must not look for it
  loop.pass(1ms);
}
