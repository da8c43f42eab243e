// A test double of kqueue(2) on Linux: the two calls, the table of queues, and the calls that close
// descriptors. It comes as a shared library, because it stands before the C library: a descriptor's knotes go
// when it is closed by close(), dup2() or dup3(), whoever calls them.
//
// What it cannot show:
// - Closing by other ways (close_range, fclose, closedir): noticed when a duplicate does not hide it.
// - The error of a TCP socket in fflags is a guess between ECONNREFUSED and ECONNRESET, because Linux gives
// it out
//   only by taking it away. Other sockets have none.
// - EVFILT_READ and EVFILT_WRITE of regular files and of devices for which epoll does not work: refused with
// EINVAL.
// - The backlog of a Unix socket: always 1. The end of a Unix socket's writing side by its own shutdown().
// - NOTE_LOWAT, the NOTE_FF… operations, and all other filters: EINVAL.
#include "queue.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <mutex>
#include <new>

namespace kqueue_double {

namespace {

using Clock = std::chrono::steady_clock;

struct Table {
  std::mutex mutex;
  std::map<int, std::shared_ptr<Queue>> queues;
};

// Never destroyed: descriptors are closed until the very end.
Table& table();

// No signal handler runs while it lives: handlers trigger wakes, and in a kernel none would run either.
class Locked {
 public:
  Locked() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    table().mutex.lock();
  }
  ~Locked() {
    const int error = errno;
    table().mutex.unlock();
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = error;
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  sigset_t before_;
};

// A forked child does not inherit queues.
void forget_all() {
  for (const auto& [number, queue] : table().queues) {
    queue->abandon();
  }
  table().queues.clear();
  table().mutex.unlock();
}

Table& table() {
  static Table& the_table = [&]() -> Table& {
    ::pthread_atfork([] { table().mutex.lock(); }, [] { table().mutex.unlock(); }, &forget_all);
    return *new Table;
  }();
  return the_table;
}

std::shared_ptr<Queue> find(int number) {
  const auto found = table().queues.find(number);
  return found == table().queues.end() ? nullptr : found->second;
}

int failed(int error) noexcept {
  errno = error;
  return -1;
}

void note_closing(int fd) noexcept {
  const Locked lock;
  auto& queues = table().queues;
  if (const auto found = queues.find(fd); found != queues.end()) {
    found->second->forget_number();
    queues.erase(found);
  }
  for (const auto& [number, queue] : queues) {
    queue->closed(fd);
  }
}

bool is_valid(const timespec* timeout) noexcept {
  return timeout == nullptr ||
         (timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec < 1'000'000'000);
}

// The answers, how many; or -1 with errno when there is no room for one.
int make(Queue& queue, std::span<const struct kevent> changes, std::span<struct kevent> out) {
  std::size_t count = 0;
  for (const struct kevent& change : changes) {
    const int error = queue.change(change);
    if (error == 0 && (change.flags & EV_RECEIPT) == 0) {
      continue;
    }
    if (count == out.size()) {
      return error == 0 ? static_cast<int>(count) : failed(error);
    }
    out[count] = change;
    out[count].flags = EV_ERROR;
    out[count++].data = error;
  }
  return static_cast<int>(count);
}

int wait(int number, const std::shared_ptr<Queue>& queue, std::span<struct kevent> out,
         const timespec* timeout) {
  const auto length =
      timeout == nullptr ? std::chrono::nanoseconds::max()
                         : std::chrono::seconds(timeout->tv_sec) + std::chrono::nanoseconds(timeout->tv_nsec);
  const auto start = Clock::now();
  for (;;) {
    {
      const Locked lock;
      if (const std::size_t count = queue->collect(out); count != 0) {
        return static_cast<int>(count);
      }
    }
    const auto left = timeout == nullptr ? length : length - (Clock::now() - start);
    if (left.count() <= 0) {
      return 0;
    }
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec rest{seconds.count(), (left - seconds).count()};
    pollfd asked{number, POLLIN, 0};
    if (::ppoll(&asked, 1, timeout == nullptr ? nullptr : &rest, nullptr) < 0) {
      return -1;
    }
    if ((asked.revents & POLLNVAL) != 0) {
      return failed(EBADF);
    }
  }
}

}  // namespace

}  // namespace kqueue_double

using namespace kqueue_double;

extern "C" int kqueue() {
  const auto queue = std::make_shared<Queue>();
  if (queue->number() < 0) {
    return -1;
  }
  const Locked lock;
  table().queues[queue->number()] = queue;
  return queue->number();
}

extern "C" int kevent(int number, const struct kevent* changes, int change_count, struct kevent* events,
                      int event_count, const timespec* timeout) {
  if (change_count < 0 || event_count < 0 || !is_valid(timeout)) {
    return failed(EINVAL);
  }
  const std::span<struct kevent> out(events, static_cast<std::size_t>(event_count));
  std::shared_ptr<Queue> queue;
  {
    const Locked lock;
    queue = find(number);
    if (queue == nullptr) {
      return failed(EBADF);
    }
    const int answered = make(*queue, {changes, static_cast<std::size_t>(change_count)}, out);
    if (answered != 0 || event_count == 0) {
      return answered;
    }
  }
  return wait(number, queue, out, timeout);
}

extern "C" int close(int fd) {
  note_closing(fd);
  return static_cast<int>(::syscall(SYS_close, fd));
}

extern "C" int dup2(int from, int to) {
  if (from == to) {
    return ::fcntl(from, F_GETFD) < 0 ? -1 : to;
  }
  note_closing(to);
  return static_cast<int>(::syscall(SYS_dup3, from, to, 0));
}

extern "C" int dup3(int from, int to, int flags) {
  if (from != to) {
    note_closing(to);
  }
  return static_cast<int>(::syscall(SYS_dup3, from, to, flags));
}
