// TIME: the clock, call_later and call_at.
#include "tests/support/weir_test.hpp"

#include "runtime/loop_access.hpp"
#include "runtime/timer_heap.hpp"

#include <weir/sim.hpp>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <ratio>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// Lets time pass while the loop is kept from running.
void block(Duration duration) {
#if defined(WEIR_BACKEND_SIM)
  sim::advance(duration);
#else
  const auto until = std::chrono::steady_clock::now() + duration;
  while (std::chrono::steady_clock::now() < until) {
  }
#endif
}

}  // namespace

WEIR_TEST("TIME-001 call_later runs no earlier than asked, by loop.time()") {
  struct Timing {
    TimePoint asked;
    TimePoint ran{};
  };
  std::vector<Timing> timings;
  // Below and above every unit in which a system rounds.
  const std::vector<Duration> delays = {1ns,    999ns,  1us,    50us, 999us,      1ms, 1001us,
                                        1999us, 2500us, 4999us, 10ms, 10ms + 1ns, 17ms};
  timings.reserve(delays.size());
  std::size_t ran = 0;
  for (const Duration delay : delays) {
    Timing& timing = timings.emplace_back(Timing{loop.time() + delay});
    loop.call_later(delay, [&timing, &loop, &ran] {
      timing.ran = loop.time();
      ++ran;
    });
  }
  co_await until([&] { return ran == delays.size(); });
  for (const Timing& timing : timings) {
    CHECK(timing.ran >= timing.asked);
  }
}

WEIR_TEST("TIME-001 call_later runs no earlier than asked, by the system's clock") {
  if (!has("real_clock")) {
    skip("TIME-001", "real_clock");
    co_return;
  }
  for (const Duration delay : {Duration(1us), Duration(700us), Duration(1ms), Duration(3333us)}) {
    bool ran = false;
    const auto begun = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point ended;
    loop.call_later(delay, [&] {
      ended = std::chrono::steady_clock::now();
      ran = true;
    });
    co_await until([&] { return ran; });
    CHECK(ended - begun >= delay);
    CHECK(ended - begun < 5s);
  }
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-002 a zero or negative delay runs in a coming iteration") {
  int ran = 0;
  const auto count = [&] { ++ran; };
  loop.call_later(0s, count);
  loop.call_later(-1ns, count);
  loop.call_later(-1h, count);
  loop.call_later(Duration::min(), count);
  loop.call_later(std::chrono::years::min(), count);
  loop.call_later(std::chrono::duration<double>(-0.0), count);
  loop.call_later(std::chrono::duration<double>(-1e300), count);
  loop.call_later(std::chrono::duration<double>(-std::numeric_limits<double>::infinity()), count);
  CHECK(ran == 0);  // not inside the call
  const TimePoint begun = loop.time();
  run_until(loop, [&] { return ran == 8; }, 10min);
  CHECK(loop.time() - begun < 10min);
}

WEIR_TEST("TIME-002 from inside a callback it is a later iteration") {
  std::vector<int> order;
  loop.call_soon([&] {
    loop.call_later(0s, [&] { order.push_back(2); });
    loop.call_later(-1s, [&] { order.push_back(3); });
    order.push_back(1);
  });
  co_await until([&] { return order.size() == 3; });
  CHECK(order == std::vector{1, 2, 3});
}

