// Clause 8: one registration per descriptor, in which interests merge; what nobody waits for does not wake
// the loop.
#include "tests/contract/connected.hpp"

using namespace contract;

namespace {

// A loop with nothing to do sleeps; a spinning one takes thousands of turns in this time.
void check_sleeps(Loop& loop) {
  loop.pass(2ms);
  CHECK(loop.pass(30ms) <= 20);
}

}  // namespace

TEST_CASE("clause 8: data, an end or a reset that nobody waits for does not wake the loop") {
  for (int way = 0; way < 4; ++way) {
    CAPTURE(way);
    Loop loop;
    Pair pair(loop);
    Reading reading;
    if (way != 0) {  // registered, and stopped
      REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
      loop.pass(1ms);
      loop.backend.stop(reading);
    }
    pair.client.send_all("unread");
    check_sleeps(loop);
    if (way == 2) {
      pair.client.close();
    } else if (way == 3) {
      pair.client.abort();
    }
    check_sleeps(loop);
    // It was not forgotten: whoever waits again is told.
    REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
    REQUIRE(loop.until([&] { return !reading.text.empty() || reading.ends > 0; }));
    if (way < 2) {
      loop.backend.stop(reading);
    } else {
      REQUIRE(loop.until([&] { return reading.ends > 0; }));
      CHECK(reading.result == (way == 2 ? 0 : -ECONNRESET));
    }
  }
}

TEST_CASE("clause 8: a removed watch does not wake the loop") {
  for (const bool resets : {false, true}) {
    CAPTURE(resets);
    Loop loop;
    Pair pair(loop);
    Watching reader(Direction::read);
    Watching writer(Direction::write);
    REQUIRE(loop.backend.watch(pair.server.native, reader) == 0);
    REQUIRE(loop.backend.watch(pair.server.native, writer) == 0);
    REQUIRE(loop.until([&] { return writer.calls > 2; }));  // level-triggered
    CHECK(reader.calls == 0);
    loop.backend.unwatch(writer);
    check_sleeps(loop);
    pair.client.send_all("unread");
    REQUIRE(loop.until([&] { return reader.calls > 2; }));
    loop.backend.unwatch(reader);
    const int calls = reader.calls;
    check_sleeps(loop);
    resets ? pair.client.abort() : pair.client.close();
    check_sleeps(loop);
    CHECK(reader.calls == calls);
  }
}

TEST_CASE("clause 8: a cancelled operation beside a watch does not wake the loop") {
  Loop loop;
  Pair pair(loop);
  const std::string block = pattern(1 << 20);
  const ConstBuffer buffer = std::as_bytes(std::span(block));
  Waited<SendOp> sending;
  clog(pair.server, sending, buffer);
  loop.backend.cancel(sending);
  REQUIRE(loop.until([&] { return sending.is_answered(); }));
  Watching writer(Direction::write);  // clogged: not writable
  REQUIRE(loop.backend.watch(pair.server.native, writer) == 0);
  std::array<std::byte, 16> memory;
  Waited<RecvOp> receiving;
  receiving.into = memory;
  REQUIRE_FALSE(loop.start(receiving, pair.server.handle));
  loop.pass(1ms);
  loop.backend.cancel(receiving);
  REQUIRE(loop.until([&] { return receiving.is_answered(); }));
  pair.client.send_all("unread");
  check_sleeps(loop);
  CHECK(writer.calls == 0);
  loop.backend.unwatch(writer);
}

TEST_CASE("clause 8: watches and operations share a descriptor") {
  Loop loop;
  Pair pair(loop);
  Reading reading;
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  Watching writer(Direction::write);
  REQUIRE(loop.backend.watch(pair.server.native, writer) == 0);
  CHECK(writer.handle == pair.server.handle);
  CHECK(loop.backend.find(pair.server.native) == pair.server.handle);
  pair.client.send_all("with a watch");
  REQUIRE(loop.until([&] { return reading.text == "with a watch" && writer.calls > 0; }));
  loop.backend.unwatch(writer);
  reading.text.clear();
  pair.client.send_all("without");
  REQUIRE(loop.until([&] { return reading.text == "without"; }));
  REQUIRE(loop.backend.watch(pair.server.native, writer) == 0);
  loop.backend.stop(reading);
  REQUIRE(loop.until([&] { return writer.calls > 1; }));
  // And an operation that begins beside a watch.
  std::array<std::byte, 16> memory;
  Waited<RecvOp> receiving;
  receiving.into = memory;
  loop.start(receiving, pair.server.handle);
  pair.client.send_all("again");
  REQUIRE(loop.until([&] { return receiving.is_answered(); }));
  CHECK(receiving.result > 0);
  loop.backend.unwatch(writer);
}

TEST_CASE("clause 8: an error or hang-up wakes the watches of both directions") {
  Loop loop;
  Pair pair(loop);
  const std::string block = pattern(1 << 20);
  const ConstBuffer buffer = std::as_bytes(std::span(block));
  Waited<SendOp> sending;
  clog(pair.server, sending, buffer);
  loop.backend.cancel(sending);
  REQUIRE(loop.until([&] { return sending.is_answered(); }));
  Watching reader(Direction::read);
  Watching writer(Direction::write);
  REQUIRE(loop.backend.watch(pair.server.native, reader) == 0);
  REQUIRE(loop.backend.watch(pair.server.native, writer) == 0);
  loop.pass(1ms);
  CHECK(reader.calls + writer.calls == 0);
  pair.client.abort();
  REQUIRE(loop.until([&] { return reader.calls > 0 && writer.calls > 0; }));
  loop.backend.unwatch(reader);
  loop.backend.unwatch(writer);
}

TEST_CASE("clause 8: what a watch's callback removes is not called, though it was reported") {
  struct Removing : Watching {
    using Watching::Watching;
    Loop* loop;
    native_socket native;
    Watching* sibling;
    Watching* successor;
  };
  Loop loop;
  Pair pair(loop);
  Removing reader(Direction::read);
  Watching writer(Direction::write);
  Watching successor(Direction::write);
  reader.loop = &loop;
  reader.native = pair.server.native;
  reader.sibling = &writer;
  reader.successor = &successor;
  reader.on_ready = [](Watch& watch) noexcept {
    auto& self = static_cast<Removing&>(watch);
    Backend& backend = self.loop->backend;
    ++self.calls;
    self.sibling->calls = 0;
    backend.unwatch(*self.sibling);
    backend.unwatch(self);
    CHECK(backend.watch(self.native, *self.successor) == 0);
  };
  REQUIRE(loop.backend.watch(pair.server.native, reader) == 0);
  REQUIRE(loop.backend.watch(pair.server.native, writer) == 0);
  pair.client.send_all("x");
  while (reader.calls == 0) {
    REQUIRE(loop.collect());
    loop.run();
  }
  CHECK(successor.calls == 0);  // it was added in this turn, and what it waits for is reported in the next
  REQUIRE(loop.until([&] { return successor.calls > 2; }));
  CHECK(writer.calls == 0);
  CHECK(reader.calls == 1);
  loop.backend.unwatch(successor);
}
