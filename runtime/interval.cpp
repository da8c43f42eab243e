// Interval: when the next tick is.
#include <weir/event_loop.hpp>
#include <weir/interval.hpp>
#include <weir/tasks.hpp>

#include <stdexcept>

namespace weir::inline WEIR_ABI {

Interval::Interval(Duration period, MissedTicks missed, Checked) : period_(period), missed_(missed) {
  if (period_.count() <= 0) {
    throw std::invalid_argument("Interval: the period must be positive, and is " +
                                std::to_string(period_.count()) + " ns");
  }
  reset();
}

void Interval::reset() { next_ = detail::add_clamped(detail::running_loop_for("Interval").time(), period_); }

Coro<TimePoint> Interval::tick() {
  EventLoop& loop = detail::running_loop_for("Interval::tick");
  co_await sleep(next_ - loop.time());
  const TimePoint tick = next_;
  const TimePoint now = loop.time();
  switch (missed_) {
    case MissedTicks::skip:
      next_ = detail::add_clamped(tick, period_ * ((now - tick) / period_ + 1));
      break;
    case MissedTicks::burst:
      next_ = detail::add_clamped(tick, period_);
      break;
    case MissedTicks::delay:
      next_ = detail::add_clamped(now, period_);
      break;
  }
  co_return tick;
}

}  // namespace weir::inline WEIR_ABI
