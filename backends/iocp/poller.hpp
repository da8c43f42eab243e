// Sockets as a Poller on Windows: one AFD poll a socket, whose answers come out of a completion port, as the
// wakes do. Knows no operation.
#pragma once

#include "backends/iocp/afd.hpp"
#include "backends/iocp/port.hpp"
#include "backends/readiness/poller.hpp"
#include "backends/readiness/sleep_state.hpp"
#include "backends/windows/files.hpp"
#include "backends/windows/sockets.hpp"

#include <memory>
#include <unordered_map>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class AfdPoller {
 public:
  using Event = PollEvent;
  using Sockets = WindowsSockets;
  using Files = WindowsFiles;
  static constexpr bool has_edge = false;

  // Throws std::system_error when the system refuses the port or the driver.
  AfdPoller();
  // Waits until the system has let go of every poll.
  ~AfdPoller();
  AfdPoller(const AfdPoller&) = delete;
  AfdPoller& operator=(const AfdPoller&) = delete;

  // -ENOTSUP for what is no socket.
  std::int64_t watch(native_socket native, std::uint64_t token, Interest interest) noexcept;
  std::int64_t rewatch(native_socket native, std::uint64_t token, Interest interest) noexcept {
    return watch(native, token, interest);
  }
  void unwatch(native_socket native) noexcept;
  Polled<Event> poll(TimePoint deadline);

  bool take_wake() noexcept { return sleep_.take(); }
  void wake() noexcept {
    if (sleep_.wake()) {
      port_.post(PortKey::wake);
    }
  }
  TimePoint now() const noexcept { return std::chrono::steady_clock::now(); }

  static bool has(Capability capability) noexcept;

 private:
  // Of the poll that the system has: at most one a socket, because of two it wakes the wrong one.
  enum class Asked : std::uint8_t { nothing, something, cancelled };

  struct Registration {
    AfdPoll poll;  // first: a packet points at it
    native_socket native = invalid_socket;
    HANDLE base = nullptr;
    std::uint64_t token = 0;
    Interest interest = no_interest;
    AfdEvents asked_events = 0;
    Asked asked = Asked::nothing;
    bool is_changed = false;  // in changed_
    bool is_over = false;     // unwatched, and back in free_ once the system has let go of it
  };

  Registration& acquire(native_socket native);
  void release(Registration& registration) noexcept;
  void mark_changed(Registration& registration) noexcept;
  void ask_again() noexcept;
  void ask(Registration& registration) noexcept;
  void end(Registration& registration) noexcept;
  void take(Registration& registration, std::int32_t status) noexcept;
  bool collect(TimePoint deadline);

  CompletionPort port_;
  Afd afd_;
  SleepState sleep_;
  std::unordered_map<native_socket, Registration*> registered_;
  std::vector<std::unique_ptr<Registration>> all_;
  std::vector<Registration*> free_;     // these three have room for all of all_
  std::vector<Registration*> changed_;  // what is asked is not, or may not be, what is wanted
  std::vector<Event> events_;
  std::size_t in_flight_ = 0;  // polls that the system has
};

}  // namespace weir::inline WEIR_ABI::detail
