// Clause 6: short reads and writes are legal, and a receive of 0 is the end of the stream.
#include "tests/contract/connected.hpp"

using namespace contract;

TEST_CASE("clause 6: bytes arrive once and in order, however they are cut") {
  Loop loop;
  Pair pair(loop);
  const std::string text = pattern(2'000'000);
  std::string_view left = text;
  std::string got;
  Waited<SendOp> sending;
  Waited<RecvOp> receiving;
  ConstBuffer buffer;
  std::vector<std::byte> memory(70'000);
  std::size_t size = 1;
  bool sends = false;
  bool receives = false;
  bool ended = false;
  while (!ended) {
    if (sends && sending.is_answered()) {
      REQUIRE(sending.result > 0);
      REQUIRE(static_cast<std::size_t>(sending.result) <= buffer.size());
      left.remove_prefix(static_cast<std::size_t>(sending.result));
      sends = false;
      if (left.empty()) {
        CHECK(loop.backend.shutdown_write(pair.client.handle) == 0);
      }
    }
    if (!sends && !left.empty()) {
      buffer = std::as_bytes(std::span(left.substr(0, size * 13 % 300'000 + 1)));
      sending.buffers = std::span(&buffer, 1);
      loop.start(sending, pair.client.handle);
      sends = true;
    }
    if (receives && receiving.is_answered()) {
      REQUIRE(receiving.result >= 0);
      REQUIRE(static_cast<std::size_t>(receiving.result) <= receiving.into.size());
      got.append(reinterpret_cast<const char*>(memory.data()), static_cast<std::size_t>(receiving.result));
      ended = receiving.result == 0;
      receives = false;
    }
    if (!receives && !ended) {
      receiving.into = std::span(memory).first(size * 29 % 70'000 + 1);
      loop.start(receiving, pair.server.handle);
      receives = true;
      ++size;
    }
    loop.turn();
  }
  CHECK(left.empty());
  CHECK(got == text);
}

TEST_CASE("clause 6: the end is told again to whoever asks again") {
  Loop loop;
  Pair pair(loop);
  pair.client.send_all("last");
  pair.client.close();
  CHECK(pair.server.receive_exactly(4) == "last");
  std::string text;
  CHECK(pair.server.receive(text) == 0);
  CHECK(pair.server.receive(text) == 0);
  Reading reading;
  if (loop.begin(reading, pair.server.handle) == Started::pending) {
    REQUIRE(loop.until([&] { return reading.ends > 0; }));
  }
  CHECK(reading.result == 0);
  CHECK(reading.text.empty());
}

TEST_CASE(
    "clause 6: data and the end that arrived together are told in that order, without a further event") {
  for (const bool starts_late : {false, true}) {
    CAPTURE(starts_late);
    Loop loop;
    Pair pair(loop);
    Reading reading;
    if (!starts_late) {
      REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
    }
    const std::string text = pattern(100'000);
    pair.client.send_all(text.substr(0, 1000));
    pair.client.close();
    if (starts_late) {
      loop.pass();
      REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
    }
    REQUIRE(loop.until([&] { return reading.ends > 0; }));
    CHECK(reading.text == text.substr(0, 1000));
    CHECK(reading.result == 0);
  }
}

TEST_CASE("clause 6: a read stream into the owner's memory, of any size") {
  Loop loop;
  Pair pair(loop);
  struct Own : ReadStream {
    std::array<std::byte, 37> memory;
    std::string text;
    int ends = 0;
    int asked = 0;
  };
  Own own;
  own.get_buffer = [](ReadStream& stream) noexcept -> std::span<std::byte> {
    auto& self = static_cast<Own&>(stream);
    return std::span(self.memory).first(static_cast<std::size_t>(++self.asked) % self.memory.size() + 1);
  };
  own.on_data = [](ReadStream& stream, std::span<std::byte> data) noexcept {
    auto& self = static_cast<Own&>(stream);
    CHECK(data.data() == self.memory.data());
    self.text.append(reinterpret_cast<const char*>(data.data()), data.size());
  };
  own.on_done = [](Op& op) noexcept { ++static_cast<Own&>(op).ends; };
  own.handle = pair.server.handle;
  REQUIRE(loop.backend.start(own) == Started::pending);
  const std::string text = pattern(20'000);
  pair.client.send_all(text);
  pair.client.close();
  REQUIRE(loop.until([&] { return own.ends > 0; }));
  CHECK(own.text == text);
  CHECK(own.result == 0);
}

TEST_CASE("clause 6: an owner that offers no memory is not read for, and may stop and start anew") {
  Loop loop;
  Pair pair(loop);
  struct Refusing : ReadStream {
    bool has_room = false;
    int asked = 0;
    std::array<std::byte, 64> memory;
    std::string text;
  };
  Refusing reading;
  reading.get_buffer = [](ReadStream& stream) noexcept -> std::span<std::byte> {
    auto& self = static_cast<Refusing&>(stream);
    ++self.asked;
    return self.has_room ? std::span<std::byte>(self.memory) : std::span<std::byte>();
  };
  reading.on_data = [](ReadStream& stream, std::span<std::byte> data) noexcept {
    static_cast<Refusing&>(stream).text.append(reinterpret_cast<const char*>(data.data()), data.size());
  };
  reading.on_done = [](Op&) noexcept {};
  reading.handle = pair.server.handle;
  REQUIRE(loop.backend.start(reading) == Started::pending);
  pair.client.send_all("kept");
  REQUIRE(loop.until([&] { return reading.asked > 0; }));
  loop.backend.stop(reading);
  reading.has_room = true;
  REQUIRE(loop.backend.start(reading) == Started::pending);
  REQUIRE(loop.until([&] { return reading.text == "kept"; }));
  loop.backend.stop(reading);
}

TEST_CASE("clause 6: try_send takes what it says, and keeps nothing of the memory") {
  Loop loop;
  Pair pair(loop);
  const std::string text = pattern(500'000, 3);
  std::string_view left = text;
  std::string got;
  while (got.size() < text.size()) {
    while (!left.empty()) {
      std::string piece(left.substr(0, 30'000));
      const ConstBuffer halves[] = {std::as_bytes(std::span(piece).first(piece.size() / 2)),
                                    std::as_bytes(std::span(piece).subspan(piece.size() / 2))};
      const std::int64_t taken = loop.backend.try_send(pair.client.handle, halves);
      std::fill(piece.begin(), piece.end(), '\0');
      if (taken == -EAGAIN) {
        break;
      }
      REQUIRE(taken > 0);
      REQUIRE(static_cast<std::size_t>(taken) <= piece.size());
      left.remove_prefix(static_cast<std::size_t>(taken));
    }
    if (got.size() < text.size() - left.size()) {
      REQUIRE(pair.server.receive(got) > 0);
    } else {
      // What is not taken at once is an operation's business, which also finds out when there is room.
      pair.client.send_all(left.substr(0, 1));
      left.remove_prefix(1);
    }
  }
  CHECK(got == text);
}

TEST_CASE("clause 6: try_send on a connection that is gone tells the error") {
  Loop loop;
  Pair pair(loop);
  pair.server.abort();
  const ConstBuffer buffer = std::as_bytes(std::span("gone", 4));
  std::int64_t result = -EAGAIN;
  // Whether one attempt finds out at once is the backend's to choose; a hundred are not put off.
  for (int attempt = 0; attempt != 100 && result == -EAGAIN; ++attempt) {
    loop.pass();
    result = loop.backend.try_send(pair.client.handle, std::span(&buffer, 1));
  }
  CHECK((result == -EPIPE || result == -ECONNRESET));
}
