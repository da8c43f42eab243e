// Clause 1: start() answers at once and then never again, or is pending and answers exactly once.
#include "tests/contract/connected.hpp"

using namespace contract;

namespace {

// Whatever happens later, an operation has one answer.
template <class O>
void check_one_answer(Loop& loop, const Waited<O>& op) {
  CHECK(op.answers == (op.was_done ? 0 : 1));
  CHECK(op.state == OpState::idle);
  loop.pass(1ms);
  CHECK(op.answers == (op.was_done ? 0 : 1));
}

}  // namespace

TEST_CASE("clause 1: every one-shot operation answers once") {
  Loop loop;
  Listener listener(loop);
  for (int round = 0; round < 20; ++round) {
    End client(loop);
    Waited<ConnectOp> connecting;
    Waited<AcceptOp> accepting;
    connecting.address = listener.address;
    if (round % 2 == 0) {
      loop.start(accepting, listener.handle);
    }
    loop.start(connecting, client.handle);
    if (round % 2 == 1) {
      REQUIRE(loop.until([&] { return connecting.is_answered(); }));
      loop.start(accepting, listener.handle);
    }
    REQUIRE(loop.until([&] { return connecting.is_answered() && accepting.is_answered(); }));
    REQUIRE(connecting.result == 0);
    REQUIRE(accepting.result >= 0);
    RawAddress local;
    CHECK(Sockets::local_address(client.native, local) == 0);
    CHECK(accepting.peer == local);
    End server(loop, static_cast<native_socket>(accepting.result));

    const std::string_view text = "hello";
    const ConstBuffer buffer = std::as_bytes(std::span(text));
    Waited<SendOp> sending;
    sending.buffers = std::span(&buffer, 1);
    std::array<std::byte, 64> memory;
    Waited<RecvOp> receiving;
    receiving.into = memory;
    if (round % 4 < 2) {
      loop.start(receiving, server.handle);
    }
    CHECK(loop.finish(sending, client.handle) > 0);
    if (round % 4 >= 2) {
      loop.start(receiving, server.handle);
    }
    REQUIRE(loop.until([&] { return receiving.is_answered(); }));
    CHECK(receiving.result > 0);

    check_one_answer(loop, connecting);
    check_one_answer(loop, accepting);
    check_one_answer(loop, sending);
    check_one_answer(loop, receiving);
  }
}

TEST_CASE("clause 1: an operation may be started again as soon as it has answered, also from its on_done") {
  Loop loop;
  Pair pair(loop);
  struct Repeating : RecvOp {
    Backend* backend;
    std::string text;
    int starts = 0;
    std::array<std::byte, 1> memory;
    void next() {
      into = memory;
      ++starts;
      while (starts < 100 && backend->start(*this) == Started::done) {
        take();
      }
    }
    void take() {
      REQUIRE(result == 1);
      text.push_back(static_cast<char>(memory[0]));
      ++starts;
    }
  };
  Repeating op;
  op.backend = &loop.backend;
  op.handle = pair.server.handle;
  op.on_done = [](Op& done) noexcept {
    auto& self = static_cast<Repeating&>(done);
    self.take();
    self.next();
  };
  op.next();
  const std::string sent = pattern(200);
  pair.client.send_all(sent);
  REQUIRE(loop.until([&] { return op.starts >= 100; }));
  CHECK(op.text == sent.substr(0, op.text.size()));
  loop.backend.cancel(op);
  loop.pass(1ms);
}

TEST_CASE("clause 1: a read stream delivers, then ends once") {
  Loop loop;
  Pair pair(loop);
  Reading reading;
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  CHECK(reading.state == OpState::pending);
  const std::string text = pattern(300'000);
  pair.client.send_all(text);
  CHECK(loop.backend.shutdown_write(pair.client.handle) == 0);
  REQUIRE(loop.until([&] { return reading.ends > 0; }));
  CHECK(reading.text == text);
  CHECK(reading.result == 0);
  CHECK(reading.state == OpState::idle);
  pair.client.close();
  loop.pass();
  CHECK(reading.ends == 1);
}

TEST_CASE("clause 1: a stopped stream does not end, and goes on where it stopped") {
  Loop loop;
  Pair pair(loop);
  Reading reading;
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  pair.client.send_all("one");
  REQUIRE(loop.until([&] { return reading.text == "one"; }));
  inside([&] { loop.backend.stop(reading); });
  CHECK(reading.state == OpState::idle);
  pair.client.send_all("two");
  pair.client.close();
  loop.pass();
  CHECK(reading.text == "one");
  CHECK(reading.ends == 0);
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  REQUIRE(loop.until([&] { return reading.ends > 0; }));
  CHECK(reading.text == "onetwo");
  CHECK(reading.result == 0);
  inside([&] { loop.backend.stop(reading); });  // of an idle one: nothing
  CHECK(reading.ends == 1);
}

TEST_CASE("clause 1: an accept stream yields every connection and ends only when it is ended") {
  Loop loop;
  Listener listener(loop);
  Accepting accepting;
  REQUIRE(loop.begin(accepting, listener.handle) == Started::pending);
  constexpr std::size_t count = 100;  // more than one turn accepts
  std::vector<std::unique_ptr<End>> clients;
  std::vector<std::unique_ptr<Waited<ConnectOp>>> connecting;
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<End>(loop));
    connecting.push_back(std::make_unique<Waited<ConnectOp>>());
    connecting.back()->address = listener.address;
    loop.start(*connecting.back(), clients.back()->handle);
  }
  REQUIRE(loop.until([&] {
    return accepting.sockets.size() == count &&
           std::all_of(connecting.begin(), connecting.end(), [](auto& op) { return op->is_answered(); });
  }));
  for (std::size_t i = 0; i < count; ++i) {
    CHECK(connecting[i]->result == 0);
    RawAddress peer;
    CHECK(Sockets::peer_address(accepting.sockets[i], peer) == 0);
    CHECK(peer == accepting.peers[i]);
    CHECK(Sockets::is_blocking(accepting.sockets[i]) == 0);
    Sockets::close(accepting.sockets[i]);
  }
  CHECK(accepting.ends == 0);
  inside([&] { loop.backend.cancel(accepting); });
  loop.pass(1ms);
  CHECK(accepting.ends == 1);
  CHECK(accepting.result == -ECANCELED);
}

TEST_CASE("clause 1: a stream that cannot begin says so at once or by its end") {
  Loop loop;
  End unconnected(loop);
  Accepting accepting;  // on a socket that does not listen
  if (loop.begin(accepting, unconnected.handle) == Started::pending) {
    REQUIRE(loop.until([&] { return accepting.ends > 0; }));
    CHECK(accepting.ends == 1);
  }
  CHECK(accepting.result < 0);
  CHECK(accepting.state == OpState::idle);
}
