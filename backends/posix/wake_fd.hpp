// A descriptor that other threads and signal handlers make readable in order to end a sleep.
#pragma once

#include "backends/posix/fd.hpp"

namespace weir::inline WEIR_ABI::detail {

class WakeFd {
 public:
  // Throws std::system_error when the system refuses another descriptor.
  WakeFd();

  // The end to sleep on. It stays readable until drain(). An edge-triggered sleeper need never drain an
  // eventfd; a pipe that is full brings no more edges.
  int fd() const noexcept { return read_end_.get(); }
  // Any thread, any signal handler; leaves errno alone. Wakes before one drain() merge.
  void wake() noexcept;
  void drain() noexcept;
  // In a child of fork(): later wakes do not reach the sleeper, who is the parent.
  void leave_to_parent() noexcept {
    read_end_.reset();
    write_end_.reset();
  }

 private:
  Fd read_end_;
  Fd write_end_;  // of a pipe, where there is no eventfd
};

}  // namespace weir::inline WEIR_ABI::detail
