// What the pollers of POSIX systems have in common: the calls of the operations, the clock, and the state of
// their sleep. What ends the sleep is each one's own.
#pragma once

#include "backends/posix/capabilities.hpp"
#include "backends/posix/files.hpp"
#include "backends/posix/sockets.hpp"
#include "backends/readiness/poller.hpp"
#include "backends/readiness/sleep_state.hpp"

namespace weir::inline WEIR_ABI::detail {

class PosixPoller {
 public:
  using Sockets = PosixSockets;
  using Files = PosixFiles;

  bool take_wake() noexcept { return sleep_.take(); }
  TimePoint now() const noexcept { return std::chrono::steady_clock::now(); }

  static bool has(Capability capability) noexcept { return posix_has(capability); }

 protected:
  PosixPoller() = default;
  ~PosixPoller() = default;

  SleepState sleep_;
};

}  // namespace weir::inline WEIR_ABI::detail
