// LOOP: the loop beside the backend: descriptors and timers get their turn, runs come and go, idling is free.
// Drives the backend's own watches and operations, as add_reader and sock_recv do.
#include "tests/support/system.hpp"
#include "tests/support/weir_test.hpp"

#include "runtime/loop_access.hpp"

#include <array>
#include <functional>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

using detail::Backend;
using detail::Started;

// Two connected sockets of which `near` is attached to the loop's backend, and `far` too.
class Pair {
 public:
  explicit Pair(EventLoop& loop) : backend_(detail::LoopAccess::backend(loop)) {
    native_socket ends[2];
    REQUIRE(Backend::Sockets::open_pair(ends) >= 0);
    near_native = ends[0];
    near = backend_.attach(ends[0], &near);
    far = backend_.attach(ends[1], &far);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() {
    if (near != nullptr) {
      backend_.close(near);
    }
    if (far != nullptr) {
      backend_.close(far);
    }
  }

  detail::BackendHandle* near = nullptr;
  detail::BackendHandle* far = nullptr;
  native_socket near_native;

 private:
  Backend& backend_;
};

template <class O>
struct Counted : O {
  Counted() {
    this->on_done = [](detail::Op& op) noexcept {
      auto& self = static_cast<Counted&>(op);
      ++self.answers;
      if (self.then) {
        self.then();
      }
    };
  }
  int answers = 0;
  std::function<void()> then;
};

struct OneByteSend : Counted<detail::SendOp> {
  explicit OneByteSend(detail::BackendHandle* to) {
    handle = to;
    buffers = gather;
  }
  std::array<std::byte, 1> byte{std::byte{42}};
  std::array<detail::ConstBuffer, 1> gather{byte};
};

// Sends one byte, if it takes turns of the loop to do so.
void send_byte(EventLoop& loop, detail::BackendHandle* from) {
  OneByteSend send(from);
  if (detail::LoopAccess::backend(loop).start(send) == Started::pending) {
    while (send.answers == 0) {
      turn(loop);
    }
  }
  REQUIRE(send.result == 1);
}

struct CountedWatch : detail::Watch {
  CountedWatch() {
    on_ready = [](detail::Watch& watch) noexcept {
      auto& self = static_cast<CountedWatch&>(watch);
      ++self.calls;
      if (self.then) {
        self.then();
      }
    };
  }
  int calls = 0;
  std::function<void()> then;
};

}  // namespace

