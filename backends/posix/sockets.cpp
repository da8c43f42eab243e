// The socket calls of POSIX.
#include "backends/posix/sockets.hpp"

#include "backends/posix/call.hpp"
#include "backends/posix/gather.hpp"
#include "backends/posix/sigpipe.hpp"
#include "backends/system/socket_address.hpp"
#include "backends/system/socket_option.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#ifdef __linux__
#include <sys/sendfile.h>
#endif
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <limits>

namespace weir::inline WEIR_ABI::detail {

namespace {

// For every socket that comes here, where send() cannot be told to leave SIGPIPE alone (macOS).
void never_raise_sigpipe([[maybe_unused]] int fd) noexcept {
#if !defined(MSG_NOSIGNAL) && defined(SO_NOSIGPIPE)
  constexpr int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
}

#ifndef __linux__
std::int64_t set_flags(int fd) noexcept {
  never_raise_sigpipe(fd);
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
    return -errno;
  }
  const int flags = ::fcntl(fd, F_GETFL);
  return flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

// Where the flags cannot be asked for with the descriptor, they follow at once; without them the descriptor
// is of no use.
std::int64_t flagged(std::int64_t fd) noexcept {
  if (fd < 0) {
    return fd;
  }
  const std::int64_t error = set_flags(static_cast<int>(fd));
  if (error < 0) {
    ::close(static_cast<int>(fd));
  }
  return error < 0 ? error : fd;
}
#endif

std::int64_t int_option(native_socket native, int level, int name) noexcept {
  int value = 0;
  socklen_t length = sizeof value;
  return ::getsockopt(native, level, name, &value, &length) < 0 ? -errno : value;
}

// The path of an address, with the NUL behind it.
struct SystemPath {
  explicit SystemPath(const RawAddress& address) noexcept {
    std::memcpy(text, address.path.data(), address.path_size);
  }
  char text[RawAddress::most_path + 1] = {};
};

using AddressCall = int (*)(int, sockaddr*, socklen_t*);

std::int64_t address_of(native_socket native, RawAddress& out, AddressCall call) noexcept {
  SystemAddress address;
  if (call(native, address.get(), &address.length) < 0) {
    return -errno;
  }
  out = from_system(address);
  return 0;
}

}  // namespace

std::int64_t PosixSockets::open(AddressFamily family, SocketType type, int protocol) noexcept {
  const int kind = type == SocketType::stream ? SOCK_STREAM : SOCK_DGRAM;
#ifdef __linux__
  return retried(
      [&] { return ::socket(system_family(family), kind | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol); });
#else
  return flagged(retried([&] { return ::socket(system_family(family), kind, protocol); }));
#endif
}

std::int64_t PosixSockets::open_pair(native_socket (&pair)[2]) noexcept {
#ifdef __linux__
  return retried([&] { return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair); });
#else
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) {
    return -errno;
  }
  for (const native_socket native : pair) {
    if (const std::int64_t error = set_flags(native); error < 0) {
      ::close(pair[0]);
      ::close(pair[1]);
      return error;
    }
  }
  return 0;
#endif
}

std::int64_t PosixSockets::close(native_socket native) noexcept {
  // Not retried: after EINTR the number is gone on Linux and may be somebody else's already.
  return ::close(native) < 0 && errno != EINTR ? -errno : 0;
}

std::int64_t PosixSockets::bind(native_socket native, const RawAddress& address) noexcept {
  const SystemAddress to = to_system(address);
  if (is_too_long(address, to)) {
    return -ENAMETOOLONG;
  }
  return ::bind(native, to.get(), to.length) < 0 ? -errno : 0;
}

std::int64_t PosixSockets::listen(native_socket native, int backlog) noexcept {
  return ::listen(native, backlog) < 0 ? -errno : 0;
}

std::int64_t PosixSockets::local_address(native_socket native, RawAddress& out) noexcept {
  return address_of(native, out, ::getsockname);
}

std::int64_t PosixSockets::peer_address(native_socket native, RawAddress& out) noexcept {
  return address_of(native, out, ::getpeername);
}

