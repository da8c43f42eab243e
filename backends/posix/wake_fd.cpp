// The descriptor behind WakeFd: an eventfd on Linux, a pipe elsewhere.
#include "backends/posix/wake_fd.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <cstdint>
#include <system_error>

#ifdef __linux__
#include <sys/eventfd.h>
#endif

namespace weir::inline WEIR_ABI::detail {

void Fd::reset() noexcept {
  if (fd_ >= 0) {
    ::close(std::exchange(fd_, -1));
  }
}

#ifdef __linux__

WakeFd::WakeFd() : read_end_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (read_end_.get() < 0) {
    throw std::system_error(errno, std::generic_category(), "eventfd");
  }
}

#else

WakeFd::WakeFd() {
  int ends[2];
  if (::pipe(ends) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe");
  }
  read_end_ = Fd(ends[0]);
  write_end_ = Fd(ends[1]);
  for (const int end : ends) {
    ::fcntl(end, F_SETFD, FD_CLOEXEC);
    ::fcntl(end, F_SETFL, O_NONBLOCK);
  }
}

#endif

void WakeFd::wake() noexcept {
  const int saved = errno;  // a signal handler must not change it under the code that it interrupted
  const std::uint64_t one = 1;
  const int end = write_end_.get() >= 0 ? write_end_.get() : read_end_.get();
  // EAGAIN means that so many wakes are waiting that the sleeper is awake already.
  while (::write(end, &one, sizeof one) < 0 && errno == EINTR) {
  }
  errno = saved;
}

void WakeFd::drain() noexcept {
  std::uint64_t buffer[32];
  ssize_t taken;
  do {
    taken = ::read(read_end_.get(), buffer, sizeof buffer);
  } while (taken == static_cast<ssize_t>(sizeof buffer) || (taken < 0 && errno == EINTR));
}

}  // namespace weir::inline WEIR_ABI::detail
