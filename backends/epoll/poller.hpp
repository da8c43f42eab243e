// epoll as a Poller. Owns the epoll descriptor and the wake descriptor; knows no operation.
#pragma once

#include "backends/posix/capabilities.hpp"
#include "backends/posix/files.hpp"
#include "backends/posix/sockets.hpp"
#include "backends/posix/wake_fd.hpp"
#include "backends/readiness/poller.hpp"
#include "backends/readiness/sleep_state.hpp"

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

class EpollPoller {
 public:
  using Event = EpollEvent;
  using Sockets = PosixSockets;
  using Files = PosixFiles;
  static constexpr bool has_edge = true;

  // Throws std::system_error when the system refuses the descriptors.
  EpollPoller();

  std::int64_t watch(native_socket native, std::uint64_t token, Interest interest) noexcept;
  std::int64_t rewatch(native_socket native, std::uint64_t token, Interest interest) noexcept;
  void unwatch(native_socket native) noexcept;
  Polled<Event> poll(TimePoint deadline);

  bool take_wake() noexcept { return sleep_.take(); }
  void wake() noexcept {
    if (sleep_.wake()) {
      wake_fd_.wake();
    }
  }
  bool begin_sleep() noexcept { return sleep_.begin(); }
  native_socket descriptor() const noexcept { return epoll_.get(); }
  TimePoint now() const noexcept { return std::chrono::steady_clock::now(); }

  static bool has(Capability capability) noexcept { return posix_has(capability); }

 private:
  static constexpr std::size_t batch = 512;

  int wait(TimePoint deadline) noexcept;
  [[noreturn]] void fail(int error);

  Fd epoll_;
  WakeFd wake_fd_;
  SleepState sleep_;
  std::array<Event, batch> events_;
};

}  // namespace weir::inline WEIR_ABI::detail
