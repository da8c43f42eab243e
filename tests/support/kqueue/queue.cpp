// Part of a test double of kqueue(2). A filter has an epoll of its own, because epoll knows one registration
// a descriptor; the queue's number is an epoll of these, so that it can be waited for.
#include "queue.hpp"

#include "readiness.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>

namespace kqueue_double {

namespace {

constexpr unsigned known_flags =
    EV_ADD | EV_DELETE | EV_ENABLE | EV_DISABLE | EV_ONESHOT | EV_CLEAR | EV_RECEIPT | EV_DISPATCH;
constexpr unsigned kept_flags = EV_ONESHOT | EV_CLEAR | EV_DISPATCH;

void really_close(int fd) noexcept {
  if (fd >= 0) {
    ::syscall(SYS_close, fd);
  }
}

bool is_open(std::uintptr_t ident) noexcept {
  return ident <= INT32_MAX && ::fcntl(static_cast<int>(ident), F_GETFD) >= 0;
}

// EINVAL for what no kernel takes, and for what this double has not got.
int check(const struct kevent& change) noexcept {
  if ((change.flags & ~known_flags) != 0) {
    return EINVAL;
  }
  unsigned known_notes = 0;
  if (change.filter == EVFILT_READ || change.filter == EVFILT_WRITE) {
    if (!is_open(change.ident)) {
      return EBADF;
    }
  } else if (change.filter == EVFILT_USER) {
    known_notes = NOTE_TRIGGER;
  } else if (change.filter == EVFILT_PROC) {
    known_notes = NOTE_EXIT;
  } else {
    return EINVAL;
  }
  return (change.fflags & ~known_notes) != 0 ? EINVAL : 0;
}

}  // namespace

Queue::Queue()
    : queue_(::epoll_create1(EPOLL_CLOEXEC)),
      reads_(::epoll_create1(EPOLL_CLOEXEC)),
      writes_(::epoll_create1(EPOLL_CLOEXEC)),
      triggered_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (const int inner : {reads_, writes_, triggered_}) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (queue_ >= 0 && ::epoll_ctl(queue_, EPOLL_CTL_ADD, inner, &event) != 0) {
      const int error = errno == EBADF ? EMFILE : errno;
      really_close(std::exchange(queue_, -1));
      errno = error;
    }
  }
}

Queue::~Queue() {
  const int error = errno;
  for (const auto& [key, knote] : knotes_) {
    really_close(knote.pidfd);
  }
  for (const int fd : {queue_, reads_, writes_, triggered_}) {
    really_close(fd);
  }
  errno = error;
}

void Queue::abandon() noexcept {
  for (auto& [key, knote] : knotes_) {
    really_close(std::exchange(knote.pidfd, -1));
  }
  for (int* const fd : {&queue_, &reads_, &writes_, &triggered_}) {
    really_close(std::exchange(*fd, -1));
  }
}

// --- Changes

int Queue::change(const struct kevent& change) {
  if (const int error = check(change); error != 0) {
    return error;
  }
  const Key key{change.ident, change.filter};
  const auto found = knotes_.find(key);
  if (found == knotes_.end()) {
    return (change.flags & EV_ADD) == 0 ? ENOENT : add(change);
  }
  if ((change.flags & EV_DELETE) != 0) {
    remove(key);
    return 0;
  }
  return modify(found->second, change);
}

int Queue::add(const struct kevent& change) {
  if (change.filter == EVFILT_WRITE && is_broken_pipe(static_cast<int>(change.ident))) {
    return EPIPE;
  }
  Knote knote;
  knote.event = change;
  knote.event.flags &= kept_flags;
  knote.serial = ++serial_;
  if (change.filter == EVFILT_PROC) {
    knote.pidfd = static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(change.ident), 0));
    if (knote.pidfd < 0) {
      return errno;
    }
  }
  knote.is_disabled = (change.flags & EV_DISABLE) != 0;
  knote.is_triggered = change.filter == EVFILT_USER && (change.fflags & NOTE_TRIGGER) != 0;
  if (const int error = knote.is_disabled ? 0 : arm(knote); error != 0) {
    really_close(knote.pidfd);
    return error;
  }
  knotes_[{change.ident, change.filter}] = knote;
  show_triggered();
  return 0;
}

// How it triggers stays as it was when the knote was made.
int Queue::modify(Knote& knote, const struct kevent& change) {
  knote.event.udata = change.udata;
  if (change.filter == EVFILT_USER) {
    knote.is_triggered = knote.is_triggered || (change.fflags & NOTE_TRIGGER) != 0;
  }
  int error = 0;
  if ((change.flags & EV_DISABLE) != 0) {
    knote.is_disabled = true;
    disarm(knote);
  } else if ((change.flags & (EV_ADD | EV_ENABLE)) != 0) {
    knote.is_disabled = false;
    knote.is_quiet = false;
    error = arm(knote);
  }
  show_triggered();
  return error;
}

int Queue::epoll_of(const Knote& knote) const noexcept {
  return knote.event.filter == EVFILT_WRITE ? writes_ : reads_;
}