TEST_CASE_FIXTURE(LoopFixture, "LOOP-002 the loop polls between a callback and what it scheduled") {
  Pair pair(loop);
  Backend& backend = detail::LoopAccess::backend(loop);
  CountedWatch writable;
  writable.direction = detail::Direction::write;
  int seen_by_second = -1;
  loop.call_soon([&] {
    REQUIRE(backend.watch(pair.near_native, writable) == 0);
    loop.call_soon([&] { loop.call_soon([&] { seen_by_second = writable.calls; }); });
  });
  drain(loop);
  CHECK(seen_by_second >= 1);
  backend.unwatch(writable);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-003 a callback that reschedules itself for ever starves nobody") {
  Pair pair(loop);
  send_byte(loop, pair.far);
  Backend& backend = detail::LoopAccess::backend(loop);

  std::uint64_t spins = 0;
  std::function<void()> spin = [&] {
    ++spins;
    loop.call_soon(std::ref(spin));
  };
  loop.call_soon(std::ref(spin));
  CountedWatch readable;
  REQUIRE(backend.watch(pair.near_native, readable) == 0);
  Counted<detail::RecvOp> receive;
  std::array<std::byte, 8> memory;
  receive.handle = pair.far;
  receive.into = memory;
  REQUIRE(backend.start(receive) == Started::pending);
  OneByteSend answer(pair.near);
  int timers = 0;
  loop.call_later(2ms, [&] {
    ++timers;
    if (backend.start(answer) == Started::done) {
      ++answer.answers;
    }
  });
  loop.call_soon_threadsafe([&] { ++timers; });
  run_until(loop, [&] { return timers == 2 && readable.calls > 3 && receive.answers == 1; });
  CHECK(answer.answers == 1);
  CHECK(receive.result == 1);
  CHECK(spins > 3);
  backend.unwatch(readable);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-003 awaits that complete at once starve nobody") {
  bool ended = false;
  const auto busy = [](EventLoop& on, bool& flag) -> Coro<void> {
    auto done = on.create_future<int>();
    done.set_result(1);
    while (!flag) {
      co_await done;
    }
  };
  loop.call_later(2ms, [&] { ended = true; });
  loop.run_until_complete(busy(loop, ended));
  CHECK(ended);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-019 timers, watches, operations and callbacks survive between runs") {
  Pair pair(loop);
  Backend& backend = detail::LoopAccess::backend(loop);
  CountedWatch readable;
  REQUIRE(backend.watch(pair.near_native, readable) == 0);
  Counted<detail::RecvOp> receive;
  std::array<std::byte, 8> memory;
  receive.handle = pair.far;
  receive.into = memory;
  REQUIRE(backend.start(receive) == Started::pending);
  int timers = 0;
  bool soon = false;
  const TimePoint begun = loop.time();
  loop.call_later(5ms, [&] { ++timers; });
  loop.call_later(10ms, [&] { ++timers; });
  for (int runs = 0; runs != 3; ++runs) {
    turn(loop);
  }
  CHECK(readable.calls == 0);
  CHECK(receive.answers == 0);
  loop.call_soon([&] { soon = true; });
  CHECK_FALSE(soon);
  turn(loop);
  CHECK(soon);

  send_byte(loop, pair.far);
  send_byte(loop, pair.near);
  run_until(loop, [&] { return readable.calls >= 2; });  // level-triggered: nobody reads
  run_until(loop, [&] { return receive.answers == 1; });
  run_until(loop, [&] { return timers == 2; });
  CHECK(loop.time() - begun >= 10ms);
  CHECK(loop.run_until_complete(loop.create_task([]() -> Coro<int> { co_return 4; }())) == 4);
  backend.unwatch(readable);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-021 an event of the stopping iteration fires its callback once only") {
  Pair pair(loop);
  Backend& backend = detail::LoopAccess::backend(loop);
  // An operation that completes in the iteration in which it stops the loop.
  Counted<detail::RecvOp> receive;
  std::array<std::byte, 8> memory;
  receive.handle = pair.near;
  receive.into = memory;
  receive.then = [&] { loop.stop(); };
  REQUIRE(backend.start(receive) == Started::pending);
  OneByteSend send(pair.far);
  backend.start(send);
  loop.run_forever();
  CHECK(receive.answers == 1);
  CHECK(receive.result == 1);
  for (int runs = 0; runs != 10; ++runs) {
    turn(loop);
  }
  CHECK(receive.answers == 1);

  // A watch whose callback takes the watch away and stops: the event is not kept for the next run.
  CountedWatch writable;
  writable.direction = detail::Direction::write;
  writable.then = [&] {
    loop.stop();
    backend.unwatch(writable);
  };
  REQUIRE(backend.watch(pair.near_native, writable) == 0);
  loop.run_forever();
  CHECK(writable.calls == 1);
  for (int runs = 0; runs != 10; ++runs) {
    turn(loop);
  }
  CHECK(writable.calls == 1);
  // And once an iteration while it lasts, also across runs.
  CountedWatch lasting;
  lasting.direction = detail::Direction::write;
  REQUIRE(backend.watch(pair.near_native, lasting) == 0);
  for (int runs = 1; runs <= 10; ++runs) {
    const int before = lasting.calls;
    turn(loop);
    CHECK(lasting.calls - before <= 1);
  }
  CHECK(lasting.calls >= 5);
  backend.unwatch(lasting);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-021 stopping before the event's item runs does not lose it either") {
  Pair pair(loop);
  Backend& backend = detail::LoopAccess::backend(loop);
  send_byte(loop, pair.far);
  Counted<detail::RecvOp> receive;
  std::array<std::byte, 8> memory;
  receive.handle = pair.near;
  receive.into = memory;
  if (backend.start(receive) == Started::done) {
    ++receive.answers;
  }
  for (int runs = 0; runs != 10000 && receive.answers == 0; ++runs) {
    turn(loop);  // every run stops in its first iteration
  }
  CHECK(receive.answers == 1);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-022 an idle loop uses no CPU") {
  if (!has("real_clock")) {
    skip("LOOP-022", "real_clock");
    return;
  }
  Pair pair(loop);
  CountedWatch quiet;
  REQUIRE(detail::LoopAccess::backend(loop).watch(pair.near_native, quiet) == 0);
  Duration spent{};
  Duration waited{};
  const auto idle = [&] {
    const Duration before = thread_cpu_time();
    const TimePoint begun = loop.time();
    loop.run_forever();
    spent = thread_cpu_time() - before;
    waited = loop.time() - begun;
  };
  SUBCASE("while a timer is not due") {
    loop.call_later(300ms, [&] { loop.stop(); });
    idle();
  }
  SUBCASE("without any timer") {
    std::thread other([&] {
      EventLoop clock;
      clock.call_later(300ms, [&] {
        loop.call_soon_threadsafe([&] { loop.stop(); });
        clock.stop();
      });
      clock.run_forever();
    });
    idle();
    other.join();
  }
  SUBCASE("after timers that are cancelled") {
    for (int i = 0; i != 100; ++i) {
      loop.call_later(std::chrono::milliseconds(i), [] {}).cancel();
    }
    loop.call_later(300ms, [&] { loop.stop(); });
    idle();
  }
  CHECK(waited >= 250ms);
  CHECK(spent < 20ms);
  CHECK(quiet.calls == 0);
  detail::LoopAccess::backend(loop).unwatch(quiet);
}
