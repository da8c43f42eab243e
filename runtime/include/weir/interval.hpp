// Interval: a tick again and again, and what becomes of those that were missed.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/duration.hpp>
#include <weir/handle.hpp>

#include <chrono>
#include <cstdint>

namespace weir::inline WEIR_ABI {

// What happens to ticks that were due while nobody waited for one.
enum class MissedTicks : std::uint8_t {
  skip,   // they are left out: the next one is the next multiple of the period
  burst,  // they follow at once, one after the other, until all have been made up for
  delay,  // the next one is a whole period after the late one
};

// Ticks every `period`, the first one a period after it was made. It does not drift: times are counted from
// the one before, not from when it was taken. Made and used on a running loop's thread.
class WEIR_API Interval {
 public:
  // Throws std::invalid_argument when the period is not positive, RuntimeError when no loop runs.
  template <class Rep, class Period>
  explicit Interval(std::chrono::duration<Rep, Period> period, MissedTicks missed = MissedTicks::skip)
      : Interval(detail::to_duration(period, "Interval"), missed, Checked()) {}

  // co_await waits for the next tick and gives the time for which it was set. One that is due already comes
  // in the next turn. Cancelled, it takes none. One coroutine at a time.
  Coro<TimePoint> tick();
  // The next one comes a whole period from now.
  void reset();
  Duration period() const noexcept { return period_; }

 private:
  struct Checked {};
  Interval(Duration period, MissedTicks missed, Checked);

  Duration period_;
  MissedTicks missed_;
  TimePoint next_;
};

}  // namespace weir::inline WEIR_ABI
