// A host loop for guest mode, as plain as can be: poll(2) on the loop's descriptor. With
// WEIR_TEST_HOST=helper in the environment another thread calls poll(2), as for a host that cannot wait on
// descriptors. Where the backend has none it is a game, which calls once a frame; under sim the host is what
// moves the clock.
#pragma once

#include "tests/support/system.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/guest.hpp>
#include <weir/sim.hpp>

#include <algorithm>
#include <chrono>

#if defined(WEIR_TEST_POSIX)
#include <poll.h>

#include <cstdlib>
#include <future>
#include <string_view>
#endif

namespace weir::testing {

class Host {
 public:
  explicit Host(EventLoop& loop) : loop_(loop), guest(loop) {}

  // Waits until there is something to run, or `limit` has come. False: it has come.
  bool wait(TimePoint limit) {
    const TimePoint deadline = std::min(guest.next_deadline(), limit);
    const TimePoint now = loop_.time();
    if (deadline <= now) {
      return deadline < limit || deadline == TimePoint::min();
    }
#if defined(WEIR_BACKEND_SIM)
    sim::advance(std::min<std::chrono::nanoseconds>(deadline - now, std::chrono::milliseconds(1)));
#else
#if defined(WEIR_TEST_POSIX)
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now);
    if (has("pollable_descriptor")) {
      pollfd waiting{guest.descriptor(), POLLIN, 0};
      const auto wait_on_it = [&] { return ::poll(&waiting, 1, static_cast<int>(left.count())) > 0; };
      return (has_helper_ ? std::async(std::launch::async, wait_on_it).get() : wait_on_it()) ||
             deadline < limit;
    }
#endif
    pass_frame();
#endif
    return deadline < limit || loop_.time() < limit;
  }
  // One round of the host.
  bool round(TimePoint limit) {
    ++rounds;
    wait(limit);
    return guest.run_ready();
  }
  // Rounds until the predicate holds; false when it does not within `limit`.
  template <class Predicate>
  bool until(Predicate holds, Duration limit = std::chrono::seconds(20)) {
    const TimePoint end = loop_.time() + limit;
    while (!holds()) {
      if (loop_.time() >= end) {
        return false;
      }
      round(end);
    }
    return true;
  }

 private:
  EventLoop& loop_;
#if defined(WEIR_TEST_POSIX)
  const bool has_helper_ = [] {
    const char* const how = std::getenv("WEIR_TEST_HOST");
    return how != nullptr && std::string_view(how) == "helper";
  }();
#endif

 public:
  LoopGuest guest;
  int rounds = 0;
};

}  // namespace weir::testing
