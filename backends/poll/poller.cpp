// poll(2). Facts that shape this file:
// - It knows numbers, not descriptors: a closed one comes back as POLLNVAL, one opened again is the new one.
// - POLLERR and POLLHUP are reported whether asked for or not.
// - A condition is reported as long as it lasts, the wake descriptor's too: it has to be drained.
#include "backends/poll/poller.hpp"

#include "backends/readiness/time_left.hpp"

#include <fcntl.h>
#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>

namespace weir::inline WEIR_ABI::detail {

namespace {

short events_of(Interest interest) noexcept {
  return static_cast<short>(((interest & read_interest) != 0 ? POLLIN : 0) |
                            ((interest & write_interest) != 0 ? POLLOUT : 0));
}

Readiness ready_of(short events) noexcept {
  if ((events & (POLLERR | POLLHUP)) != 0) {
    return is_readable | is_writable | is_ended;
  }
  return static_cast<Readiness>(((events & POLLIN) != 0 ? is_readable : 0) |
                                ((events & POLLOUT) != 0 ? is_writable : 0));
}

}  // namespace

PollPoller::PollPoller() : registered_{{wake_fd_.fd(), POLLIN, 0}}, tokens_{0} {}

// Grown before anything is changed, and for poll() as well, which then never allocates.
void PollPoller::make_room(std::size_t number) {
  if (number >= places_.size()) {
    places_.resize(number + number / 2 + 16);
  }
  if (registered_.size() == registered_.capacity() || events_.capacity() < registered_.capacity()) {
    const std::size_t room = 2 * registered_.size() + 16;
    tokens_.reserve(room);
    events_.reserve(room);
    registered_.reserve(room);
  }
}

std::int64_t PollPoller::watch(native_socket native, std::uint64_t token, Interest interest) noexcept {
  if (::fcntl(native, F_GETFD) < 0) {
    return -errno;  // poll() would tell too late
  }
  const auto number = static_cast<std::size_t>(native);
  try {
    make_room(number);
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  std::size_t& place = places_[number];
  if (place == 0) {
    place = registered_.size();
    registered_.push_back({native, 0, 0});
    tokens_.push_back(0);
  }
  registered_[place].events = events_of(interest);
  tokens_[place] = token;
  return 0;
}

void PollPoller::unwatch(native_socket native) noexcept {
  const auto number = static_cast<std::size_t>(native);
  if (number >= places_.size() || places_[number] == 0) {
    return;
  }
  const std::size_t place = std::exchange(places_[number], 0);
  if (place != registered_.size() - 1) {
    registered_[place] = registered_.back();
    tokens_[place] = tokens_.back();
    places_[static_cast<std::size_t>(registered_[place].fd)] = place;
  }
  registered_.pop_back();
  tokens_.pop_back();
}

Polled<PollEvent> PollPoller::poll(TimePoint deadline) {
  Look look(sleep_, deadline);
  const int count = wait(look.deadline());
  if (count < 0 && errno != EINTR) [[unlikely]] {
    throw std::system_error(errno, std::generic_category(), "poll");
  }
  Polled<Event> polled;
  polled.woken = look.woken();
  collect(static_cast<std::size_t>(std::max(count, 0)));
  polled.events = events_;
  return polled;
}

// Backwards, because what is unwatched here is replaced by the last one.
void PollPoller::collect(std::size_t count) noexcept {
  events_.clear();
  for (std::size_t place = registered_.size(); count != 0 && place-- > 1;) {
    const pollfd one = registered_[place];
    if (one.revents == 0) {
      continue;
    }
    --count;
    if ((one.revents & POLLNVAL) != 0) {
      unwatch(one.fd);  // closed behind our back: its registration goes with it, as under other pollers
    } else {
      events_.push_back({tokens_[place], ready_of(one.revents)});
    }
  }
  if (count != 0) {
    wake_fd_.drain();
  }
}

#if defined(__linux__) || defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)

int PollPoller::wait(TimePoint deadline) noexcept {
  const auto count = static_cast<nfds_t>(registered_.size());
  if (deadline == TimePoint::max()) {
    return ::ppoll(registered_.data(), count, nullptr, nullptr);
  }
  const timespec left = to_timespec(time_left(deadline));
  return ::ppoll(registered_.data(), count, &left, nullptr);
}

#else

int PollPoller::wait(TimePoint deadline) noexcept {
  const int left = deadline == TimePoint::max() ? -1 : to_milliseconds(time_left(deadline));
  return ::poll(registered_.data(), static_cast<nfds_t>(registered_.size()), left);
}

#endif

}  // namespace weir::inline WEIR_ABI::detail
