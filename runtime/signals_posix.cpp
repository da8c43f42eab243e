// SIGINT of POSIX systems.
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

#include <cerrno>

namespace weir::inline WEIR_ABI::detail {

namespace {

extern "C" void weir_on_signal(int number) {
  const int saved_errno = errno;
  tell_loops_of_signal(number);
  errno = saved_errno;
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

bool install_interrupt_handler() noexcept {
  struct sigaction current{};
  if (::sigaction(SIGINT, nullptr, &current) != 0 || (current.sa_flags & SA_SIGINFO) != 0 ||
      current.sa_handler != SIG_DFL) {
    return false;
  }
  struct sigaction ours{};
  ours.sa_handler = &weir_on_signal;
  ours.sa_flags = SA_RESTART;
  ::sigfillset(&ours.sa_mask);
  return ::sigaction(SIGINT, &ours, nullptr) == 0;
}

void restore_interrupt_handler() noexcept {
  struct sigaction current{};
  if (::sigaction(SIGINT, nullptr, &current) == 0 && current.sa_handler == &weir_on_signal) {
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    ::sigaction(SIGINT, &standard, nullptr);
  }
}

}  // namespace weir::inline WEIR_ABI::detail
