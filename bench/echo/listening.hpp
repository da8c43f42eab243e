// What the echo servers share: a socket on a free port of 127.0.0.1, said in the first line of output as the
// weir program says it.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace bench {

// Ends the program with the system's reason.
[[noreturn]] inline void give_up(const char* call) {
  std::perror(call);
  std::exit(1);
}

inline void announce(int listener, const char* scheme = "tcp") {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    give_up("getsockname");
  }
  std::printf("%s://127.0.0.1:%d\n", scheme, ntohs(address.sin_port));
  std::fflush(stdout);
}

// Not blocking. Announces itself.
inline int listen_anywhere() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (listener < 0 || ::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 4096) != 0) {
    give_up("listen");
  }
  announce(listener);
  return listener;
}

// Not blocking. Announces itself.
inline int receive_datagrams_anywhere() {
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket < 0 || ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    give_up("bind");
  }
  announce(socket, "udp");
  return socket;
}

inline void set_no_delay(int connection) {
  const int one = 1;
  ::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

// Is it to drop what it receives, instead of sending it back?
inline bool discards(int argc, char** argv) { return argc > 1 && std::string_view(argv[1]) == "--discard"; }

}  // namespace bench