std::int64_t PosixSockets::set_option(native_socket native, SocketOption option, int value) noexcept {
  if (is_multicast(option)) {
    return set_multicast_option(native, option, value);
  }
  const OptionName which = option_name(option);
  if (which.level < 0) {
    return -ENOTSUP;
  }
  if (option == SocketOption::linger_abort) {
    const linger abort{value != 0 ? 1 : 0, 0};
    return ::setsockopt(native, which.level, which.name, &abort, sizeof abort) < 0 ? -errno : 0;
  }
  return ::setsockopt(native, which.level, which.name, &value, sizeof value) < 0 ? -errno : 0;
}

std::int64_t PosixSockets::get_option(native_socket native, SocketOption option) noexcept {
  if (is_multicast(option)) {
    return get_multicast_option(native, option);
  }
  const OptionName which = option_name(option);
  if (which.level < 0) {
    return -ENOTSUP;
  }
  if (option == SocketOption::linger_abort) {
    linger set{};
    socklen_t length = sizeof set;
    return ::getsockopt(native, which.level, which.name, &set, &length) < 0
               ? -errno
               : set.l_onoff != 0 && set.l_linger == 0;
  }
  return int_option(native, which.level, which.name);
}

std::int64_t PosixSockets::shutdown(native_socket native, ShutdownHow how) noexcept {
  const int system_how = how == ShutdownHow::read ? SHUT_RD : how == ShutdownHow::write ? SHUT_WR : SHUT_RDWR;
  return ::shutdown(native, system_how) < 0 ? -errno : 0;
}

