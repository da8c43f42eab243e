// kqueue as a Poller, for macOS and the BSDs. Owns the queue, which also carries the wakes; knows no
// operation.
#pragma once

#include "backends/posix/posix_poller.hpp"
#include "backends/posix/wake_fd.hpp"

#include <sys/types.h>
// After <sys/types.h>, which it needs on some systems.
#include <sys/event.h>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// The kernel's own events, read where they lie.
struct KqueueEvent : kevent {};
// A pointer on most systems, an integer on NetBSD before 10.
using KqueueUserData = decltype(KqueueEvent::udata);
static_assert(sizeof(KqueueUserData) >= sizeof(std::uint64_t), "the user data of an event holds a token");

inline std::uint64_t to_token(const void* data) noexcept { return reinterpret_cast<std::uintptr_t>(data); }
inline std::uint64_t to_token(std::intptr_t data) noexcept { return static_cast<std::uint64_t>(data); }
inline std::uint64_t token_of(const KqueueEvent& event) noexcept { return to_token(event.udata); }

// The end of the other side comes with EVFILT_READ; with fflags it is an error, which ends both directions,
// as what EVFILT_WRITE calls the end always does.
inline Readiness ready_of(const KqueueEvent& event) noexcept {
  const bool is_read = static_cast<int>(event.filter) == EVFILT_READ;
  Readiness ready = is_read ? is_readable : is_writable;
  if ((event.flags & (EV_EOF | EV_ERROR)) != 0) [[unlikely]] {
    ready |= is_readable | is_ended;
    if (event.fflags != 0) {
      ready |= is_writable;
    }
  }
  return ready;
}

class KqueuePoller : public PosixPoller {
 public:
  using Event = KqueueEvent;
  static constexpr bool has_edge = true;

  // Throws std::system_error when the system refuses the descriptors.
  KqueuePoller();

  std::int64_t watch(native_socket native, std::uint64_t token, Interest interest) noexcept;
  std::int64_t rewatch(native_socket native, std::uint64_t token, Interest interest) noexcept {
    return watch(native, token, interest);
  }
  void unwatch(native_socket native) noexcept;
  Polled<Event> poll(TimePoint deadline);

  void wake() noexcept {
    if (sleep_.wake()) {
      trigger();
    }
  }
  bool begin_sleep() noexcept { return sleep_.begin() && hung_up_.empty(); }
  // A queue is not inherited, and its number is nobody's.
  void leave_to_parent() noexcept {
    queue_.forget();
#ifndef EVFILT_USER
    wake_fd_.leave_to_parent();
#endif
  }
  native_socket descriptor() const noexcept { return queue_.get(); }

 private:
  static constexpr std::size_t batch = 512;

  std::int64_t note_hung_up(native_socket native, std::uint64_t token, Interest interest) noexcept;
  std::size_t report_hung_up(std::size_t count) noexcept;
  int wait(TimePoint deadline) noexcept;
  void trigger() noexcept;

  Fd queue_;
#ifndef EVFILT_USER
  WakeFd wake_fd_;  // OpenBSD, NetBSD before 10
#endif
  // Pipes without another end, whose EVFILT_WRITE the system refuses: reported by poll() itself.
  struct HungUp {
    native_socket native;
    Event event;
    bool is_edge;
  };
  std::vector<HungUp> hung_up_;
  std::vector<Event> events_ = std::vector<Event>(batch);  // has room for those of hung_up_ as well
};

}  // namespace weir::inline WEIR_ABI::detail
