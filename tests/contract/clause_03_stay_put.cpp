// Clause 3: operation, buffers and handle stay put until the answer, and belong to their owner again with it.
#include "tests/contract/connected.hpp"

using namespace contract;

TEST_CASE("clause 3: the memory of a cancelled receive is not touched after its answer") {
  Loop loop;
  Pair pair(loop);
  std::array<std::byte, 64> memory;
  memory.fill(std::byte{0xee});
  {
    Waited<RecvOp> receiving;
    receiving.into = memory;
    REQUIRE_FALSE(loop.start(receiving, pair.server.handle));
    loop.backend.cancel(receiving);
    REQUIRE(loop.until([&] { return receiving.answers > 0; }));
  }
  pair.client.send_all("late");
  loop.pass();
  CHECK(std::all_of(memory.begin(), memory.end(), [](std::byte byte) { return byte == std::byte{0xee}; }));
  CHECK(pair.server.receive_exactly(4) == "late");
}

TEST_CASE("clause 3: an operation may be destroyed by its own answer") {
  Loop loop;
  static int live;
  live = 0;
  struct Dying : RecvOp {
    Dying() { ++live; }
    ~Dying() { --live; }
    std::array<std::byte, 16> memory;
  };
  for (int way = 0; way < 3; ++way) {
    Pair pair(loop);
    auto* op = new Dying;
    op->into = op->memory;
    op->handle = pair.server.handle;
    op->on_done = [](Op& done) noexcept { delete static_cast<Dying*>(&done); };
    REQUIRE(loop.backend.start(*op) == Started::pending);
    if (way == 0) {
      pair.client.send_all("x");
    } else if (way == 1) {
      loop.backend.cancel(*op);
    } else {
      loop.backend.close(pair.server.handle);
    }
    REQUIRE(loop.until([&] { return live == 0; }));
  }
}

TEST_CASE("clause 3: a stream may be destroyed, and its socket closed, by what it delivers") {
  Loop loop;
  static int live;
  live = 0;
  struct Dying : ReadStream {
    explicit Dying(Loop& a_loop) : loop(a_loop) { ++live; }
    ~Dying() { --live; }
    Loop& loop;
    int way = 0;
  };
  for (int way = 0; way < 4; ++way) {
    Pair pair(loop);
    auto* stream = new Dying(loop);
    stream->way = way;
    stream->on_data = [](ReadStream& reading, std::span<std::byte>) noexcept {
      auto& self = static_cast<Dying&>(reading);
      BackendHandle* const handle = self.handle;
      Loop& its_loop = self.loop;
      if (self.way == 3) {
        its_loop.backend.close(handle);  // the end comes by on_done
        return;
      }
      its_loop.backend.stop(self);
      const bool closes = self.way == 1;
      const bool detaches = self.way == 2;
      delete &self;
      if (closes) {
        its_loop.backend.close(handle);
      }
      if (detaches) {
        its_loop.backend.detach(handle);
      }
    };
    stream->on_done = [](Op& done) noexcept {
      CHECK(done.result == -EBADF);
      delete static_cast<Dying*>(&done);
    };
    stream->handle = pair.server.handle;
    REQUIRE(loop.backend.start(*stream) == Started::pending);
    pair.client.send_all("x");
    REQUIRE(loop.until([&] { return live == 0; }));
    if (way == 2) {
      CHECK(pair.server.handle == nullptr);
      CHECK(Sockets::close(pair.server.native) == 0);
    }
  }
}

TEST_CASE("clause 3: a gather list is sent in order, and belongs to the caller after the answer") {
  Loop loop;
  Pair pair(loop);
  std::string expected;
  Reading reading;
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  for (unsigned round = 0; round < 5; ++round) {
    std::vector<std::string> pieces;
    for (unsigned i = 0; i < 1500; ++i) {  // more than one system call takes
      pieces.push_back(pattern((i * 7) % 90, i + round));
    }
    std::vector<ConstBuffer> buffers;
    for (const std::string& piece : pieces) {
      expected += piece;
      buffers.push_back(std::as_bytes(std::span(piece)));
    }
    std::span<ConstBuffer> left = buffers;
    while (!left.empty()) {
      Waited<SendOp> sending;
      sending.buffers = left;
      std::int64_t sent = loop.finish(sending, pair.client.handle);
      REQUIRE(sent >= 0);
      while (!left.empty() && static_cast<std::size_t>(sent) >= left[0].size()) {
        sent -= static_cast<std::int64_t>(left[0].size());
        left = left.subspan(1);
      }
      if (sent > 0) {
        left[0] = left[0].subspan(static_cast<std::size_t>(sent));
      }
    }
    for (std::string& piece : pieces) {
      std::fill(piece.begin(), piece.end(), '#');
    }
  }
  REQUIRE(loop.until([&] { return reading.text.size() >= expected.size(); }));
  CHECK(reading.text == expected);
  loop.backend.stop(reading);
}
