// Reading and writing what is no socket: pipes, terminals, devices.
#include "backends/posix/call.hpp"
#include "backends/posix/gather.hpp"
#include "backends/posix/sigpipe.hpp"
#include "backends/posix/sockets.hpp"

#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>

namespace weir::inline WEIR_ABI::detail {

std::int64_t PosixSockets::read(native_socket native, std::span<std::byte> into) noexcept {
  const std::int64_t result = retried([&] { return ::read(native, into.data(), into.size()); });
  // So Linux says that nobody has the other side of a pseudo-terminal open.
  return result == -EIO && ::isatty(native) != 0 ? 0 : result;
}

std::int64_t PosixSockets::write(native_socket native, std::span<const ConstBuffer> buffers) noexcept {
  const Gathered gathered(buffers);
  NoSigpipe guard;
  const std::int64_t result = retried([&] { return ::writev(native, gathered.pieces, gathered.count); });
  if (result != static_cast<std::int64_t>(gathered.size())) {
    guard.may_be_raised();
  }
  return result;
}

std::int64_t PosixSockets::has_hung_up(native_socket native) noexcept {
  pollfd asked{native, 0, 0};
  const std::int64_t result = retried([&] { return ::poll(&asked, 1, 0); });
  return result < 0 ? result : (asked.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace weir::inline WEIR_ABI::detail
