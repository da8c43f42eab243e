// Clause 7: close() cancels first, the number comes back after the last answer, and an event of an old
// registration never reaches a new one with the same number.
#include "tests/contract/connected.hpp"
#include "tests/support/trait.hpp"

using namespace contract;

TEST_CASE("clause 7: pending operations answer -EBADF, and the number is not given back before") {
  Loop loop;
  Pair pair(loop);
  const std::string block = pattern(1 << 20);
  const ConstBuffer buffer = std::as_bytes(std::span(block));
  Waited<SendOp> sending;
  clog(pair.server, sending, buffer);
  std::array<std::byte, 16> memory;
  Waited<RecvOp> receiving;
  receiving.into = memory;
  REQUIRE_FALSE(loop.start(receiving, pair.server.handle));
  Watching watching(Direction::read);
  REQUIRE(loop.backend.watch(pair.server.native, watching) == 0);

  const native_socket number = pair.server.native;
  pair.server.close();
  CHECK(watching.handle == nullptr);
  CHECK(loop.backend.find(number) == nullptr);
  CHECK(receiving.answers == 0);
  std::vector<native_socket> others;
  for (int i = 0; i < 10; ++i) {
    others.push_back(open());
    CHECK(others.back() != number);
  }
  REQUIRE(loop.until([&] { return sending.is_answered() && receiving.is_answered(); }));
  CHECK(sending.result == -EBADF);
  CHECK(receiving.result == -EBADF);
  loop.pass(1ms);
  CHECK(watching.calls == 0);
  CHECK(Sockets::type(number) == -EBADF);  // closed now
  for (const native_socket other : others) {
    Sockets::close(other);
  }
}

TEST_CASE("clause 7: without a pending operation the socket is closed at once") {
  Loop loop;
  Pair pair(loop);
  Reading reading;
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  loop.backend.stop(reading);
  const native_socket number = pair.server.native;
  pair.server.close();
  CHECK(Sockets::type(number) == -EBADF);
  std::string text;
  CHECK(pair.client.receive(text) == 0);
}

TEST_CASE("clause 7: detach ends the operations and leaves the socket open") {
  Loop loop;
  Pair pair(loop);
  std::array<std::byte, 16> memory;
  Waited<RecvOp> receiving;
  receiving.into = memory;
  REQUIRE_FALSE(loop.start(receiving, pair.server.handle));
  inside([&] { loop.backend.detach(pair.server.handle); });
  CHECK(pair.server.handle == nullptr);
  CHECK(loop.backend.find(pair.server.native) == nullptr);
  // Attached anew before the old answer has run, it is another handle.
  pair.server.handle = loop.backend.attach(pair.server.native, &pair.server.handle);
  CHECK(loop.backend.find(pair.server.native) == pair.server.handle);
  REQUIRE(loop.until([&] { return receiving.is_answered(); }));
  CHECK(receiving.result == -EBADF);
  pair.client.send_all("still here");
  CHECK(pair.server.receive_exactly(10) == "still here");
}

