// libevent 2.1. Facts that shape this file:
// - The kernel's answer to event_add() is immediate, unless the base has the epoll changelist.
// - event_add() asks the kernel nothing where it knows the number already, so a registration that may be that
//   of an earlier descriptor is removed before.
// - Its poll and select take any number and complain when they wait; its epoll refuses, and warns on stderr.
// - It knows no way to wait for the end alone.
// - A hang-up or an error comes with each direction that is asked for, and with none that is not.
// - Without EVENT_BASE_FLAG_PRECISE_TIMER it counts on a clock that may be four milliseconds late.
// - EVLOOP_ONCE goes on waiting after a signal; EVLOOP_NONBLOCK alone looks again while something is ready.
// - FD_SET of a number from FD_SETSIZE on ends a process that was compiled with _FORTIFY_SOURCE.
#include "backends/libevent/poller.hpp"

#include <event2/event.h>
#include <sys/select.h>
#include <sys/stat.h>

#ifdef __linux__
#include <sys/epoll.h>
#endif

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>

namespace weir::inline WEIR_ABI::detail {

namespace {

LibeventBase make_base() {
  struct Free {
    void operator()(event_config* config) const noexcept { ::event_config_free(config); }
  };
  const std::unique_ptr<event_config, Free> config(::event_config_new());
  if (config == nullptr) {
    throw std::bad_alloc();
  }
  // One thread uses the base, even in a program that has given libevent its locks.
  ::event_config_set_flag(config.get(), EVENT_BASE_FLAG_NOLOCK);
  ::event_config_set_flag(config.get(), EVENT_BASE_FLAG_PRECISE_TIMER);
  errno = 0;
  LibeventBase base(::event_base_new_with_config(config.get()));
  if (base == nullptr) {
    throw std::system_error(errno != 0 ? errno : ENOMEM, std::generic_category(),
                            "event_base_new_with_config");
  }
  return base;
}

// libevent would find out too, and complain on stderr.
bool is_refused_by_epoll([[maybe_unused]] int fd) noexcept {
#ifdef __linux__
  const Fd probe(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  return probe.get() >= 0 && ::epoll_ctl(probe.get(), EPOLL_CTL_ADD, fd, &event) != 0 && errno == EPERM;
#else
  return false;
#endif
}

// What libevent left in errno, which it need not set.
std::int64_t last_error() noexcept { return errno != 0 ? -errno : -EINVAL; }

}  // namespace

void LibeventFree::operator()(event* freed) const noexcept { ::event_free(freed); }
void LibeventFree::operator()(event_base* freed) const noexcept { ::event_base_free(freed); }

LibeventPoller::LibeventPoller() : base_(make_base()) {
  wake_event_.reset(::event_new(base_.get(), wake_fd_.fd(), EV_READ | EV_PERSIST, &on_wake, this));
  timer_.reset(::event_new(base_.get(), -1, 0, &on_time, nullptr));
  if (wake_event_ == nullptr || timer_ == nullptr) {
    throw std::bad_alloc();
  }
  if (const std::int64_t error = put_in(); error < 0) {
    throw std::system_error(static_cast<int>(-error), std::generic_category(), "event_add");
  }
}

std::string_view LibeventPoller::method() const noexcept { return ::event_base_get_method(base()); }

// --- The base

std::int64_t LibeventPoller::move_to(event_base* host, event* turn) noexcept {
  take_out();
  host_ = host;
  turn_ = turn;
  const std::int64_t error = put_in();
  if (error < 0) {
    move_home();
  }
  return error;
}

void LibeventPoller::move_home() noexcept {
  take_out();
  host_ = nullptr;
  turn_ = nullptr;
  put_in();
}

void LibeventPoller::take_out() noexcept {
  if (base() == nullptr) {
    return;
  }
  ::event_del(wake_event_.get());
  for (const std::unique_ptr<Registration>& registration : by_number_) {
    if (registration != nullptr) {
      ::event_del(registration->event.get());
    }
  }
}

std::int64_t LibeventPoller::put_in() noexcept {
  if (base() == nullptr) {
    return -EBADF;
  }
  limited_ = method() == "select";
  is_epoll_ = method().starts_with("epoll");
  has_edges_ = (::event_base_get_features(base()) & EV_FEATURE_ET) != 0;
  if (limited_ && wake_fd_.fd() >= FD_SETSIZE) {
    return -EINVAL;
  }
  errno = 0;
  if (::event_assign(wake_event_.get(), base(), wake_fd_.fd(), EV_READ | EV_PERSIST, &on_wake, this) != 0 ||
      ::event_add(wake_event_.get(), nullptr) != 0) {
    return last_error();
  }
  // Also what nobody asks about now: an event looks at its base even when it is freed.
  for (const std::unique_ptr<Registration>& one : by_number_) {
    if (one != nullptr) {
      ::event_assign(one->event.get(), base(), -1, EV_READ | EV_PERSIST, &on_event, one.get());
    }
  }
  for (std::size_t number = 0; number != by_number_.size(); ++number) {
    Registration* const registration = by_number_[number].get();
    if (registration != nullptr && registration->interest != no_interest) {
      if (const std::int64_t error = add(*registration, static_cast<native_socket>(number)); error < 0) {
        return error;
      }
    }
  }
  return 0;
}

// Everything is left where it is; a base that is not there is how the other functions know.
void LibeventPoller::leave_to_parent() noexcept {
  static_cast<void>(wake_event_.release());
  static_cast<void>(timer_.release());
  static_cast<void>(base_.release());
  static_cast<void>(new (std::nothrow) std::vector<std::unique_ptr<Registration>>(std::move(by_number_)));
  host_ = nullptr;
  turn_ = nullptr;
  wake_fd_.leave_to_parent();
}

// --- Registrations

LibeventPoller::Registration& LibeventPoller::registration_for(native_socket native) {
  const auto number = static_cast<std::size_t>(native);
  if (number >= by_number_.size()) {
    by_number_.resize(number + number / 2 + 16);
  }
  std::unique_ptr<Registration>& known = by_number_[number];
  if (known == nullptr) {
    if (room_ <= registrations_) {
      const std::size_t room = 2 * registrations_ + 16;
      collected_from_.reserve(room);
      reported_.reserve(room);
      collected_.reserve(room);
      room_ = room;
    }
    auto made = std::make_unique<Registration>();
    made->poller = this;
    made->event.reset(::event_new(base(), native, EV_READ | EV_PERSIST, &on_event, made.get()));
    if (made->event == nullptr) {
      throw std::bad_alloc();
    }
    known = std::move(made);
    ++registrations_;
  }
  return *known;
}

// Asked before libevent is, so that the answer is the same whatever it waits with.
std::int64_t LibeventPoller::check(native_socket native, bool& is_socket) const noexcept {
  struct stat status{};
  if (::fstat(native, &status) != 0) {
    return -errno;
  }
  if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode)) {
    return -EPERM;
  }
  if (is_epoll_ && S_ISCHR(status.st_mode) && is_refused_by_epoll(native)) {
    return -EPERM;
  }
  is_socket = S_ISSOCK(status.st_mode);
  return 0;
}

