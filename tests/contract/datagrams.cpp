// The clauses for datagrams: a stream of them that is stopped and started, cancelled receives, errors that
// end nothing, and closing.
#include "tests/contract/connected.hpp"
#include "tests/support/weir_test.hpp"

#include <functional>

using namespace contract;

namespace {

// A datagram socket with an address on this machine.
struct Datagrams : End {
  explicit Datagrams(Loop& a_loop) : End(a_loop, opened()) {
    REQUIRE(Sockets::bind(native, loopback()) == 0);
    REQUIRE(Sockets::local_address(native, address) == 0);
  }
  static native_socket opened() {
    const std::int64_t made = Sockets::open(AddressFamily::inet, SocketType::datagram, 0);
    REQUIRE(made >= 0);
    return static_cast<native_socket>(made);
  }
  void connect(const RawAddress& to) {
    Waited<ConnectOp> op;
    op.address = to;
    REQUIRE(loop.finish(op, handle) == 0);
  }
  // Sends them all, to the connected peer or to this address.
  void send(std::initializer_list<std::string_view> texts, const RawAddress* to = nullptr) {
    std::vector<Datagram> datagrams;
    for (const std::string_view text : texts) {
      datagrams.push_back({std::as_bytes(std::span(text)), to});
    }
    for (std::size_t sent = 0; sent != datagrams.size();) {
      Waited<SendToOp> op;
      op.datagrams = std::span(datagrams).subspan(sent);
      const std::int64_t result = loop.finish(op, handle);
      REQUIRE(result > 0);
      sent += static_cast<std::size_t>(result);
    }
  }
  std::string receive() {
    std::vector<std::byte> memory(100);
    Waited<RecvFromOp> op;
    op.into = memory;
    const std::int64_t result = loop.finish(op, handle);
    REQUIRE(result >= 0);
    sender = op.from;
    return {reinterpret_cast<const char*>(memory.data()), static_cast<std::size_t>(result)};
  }
  RawAddress address;
  RawAddress sender;
};

// A stream that collects, and stops itself after so many.
struct Receiving : DatagramStream {
  Receiving() {
    on_datagram = [](DatagramStream& stream, std::span<std::byte> data, const RawAddress& from) noexcept {
      CHECK_FALSE(is_inside);
      auto& self = static_cast<Receiving&>(stream);
      self.texts.emplace_back(reinterpret_cast<const char*>(data.data()), data.size());
      self.from = from;
      if (--self.stops_after == 0) {
        inside([&self] { self.backend->stop(self); });
        if (self.when_stopped) {
          self.when_stopped();
        }
      }
    };
    on_error = [](DatagramStream& stream, std::int64_t error) noexcept {
      CHECK_FALSE(is_inside);
      static_cast<Receiving&>(stream).errors.push_back(error);
    };
    on_done = [](Op& op) noexcept {
      CHECK_FALSE(is_inside);
      ++static_cast<Receiving&>(op).ends;
    };
  }
  ~Receiving() {
    if (backend != nullptr) {
      backend->stop(*this);
    }
  }
  Backend* backend = nullptr;
  std::vector<std::string> texts;
  std::vector<std::int64_t> errors;
  RawAddress from;
  std::function<void()> when_stopped;
  int stops_after = 0;
  int ends = 0;
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("datagrams keep their borders, their order and their senders; an empty one is one") {
  Loop loop;
  Datagrams near(loop), far(loop);
  Receiving receiving;
  REQUIRE(loop.begin(receiving, near.handle) == Started::pending);
  far.send({"one", "", "three"}, &near.address);
  REQUIRE(loop.until([&] { return receiving.texts.size() == 3; }));
  CHECK(receiving.texts == Texts{"one", "", "three"});
  CHECK(receiving.from == far.address);
  CHECK(receiving.ends == 0);
  loop.backend.stop(receiving);
  far.send({"four"}, &near.address);
  CHECK(near.receive() == "four");
  CHECK(near.sender == far.address);
}

TEST_CASE("datagrams keep their borders when the system may move many of one size as one") {
  Loop loop;
  Datagrams near(loop), far(loop);
  Receiving answers;  // so that it is asked to move those of this end together
  REQUIRE(loop.begin(answers, far.handle) == Started::pending);
  Receiving receiving;
  receiving.stops_after = 5;
  REQUIRE(loop.begin(receiving, near.handle) == Started::pending);
  const Texts sent = {"aaaa", "bbbb", "cccc", "dd", "eeee", "", "ffff", "gggg", "hhhh", "iiii", "jj"};
  far.send({"aaaa", "bbbb", "cccc", "dd", "eeee", "", "ffff", "gggg", "hhhh", "iiii", "jj"}, &near.address);
  REQUIRE(loop.until([&] { return receiving.texts.size() == 5; }));
  // One receive at a time gets the rest, of which the system has several in one.
  Texts all = receiving.texts;
  while (all.size() != sent.size()) {
    all.push_back(near.receive());
    CHECK(near.sender == far.address);
  }
  CHECK(all == sent);
  far.send({"1", "2", "3", "4"}, &near.address);
  for (const std::string text : {"1", "2", "3", "4"}) {
    CHECK(near.receive() == text);
  }
}

TEST_CASE("clause 4: who takes over inside the callback in which a stream stops goes on where it was") {
  const Texts sent = {"1", "2", "3", "4", "5"};
  for (const bool with_stream : {false, true}) {
    CAPTURE(with_stream);
    Loop loop;
    Datagrams near(loop), far(loop);
    far.send({"1", "2", "3", "4", "5"}, &near.address);
    loop.pass();
    Receiving first, second;
    std::vector<std::byte> memory(100);
    Waited<RecvFromOp> one;
    one.into = memory;
    first.stops_after = 2;
    first.when_stopped = [&] {
      if (with_stream) {
        CHECK(loop.begin(second, near.handle) == Started::pending);
      } else {
        loop.start(one, near.handle);
      }
    };
    REQUIRE(loop.begin(first, near.handle) == Started::pending);
    Texts all;
    if (with_stream) {
      REQUIRE(loop.until([&] { return second.texts.size() == 3; }));
      all = second.texts;
    } else {
      REQUIRE(loop.until([&] { return one.is_answered(); }));
      all.emplace_back(reinterpret_cast<const char*>(memory.data()), static_cast<std::size_t>(one.result));
      all.push_back(near.receive());
      all.push_back(near.receive());
    }
    all.insert(all.begin(), first.texts.begin(), first.texts.end());
    CHECK(all == sent);
  }
}

TEST_CASE("clause 4: of datagrams that came together, those that a stopped stream did not get are kept") {
  Loop loop;
  Datagrams near(loop), far(loop);
  Receiving receiving;
  receiving.stops_after = 2;
  far.send({"1", "2", "3", "4", "5"}, &near.address);
  loop.pass();
  REQUIRE(loop.begin(receiving, near.handle) == Started::pending);
  REQUIRE(loop.until([&] { return receiving.texts.size() == 2; }));
  loop.pass();
  CHECK(receiving.texts == Texts{"1", "2"});
  CHECK(near.receive() == "3");
  REQUIRE(loop.begin(receiving, near.handle) == Started::pending);
  REQUIRE(loop.until([&] { return receiving.texts.size() == 4; }));
  CHECK(receiving.texts == Texts{"1", "2", "4", "5"});
  far.send({"6"}, &near.address);
  REQUIRE(loop.until([&] { return receiving.texts.size() == 5; }));
  CHECK(receiving.texts.back() == "6");
}

TEST_CASE("clause 4: kept datagrams go with their socket") {
  Loop loop;
  Datagrams far(loop);
  {
    Datagrams near(loop);
    Receiving receiving;
    receiving.stops_after = 1;
    far.send({"1", "2"}, &near.address);
    loop.pass();
    REQUIRE(loop.begin(receiving, near.handle) == Started::pending);
    REQUIRE(loop.until([&] { return receiving.texts.size() == 1; }));
  }
  Datagrams next(loop);  // may have the same number
  far.send({"its own"}, &next.address);
  CHECK(next.receive() == "its own");
}

TEST_CASE("clause 4: a cancelled receive takes no datagram with it") {
  for (int turns = 0; turns != 6; ++turns) {
    CAPTURE(turns);
    Loop loop;
    Datagrams near(loop), far(loop);
    std::byte memory[10];
    Waited<RecvFromOp> op;
    op.into = memory;
    REQUIRE_FALSE(loop.start(op, near.handle));
    far.send({"kept"}, &near.address);
    for (int i = 0; i != turns && !op.is_answered(); ++i) {
      loop.turn();
    }
    inside([&] { loop.backend.cancel(op); });
    REQUIRE(loop.until([&] { return op.is_answered(); }));
    CHECK(op.answers == 1);
    if (op.result == -ECANCELED) {
      CHECK(near.receive() == "kept");
    } else {
      CHECK(op.result == 4);
    }
  }
}

TEST_CASE("an error does not end a stream of datagrams, and what comes after it is heard") {
  if (weir::testing::lacks("contract", "datagram_errors")) {
    return;
  }
  Loop loop;
  Datagrams near(loop);
  RawAddress dead;
  {
    Datagrams gone(loop);
    dead = gone.address;
  }
  near.connect(dead);
  Receiving receiving;
  REQUIRE(loop.begin(receiving, near.handle) == Started::pending);
  for (std::size_t round = 1; round != 4; ++round) {
    near.send({"is anybody there?"});
    REQUIRE(loop.until([&] { return receiving.errors.size() == round; }));
    CHECK(receiving.errors.back() == -ECONNREFUSED);
  }
  CHECK(receiving.ends == 0);
  End again(loop, Datagrams::opened());
  REQUIRE(Sockets::bind(again.native, dead) == 0);
  Waited<SendToOp> op;
  const std::string_view text = "now there is";
  const Datagram datagram{std::as_bytes(std::span(text)), &near.address};
  op.datagrams = std::span(&datagram, 1);
  CHECK(loop.finish(op, again.handle) == 1);
  REQUIRE(loop.until([&] { return receiving.texts.size() == 1; }));
}

TEST_CASE("clause 7: closing answers a stream of datagrams and a receive with EBADF, once") {
  Loop loop;
  Datagrams near(loop), far(loop);
  Receiving receiving;
  REQUIRE(loop.begin(receiving, near.handle) == Started::pending);
  std::byte memory[10];
  Waited<RecvFromOp> op;
  op.into = memory;
  REQUIRE_FALSE(loop.start(op, far.handle));
  near.close();
  far.close();
  CHECK(receiving.ends == 0);
  REQUIRE(loop.until([&] { return receiving.ends == 1 && op.is_answered(); }));
  CHECK(receiving.result == -EBADF);
  CHECK(op.result == -EBADF);
  loop.pass();
  CHECK(receiving.ends == 1);
  CHECK(op.answers == 1);
}

TEST_CASE("clause 8: a flood of datagrams leaves turns to others") {
  Loop loop;
  Datagrams near(loop), far(loop), quiet(loop);
  Receiving flooded, other;
  REQUIRE(loop.begin(flooded, near.handle) == Started::pending);
  REQUIRE(loop.begin(other, quiet.handle) == Started::pending);
  loop.pass();
  for (int i = 0; i != 150; ++i) {
    far.send({"x"}, &near.address);
  }
  far.send({"y"}, &quiet.address);
  std::size_t most = 0;
  REQUIRE(loop.until([&, seen = flooded.texts.size()]() mutable {
    most = std::max(most, flooded.texts.size() - seen);
    seen = flooded.texts.size();
    return seen == 150 && other.texts.size() == 1;
  }));
  CHECK(most <= 64);
}