std::int64_t PosixSockets::adopt(native_socket native) noexcept {
  const int status = ::fcntl(native, F_GETFL);
  if (status < 0) {
    return -errno;
  }
  never_raise_sigpipe(native);
  if ((status & O_NONBLOCK) == 0 && ::fcntl(native, F_SETFL, status | O_NONBLOCK) < 0) {
    return -errno;
  }
  return ::fcntl(native, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

std::int64_t PosixSockets::is_blocking(native_socket native) noexcept {
  const int status = ::fcntl(native, F_GETFL);
  return status < 0 ? -errno : (status & O_NONBLOCK) == 0;
}

std::int64_t PosixSockets::type(native_socket native) noexcept {
  const std::int64_t type = int_option(native, SOL_SOCKET, SO_TYPE);
  if (type == SOCK_STREAM) {
    return static_cast<std::int64_t>(SocketType::stream);
  }
  if (type == SOCK_DGRAM) {
    return static_cast<std::int64_t>(SocketType::datagram);
  }
  return type < 0 ? type : -EPROTOTYPE;
}

std::int64_t PosixSockets::family(native_socket native) noexcept {
  SystemAddress address;
  if (::getsockname(native, address.get(), &address.length) < 0) {
    return -errno;
  }
  return static_cast<std::int64_t>(neutral_family(address.storage.ss_family));
}

std::int64_t PosixSockets::socket_file(const RawAddress& address, FileIdentity& out) noexcept {
  struct stat status{};
  if (::stat(SystemPath(address).text, &status) < 0) {
    return -errno;
  }
  out = {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino)};
  return S_ISSOCK(status.st_mode) ? 0 : -ENOTSOCK;
}

std::int64_t PosixSockets::remove_file(const RawAddress& address) noexcept {
  return ::unlink(SystemPath(address).text) < 0 ? -errno : 0;
}

std::int64_t PosixSockets::connect(native_socket native, const RawAddress& address) noexcept {
  const SystemAddress to = to_system(address);
  if (is_too_long(address, to)) {
    return -ENAMETOOLONG;
  }
  if (::connect(native, to.get(), to.length) == 0) {
    return 0;
  }
  // After EINTR the attempt goes on by itself, and EALREADY is the answer while an earlier one does.
  return errno == EINTR || errno == EALREADY ? -EINPROGRESS : -errno;
}

std::int64_t PosixSockets::connect_result(native_socket native) noexcept {
  const std::int64_t error = int_option(native, SOL_SOCKET, SO_ERROR);
  if (error != 0) {
    return error < 0 ? error : -error;
  }
  SystemAddress peer;
  if (::getpeername(native, peer.get(), &peer.length) == 0) {
    return 0;
  }
  return errno == ENOTCONN ? -EINPROGRESS : -errno;
}

bool PosixSockets::is_listening(native_socket native) noexcept {
  return int_option(native, SOL_SOCKET, SO_ACCEPTCONN) != 0;
}

std::int64_t PosixSockets::accept(native_socket native, RawAddress& peer) noexcept {
  SystemAddress address;
  const std::int64_t accepted = retried([&] {
    address.length = sizeof address.storage;
#ifdef __linux__
    return ::accept4(native, address.get(), &address.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
    return static_cast<int>(flagged(::accept(native, address.get(), &address.length)));
#endif
  });
  if (accepted >= 0) {
    peer = from_system(address);
    return accepted;
  }
  return accepted;
}

// EOPNOTSUPP is in the manual's list too, but it is also the answer for a socket that cannot accept at all.
bool PosixSockets::concerns_one_connection(std::int64_t result) noexcept {
  switch (-result) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPERM:
#ifdef ENONET
    case ENONET:
#endif
      return true;
    default:
      return false;
  }
}

std::int64_t PosixSockets::receive_again(native_socket native, std::span<std::byte> into) noexcept {
  return errno != EINTR ? negated_errno()
                        : retried([&] { return ::recv(native, into.data(), into.size(), 0); });
}

std::int64_t PosixSockets::send_again(native_socket native, ConstBuffer buffer) noexcept {
  return errno != EINTR ? negated_errno()
                        : retried([&] { return ::send(native, buffer.data(), buffer.size(), send_flags); });
}

std::int64_t PosixSockets::send_gather(native_socket native, std::span<const ConstBuffer> buffers) noexcept {
  Gathered gathered(buffers);
  msghdr message{};
  message.msg_iov = gathered.pieces;
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(gathered.count);
  return retried([&] { return ::sendmsg(native, &message, send_flags); });
}

#ifdef __linux__
std::int64_t PosixSockets::send_file(native_socket native, native_file file, std::uint64_t offset,
                                     std::size_t count) noexcept {
  if (offset > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    return -ENOTSUP;
  }
  NoSigpipe guard;
  const std::int64_t result = retried([&] {
    auto from = static_cast<off_t>(offset);
    return ::sendfile(native, file, &from, count);
  });
  if (result != static_cast<std::int64_t>(count)) {
    guard.may_be_raised();
  }
  const bool cannot = result == -EINVAL || result == -ENOSYS || result == -EOVERFLOW;
  return cannot ? -ENOTSUP : result;
}
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__DragonFly__)
namespace {

// 0 or -1 with errno; `sent` says in both cases how much went.
int system_send_file(int to, int file, off_t from, std::size_t count, off_t& sent) noexcept {
#ifdef __APPLE__
  sent = static_cast<off_t>(count);  // 0 would mean the whole rest
  return ::sendfile(file, to, from, &sent, nullptr, 0);
#else
  sent = 0;
  return ::sendfile(file, to, from, count, nullptr, &sent, 0);
#endif
}

}  // namespace

std::int64_t PosixSockets::send_file(native_socket native, native_file file, std::uint64_t offset,
                                     std::size_t count) noexcept {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  if (offset > most || count > most) {
    return -ENOTSUP;
  }
  if (count == 0) {
    return 0;
  }
  NoSigpipe guard;
  off_t sent = 0;
  const std::int64_t result = retried([&] {
    const int failed = system_send_file(native, file, static_cast<off_t>(offset), count, sent);
    return sent > 0 ? 0 : failed;
  });
  if (sent != static_cast<off_t>(count)) {
    guard.may_be_raised();
  }
  // Not with this file, or not with this socket.
  const bool cannot = result == -EINVAL || result == -ENOSYS || result == -EOVERFLOW || result == -ENOTSUP ||
                      result == -EOPNOTSUPP;
  return cannot ? -ENOTSUP : result < 0 ? result : static_cast<std::int64_t>(sent);
}
#else
std::int64_t PosixSockets::send_file(native_socket, native_file, std::uint64_t, std::size_t) noexcept {
  return -ENOTSUP;
}
#endif

}  // namespace weir::inline WEIR_ABI::detail
