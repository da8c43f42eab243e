// epoll(7). Facts that shape this file:
// - EPOLL_CTL_ADD and EPOLL_CTL_MOD report what is ready already, edge-triggered or not.
// - EPOLLERR and EPOLLHUP are reported whether asked for or not.
// - A read stops short at TCP's urgent mark, and nothing is reported after it: EPOLLPRI tells to read on.
// - A closed descriptor leaves the set only with its last duplicate, so its registration is removed before.
// - epoll_wait() counts in milliseconds; epoll_pwait2() (Linux 5.11, glibc 2.35) in nanoseconds.
#include "backends/epoll/poller.hpp"

#include "backends/readiness/time_left.hpp"

#include <time.h>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <system_error>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr std::uint64_t wake_token = ~std::uint64_t{0};

std::int64_t control(int epoll, int operation, int fd, std::uint64_t token, Interest interest) noexcept {
  epoll_event event{};
  event.data.u64 = token;
  event.events = ((interest & read_interest) != 0 ? std::uint32_t{EPOLLIN | EPOLLRDHUP} : 0) |
                 ((interest & write_interest) != 0 ? std::uint32_t{EPOLLOUT} : 0) |
                 ((interest & edge_interest) != 0 ? std::uint32_t{EPOLLET | EPOLLPRI} : 0);
  return ::epoll_ctl(epoll, operation, fd, &event) < 0 ? -errno : 0;
}

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
// Asked once a process: a kernel that lacks the call says ENOSYS, a sandbox that does not know it EPERM.
std::atomic<bool> has_pwait2 = true;

bool wait_precisely(int epoll, epoll_event* events, int count, std::chrono::nanoseconds left,
                    int& result) noexcept {
  if (!has_pwait2.load(std::memory_order_relaxed)) {
    return false;
  }
  const timespec timeout = to_timespec(left);
  result = ::epoll_pwait2(epoll, events, count, &timeout, nullptr);
  if (result < 0 && (errno == ENOSYS || errno == EPERM)) {
    has_pwait2.store(false, std::memory_order_relaxed);
    return false;
  }
  return true;
}
#else
bool wait_precisely(int, epoll_event*, int, std::chrono::nanoseconds, int&) noexcept { return false; }
#endif

}  // namespace

EpollPoller::EpollPoller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_.get() < 0) {
    throw std::system_error(errno, std::generic_category(), "epoll_create1");
  }
  // Edge-triggered: every write is reported once, so nobody needs to read the wakes away.
  const std::int64_t error =
      control(epoll_.get(), EPOLL_CTL_ADD, wake_fd_.fd(), wake_token, read_interest | edge_interest);
  if (error < 0) {
    throw std::system_error(static_cast<int>(-error), std::generic_category(), "epoll_ctl");
  }
}

std::int64_t EpollPoller::watch(native_socket native, std::uint64_t token, Interest interest) noexcept {
  const std::int64_t error = control(epoll_.get(), EPOLL_CTL_ADD, native, token, interest);
  return error == -EEXIST ? control(epoll_.get(), EPOLL_CTL_MOD, native, token, interest) : error;
}

std::int64_t EpollPoller::rewatch(native_socket native, std::uint64_t token, Interest interest) noexcept {
  const std::int64_t error = control(epoll_.get(), EPOLL_CTL_MOD, native, token, interest);
  return error == -ENOENT ? control(epoll_.get(), EPOLL_CTL_ADD, native, token, interest) : error;
}

void EpollPoller::unwatch(native_socket native) noexcept {
  // ENOENT and EBADF: the user closed it behind our back, and there is nothing left to remove.
  control(epoll_.get(), EPOLL_CTL_DEL, native, 0, no_interest);
}

Polled<EpollEvent> EpollPoller::poll(TimePoint deadline) {
  Look look(sleep_, deadline);
  const int count = wait(look.deadline());
  if (count < 0 && errno != EINTR) [[unlikely]] {
    // It would fail again at once, and the loop would spin: nothing of use happens any more. The descriptor
    // was closed by somebody else, most likely.
    throw std::system_error(errno, std::generic_category(), "epoll_wait");
  }
  Polled<EpollEvent> polled;
  polled.woken = look.woken();
  polled.events = std::span(events_.data(), static_cast<std::size_t>(std::max(count, 0)));
  return polled;
}

// Never shorter than the deadline says, except that a signal or a very long wait ends it early.
int EpollPoller::wait(TimePoint deadline) noexcept {
  epoll_event* const events = events_.data();
  constexpr int most = static_cast<int>(batch);
  if (deadline == TimePoint::max()) {
    return ::epoll_wait(epoll_.get(), events, most, -1);
  }
  const std::chrono::nanoseconds left = time_left(deadline);
  int result = 0;
  if (left.count() != 0 && wait_precisely(epoll_.get(), events, most, left, result)) {
    return result;
  }
  return ::epoll_wait(epoll_.get(), events, most, to_milliseconds(left));
}

}  // namespace weir::inline WEIR_ABI::detail
