// Bytes, ends, resets and full buffers of the simulated network, and what cancelling leaves of them.
#include "driver.hpp"

#include <doctest/doctest.h>

#include <cerrno>

using namespace sim_test;

namespace {

struct Reading : ReadStream {
  std::string got;
  int ends = 0;
  bool stops_after_each = false;
  Loop* loop = nullptr;

  explicit Reading(Loop& a_loop, BackendHandle* a_handle) : loop(&a_loop) {
    handle = a_handle;
    on_data = [](ReadStream& op, std::span<std::byte> data) noexcept {
      auto& self = static_cast<Reading&>(op);
      self.got.append(reinterpret_cast<const char*>(data.data()), data.size());
      if (self.stops_after_each) {
        self.loop->backend.stop(self);
      }
    };
    on_done = [](Op& op) noexcept { ++static_cast<Reading&>(op).ends; };
  }
};

}  // namespace

TEST_CASE("sim: an end of stream comes after all bytes, and the other direction goes on") {
  Loop loop;
  Connection connection(loop);
  const std::string sent = pattern(30'000);
  REQUIRE(connection.client.send_all(sent) == 0);
  REQUIRE(loop.backend.shutdown_write(connection.client.handle) == 0);
  CHECK(connection.client.send("more") == -EPIPE);
  std::string got;
  CHECK(connection.server->receive_all(got) == 0);
  CHECK(got == sent);
  REQUIRE(connection.server->send_all("answer") == 0);
  connection.server->close();
  got.clear();
  CHECK(connection.client.receive_all(got) == 0);
  CHECK(got == "answer");
}

TEST_CASE("sim: an abortive close is a reset, told once on each side of it") {
  for (std::uint64_t seed = 1; seed != 20; ++seed) {
    sim::Options options;
    options.seed = seed;
    const Configured configured(options);
    Loop loop;
    Connection connection(loop);
    REQUIRE(connection.server->send_all("before") == 0);
    connection.server->abort();
    std::string got;
    CHECK(connection.client.receive_all(got) == -ECONNRESET);
    CHECK(got == "before");
    CHECK(connection.client.receive(got) == 0);
    CHECK(connection.client.send("x") == -EPIPE);
    CHECK(loop.backend.shutdown_write(connection.client.handle) == -ENOTCONN);
  }
}

TEST_CASE("sim: closing with unread bytes resets, and so does sending to a closed socket") {
  const Configured configured(calm());
  Loop loop;
  {
    Connection connection(loop);
    REQUIRE(connection.client.send_all("unread") == 0);
    loop.pass(std::chrono::milliseconds(1));
    connection.server->close();
    std::string got;
    CHECK(connection.client.receive(got) == -ECONNRESET);
  }
  Connection connection(loop);
  connection.server->close();
  std::string got;
  CHECK(connection.client.receive(got) == 0);
  CHECK(connection.client.send("into the void") > 0);
  loop.pass(std::chrono::milliseconds(1));
  CHECK(connection.client.send("x") == -EPIPE);
}

TEST_CASE("sim: a full buffer holds the sender until the other side reads") {
  for (std::uint64_t seed = 1; seed != 20; ++seed) {
    sim::Options options;
    options.seed = seed;
    options.socket_buffer_bytes = 4096;
    const Configured configured(options);
    Loop loop;
    Connection connection(loop);
    const std::string text = pattern(20'000);
    std::size_t sent = 0;
    Waited<SendOp> op;
    ConstBuffer buffer;
    // Starts the next send when the last one was answered; false while one is pending.
    bool started = false;
    const auto go_on = [&] {
      if (started && !op.answered()) {
        return false;
      }
      sent += started ? static_cast<std::size_t>(op.result) : 0;
      buffer = std::as_bytes(std::span(text)).subspan(sent);
      op.buffers = std::span(&buffer, 1);
      started = sent < text.size();
      if (started) {
        loop.start(op, connection.client.handle);
      }
      return started;
    };
    while (go_on()) {
      loop.pass(std::chrono::milliseconds(1));
    }
    CHECK(sent == 2 * 4096);
    std::string got;
    std::string part;
    while (got.size() < text.size()) {
      REQUIRE(connection.server->receive(part) > 0);
      got += part;
      go_on();
    }
    CHECK(got == text);
  }
}

TEST_CASE("sim: a cancelled receive loses nothing") {
  for (std::uint64_t seed = 1; seed != 50; ++seed) {
    sim::Options options;
    options.seed = seed;
    options.cancel_loses_chance = 0.5;
    const Configured configured(options);
    Loop loop;
    Connection connection(loop);
    const std::string sent = pattern(5'000);
    REQUIRE(connection.client.send_all(sent) == 0);
    std::string got;
    while (got.size() < sent.size()) {
      std::string part(512, '\0');
      Waited<RecvOp> op;
      op.into = std::as_writable_bytes(std::span(part));
      if (!loop.start(op, connection.server->handle)) {
        loop.backend.cancel(op);
        loop.backend.cancel(op);
        CHECK(loop.backend.pending(connection.server->handle, Direction::read) == nullptr);
        CHECK(op.answers == 0);
        REQUIRE(loop.until([&] { return op.answers > 0; }));
        loop.turn();
        CHECK(op.answers == 1);
      }
      if (op.result > 0) {
        got += part.substr(0, static_cast<std::size_t>(op.result));
      } else {
        REQUIRE(op.result == -ECANCELED);
      }
    }
    CHECK(got == sent);
  }
}

TEST_CASE("sim: a read stream that is stopped after each delivery gets everything, and one end") {
  for (std::uint64_t seed = 1; seed != 50; ++seed) {
    sim::Options options;
    options.seed = seed;
    const Configured configured(options);
    Loop loop;
    Connection connection(loop);
    Reading reading(loop, connection.server->handle);
    reading.stops_after_each = true;
    const std::string sent = pattern(9'000);
    REQUIRE(connection.client.send_all(sent) == 0);
    connection.client.close();
    while (reading.ends == 0) {
      REQUIRE(loop.backend.start(reading) == Started::pending);
      REQUIRE(loop.until([&] { return reading.state == OpState::idle; }));
    }
    CHECK(reading.got == sent);
    CHECK(reading.result == 0);
    CHECK(reading.ends == 1);
  }
}

TEST_CASE("sim: closing a handle answers what is pending, then gives the number back") {
  const Configured configured(calm());
  Loop loop;
  Connection connection(loop);
  std::byte memory[16];
  Waited<RecvOp> op;
  op.into = memory;
  const native_socket number = connection.client.native;
  REQUIRE(!loop.start(op, connection.client.handle));
  connection.client.close();
  CHECK(op.answers == 0);
  CHECK(connection.client.handle == nullptr);
  const native_socket other = open();
  CHECK(other != number);
  loop.turn();
  CHECK(op.answers == 1);
  CHECK(op.result == -EBADF);
  const native_socket same = open();
  CHECK(same == number);
  Sockets::close(other);
  Sockets::close(same);
}

TEST_CASE("sim: an event of an old handle does not reach a new one with the same number") {
  const Configured configured(calm());
  Loop loop;
  Connection connection(loop);
  Reading old_reading(loop, connection.client.handle);
  REQUIRE(loop.backend.start(old_reading) == Started::pending);
  REQUIRE(connection.server->send_all("for the old one") == 0);
  // Collected, not run.
  while (loop.queue.empty()) {
    loop.backend.poll(TimePoint::max());
  }
  loop.backend.stop(old_reading);
  connection.client.close();
  native_socket pair[2];
  REQUIRE(Sockets::open_pair(pair) == 0);
  CHECK(pair[0] == connection.client.native);
  End reader(loop, pair[0]);
  End writer(loop, pair[1]);
  Reading new_reading(loop, reader.handle);
  REQUIRE(loop.backend.start(new_reading) == Started::pending);
  loop.pass(std::chrono::milliseconds(1));
  CHECK(old_reading.got.empty());
  CHECK(new_reading.got.empty());
  CHECK(new_reading.ends == 0);
  loop.backend.stop(new_reading);
}

TEST_CASE(
    "sim: a number closed and opened again, again and again, with an event of the old one in the same "
    "batch") {
  Configured configured(calm());
  Loop loop;
  struct Counting : ReadStream {
    int calls = 0;
  } old_stream;
  old_stream.on_data = [](ReadStream& self, std::span<std::byte>) noexcept {
    ++static_cast<Counting&>(self).calls;
  };
  old_stream.on_done = [](Op&) noexcept {};
  for (int round = 0; round != 20'000; ++round) {
    native_socket pair[2];
    REQUIRE(Sockets::open_pair(pair) == 0);
    End writer(loop, pair[1]);
    auto old_end = std::make_unique<End>(loop, pair[0]);
    old_stream.handle = old_end->handle;
    loop.backend.start(old_stream);
    REQUIRE(writer.send("x") == 1);
    while (loop.queue.empty()) {
      loop.backend.poll(TimePoint::max());
    }
    loop.backend.stop(old_stream);
    old_end.reset();
    const native_socket again = open();
    REQUIRE(again == pair[0]);
    End listener(loop, again);
    REQUIRE(listener.listen_on(v4(0)) == 0);
    Waited<AcceptOp> accept;
    REQUIRE(!loop.start(accept, listener.handle));
    loop.turn();
    REQUIRE(!accept.answered());
    loop.backend.cancel(accept);
    loop.turn();
    REQUIRE(accept.result == -ECANCELED);
  }
  CHECK(old_stream.calls == 0);
}

TEST_CASE("sim: what was collected for one that left says nothing to its successor") {
  Configured configured(calm());
  Loop loop;
  Connection connection(loop);
  BackendHandle* handle = connection.client.handle;
  REQUIRE(connection.server->send_all("abc") == 0);
  loop.pass(std::chrono::milliseconds(1));
  const auto collect = [&] {
    while (loop.queue.empty()) {
      loop.backend.poll(TimePoint::max());
    }
  };
  const auto run_collected = [&] {
    while (!loop.queue.empty()) {
      ReadyItem item = loop.queue.pop();
      item(ReadyAction::run);
    }
  };
  Reading first(loop, handle);
  Reading second(loop, handle);
  REQUIRE(loop.backend.start(first) == Started::pending);
  collect();
  loop.backend.stop(first);
  REQUIRE(loop.backend.start(second) == Started::pending);
  run_collected();
  CHECK(first.got.empty());
  CHECK(second.got.empty());
  loop.turn();
  CHECK(second.got == "abc");
  loop.backend.stop(second);

  struct Counting : Watch {
    int calls = 0;
  } old_watch, new_watch;
  for (Counting* watch : {&old_watch, &new_watch}) {
    watch->direction = Direction::write;
    watch->on_ready = [](Watch& self) noexcept { ++static_cast<Counting&>(self).calls; };
  }
  REQUIRE(loop.backend.watch(connection.client.native, old_watch) == 0);
  collect();
  loop.backend.unwatch(old_watch);
  REQUIRE(loop.backend.watch(connection.client.native, new_watch) == 0);
  run_collected();
  CHECK(old_watch.calls == 0);
  CHECK(new_watch.calls == 0);
  loop.turn();
  CHECK(new_watch.calls == 1);
  loop.backend.unwatch(new_watch);
}

TEST_CASE("sim: watches are level-triggered and both see a hang-up") {
  const Configured configured(calm());
  struct Counting : Watch {
    int calls = 0;
  } reader, writer;
  for (Counting* watch : {&reader, &writer}) {
    watch->on_ready = [](Watch& self) noexcept { ++static_cast<Counting&>(self).calls; };
  }
  writer.direction = Direction::write;
  Loop loop;
  Connection connection(loop);
  const native_socket native = connection.client.native;
  REQUIRE(loop.backend.watch(native, reader) == 0);
  loop.pass(std::chrono::milliseconds(1));
  CHECK(reader.calls == 0);
  REQUIRE(connection.server->send_all("x") == 0);
  REQUIRE(loop.until([&] { return reader.calls == 3; }));
  std::string got;
  REQUIRE(connection.client.receive(got) == 1);
  reader.calls = 0;
  loop.pass(std::chrono::milliseconds(1));
  CHECK(reader.calls == 0);
  REQUIRE(loop.backend.watch(native, writer) == 0);
  REQUIRE(loop.until([&] { return writer.calls == 3; }));
  CHECK(reader.calls == 0);
  loop.backend.unwatch(writer);
  loop.pass(std::chrono::milliseconds(1));
  CHECK(writer.calls == 3);
  connection.server->abort();
  REQUIRE(loop.until([&] { return reader.calls == 1; }));
  REQUIRE(loop.backend.watch(native, writer) == 0);
  REQUIRE(loop.until([&] { return writer.calls == 4; }));
  loop.backend.unwatch(writer);
  loop.backend.unwatch(reader);
  CHECK(reader.handle == nullptr);
  CHECK(loop.backend.watch(-1, reader) == -EBADF);
  CHECK(loop.backend.watch(0, reader) == -ENOTSUP);
  CHECK(loop.backend.watch(native + 1000, reader) == -EBADF);
}

TEST_CASE("sim: close_all leaves everything idle and the sockets open") {
  native_socket pair[2];
  {
    Loop loop;
    REQUIRE(Sockets::open_pair(pair) == 0);
    BackendHandle* first = nullptr;
    BackendHandle* second = nullptr;
    first = loop.backend.attach(pair[0], &first);
    second = loop.backend.attach(pair[1], &second);
    Reading reading(loop, first);
    REQUIRE(loop.backend.start(reading) == Started::pending);
    std::byte memory[4];
    Waited<RecvOp> cancelled;
    cancelled.into = memory;
    REQUIRE(!loop.start(cancelled, second));
    loop.backend.cancel(cancelled);
    Watch watch;
    REQUIRE(loop.backend.watch(pair[1], watch) == 0);
    loop.backend.close_all();
    CHECK(first == nullptr);
    CHECK(second == nullptr);
    CHECK(watch.handle == nullptr);
    CHECK(reading.state == OpState::idle);
    CHECK(cancelled.state == OpState::idle);
    CHECK(cancelled.answers == 0);
    loop.backend.close_all();
    CHECK(sim::open_sockets() == 2);
  }
  CHECK(Sockets::close(pair[0]) == 0);
  CHECK(Sockets::close(pair[1]) == 0);
  CHECK(Sockets::close(pair[1]) == -EBADF);
}