// Only the reader of what is written to asks for ends. A pipe is never readable there but at its end. A
// socket may be, of what nobody will read: asked for changes it reports that once, and where there are no
// changes to be had it is left alone, and the next write tells of the end.
short LibeventPoller::flags_for(Interest interest, bool is_socket) const noexcept {
  int flags = (interest & write_interest) != 0 ? EV_WRITE : 0;
  if ((interest & read_interest) != 0) {
    flags |= EV_READ;
  } else if ((interest & end_interest) != 0) {
    flags |= has_edges_ ? EV_READ | EV_ET : is_socket ? 0 : EV_READ;
  }
  return static_cast<short>(flags);
}

std::int64_t LibeventPoller::watch(native_socket native, std::uint64_t token, Interest interest) noexcept
    try {
  bool is_socket = false;
  const std::int64_t error = base() != nullptr ? check(native, is_socket) : -EBADF;
  if (error < 0) {
    unwatch(native);
    return error;
  }
  Registration& registration = registration_for(native);
  ::event_del(registration.event.get());
  registration.token = token;
  if (registration.collected != nowhere) {
    collected_[registration.collected] = {token, 0};
  }
  registration.interest = interest;
  registration.is_socket = is_socket;
  return add(registration, native);
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

std::int64_t LibeventPoller::add(Registration& registration, native_socket native) noexcept {
  const short flags = flags_for(registration.interest, registration.is_socket);
  if (flags == 0) {
    return 0;
  }
  event* const its = registration.event.get();
  if ((limited_ && native >= FD_SETSIZE) ||
      ::event_assign(its, base(), native, static_cast<short>(flags | EV_PERSIST), &on_event, &registration) !=
          0) {
    return -EINVAL;
  }
  errno = 0;
  return ::event_add(its, nullptr) != 0 ? last_error() : 0;
}

void LibeventPoller::unwatch(native_socket native) noexcept {
  const auto number = static_cast<std::size_t>(native);
  if (number < by_number_.size() && by_number_[number] != nullptr) {
    ::event_del(by_number_[number]->event.get());
    by_number_[number]->interest = no_interest;
  }
}

// --- Waiting

// Of several activations in one round libevent makes one.
void LibeventPoller::call_host() noexcept {
  if (turn_ != nullptr) {
    ::event_active(turn_, EV_TIMEOUT, 0);
  }
}

void LibeventPoller::on_event(int, short what, void* object) noexcept {
  auto& registration = *static_cast<Registration*>(object);
  LibeventPoller& self = *registration.poller;
  if (registration.collected == nowhere) {
    registration.collected = self.collected_.size();
    self.collected_.push_back({registration.token, 0});
    self.collected_from_.push_back(&registration);
  }
  Readiness& ready = self.collected_[registration.collected].ready;
  ready = static_cast<Readiness>(ready | ((what & EV_READ) != 0 ? is_readable : 0) |
                                 ((what & EV_WRITE) != 0 ? is_writable : 0));
  self.call_host();
}

void LibeventPoller::on_wake(int, short, void* object) noexcept {
  auto& self = *static_cast<LibeventPoller*>(object);
  self.wake_fd_.drain();
  self.call_host();
}

Polled<PollEvent> LibeventPoller::poll(TimePoint deadline) {
  Look look(sleep_, deadline);
  if (wait(look.deadline()) < 0) [[unlikely]] {
    throw std::system_error(errno != 0 ? errno : EINVAL, std::generic_category(), "event_base_loop");
  }
  Polled<PollEvent> polled;
  polled.woken = look.woken();
  reported_.swap(collected_);
  collected_.clear();
  for (Registration* registration : collected_from_) {
    registration->collected = nowhere;
  }
  collected_from_.clear();
  polled.events = reported_;
  return polled;
}

// Never shorter than the deadline says, except that a very long wait ends early.
int LibeventPoller::wait(TimePoint deadline) noexcept {
  if (host_ != nullptr) {
    return 0;
  }
  errno = 0;
  if (deadline == TimePoint::max()) {
    return ::event_base_loop(base_.get(), EVLOOP_ONCE);
  }
  const TimePoint current = deadline == TimePoint::min() ? deadline : now();
  if (deadline <= current) {
    return ::event_base_loop(base_.get(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
  }
  const timeval timeout = to_timeval(deadline - current);
  if (::event_add(timer_.get(), &timeout) != 0) {
    return -1;
  }
  const int result = ::event_base_loop(base_.get(), EVLOOP_ONCE);
  ::event_del(timer_.get());
  return result;
}

timeval to_timeval(std::chrono::nanoseconds duration) noexcept {
  const auto left = std::chrono::ceil<std::chrono::microseconds>(
      std::min<std::chrono::nanoseconds>(duration, std::chrono::hours(24)));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  timeval result{};
  result.tv_sec = static_cast<decltype(result.tv_sec)>(seconds.count());
  result.tv_usec = static_cast<decltype(result.tv_usec)>((left - seconds).count());
  return result;
}

}  // namespace weir::inline WEIR_ABI::detail
