// LOOP: the statements that name add_reader and its like, with all of weir. loop_io_test.cpp has what the
// backend alone must do for them.
#include "tests/support/weir_test.hpp"

#include <weir/net/sock_ops.hpp>
#include <weir/net/socket.hpp>

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

Coro<void> send_byte(EventLoop& loop, Socket& from) {
  co_await loop.sock_sendall(from, std::string_view("x"));
}
Coro<std::size_t> receive(EventLoop& loop, Socket& at) {
  const Bytes bytes = co_await loop.sock_recv(at, 16);
  co_return bytes.size();
}

}  // namespace

TEST_CASE_FIXTURE(LoopFixture, "LOOP-003 a callback that reschedules itself for ever starves no reader") {
  auto [near, far] = Socket::pair();
  loop.run_until_complete(send_byte(loop, far));
  std::uint64_t spins = 0;
  std::function<void()> spin = [&] {
    ++spins;
    loop.call_soon(std::ref(spin));
  };
  loop.call_soon(std::ref(spin));
  int readable = 0;
  int writable = 0;
  bool timer = false;
  loop.add_reader(near, [&] { ++readable; });
  loop.add_writer(near, [&] { ++writable; });
  loop.call_later(2ms, [&] { timer = true; });
  run_until(loop, [&] { return timer && readable > 3 && writable > 3; });
  CHECK(spins > 3);
  CHECK(loop.run_until_complete(receive(loop, near)) == 1);
  CHECK(loop.remove_reader(near));
  CHECK(loop.remove_writer(near));
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-004 add_reader and add_writer refuse an empty callback") {
  auto [near, far] = Socket::pair();
  const std::function<void()> empty;
  CHECK_THROWS_AS(loop.add_reader(near, empty), std::invalid_argument);
  CHECK_THROWS_AS(loop.add_writer(near, empty), std::invalid_argument);
  CHECK_FALSE(loop.remove_reader(near));
  CHECK_FALSE(loop.remove_writer(near));
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-016 a closed loop watches nothing") {
  auto [near, far] = Socket::pair();
  auto probe = std::make_shared<int>(1);
  loop.close();
  CHECK_THROWS_WITH_AS(loop.add_reader(near, [probe] {}), "add_reader: the loop is closed", RuntimeError);
  CHECK_THROWS_WITH_AS(loop.add_writer(near, [probe] {}), "add_writer: the loop is closed", RuntimeError);
  CHECK_THROWS_AS(loop.add_reader(near.native_handle(), [probe] {}), RuntimeError);
  CHECK(probe.use_count() == 1);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-017 on a closed loop there is nothing to remove") {
  auto [near, far] = Socket::pair();
  auto probe = std::make_shared<int>(1);
  SUBCASE("that was ever watched") {}
  SUBCASE("that was watched when it closed") {
    loop.add_reader(near, [probe] {});
    loop.add_writer(far, [probe] {});
    drain(loop);
  }
  loop.close();
  CHECK(probe.use_count() == 1);  // what the callbacks captured went with the loop
  CHECK_FALSE(loop.remove_reader(near));
  CHECK_FALSE(loop.remove_writer(near));
  CHECK_FALSE(loop.remove_reader(far));
  CHECK_FALSE(loop.remove_writer(far));
  CHECK_FALSE(loop.remove_reader(near.native_handle()));
  CHECK_FALSE(loop.remove_writer(12345678));
  CHECK(near.is_open());
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-019 readers survive between runs") {
  auto [near, far] = Socket::pair();
  int readable = 0;
  loop.add_reader(near, [&] {
    ++readable;
    loop.stop();
  });
  turn(loop);
  CHECK(readable == 0);
  loop.run_until_complete(send_byte(loop, far));
  const int before = readable;
  loop.run_forever();
  loop.run_forever();
  CHECK(readable >= before + 2);
  CHECK(loop.remove_reader(near));
  turn(loop);
  turn(loop);
  const int removed = readable;
  turn(loop);
  CHECK(readable == removed);
}

TEST_CASE_FIXTURE(LoopFixture,
                  "LOOP-021 a reader that ends in the stopping iteration is called once for one event") {
  auto [near, far] = Socket::pair();
  loop.run_until_complete(send_byte(loop, far));
  int calls = 0;
  // Removed in the stopping iteration by its own callback: whatever was collected is spent.
  loop.add_reader(near, [&] {
    ++calls;
    loop.stop();
    CHECK(loop.remove_reader(near));
  });
  loop.run_forever();
  CHECK(calls == 1);
  for (int runs = 0; runs != 10; ++runs) {
    turn(loop);
  }
  CHECK(calls == 1);
  // Stopped by somebody else in the same iteration, with the event collected: once, now or in the next run.
  loop.call_soon([&] { loop.stop(); });
  loop.add_reader(near, [&] {
    ++calls;
    CHECK(loop.remove_reader(near));
  });
  loop.run_forever();
  for (int runs = 0; runs != 10; ++runs) {
    turn(loop);
  }
  CHECK(calls == 2);
  CHECK(loop.run_until_complete(receive(loop, near)) == 1);
}
