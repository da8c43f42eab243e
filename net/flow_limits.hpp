// What the writing sides of all transports share: the marks of flow control, and the patience with writes
// that come too late.
#pragma once

#include <weir/net/transport.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace weir::inline WEIR_ABI::detail {

inline constexpr WriteBufferLimits default_write_limits{16 * 1024, 64 * 1024};

// The marks that set_write_buffer_limits is asked for. Throws std::invalid_argument.
inline WriteBufferLimits checked_write_limits(std::optional<std::ptrdiff_t> high,
                                              std::optional<std::ptrdiff_t> low) {
  if (!high) {
    high = low ? (*low <= PTRDIFF_MAX / 4 ? *low * 4 : PTRDIFF_MAX)
               : static_cast<std::ptrdiff_t>(default_write_limits.high);
  }
  if (!low) {
    low = *high / 4;
  }
  if (*low < 0 || *low > *high) {
    throw std::invalid_argument("set_write_buffer_limits: high (" + std::to_string(*high) +
                                ") must be >= low (" + std::to_string(*low) + ") must be >= 0");
  }
  return {static_cast<std::size_t>(*low), static_cast<std::size_t>(*high)};
}

// Counts the writes to a transport that is gone: after so many, somebody ought to be told, once. Python's
// number.
class IgnoredWrites {
 public:
  bool is_one_too_many() noexcept { return count_ < most && ++count_ == most; }

 private:
  static constexpr std::uint8_t most = 5;
  std::uint8_t count_ = 0;
};

}  // namespace weir::inline WEIR_ABI::detail
