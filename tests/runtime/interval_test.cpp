// Interval: when ticks come, and what becomes of missed ones.
#include "tests/runtime/outcome.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/interval.hpp>

#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

WEIR_TEST("Interval: ticks are a period apart, from its making on, however late each is taken") {
  const TimePoint start = loop.time();
  Interval interval(1ms);
  CHECK(interval.period() == 1ms);
  const TimePoint first = co_await interval.tick();
  CHECK(first >= start + 1ms);
  CHECK(loop.time() >= first);
  const TimePoint second = co_await interval.tick();
  CHECK((second - first) % 1ms == 0ns);
  CHECK(second > first);
}

WEIR_TEST("Interval: missed ticks are skipped, made up for, or delayed") {
  for (const MissedTicks missed : {MissedTicks::skip, MissedTicks::burst, MissedTicks::delay}) {
    CAPTURE(static_cast<int>(missed));
    Interval interval(2ms, missed);
    const TimePoint first = co_await interval.tick();
    co_await sleep(7ms);  // until after the fourth
    const TimePoint second = co_await interval.tick();
    const TimePoint now = loop.time();
    const TimePoint third = co_await interval.tick();
    CHECK(second - first >= 2ms);
    if (missed == MissedTicks::skip) {
      CHECK((second - first) % 2ms == 0ns);
      CHECK((third - first) % 2ms == 0ns);
      CHECK(third - first >= 8ms);
    } else if (missed == MissedTicks::burst) {
      CHECK(second - first == 2ms);
      CHECK(third - first == 4ms);
    } else {
      CHECK(third <= now + 2ms);
      CHECK(third - first >= 9ms);
    }
  }
}

WEIR_TEST("Interval: a cancelled tick is not lost; reset begins anew; a wrong period is refused") {
  Interval interval(1h);
  auto ticking = create_task(interval.tick());
  co_await sleep(0s);
  ticking.cancel();
  CHECK(co_await outcome_of(ticking) == "cancelled");
  interval.reset();
  CHECK_THROWS_WITH_AS(Interval(0s), "Interval: the period must be positive, and is 0 ns",
                       std::invalid_argument);
  CHECK_THROWS_AS(Interval(-1ms), std::invalid_argument);
}
