// The signals of POSIX systems.
#include "runtime/signals.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#elif defined(__NetBSD__)
#include <lwp.h>
#elif defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)
#include <pthread_np.h>
#endif

#include <array>
#include <cerrno>
#include <cstddef>
#include <mutex>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

extern "C" void weir_on_signal(int number) {
  const int saved_errno = errno;
  tell_loops_of_signal(number);
  errno = saved_errno;
}

// How a signal was handled before it was taken, and by how many it is.
struct Taken {
  unsigned users = 0;
  struct sigaction before{};
};
constinit std::mutex taking;
std::array<Taken, last_signal + 1> taken;

bool is_ours(const struct sigaction& current) noexcept {
  return (current.sa_flags & SA_SIGINFO) == 0 && current.sa_handler == &weir_on_signal;
}

void put_back(int number, const struct sigaction& before) noexcept {
  struct sigaction current{};
  if (::sigaction(number, nullptr, &current) == 0 && is_ours(current)) {
    ::sigaction(number, &before, nullptr);
  }
}

// A child of fork() has its parent's handlers, and could wake its parent's loops by them. It gets back what
// was there before, as if no loop had ever watched.
extern "C" void before_fork() { taking.lock(); }
extern "C" void in_parent() { taking.unlock(); }
extern "C" void in_child() {
  forget_loops_of_parent();
  for (int number = 1; number <= last_signal; ++number) {
    Taken& signal = taken[static_cast<std::size_t>(number)];
    if (std::exchange(signal.users, 0) != 0) {
      put_back(number, signal.before);
    }
  }
  taking.unlock();
}

}  // namespace

bool on_main_thread() noexcept {
#if defined(__linux__)
  return static_cast<pid_t>(::syscall(SYS_gettid)) == ::getpid();
#elif defined(__NetBSD__)
  return ::_lwp_self() == 1;
#else
  return ::pthread_main_np() != 0;
#endif
}

int take_signal(int number, bool if_default) noexcept {
  static const int fork_is_seen = ::pthread_atfork(&before_fork, &in_parent, &in_child);
  if (fork_is_seen != 0) {
    return -fork_is_seen;
  }
  const std::scoped_lock lock(taking);
  struct sigaction current{};
  if (::sigaction(number, nullptr, &current) != 0) {
    return -errno;
  }
  if (if_default && ((current.sa_flags & SA_SIGINFO) != 0 || current.sa_handler != SIG_DFL)) {
    return -EBUSY;
  }
  Taken& signal = taken[static_cast<std::size_t>(number)];
  if (!is_ours(current)) {
    struct sigaction ours{};
    ours.sa_handler = &weir_on_signal;
    ours.sa_flags = SA_RESTART;
    ::sigfillset(&ours.sa_mask);
    if (::sigaction(number, &ours, nullptr) != 0) {
      return -errno;
    }
    signal.before = current;
  }
  ++signal.users;
  return 0;
}

void give_signal_back(int number) noexcept {
  const std::scoped_lock lock(taking);
  Taken& signal = taken[static_cast<std::size_t>(number)];
  if (--signal.users == 0) {
    put_back(number, signal.before);
  }
}

}  // namespace weir::inline WEIR_ABI::detail
