// Sockets as a Poller on Windows. Of the loop's own the system gets whole operations, and where something is
// to be received an empty one that probes for it; of all others one AFD poll each. The answers come out of a
// completion port, as the wakes do. A process is readable once it has ended, as a pidfd is.
#pragma once

#include "backends/iocp/afd.hpp"
#include "backends/iocp/operations.hpp"
#include "backends/iocp/port.hpp"
#include "backends/iocp/process_wait.hpp"
#include "backends/readiness/poller.hpp"
#include "backends/readiness/sleep_state.hpp"
#include "backends/windows/files.hpp"
#include "backends/windows/sockets.hpp"

#include <memory>
#include <unordered_map>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class IocpPoller {
 public:
  using Event = PollEvent;
  using Sockets = WindowsSockets;
  using Files = WindowsFiles;
  static constexpr bool has_edge = false;

  // Throws std::system_error when the system refuses the port or the driver.
  IocpPoller();
  // Waits until the system has let go of everything.
  ~IocpPoller();
  IocpPoller(const IocpPoller&) = delete;
  IocpPoller& operator=(const IocpPoller&) = delete;

  // -ENOTSUP for what is neither a socket nor a process.
  std::int64_t watch(native_socket native, std::uint64_t token, Interest interest) noexcept;
  std::int64_t rewatch(native_socket native, std::uint64_t token, Interest interest) noexcept {
    return watch(native, token, interest);
  }
  void unwatch(native_socket native) noexcept;
  Polled<Event> poll(TimePoint deadline);

  // False with WEIR_IOCP_AFD=1 in the environment, for tests: AFD polls for everything. Else when the socket
  // belongs to another port already.
  bool adopt(native_socket native) noexcept;
  Submitted submit(Op& op) noexcept { return operations_.submit(op); }
  void withdraw(Op& op) noexcept { operations_.withdraw(op); }
  std::size_t pending_operations() const noexcept { return operations_.in_flight(); }

  // Under Wine, what a probe or a poll was told is not told again by the receive that follows.
  bool was_reset(native_socket native) const noexcept;

  bool take_wake() noexcept { return sleep_.take(); }
  void wake() noexcept {
    if (sleep_.wake()) {
      port_.post(PortKey::wake);
    }
  }
  TimePoint now() const noexcept { return std::chrono::steady_clock::now(); }

  static bool has(Capability capability) noexcept;

 private:
  // What the system has of one: at most one poll a socket, because of two it wakes the wrong one.
  enum class Asked : std::uint8_t { nothing, something, cancelled };

  struct Registration;
  // An empty receive: it takes nothing, and ends when there is something to take.
  struct Probe : SystemRequest {
    Probe() noexcept : SystemRequest(RequestKind::probe) {}
    Registration* owner = nullptr;
    Asked asked = Asked::nothing;
  };
  struct Registration {
    AfdPoll poll;  // first: a packet points at it
    AfdEvents polled_events = 0;
    Asked polled = Asked::nothing;
    Interest interest = no_interest;
    bool is_changed = false;  // in changed_
    bool is_over = false;     // unwatched, and back in free_ once the system has let go of it
    bool is_datagram = false;
    bool is_pipe = false;
    bool is_process = false;  // and `polled` is about the wait for it
    bool has_ended = false;
    bool can_probe = false;
    bool was_reset = false;  // the system has said so; until another socket has the number
    Probe probe;
    ProcessWait process;
    native_socket native = invalid_socket;
    HANDLE base = nullptr;  // as AFD knows it; asked for with the first poll
    std::uint64_t token = 0;
  };

  // The one of this number; a new one where the wait for a process would have to be another.
  Registration& registration_of(native_socket native, bool is_process);
  Registration& acquire(native_socket native);
  void release(Registration& registration) noexcept;
  void mark_changed(Registration& registration) noexcept;
  void report(Registration& registration, Readiness ready) noexcept;
  // Makes what is asked of the system what is wanted.
  void ask_again() noexcept;
  void ask(Registration& registration) noexcept;
  void probe(Registration& registration) noexcept;
  static DWORD begin_probe(Registration& registration) noexcept;
  void poll_for(Registration& registration, AfdEvents events) noexcept;
  std::int64_t wait_for(Registration& process) noexcept;
  void end(Registration& registration) noexcept;
  // What came out of the port.
  bool collect(TimePoint deadline);
  void take(const OVERLAPPED_ENTRY& packet) noexcept;
  void take_poll(Registration& registration, std::int32_t status) noexcept;
  void take_probe(Probe& probe, std::int32_t status) noexcept;
  void take_process(Registration& registration) noexcept;
  bool is_over(Registration& registration) noexcept;

  CompletionPort port_;
  Afd afd_;
  SleepState sleep_;
  std::unordered_map<native_socket, Registration*> registered_;
  std::vector<std::unique_ptr<Registration>> all_;
  std::vector<Registration*> free_;     // these have room for all of all_
  std::vector<Registration*> changed_;  // what is asked is not, or may not be, what is wanted
  std::vector<Registration*> asking_;
  static constexpr std::size_t most_events = 3;  // of a registration in one look
  std::vector<Event> events_;
  std::size_t in_flight_ = 0;  // polls and probes that the system has
  OverlappedOperations operations_;
  std::vector<Completed> completed_;
  const bool afd_only_;
};

}  // namespace weir::inline WEIR_ABI::detail
