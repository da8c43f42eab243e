// Clause 9: time comes from now() only, waits round up, and no deadline comes early.
#include "tests/contract/connected.hpp"

using namespace contract;

TEST_CASE("clause 9: a wait ends at its deadline, not before, and without spinning") {
  Loop loop;
  Pair pair(loop);  // something is registered
  Reading reading;
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  loop.pass(1ms);
  unsigned draw = 12345;
  int polls = 0;
  for (int round = 0; round < 300; ++round) {
    draw = draw * 1664525 + 1013904223;
    const TimePoint deadline = loop.backend.now() + std::chrono::nanoseconds(draw % 700'000);
    while (loop.backend.now() < deadline) {
      loop.backend.poll(deadline);
      ++polls;
    }
  }
  // An early return is allowed; a habit of them would be a spin.
  CHECK(polls <= 600);
  loop.backend.stop(reading);
}

TEST_CASE("clause 9: a deadline in the past, or none to wait for, does not wait") {
  Loop loop;
  Pair pair(loop);
  Reading reading;
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  const TimePoint start = loop.backend.now();
  for (int i = 0; i < 1000; ++i) {
    loop.backend.poll(TimePoint::min());
    loop.backend.poll(start);
  }
  CHECK(loop.backend.now() - start < 5s);
  loop.backend.stop(reading);
}

TEST_CASE("clause 9: now() does not go back, and a far deadline does not overflow") {
  Loop loop;
  TimePoint last = loop.backend.now();
  for (int i = 0; i < 1000; ++i) {
    loop.turn();
    const TimePoint current = loop.backend.now();
    CHECK(current >= last);
    last = current;
  }
  Pair pair(loop);
  Reading reading;
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  pair.client.send_all("x");
  for (const TimePoint far :
       {TimePoint::max(), TimePoint::max() - 1ns, last + std::chrono::hours(24 * 365 * 50)}) {
    loop.backend.wake();
    loop.backend.poll(far);
  }
  loop.backend.stop(reading);
}

TEST_CASE("clause 9: an event ends a wait before its deadline") {
  Loop loop;
  Pair pair(loop);
  Reading reading;
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  loop.pass(1ms);
  const TimePoint start = loop.backend.now();
  pair.client.send_all("x");
  while (reading.deliveries == 0 && loop.backend.now() < start + 20s) {
    loop.turn(start + 20s);
  }
  CHECK(reading.deliveries == 1);
  CHECK(loop.backend.now() - start < 10s);
  loop.backend.stop(reading);
}

TEST_CASE("clause 9: busy polling changes no deadline, no event and no wake") {
  Loop loop;
  loop.backend.set_busy_poll(200us);
  Pair pair(loop);
  Reading reading;
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  loop.pass(1ms);
  for (const auto wait : {50us, 200us, 1000us}) {
    const TimePoint deadline = loop.backend.now() + wait;
    int polls = 0;
    while (loop.backend.now() < deadline) {
      loop.backend.poll(deadline);
      ++polls;
    }
    CHECK(polls <= 10);
  }
  pair.client.send_all("x");
  REQUIRE(loop.until([&] { return reading.deliveries > 0; }));
  loop.backend.wake();
  loop.backend.poll(TimePoint::max());
  loop.backend.stop(reading);
}
