// Reading and writing what is no socket: pipes, terminals, devices.
#include "backends/posix/gather.hpp"
#include "backends/posix/retried.hpp"
#include "backends/posix/sockets.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>

namespace weir::inline WEIR_ABI::detail {

namespace {

// Writing to a pipe that nobody reads raises SIGPIPE, and no flag of the call prevents it. The signal goes to
// the thread that writes: held back here and taken away, it is seen by nobody, and neither the process'
// disposition nor a signal that waited already is touched.
class HeldPipeSignal {
 public:
  HeldPipeSignal() noexcept {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    was_held_ = ::sigismember(&before_, SIGPIPE) == 1;
    waited_ = was_held_ && is_waiting();
  }
  HeldPipeSignal(const HeldPipeSignal&) = delete;
  HeldPipeSignal& operator=(const HeldPipeSignal&) = delete;
  ~HeldPipeSignal() {
    if (!was_held_) {
      ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
  }
  // After EPIPE.
  void take() noexcept {
    if (!waited_ && is_waiting()) {
      int signal = 0;
      ::sigwait(&pipe_, &signal);
    }
  }

 private:
  static bool is_waiting() noexcept {
    sigset_t waiting;
    return ::sigpending(&waiting) == 0 && ::sigismember(&waiting, SIGPIPE) == 1;
  }

  sigset_t pipe_;
  sigset_t before_;
  bool was_held_ = false;
  bool waited_ = false;
};

}  // namespace

std::int64_t PosixSockets::read(native_socket native, std::span<std::byte> into) noexcept {
  const std::int64_t result = retried([&] { return ::read(native, into.data(), into.size()); });
  // So Linux says that nobody has the other side of a pseudo-terminal open.
  return result == -EIO && ::isatty(native) != 0 ? 0 : result;
}

std::int64_t PosixSockets::write(native_socket native, std::span<const ConstBuffer> buffers) noexcept {
  const Gathered gathered(buffers);
  HeldPipeSignal signal;
  const std::int64_t result = retried([&] { return ::writev(native, gathered.pieces, gathered.count); });
  if (result == -EPIPE) {
    signal.take();
  }
  return result;
}

std::int64_t PosixSockets::has_hung_up(native_socket native) noexcept {
  pollfd asked{native, 0, 0};
  const std::int64_t result = retried([&] { return ::poll(&asked, 1, 0); });
  return result < 0 ? result : (asked.revents & (POLLERR | POLLHUP)) != 0;
}

std::int64_t PosixSockets::file_kind(native_socket native) noexcept {
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

}  // namespace weir::inline WEIR_ABI::detail
