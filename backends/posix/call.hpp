// What every system call needs: to be repeated when a signal interrupted it, and its error as a negated
// errno.
#pragma once

#include <weir/config.hpp>

#include <cerrno>
#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

inline std::int64_t negated_errno() noexcept { return errno == EWOULDBLOCK ? -EAGAIN : -errno; }

// Repeats a call that a signal interrupted and turns its error into a negated errno.
template <class Call>
std::int64_t retried(Call call) noexcept {
  for (;;) {
    const auto result = call();
    if (result >= 0) {
      return static_cast<std::int64_t>(result);
    }
    if (errno != EINTR) {
      return negated_errno();
    }
  }
}

}  // namespace weir::inline WEIR_ABI::detail