// Also for one that is armed: epoll then looks again.
int Queue::arm(Knote& knote) noexcept {
  if (knote.event.filter == EVFILT_USER) {
    return 0;
  }
  const bool is_process = knote.event.filter == EVFILT_PROC;
  const int fd = is_process ? knote.pidfd : static_cast<int>(knote.event.ident);
  epoll_event event{};
  event.events = knote.event.filter == EVFILT_WRITE ? EPOLLOUT : EPOLLIN | EPOLLRDHUP;
  if ((knote.event.flags & EV_CLEAR) != 0 || knote.is_quiet) {
    event.events |= EPOLLET;
  }
  event.data.u64 = std::uint64_t{knote.serial} << 32 | static_cast<std::uint32_t>(fd);
  const int epoll = epoll_of(knote);
  int result = ::epoll_ctl(epoll, knote.is_armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
  if (result != 0 && errno == ENOENT) {
    result = ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);  // closed in a way of which nobody told us
  } else if (result != 0 && errno == EEXIST) {
    result = ::epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
  }
  if (result != 0) {
    return errno == EPERM ? EINVAL : errno;
  }
  knote.is_armed = true;
  return 0;
}

void Queue::disarm(Knote& knote) noexcept {
  if (std::exchange(knote.is_armed, false)) {
    const int fd = knote.pidfd >= 0 ? knote.pidfd : static_cast<int>(knote.event.ident);
    ::epoll_ctl(epoll_of(knote), EPOLL_CTL_DEL, fd, nullptr);
  }
}

void Queue::remove(const Key& key) noexcept {
  const auto found = knotes_.find(key);
  disarm(found->second);
  really_close(found->second.pidfd);
  knotes_.erase(found);
  show_triggered();
}

void Queue::closed(int fd) noexcept {
  for (const short filter : {EVFILT_READ, EVFILT_WRITE}) {
    const Key key{static_cast<std::uintptr_t>(fd), filter};
    if (knotes_.contains(key)) {
      remove(key);
    }
  }
}

// The descriptor of triggers is readable as long as one waits to be reported.
void Queue::show_triggered() noexcept {
  const bool is_any = std::any_of(knotes_.begin(), knotes_.end(), [](const auto& entry) {
    return entry.second.is_triggered && !entry.second.is_disabled;
  });
  std::uint64_t value = 1;
  if (is_any) {
    static_cast<void>(!::write(triggered_, &value, sizeof value));
  } else {
    static_cast<void>(!::read(triggered_, &value, sizeof value));
  }
}

// --- Events

std::size_t Queue::collect(std::span<struct kevent> out) {
  std::size_t count = collect_triggered(out);
  count += collect_from(reads_, out.subspan(count));
  return count + collect_from(writes_, out.subspan(count));
}

std::size_t Queue::collect_triggered(std::span<struct kevent> out) {
  std::size_t count = 0;
  for (auto next = knotes_.begin(); next != knotes_.end() && count != out.size();) {
    const auto now = next++;
    Knote& knote = now->second;
    if (knote.is_triggered && !knote.is_disabled) {
      out[count++] = knote.event;
      if ((knote.event.flags & (EV_CLEAR | EV_DISPATCH)) != 0) {
        knote.is_triggered = false;
      }
      after_report(Key(now->first));
    }
  }
  show_triggered();
  return count;
}

std::size_t Queue::collect_from(int epoll, std::span<struct kevent> out) {
  std::array<epoll_event, 64> ready;
  const auto most = static_cast<int>(std::min(out.size(), ready.size()));
  const int found = most == 0 ? 0 : ::epoll_wait(epoll, ready.data(), most, 0);
  std::size_t count = 0;
  for (int i = 0; i < found; ++i) {
    const std::uint64_t name = ready[static_cast<std::size_t>(i)].data.u64;
    const auto entry = std::find_if(knotes_.begin(), knotes_.end(),
                                    [name](const auto& one) { return one.second.serial == name >> 32; });
    if (entry == knotes_.end()) {
      // Of a descriptor that lives on in a duplicate and was closed in a way of which nobody told us.
      ::epoll_ctl(epoll, EPOLL_CTL_DEL, static_cast<int>(name & 0xffffffff), nullptr);
    } else if (report(entry->second, out[count])) {
      ++count;
      after_report(Key(entry->first));
    }
  }
  return count;
}

// False when a BSD kernel would not report it.
bool Queue::report(Knote& knote, struct kevent& out) noexcept {
  out = knote.event;
  if (knote.event.filter == EVFILT_PROC) {
    siginfo_t status{};
    ::waitid(P_PID, static_cast<id_t>(knote.event.ident), &status, WEXITED | WNOWAIT | WNOHANG);
    out.fflags = NOTE_EXIT;
    out.flags |= EV_EOF | EV_ONESHOT;
    out.data = status.si_code == CLD_EXITED ? status.si_status << 8 : status.si_status;
    knote.event.flags |= EV_ONESHOT;
    return true;
  }
  const int fd = static_cast<int>(knote.event.ident);
  const Condition condition = knote.event.filter == EVFILT_READ ? reading(fd) : writing(fd);
  if (condition.is_ready == knote.is_quiet && (knote.event.flags & EV_CLEAR) == 0) {
    knote.is_quiet = !condition.is_ready;
    arm(knote);
  }
  out.data = condition.amount;
  out.flags |= condition.is_ended ? EV_EOF : 0;
  out.fflags = condition.is_ended ? condition.error : 0;
  return condition.is_ready;
}

void Queue::after_report(const Key& key) {
  Knote& knote = knotes_.at(key);
  if ((knote.event.flags & EV_ONESHOT) != 0) {
    remove(key);
  } else if ((knote.event.flags & EV_DISPATCH) != 0) {
    knote.is_disabled = true;
    disarm(knote);
  }
}

}  // namespace kqueue_double
