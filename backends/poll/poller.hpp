// poll(2) as a Poller: what every POSIX system has, and the example of how little a poller is. Owns the wake
// descriptor; knows no operation. Each poll() costs time for every descriptor that is registered.
#pragma once

#include "backends/posix/posix_poller.hpp"
#include "backends/posix/wake_fd.hpp"

#include <poll.h>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class PollPoller : public PosixPoller {
 public:
  using Event = PollEvent;
  static constexpr bool has_edge = false;

  // Throws std::system_error when the system refuses the wake descriptor.
  PollPoller();

  std::int64_t watch(native_socket native, std::uint64_t token, Interest interest) noexcept;
  std::int64_t rewatch(native_socket native, std::uint64_t token, Interest interest) noexcept {
    return watch(native, token, interest);
  }
  void unwatch(native_socket native) noexcept;
  Polled<Event> poll(TimePoint deadline);

  void wake() noexcept {
    if (sleep_.wake()) {
      wake_fd_.wake();
    }
  }

  void leave_to_parent() noexcept { wake_fd_.leave_to_parent(); }

 private:
  void make_room(std::size_t number);
  int wait(TimePoint deadline) noexcept;
  void collect(std::size_t count) noexcept;

  WakeFd wake_fd_;
  std::vector<pollfd> registered_;     // what the system is asked; the wake descriptor is the first
  std::vector<std::uint64_t> tokens_;  // of registered_
  std::vector<std::size_t> places_;    // in registered_, by number; 0: it is not there
  std::vector<Event> events_;          // has room for one event of each
};

}  // namespace weir::inline WEIR_ABI::detail