WEIR_TEST("TIME-003 call_at uses the clock of loop.time()") {
  const TimePoint deadline = loop.time() + 3ms;
  TimePoint ran{};
  loop.call_at(deadline, [&] { ran = loop.time(); });
  co_await until([&] { return ran != TimePoint{}; });
  CHECK(ran >= deadline);
  CHECK(ran < deadline + 5s);
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-003 a time in the past runs in a coming iteration") {
  int ran = 0;
  loop.call_at(loop.time() - 1ns, [&] { ++ran; });
  loop.call_at(TimePoint(), [&] { ++ran; });
  loop.call_at(TimePoint(-1s), [&] { ++ran; });
  loop.call_at(TimePoint::min(), [&] { ++ran; });
  CHECK(ran == 0);
  turn(loop);
  CHECK(ran == 4);
  // The earliest time there is does not confuse the sleeping loop and who wakes it.
  loop.call_at(TimePoint::min(),
               [&] { std::thread([&] { loop.call_soon_threadsafe([&] { loop.stop(); }); }).detach(); });
  loop.run_forever();
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-004 timers due in the same iteration run in order of deadline") {
  std::vector<int> order;
  const TimePoint now = loop.time();
  for (const int n : {7, 3, 9, 1, 8, 2, 5, 4, 6, 0}) {
    loop.call_at(now - 1s + std::chrono::milliseconds(n), [&order, n] { order.push_back(n); });
  }
  turn(loop);
  CHECK(order == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-005 timers with equal deadlines run in the order of scheduling") {
  std::vector<int> order;
  const TimePoint when = loop.time() - 1s;
  std::vector<TimerHandle> handles;
  for (int n = 0; n != 300; ++n) {
    handles.push_back(loop.call_at(when, [&order, n] { order.push_back(n); }));
  }
  // Gaps whose places are used again do not disturb the order.
  for (std::size_t n = 0; n < 300; n += 3) {
    handles[n].cancel();
  }
  for (int n = 300; n != 400; ++n) {
    loop.call_at(when, [&order, n] { order.push_back(n); });
  }
  turn(loop);
  std::vector<int> expected;
  for (int n = 0; n != 400; ++n) {
    if (n >= 300 || n % 3 != 0) {
      expected.push_back(n);
    }
  }
  CHECK(order == expected);
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-005 one that is rescheduled counts as scheduled now") {
  std::vector<int> order;
  const TimePoint when = loop.time() - 1s;
  TimerHandle first = loop.call_at(when, [&] { order.push_back(1); });
  loop.call_at(when, [&] { order.push_back(2); });
  CHECK(first.reschedule(when));
  turn(loop);
  CHECK(order == std::vector{2, 1});
}

WEIR_TEST("TIME-006 cancel() prevents the callback, once or twice, and does nothing later") {
  int ran = 0;
  TimerHandle cancelled = loop.call_later(1ms, [&] { ran += 100; });
  TimerHandle kept = loop.call_later(2ms, [&] { ++ran; });
  cancelled.cancel();
  cancelled.cancel();
  co_await sleep(4ms);
  CHECK(ran == 1);
  // Its place belongs to another timer by now.
  std::vector<TimerHandle> others;
  for (int n = 0; n != 200; ++n) {
    others.push_back(loop.call_later(1ms, [&] { ++ran; }));
  }
  kept.cancel();
  cancelled.cancel();
  CHECK_FALSE(kept.reschedule(loop.time() + 1h));
  CHECK_FALSE(cancelled.reschedule(loop.time() + 1h));
  co_await sleep(4ms);
  CHECK(ran == 201);
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-006 timers of one batch may cancel and move each other") {
  std::vector<int> order;
  const TimePoint now = loop.time();
  TimerHandle cancelled, moved, moved_back;
  loop.call_at(now - 4s, [&] {
    order.push_back(1);
    cancelled.cancel();
    CHECK(moved.reschedule(now + 1h));
    CHECK(moved_back.reschedule(now - 5s));  // still due, but of the next iteration now
  });
  cancelled = loop.call_at(now - 3s, [&] { order.push_back(-1); });
  moved = loop.call_at(now - 2s, [&] { order.push_back(4); });
  moved_back = loop.call_at(now - 1s, [&] { order.push_back(3); });
  loop.call_at(now - 1ms, [&] { order.push_back(2); });
  turn(loop);
  CHECK(order == std::vector{1, 2});
  turn(loop);
  CHECK(order == std::vector{1, 2, 3});
  CHECK(moved.when() == now + 1h);
  CHECK(moved.reschedule(now));
  turn(loop);
  CHECK(order == std::vector{1, 2, 3, 4});
}

WEIR_TEST("TIME-007 when() is the deadline on the clock of loop.time()") {
  const TimePoint deadline = loop.time() + 2ms;
  TimerHandle at = loop.call_at(deadline, [] {});
  CHECK(at.when() == deadline);
  const TimePoint before = loop.time();
  TimerHandle later = loop.call_later(1500us, [] {});
  const TimePoint after = loop.time();
  CHECK(later.when() >= before + 1500us);
  CHECK(later.when() <= after + 1500us);
  co_await sleep(3ms);
  CHECK(at.when() == deadline);  // also when it has run
  TimerHandle cancelled = loop.call_at(deadline + 1h, [] {});
  cancelled.cancel();
  CHECK(cancelled.when() == deadline + 1h);
}

WEIR_TEST("TIME-008 loop.time() advances while a callback blocks") {
  const TimePoint before = loop.time();
  block(2ms);
  CHECK(loop.time() - before >= 2ms);
  TimePoint last = loop.time();
  for (int n = 0; n != 1000; ++n) {
    const TimePoint now = loop.time();
    CHECK(now >= last);
    last = now;
  }
  co_await sleep(0s);
  CHECK(loop.time() >= last);
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-008 loop.time() is the system's steady clock") {
  if (!has("real_clock")) {
    skip("TIME-008", "real_clock");
    return;
  }
  const auto before = std::chrono::steady_clock::now();
  const TimePoint now = loop.time();
  CHECK(now >= before);
  CHECK(now <= std::chrono::steady_clock::now());
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-008 loop.time() does not go back when the loop closes") {
  const TimePoint before = loop.time();
  loop.close();
  CHECK(loop.time() >= before);
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-009 a huge delay neither overflows nor fires early") {
  bool fired = false;
  const auto fire = [&] { fired = true; };
  const TimePoint begun = loop.time();
  std::vector<TimerHandle> handles;
  handles.push_back(loop.call_later(24h, fire));
  handles.push_back(loop.call_later(std::chrono::years(100), fire));
  handles.push_back(loop.call_later(std::chrono::years(290), fire));
  handles.push_back(loop.call_later(std::chrono::years(300), fire));  // more than nanoseconds can count
  handles.push_back(loop.call_later(std::chrono::hours::max(), fire));
  handles.push_back(loop.call_later(std::chrono::seconds::max(), fire));
  handles.push_back(loop.call_later(Duration::max(), fire));
  handles.push_back(loop.call_later(Duration::max() - 1ns, fire));
  handles.push_back(loop.call_later(std::chrono::duration<std::uint64_t, std::milli>::max(), fire));
  handles.push_back(loop.call_later(std::chrono::duration<float, std::ratio<86400>>(1e30F), fire));
  handles.push_back(loop.call_at(TimePoint::max(), fire));
  for (const TimerHandle& handle : handles) {
    CHECK(handle.when() >= begun + 24h);
  }
  CHECK(handles[2].when() > begun + 8760h * 280);
  for (int turns = 0; turns != 5; ++turns) {
    turn(loop);
  }
  run_until(loop, [&] { return loop.time() - begun > 20ms; });
  CHECK_FALSE(fired);
  for (TimerHandle& handle : handles) {
    handle.cancel();
  }
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-009 the end of time does not come") {
  // With nothing else to wait for, the loop waits for that timer alone.
  bool fired = false;
  loop.call_later(Duration::max(), [&] { fired = true; });
  loop.call_at(TimePoint::max(), [&] { fired = true; });
  std::thread other([&] { loop.call_soon_threadsafe([&] { loop.stop(); }); });
  loop.run_forever();
  other.join();
  CHECK_FALSE(fired);
}

TEST_CASE("TIME-009 every unit is converted upwards and without overflow") {
  using detail::to_duration;
  using std::chrono::duration;
  CHECK(to_duration(duration<std::int64_t, std::pico>(1), "") == 1ns);
  CHECK(to_duration(duration<std::int64_t, std::pico>(2001), "") == 3ns);
  CHECK(to_duration(duration<std::int64_t, std::pico>(-2001), "") == -2ns);
  CHECK(to_duration(duration<int, std::ratio<1, 3>>(1), "") == 333'333'334ns);
  CHECK(to_duration(duration<int, std::ratio<1, 60>>(60), "") == 1s);
  CHECK(to_duration(duration<double>(1.5), "") == 1500ms);
  CHECK(to_duration(duration<double, std::nano>(0.25), "") == 1ns);
  CHECK(to_duration(Duration::max(), "") == Duration::max());
  CHECK(to_duration(duration<std::int8_t, std::ratio<31'556'952>>(127), "") == std::chrono::years(127));
  // 285 years in thirds of a second, more than 64 bits in the common unit of both.
  const auto thirds = duration<std::int64_t, std::ratio<1, 3>>(std::int64_t{27'000'000'000});
  CHECK(to_duration(thirds, "") >= 9'000'000'000s - 1us);
  CHECK(to_duration(thirds, "") <= 9'000'000'000s + 1us);
  CHECK(to_duration(-thirds, "") <= -9'000'000'000s + 1us);
  CHECK(to_duration(duration<std::int64_t, std::ratio<1, 3>>::max(), "") == Duration::max());
  CHECK(to_duration(duration<std::uint64_t>(std::numeric_limits<std::uint64_t>::max()), "") ==
        Duration::max());
  CHECK(detail::add_clamped(TimePoint(Duration::max() - 5ns), 5ns) == TimePoint::max());
  CHECK(detail::add_clamped(TimePoint(Duration::max() - 5ns), 6ns) == TimePoint::max());
  CHECK(detail::add_clamped(TimePoint(-5s), Duration::max()) == TimePoint(Duration::max() - 5s));
  CHECK(detail::add_clamped(TimePoint(5s), Duration::min()) == TimePoint(5s));
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-010 an infinite delay is accepted, NaN is refused") {
  bool fired = false;
  const auto fire = [&] { fired = true; };
  using Seconds = std::chrono::duration<double>;
  TimerHandle infinite = loop.call_later(Seconds(std::numeric_limits<double>::infinity()), fire);
  CHECK(infinite.when() == TimePoint::max());
  TimerHandle single =
      loop.call_later(std::chrono::duration<float, std::milli>(std::numeric_limits<float>::infinity()), fire);
  CHECK(single.when() == TimePoint::max());
  CHECK_THROWS_AS(loop.call_later(Seconds(std::nan("")), fire), std::invalid_argument);
  CHECK_THROWS_AS(loop.call_later(std::chrono::duration<float, std::nano>(std::nanf("")), fire),
                  std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(sleep(Seconds(std::nan("")))), std::invalid_argument);
  bool fraction = false;
  loop.call_later(Seconds(0.0015), [&] { fraction = true; });
  run_until(loop, [&] { return fraction; });
  CHECK_FALSE(fired);
  infinite.cancel();
  single.cancel();
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-011 a zero-delay timer made by a timer runs in a later iteration") {
  std::vector<int> order;
  const TimePoint past = loop.time() - 1s;
  loop.call_at(past, [&] {
    order.push_back(1);
    loop.call_at(past - 1s, [&] { order.push_back(4); });  // earlier than everything due
    loop.call_later(0s, [&] { order.push_back(5); });
    loop.call_soon([&] { order.push_back(3); });
  });
  loop.call_at(past, [&] { order.push_back(2); });
  turn(loop);
  CHECK(order == std::vector{1, 2});
  turn(loop);
  CHECK(order == std::vector{1, 2, 3, 4, 5});

  int generations = 0;
  std::function<void()> again = [&] {
    ++generations;
    loop.call_later(0s, std::ref(again));
  };
  loop.call_later(0s, std::ref(again));
  for (int turns = 1; turns <= 5; ++turns) {
    turn(loop);
    CHECK(generations == turns);
  }
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-012 a cancelled timer is nothing to wait for") {
  detail::TimerHeap& heap = detail::LoopAccess::timers(loop);
  TimerHandle soon = loop.call_later(1s, [] {});
  TimerHandle later = loop.call_later(2h, [] {});
  CHECK(heap.next_deadline() == soon.when());
  soon.cancel();
  CHECK(heap.next_deadline() == later.when());
  CHECK(later.reschedule(loop.time() + 3h));
  CHECK(heap.next_deadline() == later.when());
  later.cancel();
  CHECK(heap.next_deadline() == TimePoint::max());
  CHECK(heap.empty());
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-012 cancelled timers do not wake the loop") {
  // The loop sleeps while a thread is on its way: under sim an hour would pass at once, were it waited for.
  const TimePoint begun = loop.time();
  for (int round = 0; round != 50; ++round) {
    loop.call_later(1h, [] {}).cancel();
    TimerHandle moved = loop.call_later(2h, [] {});
    moved.reschedule(TimePoint::max());
    std::thread other;
    loop.call_soon([&] { other = std::thread([&] { loop.call_soon_threadsafe([&] { loop.stop(); }); }); });
    loop.run_forever();
    other.join();
    moved.cancel();
  }
  CHECK(loop.time() - begun < 1h);
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-013 a timer handle reports cancelled() truthfully") {
  TimerHandle handle = loop.call_later(1s, [] {});
  CHECK_FALSE(handle.cancelled());
  handle.cancel();
  CHECK(handle.cancelled());
  handle.cancel();
  CHECK(handle.cancelled());
  bool ran = false;
  TimerHandle fired = loop.call_later(0s, [&] { ran = true; });
  run_until(loop, [&] { return ran; });
  CHECK_FALSE(fired.cancelled());
  TimerHandle moved = std::move(handle);
  CHECK(moved.cancelled());
  TimerHandle nothing;
  nothing.cancel();
  CHECK_FALSE(nothing.cancelled());
}

TEST_CASE_FIXTURE(LoopFixture, "TIME-014 timers that came due while the loop stood still fire in order") {
  std::vector<int> order;
  loop.call_later(3ms, [&] { order.push_back(3); });
  loop.call_later(1ms, [&] { order.push_back(1); });
  loop.call_later(2ms, [&] { order.push_back(2); });
  turn(loop);
  CHECK(order.empty());
  block(5ms);
  loop.call_soon([&] { order.push_back(0); });
  turn(loop);
  CHECK(order == std::vector{0, 1, 2, 3});
}

TEST_CASE_FIXTURE(LoopFixture,
                  "TIME-015 call_later before the first run counts from the moment of the call") {
  block(3ms);  // since the loop was made
  const TimePoint asked = loop.time();
  TimePoint ran{};
  TimerHandle handle = loop.call_later(2ms, [&] { ran = loop.time(); });
  CHECK(handle.when() >= asked + 2ms);
  SUBCASE("blocked before") {
    run_until(loop, [&] { return ran != TimePoint{}; });
    CHECK(ran >= asked + 2ms);
  }
  SUBCASE("blocked after: it is due at once") {
    block(5ms);
    turn(loop);
    CHECK(ran >= asked + 5ms);
  }
}

WEIR_TEST("TIME-015 also inside a callback that blocked, not from the iteration's beginning") {
  TimePoint asked{};
  TimePoint ran{};
  loop.call_soon([&] {
    block(3ms);
    asked = loop.time();
    loop.call_later(2ms, [&] { ran = loop.time(); });
  });
  co_await until([&] { return ran != TimePoint{}; });
  CHECK(ran - asked >= 2ms);
}
