// kqueue(2), kevent(2). Facts that shape this file:
// - A knote is named by its descriptor and its filter. EV_ADD for one that is there changes its user data,
//   not how it triggers, and no manual promises that what is ready is reported again: it is deleted before.
// - Changes can travel with the next wait. Here they are made at once, because watch() answers for them: the
//   wait would tell of a bad descriptor when nobody can be told any more.
// - EV_RECEIPT answers for each change and brings no events when there is room for the answers alone.
// - A closed descriptor takes its knotes with it, and its duplicates do not keep them. They are deleted
//   before all the same: the number may be detached instead of closed, with events of it on their way.
// - A forked child has no part in its parent's queue.
// - EV_EOF comes with what is left to read. The error, if there is one, is in fflags, and still in SO_ERROR.
// - Nothing tells of TCP's urgent mark, where a read stops short (EVFILT_EXCEPT is macOS's and OpenBSD's
//   alone): what came behind the mark in the same burst is read with the next event, or with the end.
// - A pipe whose other end is gone: FreeBSD, and macOS in old versions, refuse EVFILT_WRITE with EPIPE.
#include "backends/kqueue/poller.hpp"

#include "backends/readiness/time_left.hpp"

#include <fcntl.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <system_error>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr std::uint64_t wake_token = ~std::uint64_t{0};

void set_token(void*& data, std::uint64_t token) noexcept {
  data = reinterpret_cast<void*>(static_cast<std::uintptr_t>(token));
}
[[maybe_unused]] void set_token(std::intptr_t& data, std::uint64_t token) noexcept {
  data = static_cast<std::intptr_t>(token);
}

// The types of the members differ from system to system.
KqueueEvent make_event(int ident, int filter, unsigned flags, std::uint64_t token) noexcept {
  KqueueEvent event{};
  event.ident = static_cast<decltype(event.ident)>(ident);
  event.filter = static_cast<decltype(event.filter)>(filter);
  event.flags = static_cast<decltype(event.flags)>(flags);
  set_token(event.udata, token);
  return event;
}

// Changes that are made together, each with its answer: 0 or a negated errno.
class Changes {
 public:
  void add(int ident, int filter, unsigned flags, std::uint64_t token) noexcept {
    changes_[size_++] = make_event(ident, filter, flags, token);
  }
  void make(int queue) noexcept;
  std::size_t size() const noexcept { return size_; }
  std::int64_t answer(std::size_t index) const noexcept { return answers_[index]; }

 private:
  static constexpr std::size_t most = 4;
  std::array<KqueueEvent, most> changes_;
  std::array<std::int64_t, most> answers_{};
  std::size_t size_ = 0;
};

#ifdef EV_RECEIPT

void Changes::make(int queue) noexcept {
  for (std::size_t i = 0; i != size_; ++i) {
    changes_[i].flags |= EV_RECEIPT;
  }
  const timespec at_once{};
  const int size = static_cast<int>(size_);
  std::array<KqueueEvent, most> receipts;
  int count;
  do {
    count = ::kevent(queue, changes_.data(), size, receipts.data(), size, &at_once);
  } while (count < 0 && errno == EINTR);
  for (std::size_t i = 0; i != size_; ++i) {
    answers_[i] = count < 0                             ? -errno
                  : i < static_cast<std::size_t>(count) ? -static_cast<std::int64_t>(receipts[i].data)
                                                        : 0;
  }
}

#else

// An interrupted call has made its change.
void Changes::make(int queue) noexcept {
  for (std::size_t i = 0; i != size_; ++i) {
    const int result = ::kevent(queue, &changes_[i], 1, nullptr, 0, nullptr);
    answers_[i] = result < 0 && errno != EINTR ? -errno : 0;
  }
}

#endif

// What cannot be waited for has the same name under every poller.
std::int64_t neutral(std::int64_t error) noexcept {
  return error == -EINVAL || error == -ENODEV || error == -EOPNOTSUPP || error == -ENOTSUP ? -EPERM : error;
}

}  // namespace

KqueuePoller::KqueuePoller() : queue_(::kqueue()) {
  if (queue_.get() < 0) {
    throw std::system_error(errno, std::generic_category(), "kqueue");
  }
  ::fcntl(queue_.get(), F_SETFD, FD_CLOEXEC);
  Changes changes;
#ifdef EVFILT_USER
  changes.add(0, EVFILT_USER, EV_ADD | EV_CLEAR, wake_token);
#else
  changes.add(wake_fd_.fd(), EVFILT_READ, EV_ADD, wake_token);
#endif
  changes.make(queue_.get());
  if (changes.answer(0) < 0) {
    throw std::system_error(static_cast<int>(-changes.answer(0)), std::generic_category(), "kevent");
  }
}

