// The names of the options of sockets.
#include "backends/system/socket_option.hpp"

#ifdef _WIN32
#include "backends/windows/winsock.hpp"
#else
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#endif

// mingw's headers are older than Windows 10's options.
#if defined(_WIN32) && !defined(TCP_KEEPIDLE)
#define TCP_KEEPIDLE 3
#endif
#if defined(_WIN32) && !defined(TCP_KEEPCNT)
#define TCP_KEEPCNT 16
#endif
#if defined(_WIN32) && !defined(TCP_KEEPINTVL)
#define TCP_KEEPINTVL 17
#endif

namespace weir::inline WEIR_ABI::detail {

OptionName option_name(SocketOption option) noexcept {
  switch (option) {
    case SocketOption::reuse_address:
      return {SOL_SOCKET, SO_REUSEADDR};
    case SocketOption::reuse_port:
#ifdef SO_REUSEPORT
      return {SOL_SOCKET, SO_REUSEPORT};
#else
      break;
#endif
    case SocketOption::no_delay:
      return {IPPROTO_TCP, TCP_NODELAY};
    case SocketOption::keep_alive:
      return {SOL_SOCKET, SO_KEEPALIVE};
    case SocketOption::keep_alive_idle:
#ifdef TCP_KEEPIDLE
      return {IPPROTO_TCP, TCP_KEEPIDLE};
#elif defined(TCP_KEEPALIVE)
      return {IPPROTO_TCP, TCP_KEEPALIVE};  // macOS
#else
      break;  // OpenBSD: for the whole system only
#endif
    case SocketOption::keep_alive_interval:
#ifdef TCP_KEEPINTVL
      return {IPPROTO_TCP, TCP_KEEPINTVL};
#else
      break;
#endif
    case SocketOption::keep_alive_count:
#ifdef TCP_KEEPCNT
      return {IPPROTO_TCP, TCP_KEEPCNT};
#else
      break;
#endif
    case SocketOption::ipv6_only:
      return {IPPROTO_IPV6, IPV6_V6ONLY};
    case SocketOption::send_buffer:
      return {SOL_SOCKET, SO_SNDBUF};
    case SocketOption::receive_buffer:
      return {SOL_SOCKET, SO_RCVBUF};
    case SocketOption::error:
      return {SOL_SOCKET, SO_ERROR};
    case SocketOption::broadcast:
      return {SOL_SOCKET, SO_BROADCAST};
    case SocketOption::linger_abort:
      return {SOL_SOCKET, SO_LINGER};
    case SocketOption::multicast_ttl:
    case SocketOption::multicast_loop:
    case SocketOption::multicast_interface:
      break;
  }
  return {-1, -1};
}

}  // namespace weir::inline WEIR_ABI::detail