TEST_CASE("clause 7: the events of a batch do not reach a new socket with an old number") {
  Loop loop;
  struct Closer : Reading {
    std::unique_ptr<Pair>* victim;
    Reading* victims_stream;
    std::unique_ptr<End>* fresh;
    Reading* fresh_stream;
    Watching* fresh_watch;
    bool watches;
  };
  int reused = 0;
  for (int round = 0; round < 100; ++round) {
    Pair pair(loop);
    auto victim = std::make_unique<Pair>(loop);
    const End filler(loop);  // takes the number that the pairs' listeners left free
    std::unique_ptr<End> fresh;
    Closer closer;
    Reading victims;
    Reading fresh_reading;
    Watching fresh_watch(Direction::read);
    closer.victim = &victim;
    closer.victims_stream = &victims;
    closer.fresh = &fresh;
    closer.fresh_stream = &fresh_reading;
    closer.fresh_watch = &fresh_watch;
    closer.watches = round % 4 < 2;
    closer.on_data = [](ReadStream& stream, std::span<std::byte>) noexcept {
      auto& self = static_cast<Closer&>(stream);
      ++self.deliveries;
      Loop& its_loop = (*self.victim)->server.loop;
      its_loop.backend.stop(*self.victims_stream);
      (*self.victim)->server.close();
      *self.fresh = std::make_unique<End>(its_loop);
      if (self.watches) {
        CHECK(its_loop.backend.watch((*self.fresh)->native, *self.fresh_watch) == 0);
      } else {
        its_loop.begin(*self.fresh_stream, (*self.fresh)->handle);
      }
    };
    REQUIRE(loop.begin(closer, pair.server.handle) == Started::pending);
    REQUIRE(loop.begin(victims, victim->server.handle) == Started::pending);
    const native_socket number = victim->server.native;
    if (round % 2 == 0) {  // both orders of the events
      pair.client.send_all("x");
      victim->client.send_all("y");
    } else {
      victim->client.send_all("y");
      pair.client.send_all("x");
    }
    REQUIRE(loop.until([&] { return closer.deliveries > 0; }));
    reused += fresh->native == number ? 1 : 0;
    // In a later turn it may be told that it is not connected; in this batch there is nothing for it.
    CHECK(fresh_reading.deliveries + fresh_reading.ends + fresh_watch.calls == 0);
    loop.turn();
    CHECK(fresh_reading.deliveries == 0);
    loop.backend.unwatch(fresh_watch);
    loop.backend.stop(fresh_reading);
    loop.backend.stop(closer);
  }
  CHECK((reused == 100 || !weir::testing::machine_has(weir::testing::Trait::number_reuse)));
}

TEST_CASE("clause 7: a watch on a number that was closed and opened again watches the new socket") {
  Loop loop;
  for (int round = 0; round < 20; ++round) {
    Pair first(loop);
    Watching watching(Direction::read);
    REQUIRE(loop.backend.watch(first.server.native, watching) == 0);
    first.client.send_all("x");
    REQUIRE(loop.collect());  // its event is on the way
    loop.backend.unwatch(watching);
    first.server.close();

    Pair second(loop);
    REQUIRE(loop.backend.watch(second.server.native, watching) == 0);
    loop.run();
    loop.pass(1ms);
    CHECK(watching.calls == 0);
    second.client.send_all("y");
    REQUIRE(loop.until([&] { return watching.calls > 0; }));
    loop.backend.unwatch(watching);
  }
}

namespace {

// The queue may be emptied before the backend is destroyed, or after.
void check_close_all(bool drops_first) {
  ReadyQueue queue;
  native_socket natives[2];
  REQUIRE(Sockets::open_pair(natives) >= 0);
  auto backend = std::make_unique<Backend>(queue);
  BackendHandle* handles[2];
  handles[0] = backend->attach(natives[0], &handles[0]);
  handles[1] = backend->attach(natives[1], &handles[1]);
  auto receiving = std::make_unique<Waited<RecvOp>>();
  std::array<std::byte, 16> memory;
  receiving->into = memory;
  receiving->handle = handles[0];
  REQUIRE(backend->start(*receiving) == Started::pending);
  auto cancelled = std::make_unique<Reading>();
  cancelled->handle = handles[1];
  REQUIRE(backend->start(*cancelled) == Started::pending);
  backend->cancel(*cancelled);
  Watching watching(Direction::write);
  REQUIRE(backend->watch(natives[0], watching) == 0);
  backend->poll(TimePoint::min());

  inside([&] { backend->close_all(); });
  CHECK(receiving->state == OpState::idle);
  CHECK(cancelled->state == OpState::idle);
  CHECK(watching.handle == nullptr);
  CHECK(handles[0] == nullptr);
  CHECK(handles[1] == nullptr);
  backend->close_all();
  receiving.reset();
  cancelled.reset();
  if (!drops_first) {
    backend.reset();
  }
  while (!queue.empty()) {
    ReadyItem item = queue.pop();
    item(ReadyAction::drop);
  }
  backend.reset();
  CHECK(Sockets::close(natives[0]) == 0);
  CHECK(Sockets::close(natives[1]) == 0);
}

}  // namespace

TEST_CASE("clause 7: close_all leaves everything idle and the sockets open, and calls nobody") {
  check_close_all(true);
  check_close_all(false);
}
