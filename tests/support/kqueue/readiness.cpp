// Part of a test double of kqueue(2): asks Linux what a BSD kernel would know.
#include "readiness.hpp"

#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <algorithm>
#include <cerrno>

namespace kqueue_double {

namespace {

// <linux/tcp.h> knows more of a connection than <netinet/tcp.h>, and not the names of its states.
enum State { fin_wait_1 = 4, fin_wait_2 = 5, time_wait = 6, close = 7, last_ack = 9, closing = 11 };

short polled(int fd) noexcept {
  pollfd asked{fd, POLLIN | POLLOUT | POLLRDHUP, 0};
  return ::poll(&asked, 1, 0) == 1 ? asked.revents : short{0};
}

bool is_fifo(int fd) noexcept {
  struct stat status{};
  return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

int option(int fd, int level, int name) noexcept {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

bool tcp(int fd, tcp_info& info) noexcept {
  socklen_t size = sizeof info;
  return option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP &&
         ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0;
}

int asked(int fd, unsigned long request) noexcept {
  int value = 0;
  return ::ioctl(fd, request, &value) == 0 ? value : 0;
}

// Linux gives out the error of a socket only by taking it away from its owner, so this is a guess at it.
unsigned guessed_error(const tcp_info& info) noexcept {
  return info.tcpi_bytes_acked <= 1 && info.tcpi_bytes_received == 0 ? ECONNREFUSED : ECONNRESET;
}

// To Linux a socket of TCP that never was connected has hung up.
bool is_unconnected(short events) noexcept {
  return (events & POLLHUP) != 0 && (events & (POLLRDHUP | POLLERR)) == 0;
}

bool has_sent_end(const tcp_info& info) noexcept {
  const int state = info.tcpi_state;
  return state == fin_wait_1 || state == fin_wait_2 || state == time_wait || state == close ||
         state == last_ack || state == closing;
}

}  // namespace

Condition reading(int fd) noexcept {
  const short events = polled(fd);
  tcp_info info{};
  const bool is_tcp = tcp(fd, info);
  Condition found;
  found.is_ready = (events & (POLLIN | POLLRDHUP | POLLHUP | POLLERR)) != 0;
  if (is_tcp && is_unconnected(events)) {
    return {};
  }
  const bool is_connectionless = option(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM;
  found.is_ended = (events & (POLLRDHUP | POLLHUP)) != 0 || ((events & POLLERR) != 0 && !is_connectionless);
  if (is_tcp && (events & POLLERR) != 0) {
    found.error = guessed_error(info);
  }
  if (option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1) {
    found.amount = is_tcp ? info.tcpi_unacked : 1;  // Linux does not tell it of a Unix socket
  } else {
    found.amount = asked(fd, FIONREAD);
  }
  return found;
}

Condition writing(int fd) noexcept {
  const short events = polled(fd);
  tcp_info info{};
  const bool is_tcp = tcp(fd, info);
  if (is_tcp && is_unconnected(events)) {
    return {};
  }
  const bool is_connectionless = option(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM;
  Condition found;
  found.is_ended =
      ((events & (POLLHUP | POLLERR)) != 0 && !is_connectionless) || (is_tcp && has_sent_end(info));
  found.is_ready = found.is_ended || (events & (POLLOUT | POLLERR)) != 0;
  if (is_tcp && (events & POLLERR) != 0) {
    found.error = guessed_error(info);
  }
  if (is_fifo(fd)) {
    found.amount = ::fcntl(fd, F_GETPIPE_SZ) - asked(fd, FIONREAD);
  } else {
    found.amount = std::max(option(fd, SOL_SOCKET, SO_SNDBUF) - asked(fd, SIOCOUTQ), 0);
  }
  return found;
}

bool is_broken_pipe(int fd) noexcept { return is_fifo(fd) && (polled(fd) & (POLLERR | POLLHUP)) != 0; }

}  // namespace kqueue_double
