// The clauses for what Unix sockets and pipes add: RecvFdsOp, SendFdsOp, set_pipe().
#include "tests/contract/connected.hpp"
#include "tests/support/weir_test.hpp"

using namespace contract;

namespace {

std::pair<native_socket, native_socket> open_pair() {
  native_socket pair[2];
  REQUIRE(Sockets::open_pair(pair) == 0);
  return {pair[0], pair[1]};
}

struct UnixPair {
  explicit UnixPair(Loop& loop) : UnixPair(loop, open_pair()) {}
  UnixPair(Loop& loop, std::pair<native_socket, native_socket> pair)
      : near(loop, pair.first), far(loop, pair.second) {}
  End near, far;
};

// A RecvFdsOp with its memory; closes what it got.
struct Receiving : Waited<RecvFdsOp> {
  explicit Receiving(std::size_t most = 8) : numbers(most) {
    into = memory;
    fds.room = numbers;
  }
  ~Receiving() {
    for (std::size_t i = 0; i != fds.count; ++i) {
      Sockets::close(numbers[i]);
    }
  }
  std::array<std::byte, 16> memory;
  std::vector<native_socket> numbers;
};

struct Sending : Waited<SendFdsOp> {
  Sending(std::string_view text, std::span<const native_socket> descriptors) {
    data = std::as_bytes(std::span(text));
    fds = descriptors;
  }
};

bool is_missing() {
  if (Backend::has(Capability::descriptor_passing)) {
    return false;
  }
  weir::testing::skip("contract", "descriptor_passing");
  return true;
}

}  // namespace

TEST_CASE("clause 1: descriptors are sent and received by operations that answer once") {
  if (is_missing()) {
    return;
  }
  Loop loop;
  UnixPair pair(loop);
  const native_socket passed[] = {pair.near.native, pair.far.native};
  for (int round = 0; round < 20; ++round) {
    Receiving receiving;
    Sending sending("x", passed);
    if (round % 2 == 0) {
      loop.start(receiving, pair.far.handle);
    }
    CHECK(loop.finish(sending, pair.near.handle) == 1);
    if (round % 2 == 1) {
      loop.start(receiving, pair.far.handle);
    }
    REQUIRE(loop.until([&] { return receiving.is_answered(); }));
    CHECK(receiving.result == 1);
    CHECK(receiving.fds.count == 2);
    CHECK(receiving.fds.lost == 0);
    loop.pass(1ms);
    CHECK(receiving.answers == (receiving.was_done ? 0 : 1));
    CHECK(sending.answers == (sending.was_done ? 0 : 1));
  }
}

TEST_CASE("clause 4: a cancelled receive leaves descriptors for the next one, or has them") {
  if (is_missing()) {
    return;
  }
  Loop loop;
  UnixPair pair(loop);
  for (int round = 0; round < 20; ++round) {
    Receiving first;
    REQUIRE_FALSE(loop.start(first, pair.far.handle));
    Sending sending("x", std::span(&pair.near.native, 1));
    if (round % 2 == 0) {
      CHECK(loop.finish(sending, pair.near.handle) == 1);
    }
    inside([&] { loop.backend.cancel(first); });
    REQUIRE(loop.until([&] { return first.is_answered(); }));
    if (round % 2 == 1) {
      CHECK(loop.finish(sending, pair.near.handle) == 1);
    }
    if (first.result == 1) {
      CHECK(first.fds.count == 1);
      continue;
    }
    CHECK(first.result == -ECANCELED);
    CHECK(first.fds.count == 0);
    Receiving second;
    CHECK(loop.finish(second, pair.far.handle) == 1);
    CHECK(second.fds.count == 1);
  }
}

TEST_CASE("clause 6: what there is no room for is told and closed") {
  if (is_missing()) {
    return;
  }
  Loop loop;
  UnixPair pair(loop);
  auto [kept, passed] = open_pair();
  const native_socket three[] = {passed, passed, passed};
  Sending sending("x", three);
  CHECK(loop.finish(sending, pair.near.handle) == 1);
  Sockets::close(passed);
  {
    Receiving receiving(1);
    CHECK(loop.finish(receiving, pair.far.handle) == 1);
    CHECK(receiving.fds.count == 1);
    CHECK(receiving.fds.lost == EMSGSIZE);
  }
  End end(loop, kept);
  std::string text;
  CHECK(end.receive(text) == 0);  // nobody has the other end any more
}

TEST_CASE("clause 7: closing answers operations on descriptors with EBADF") {
  if (is_missing()) {
    return;
  }
  Loop loop;
  UnixPair pair(loop);
  Receiving receiving;
  REQUIRE_FALSE(loop.start(receiving, pair.far.handle));
  pair.far.close();
  CHECK(receiving.answers == 0);
  REQUIRE(loop.until([&] { return receiving.is_answered(); }));
  CHECK(receiving.result == -EBADF);
}

TEST_CASE("clause 8: the writing end of a pipe is not read, and its stream ends with its reader") {
  Loop loop;
  UnixPair pair(loop);
  inside([&] { loop.backend.set_pipe(pair.near.handle, Direction::write); });
  Reading reading;
  REQUIRE(loop.begin(reading, pair.near.handle) == Started::pending);
  CHECK(pair.far.send("not for it") > 0);
  const int turns = loop.pass();
  CHECK(reading.deliveries == 0);
  CHECK(reading.ends == 0);
  if (Backend::has(Capability::real_clock)) {
    CHECK(turns < 20);  // does not spin
  }
  CHECK(pair.near.send("x") == 1);
  CHECK(pair.far.receive_exactly(1) == "x");
  if (weir::testing::lacks("contract", weir::testing::Trait::end_behind_bytes)) {
    inside([&] { loop.backend.stop(reading); });
    return;
  }
  pair.far.close();
  REQUIRE(loop.until([&] { return reading.ends > 0; }));
  CHECK(reading.ends == 1);
  CHECK(reading.result == 0);
}
