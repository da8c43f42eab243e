// Files and pipes of POSIX.
#include "backends/posix/files.hpp"

#include "backends/posix/call.hpp"
#include "backends/posix/sigpipe.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <limits>

namespace weir::inline WEIR_ABI::detail {

namespace {

int flags_of(FileMode mode) noexcept {
  switch (mode) {
    case FileMode::read:
      return O_RDONLY;
    case FileMode::write:
      return O_WRONLY | O_CREAT | O_TRUNC;
    case FileMode::append:
      return O_WRONLY | O_CREAT | O_APPEND;
    case FileMode::read_write:
      return O_RDWR | O_CREAT;
  }
  return O_RDONLY;
}

bool is_offset(std::uint64_t offset) noexcept {
  return offset <= static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
}

}  // namespace

NoSigpipe::NoSigpipe() noexcept {
  sigset_t only_it;
  sigemptyset(&only_it);
  sigaddset(&only_it, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &only_it, &before_);
  if (sigismember(&before_, SIGPIPE) == 1) {
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
  }
}

NoSigpipe::~NoSigpipe() {
  const int error = errno;
  if (may_be_raised_ && !was_pending_) {
    sigset_t pending;
    ::sigpending(&pending);
    if (sigismember(&pending, SIGPIPE) == 1) {  // not where it is ignored
      sigset_t only_it;
      sigemptyset(&only_it);
      sigaddset(&only_it, SIGPIPE);
      int taken = 0;
      ::sigwait(&only_it, &taken);
    }
  }
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  errno = error;
}

std::int64_t PosixFiles::open(const char* path, FileMode mode) noexcept {
  constexpr mode_t everybody = 0666;  // less the umask
  return retried([&] { return ::open(path, flags_of(mode) | O_CLOEXEC, everybody); });
}

std::int64_t PosixFiles::open_pipe(native_file (&ends)[2]) noexcept {
#ifdef __APPLE__
  if (::pipe(ends) < 0) {
    return -errno;
  }
  for (const native_file end : ends) {
    std::int64_t error = adopt(end);
    error = error < 0 ? error : set_non_blocking(end, true);
    if (error < 0) {
      ::close(ends[0]);
      ::close(ends[1]);
      return error;
    }
  }
  return 0;
#else
  return ::pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0 ? -errno : 0;
#endif
}

std::int64_t PosixFiles::close(native_file native) noexcept {
  // Not retried: after EINTR the number is gone on Linux and may be somebody else's already.
  return ::close(native) < 0 && errno != EINTR ? -errno : 0;
}

std::int64_t PosixFiles::adopt(native_file native) noexcept {
  return ::fcntl(native, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

std::int64_t PosixFiles::duplicate(native_file native) noexcept {
  return retried([&] { return ::fcntl(native, F_DUPFD_CLOEXEC, 0); });
}

std::int64_t PosixFiles::kind(native_file native) noexcept {
  struct stat status{};
  if (::fstat(native, &status) < 0) {
    return -errno;
  }
  const auto kind = S_ISREG(status.st_mode)    ? FileKind::regular
                    : S_ISDIR(status.st_mode)  ? FileKind::directory
                    : S_ISFIFO(status.st_mode) ? FileKind::pipe
                    : S_ISCHR(status.st_mode)  ? FileKind::character_device
                    : S_ISSOCK(status.st_mode) ? FileKind::socket
                                               : FileKind::other;
  return static_cast<std::int64_t>(kind);
}

std::int64_t PosixFiles::size(native_file native) noexcept {
  struct stat status{};
  return ::fstat(native, &status) < 0 ? -errno : status.st_size;
}

std::int64_t PosixFiles::position(native_file native) noexcept {
  const off_t position = ::lseek(native, 0, SEEK_CUR);
  return position < 0 ? -errno : position;
}

std::int64_t PosixFiles::set_position(native_file native, std::uint64_t offset) noexcept {
  if (!is_offset(offset)) {
    return -EINVAL;
  }
  return ::lseek(native, static_cast<off_t>(offset), SEEK_SET) < 0 ? -errno : 0;
}

std::int64_t PosixFiles::read_at(native_file native, std::uint64_t offset,
                                 std::span<std::byte> into) noexcept {
  if (!is_offset(offset)) {
    return -EINVAL;
  }
  return retried([&] { return ::pread(native, into.data(), into.size(), static_cast<off_t>(offset)); });
}

std::int64_t PosixFiles::read(native_file native, std::span<std::byte> into) noexcept {
  return retried([&] { return ::read(native, into.data(), into.size()); });
}

std::int64_t PosixFiles::write(native_file native, ConstBuffer from) noexcept {
  NoSigpipe guard;
  const std::int64_t result = retried([&] { return ::write(native, from.data(), from.size()); });
  if (result != static_cast<std::int64_t>(from.size())) {
    guard.may_be_raised();
  }
  return result;
}

std::int64_t PosixFiles::is_blocking(native_file native) noexcept {
  const int status = ::fcntl(native, F_GETFL);
  return status < 0 ? -errno : (status & O_NONBLOCK) == 0;
}

std::int64_t PosixFiles::set_non_blocking(native_file native, bool non_blocking) noexcept {
  const int status = ::fcntl(native, F_GETFL);
  if (status < 0) {
    return -errno;
  }
  const int wanted = non_blocking ? status | O_NONBLOCK : status & ~O_NONBLOCK;
  return wanted != status && ::fcntl(native, F_SETFL, wanted) < 0 ? -errno : 0;
}

}  // namespace weir::inline WEIR_ABI::detail
