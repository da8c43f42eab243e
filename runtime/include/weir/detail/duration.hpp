// Conversion of any chrono duration to the loop's, clamped instead of wrapping.
#pragma once

#include <weir/config.hpp>
#include <weir/handle.hpp>

#include <chrono>
#include <cmath>
#include <ratio>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace weir::inline WEIR_ABI::detail {

// Rounds up; infinity and what is too large become the largest duration. Throws std::invalid_argument naming
// `call` for NaN.
template <class Rep, class Period>
Duration to_duration(std::chrono::duration<Rep, Period> value, const char* call) {
  using Wide = std::chrono::duration<long double, Duration::period>;
  using Ratio = std::ratio_divide<Period, Duration::period>;
  if constexpr (std::is_floating_point_v<Rep>) {
    if (std::isnan(value.count())) {
      throw std::invalid_argument(std::string(call) + ": the duration is not a number");
    }
  }
  if constexpr (std::is_same_v<std::chrono::duration<Rep, Period>, Duration>) {
    return value;
  } else {
    const Wide wide = value;
    if (wide >= Wide(Duration::max())) {
      return Duration::max();
    }
    if (wide <= Wide(Duration::min())) {
      return Duration::min();
    }
    if constexpr (Ratio::num == 1 || Ratio::den == 1) {
      return std::chrono::ceil<Duration>(value);
    } else {
      // Frames of 1/60 s and the like: whole numbers would be multiplied before they are divided, and
      // overflow.
      return Duration(static_cast<Duration::rep>(std::ceil(wide.count())));
    }
  }
}

// `from` later by `delay`, or the end of time.
inline TimePoint add_clamped(TimePoint from, Duration delay) noexcept {
  if (delay.count() > 0 && from > TimePoint::max() - delay) {
    return TimePoint::max();
  }
  if (delay.count() < 0) {
    return from;
  }
  return from + delay;
}

}  // namespace weir::inline WEIR_ABI::detail