std::int64_t KqueuePoller::watch(native_socket native, std::uint64_t token, Interest interest) noexcept {
  std::erase_if(hung_up_, [native](const HungUp& one) { return one.native == native; });
  if (interest == edge_interest) {
    interest |= read_interest | write_interest;  // hang-ups come with these filters, and with no other
  }
  const unsigned flags = (interest & edge_interest) != 0 ? EV_ADD | EV_CLEAR : EV_ADD;
  Changes changes;
  changes.add(native, EVFILT_READ, EV_DELETE, token);
  changes.add(native, EVFILT_WRITE, EV_DELETE, token);
  const std::size_t first = changes.size();
  if ((interest & read_interest) != 0) {
    changes.add(native, EVFILT_READ, flags, token);
  }
  if ((interest & write_interest) != 0) {
    changes.add(native, EVFILT_WRITE, flags, token);
  }
  changes.make(queue_.get());
  std::int64_t error = 0;
  for (std::size_t i = first; i != changes.size() && error == 0; ++i) {
    error = changes.answer(i);
    if (error == -EPIPE) {
      error = note_hung_up(native, token, interest);
    }
  }
  if (error < 0) {
    unwatch(native);
  }
  return neutral(error);
}

void KqueuePoller::unwatch(native_socket native) noexcept {
  std::erase_if(hung_up_, [native](const HungUp& one) { return one.native == native; });
  // ENOENT and EBADF: it was not there, or the user closed it behind our back.
  Changes changes;
  changes.add(native, EVFILT_READ, EV_DELETE, 0);
  changes.add(native, EVFILT_WRITE, EV_DELETE, 0);
  changes.make(queue_.get());
}

std::int64_t KqueuePoller::note_hung_up(native_socket native, std::uint64_t token,
                                        Interest interest) noexcept {
  try {
    events_.resize(batch + hung_up_.size() + 1);
    hung_up_.push_back(
        {native, make_event(native, EVFILT_WRITE, EV_EOF, token), (interest & edge_interest) != 0});
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  return 0;
}

// Puts them behind so many events, and says how many events there are then.
std::size_t KqueuePoller::report_hung_up(std::size_t count) noexcept {
  for (const HungUp& one : hung_up_) {
    events_[count++] = one.event;
  }
  std::erase_if(hung_up_, [](const HungUp& one) { return one.is_edge; });
  return count;
}

Polled<KqueueEvent> KqueuePoller::poll(TimePoint deadline) {
  Look look(sleep_, deadline);
  const int count = wait(hung_up_.empty() ? look.deadline() : TimePoint::min());
  if (count < 0 && errno != EINTR) [[unlikely]] {
    throw std::system_error(errno, std::generic_category(), "kevent");
  }
  Polled<Event> polled;
  polled.woken = look.woken();
  auto size = static_cast<std::size_t>(std::max(count, 0));
#ifndef EVFILT_USER
  if (std::any_of(events_.data(), events_.data() + size,
                  [](const Event& event) { return token_of(event) == wake_token; })) {
    wake_fd_.drain();
  }
#endif
  if (!hung_up_.empty()) [[unlikely]] {
    size = report_hung_up(size);
  }
  polled.events = std::span(events_.data(), size);
  return polled;
}

// Never shorter than the deadline says, except that a signal or a very long wait ends it early.
int KqueuePoller::wait(TimePoint deadline) noexcept {
  constexpr int most = static_cast<int>(batch);
  if (deadline == TimePoint::max()) {
    return ::kevent(queue_.get(), nullptr, 0, events_.data(), most, nullptr);
  }
  const timespec left = to_timespec(time_left(deadline));
  return ::kevent(queue_.get(), nullptr, 0, events_.data(), most, &left);
}

#ifdef EVFILT_USER

// Any thread, any signal handler: kevent() is one system call and no more. Room for no event: it does not
// wait.
void KqueuePoller::trigger() noexcept {
  const int saved = errno;
  KqueueEvent event = make_event(0, EVFILT_USER, 0, wake_token);
  event.fflags = NOTE_TRIGGER;
  ::kevent(queue_.get(), &event, 1, nullptr, 0, nullptr);
  errno = saved;
}

#else

void KqueuePoller::trigger() noexcept { wake_fd_.wake(); }

#endif

}  // namespace weir::inline WEIR_ABI::detail
