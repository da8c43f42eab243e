// A poller that is broken on purpose, in the place of the chosen one: the contract's tests have to notice.
// WEIR_TEST_BROKEN says how: `drop` loses every hundredth event, `stale` gives the last event of a descriptor
// that is no longer registered to the next one with its number; anything else breaks nothing.
#pragma once

#include "backends/epoll/poller.hpp"
#include "backends/fault_point.hpp"
#include "backends/host.hpp"
#include "tests/backends/whole_layer.hpp"

#include <cstdlib>
#include <map>
#include <string_view>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class BrokenPoller : public EpollPoller {
 public:
  using Event = PollEvent;

  std::int64_t watch(native_socket native, std::uint64_t token, Interest interest) noexcept {
    const std::int64_t result = EpollPoller::watch(native, token, interest);
    if (result == 0) {
      numbers_[token] = native;
      if (const auto old = stale_.find(native); old != stale_.end()) {
        forged_.push_back({token, old->second});
        stale_.erase(old);
      }
    }
    return result;
  }

  Polled<Event> poll(TimePoint deadline) {
    const auto polled = EpollPoller::poll(forged_.empty() ? deadline : TimePoint::min());
    events_.clear();
    events_.swap(forged_);
    for (const EpollEvent& event : polled.events) {
      if (way() == "drop" && ++count() % 100 == 0) {
        continue;
      }
      events_.push_back({token_of(event), ready_of(event)});
      if (way() == "stale") {
        last_[token_of(event)] = ready_of(event);
      }
    }
    return {events_, polled.woken};
  }

  void unwatch(native_socket native) noexcept {
    EpollPoller::unwatch(native);
    for (const auto& [token, ready] : last_) {
      if (numbers_[token] == native) {
        stale_[native] = ready;
      }
    }
    std::erase_if(last_, [&](const auto& one) { return numbers_[one.first] == native; });
  }

 private:
  static std::string_view way() noexcept {
    static const char* const named = std::getenv("WEIR_TEST_BROKEN");
    return named != nullptr ? named : "";
  }
  static unsigned& count() noexcept {
    static unsigned of_the_process = 0;
    return of_the_process;
  }

  std::map<native_socket, Readiness> stale_;
  std::map<std::uint64_t, Readiness> last_;
  std::map<std::uint64_t, native_socket> numbers_;
  std::vector<Event> forged_;
  std::vector<Event> events_;
};

using Backend = ReadinessBackend<BrokenPoller>;

static_assert(IsPoller<BrokenPoller>);
static_assert(IsBackend<Backend>);

}  // namespace weir::inline WEIR_ABI::detail
