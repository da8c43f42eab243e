// The door to the system calls: the linker's --wrap sends weir's calls here first. The lists are those of the
// manual pages, without the errors that only a mistake of weir's own could bring about.
#include "tests/drivers/calls.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#ifdef WEIR_BACKEND_KQUEUE
#include <sys/event.h>
#endif
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <cerrno>

namespace {

using weir::testing::FaultyCalls;

constexpr int of_socket[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES, EAFNOSUPPORT};
constexpr int of_bind[] = {EADDRINUSE, EACCES, EADDRNOTAVAIL};
constexpr int of_listen[] = {EADDRINUSE};
constexpr int of_connect[] = {ECONNREFUSED,  EINTR,  ENETUNREACH, ETIMEDOUT,
                              EADDRNOTAVAIL, EACCES, EPERM,       EAGAIN};
constexpr int of_accept[] = {ECONNABORTED, EINTR,  EPERM,  EPROTO,  ENETDOWN,
                             EHOSTUNREACH, EMFILE, ENFILE, ENOBUFS, ENOMEM};
constexpr int of_recv[] = {ECONNRESET, EINTR, ETIMEDOUT, ENOMEM, ECONNREFUSED};
constexpr int of_send[] = {EPIPE, EINTR, ECONNRESET, ENOBUFS, ENOMEM, ETIMEDOUT};
constexpr int of_read[] = {EINTR, EIO};
constexpr int of_write[] = {EPIPE, EINTR, EIO, ENOSPC};
constexpr int of_sendfile[] = {EPIPE, EINTR, ECONNRESET, ENOMEM, EIO, EINVAL, ENOSYS};
constexpr int of_shutdown[] = {ENOTCONN};
constexpr int of_option[] = {ENOPROTOOPT, ENOMEM, ENOBUFS};
// Not ENOTCONN: after a connection was made it comes with an event, and nothing else would bring one.
constexpr int of_name[] = {ENOBUFS, ENOMEM};
constexpr int of_epoll_ctl[] = {ENOMEM, ENOSPC};
constexpr int of_waiting[] = {EINTR};
[[maybe_unused]] constexpr int of_kevent[] = {ENOMEM};
constexpr int of_create[] = {EMFILE, ENFILE, ENOMEM};
constexpr int of_close[] = {EINTR, EIO};

bool fails(const char* name, std::span<const int> errors, bool moves_bytes = false) noexcept {
  std::size_t most = 0;
  const int error = FaultyCalls::ask(name, errors, moves_bytes ? &most : nullptr);
  if (error != 0) {
    errno = error;
  }
  return error != 0;
}

}  // namespace

namespace weir::testing {

bool can_cut_calls() noexcept { return false; }

}  // namespace weir::testing

// The names are the linker's.
// NOLINTBEGIN(bugprone-reserved-identifier)
#define WRAP(result, name, parameters, arguments, errors, moves)       \
  extern "C" result __real_##name parameters;                          \
  extern "C" result __wrap_##name parameters {                         \
    return fails(#name, errors, moves) ? -1 : __real_##name arguments; \
  }

WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), of_socket, false)
WRAP(int, socketpair, (int domain, int type, int protocol, int* pair), (domain, type, protocol, pair),
     of_socket, false)
WRAP(int, bind, (int fd, const sockaddr* address, socklen_t size), (fd, address, size), of_bind, false)
WRAP(int, listen, (int fd, int backlog), (fd, backlog), of_listen, false)
WRAP(int, accept4, (int fd, sockaddr* address, socklen_t* size, int flags), (fd, address, size, flags),
     of_accept, false)
WRAP(ssize_t, recv, (int fd, void* memory, size_t size, int flags), (fd, memory, size, flags), of_recv, true)
WRAP(ssize_t, send, (int fd, const void* memory, size_t size, int flags), (fd, memory, size, flags), of_send,
     true)
WRAP(ssize_t, sendmsg, (int fd, const msghdr* message, int flags), (fd, message, flags), of_send, true)
WRAP(int, recvmmsg, (int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout),
     (fd, messages, count, flags, timeout), of_recv, true)
