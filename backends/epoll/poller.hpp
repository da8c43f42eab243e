// epoll as a Poller. Owns the epoll descriptor and the wake descriptor; knows no operation.
#pragma once

#include "backends/posix/posix_poller.hpp"
#include "backends/posix/wake_fd.hpp"

#include <sys/epoll.h>
#include <array>

namespace weir::inline WEIR_ABI::detail {

// The kernel's own events, read where they lie.
struct EpollEvent : epoll_event {};
inline std::uint64_t token_of(const EpollEvent& event) noexcept { return event.data.u64; }
inline Readiness ready_of(const EpollEvent& event) noexcept {
  static_assert(EPOLLIN == is_readable && EPOLLOUT >> 1 == is_writable);
  const std::uint32_t events = event.events;
  Readiness ready = (events & EPOLLIN) | (events & EPOLLOUT) >> 1;
  if ((events & ~std::uint32_t{EPOLLIN | EPOLLOUT}) != 0) [[unlikely]] {
    if ((events & (EPOLLPRI | EPOLLRDHUP)) != 0) {
      ready |= is_readable | is_ended;
    }
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
      ready |= is_readable | is_writable | is_ended;
    }
  }
  return ready;
}

class EpollPoller : public PosixPoller {
 public:
  using Event = EpollEvent;
  static constexpr bool has_edge = true;

  // Throws std::system_error when the system refuses the descriptors.
  EpollPoller();

  std::int64_t watch(native_socket native, std::uint64_t token, Interest interest) noexcept;
  std::int64_t rewatch(native_socket native, std::uint64_t token, Interest interest) noexcept;
  void unwatch(native_socket native) noexcept;
  Polled<Event> poll(TimePoint deadline);

  void wake() noexcept {
    if (sleep_.wake()) {
      wake_fd_.wake();
    }
  }
  bool begin_sleep() noexcept { return sleep_.begin(); }
  // Closing this process's descriptor takes nothing out of the set, which is the parent's.
  void leave_to_parent() noexcept {
    epoll_.reset();
    wake_fd_.leave_to_parent();
  }
  native_socket descriptor() const noexcept { return epoll_.get(); }

 private:
  static constexpr std::size_t batch = 512;

  int wait(TimePoint deadline) noexcept;

  Fd epoll_;
  WakeFd wake_fd_;
  std::array<Event, batch> events_;
};

}  // namespace weir::inline WEIR_ABI::detail
