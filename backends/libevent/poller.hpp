// libevent's event_base as a Poller: readiness of descriptors, and nothing else of libevent. Timers, signals
// and wake-ups are weir's own. Knows no operation.
#pragma once

#include "backends/posix/posix_poller.hpp"
#include "backends/posix/wake_fd.hpp"

#include <sys/time.h>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

struct event;
struct event_base;

namespace weir::inline WEIR_ABI::detail {

struct LibeventFree {
  void operator()(event* freed) const noexcept;
  void operator()(event_base* freed) const noexcept;
};
using LibeventEvent = std::unique_ptr<event, LibeventFree>;
using LibeventBase = std::unique_ptr<event_base, LibeventFree>;

class LibeventPoller : public PosixPoller {
 public:
  using Event = PollEvent;
  // Of libevent's methods only epoll and kqueue report changes, and which one there is turns out at run time:
  // the version, the kernel and the environment have a say. Whoever wants edges on such a system has those
  // two as backends of their own.
  static constexpr bool has_edge = false;

  // Throws std::system_error when the system refuses the descriptors, std::bad_alloc.
  LibeventPoller();
  LibeventPoller(const LibeventPoller&) = delete;
  LibeventPoller& operator=(const LibeventPoller&) = delete;

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
  bool begin_sleep() noexcept { return sleep_.begin(); }

  // An application's base takes over: its loop collects, and activates `turn` when it has, or when there was
  // a wake; poll() only takes what is collected, and never waits. 0 or a negated errno, and then nothing has
  // changed. Neither allocates.
  std::int64_t move_to(event_base* host, event* turn) noexcept;
  void move_home() noexcept;

  // In a child of fork(), to whom libevent's events are its parent's: to delete one, or the base, would take
  // it out of what the parent waits with.
  void leave_to_parent() noexcept;

  // What libevent waits with: "epoll", "poll", "select", …
  std::string_view method() const noexcept;

 private:
  static constexpr std::size_t nowhere = ~std::size_t{0};

  // One descriptor number, from its first watch until the poller ends: libevent may hold a pointer to it
  // longer than the registration lasts.
  struct Registration {
    LibeventPoller* poller = nullptr;
    std::uint64_t token = 0;
    Interest interest = no_interest;  // none: not registered
    bool is_socket = false;
    LibeventEvent event;
    std::size_t collected = nowhere;  // where in `collected_`
  };

  // libevent's callbacks.
  static void on_event(int fd, short what, void* registration) noexcept;
  static void on_wake(int fd, short what, void* poller) noexcept;
  static void on_time(int, short, void*) noexcept {}

  Registration& registration_for(native_socket native);
  std::int64_t check(native_socket native, bool& is_socket) const noexcept;
  short flags_for(Interest interest, bool is_socket) const noexcept;
  std::int64_t add(Registration& registration, native_socket native) noexcept;
  void take_out() noexcept;
  std::int64_t put_in() noexcept;
  void call_host() noexcept;
  event_base* base() const noexcept { return host_ != nullptr ? host_ : base_.get(); }
  int wait(TimePoint deadline) noexcept;

  LibeventBase base_;
  event_base* host_ = nullptr;  // while embedded
  event* turn_ = nullptr;
  bool limited_ = false;  // to numbers below FD_SETSIZE
  bool is_epoll_ = false;
  bool has_edges_ = false;
  WakeFd wake_fd_;
  LibeventEvent wake_event_;
  LibeventEvent timer_;
  std::vector<std::unique_ptr<Registration>> by_number_;
  std::vector<Registration*> collected_from_;  // parallel to `collected_`
  std::vector<Event> collected_;               // has room for every registration: on_event never allocates
  std::vector<Event> reported_;
  std::size_t registrations_ = 0;
  std::size_t room_ = 0;
};

// Rounded up to libevent's microseconds.
timeval to_timeval(std::chrono::nanoseconds duration) noexcept;

}  // namespace weir::inline WEIR_ABI::detail
