// A poller of a few lines on a kernel of a few lines, so that the operation layer is tested by itself: a
// poller that reports them in a drawn order, edge- or level-triggered, late, twice, and for registrations
// that are over.
#pragma once

#include "tests/backends/fake_kernel.hpp"
#include "tests/backends/whole_layer.hpp"

#include <vector>

namespace fake {

template <bool edge>
struct Poller {
  using Sockets = fake::Sockets;
  using Files = PosixFiles;
  using Event = PollEvent;
  static constexpr bool has_edge = edge;

  std::int64_t watch(native_socket native, std::uint64_t token, Interest interest) noexcept {
    ++kernel->counts.controls;
    if (kernel->refusal != 0) {
      return -std::exchange(kernel->refusal, 0);
    }
    Socket& socket = kernel->at(native);
    if (!socket.open) {
      return -EBADF;
    }
    if (socket.registered) {
      kernel->old_tokens.push_back(socket.token);
    }
    socket.registered = true;
    socket.token = token;
    socket.interest = interest;
    socket.changed = true;
    return 0;
  }
  std::int64_t rewatch(native_socket native, std::uint64_t token, Interest interest) noexcept {
    return watch(native, token, interest);
  }
  void unwatch(native_socket native) noexcept {
    ++kernel->counts.controls;
    Socket& socket = kernel->at(native);
    if (socket.registered) {
      kernel->old_tokens.push_back(socket.token);
    }
    socket.registered = false;
  }
  Polled<Event> poll(TimePoint) {
    ++kernel->counts.polls;
    auto& events = kernel->events;
    events.clear();
    for (Socket& socket : kernel->sockets) {
      if (!socket.open || !socket.registered || (kernel->reports_late && kernel->draw(3) == 0)) {
        continue;
      }
      Readiness ready = socket.state();
      const bool ended_both = socket.failed != 0;  // reported whether asked for or not
      if (!ended_both) {
        ready &= socket.interest | is_ended;
        ready = (ready & (is_readable | is_writable)) != 0 ? ready : Readiness{0};
      }
      if ((socket.interest & edge_interest) != 0) {
        ready = socket.changed ? ready : Readiness{0};
        socket.changed = false;
      }
      if (ready != 0) {
        events.push_back({socket.token, ready});
      } else if (kernel->reports_twice && kernel->draw(4) == 0) {
        events.push_back({socket.token, static_cast<Readiness>(1 + kernel->draw(7))});
      }
    }
    if (kernel->reports_stale) {
      for (int i = 0; i < 3 && !kernel->old_tokens.empty(); ++i) {
        const auto which = kernel->draw(kernel->old_tokens.size());
        events.push_back({kernel->old_tokens[which], is_readable | is_writable | is_ended});
      }
    }
    if (kernel->is_shuffled) {
      for (std::size_t i = events.size(); i > 1; --i) {
        std::swap(events[i - 1], events[kernel->draw(i)]);
      }
    }
    return {events, false};
  }
  bool was_reset(native_socket native) const noexcept { return kernel->at(native).told_of_reset; }
  bool take_wake() noexcept { return false; }
  void wake() noexcept {}
  TimePoint now() const noexcept { return TimePoint(); }
  static bool has(Capability) noexcept { return true; }
};

static_assert(IsPoller<Poller<true>> && IsPoller<Poller<false>> && LearnsOfResets<Poller<true>>);

// A loop on such a kernel.
template <bool edge>
struct Loop {
  Loop() { fake::kernel = &kernel; }
  ~Loop() {
    backend.close_all();
    while (!queue.empty()) {
      ReadyItem item = queue.pop();
      item(ReadyAction::drop);
    }
  }
  void run() {
    for (std::size_t left = queue.size(); left > 0; --left) {
      ReadyItem item = queue.pop();
      item(ReadyAction::run);
    }
  }
  void turn() {
    backend.poll(TimePoint::min());
    run();
  }
  void turns(int count) {
    while (count-- > 0) {
      turn();
    }
  }

  Kernel kernel;
  ReadyQueue queue;
  ReadinessBackend<Poller<edge>> backend{queue};
};

}  // namespace fake