WRAP(ssize_t, recvfrom,
     (int fd, void* memory, size_t size, int flags, sockaddr* address, socklen_t* address_size),
     (fd, memory, size, flags, address, address_size), of_recv, true)
WRAP(int, sendmmsg, (int fd, mmsghdr* messages, unsigned count, int flags), (fd, messages, count, flags),
     of_send, true)
WRAP(ssize_t, recvmsg, (int fd, msghdr* message, int flags), (fd, message, flags), of_recv, true)
WRAP(ssize_t, read, (int fd, void* memory, size_t size), (fd, memory, size), of_read, true)
WRAP(ssize_t, writev, (int fd, const iovec* pieces, int count), (fd, pieces, count), of_write, true)
WRAP(ssize_t, sendfile64, (int to, int file, off_t* offset, size_t count), (to, file, offset, count),
     of_sendfile, false)
WRAP(int, shutdown, (int fd, int how), (fd, how), of_shutdown, false)
WRAP(int, setsockopt, (int fd, int level, int name, const void* value, socklen_t size),
     (fd, level, name, value, size), of_option, false)
WRAP(int, getsockopt, (int fd, int level, int name, void* value, socklen_t* size),
     (fd, level, name, value, size), of_option, false)
WRAP(int, getsockname, (int fd, sockaddr* address, socklen_t* size), (fd, address, size), of_name, false)
WRAP(int, getpeername, (int fd, sockaddr* address, socklen_t* size), (fd, address, size), of_name, false)
WRAP(int, epoll_create1, (int flags), (flags), of_create, false)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), of_create, false)
WRAP(int, epoll_wait, (int fd, epoll_event* events, int most, int timeout), (fd, events, most, timeout),
     of_waiting, false)
WRAP(int, epoll_pwait2,
     (int fd, epoll_event* events, int most, const timespec* timeout, const sigset_t* mask),
     (fd, events, most, timeout, mask), of_waiting, false)
WRAP(int, ppoll, (pollfd * asked, nfds_t count, const timespec* timeout, const sigset_t* mask),
     (asked, count, timeout, mask), of_waiting, false)

// An interrupted attempt goes on by itself.
extern "C" int __real_connect(int fd, const sockaddr* address, socklen_t size);
extern "C" int __wrap_connect(int fd, const sockaddr* address, socklen_t size) {
  if (!fails("connect", of_connect)) {
    return __real_connect(fd, address, size);
  }
  if (errno == EINTR) {
    __real_connect(fd, address, size);
    errno = EINTR;
  }
  return -1;
}

// Removing a registration is not refused: the manual has no error for it that is not a mistake.
extern "C" int __real_epoll_ctl(int epoll, int operation, int fd, epoll_event* event);
extern "C" int __wrap_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  return operation != EPOLL_CTL_DEL && fails("epoll_ctl", of_epoll_ctl)
             ? -1
             : __real_epoll_ctl(epoll, operation, fd, event);
}

#ifdef WEIR_BACKEND_KQUEUE
WRAP(int, kqueue, (), (), of_create, false)

// Waits and new knotes fail; deleting and triggering do not.
extern "C" int __real_kevent(int queue, const struct kevent* changes, int change_count, struct kevent* events,
                             int event_count, const timespec* timeout);
extern "C" int __wrap_kevent(int queue, const struct kevent* changes, int change_count, struct kevent* events,
                             int event_count, const timespec* timeout) {
  bool is_failing = change_count == 0 && fails("kevent (wait)", of_waiting);
  for (int i = 0; i < change_count && !is_failing; ++i) {
    is_failing = (changes[i].flags & EV_ADD) != 0 && fails("kevent (add)", of_kevent);
  }
  return is_failing ? -1 : __real_kevent(queue, changes, change_count, events, event_count, timeout);
}
#endif

// The number is gone all the same, as on Linux.
extern "C" int __real_close(int fd);
extern "C" int __wrap_close(int fd) {
  const bool failed = fails("close", of_close);
  const int error = errno;
  const int result = __real_close(fd);
  errno = failed ? error : errno;
  return failed ? -1 : result;
}
// NOLINTEND(bugprone-reserved-identifier)
