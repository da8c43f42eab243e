// How the servers that call the system themselves echo datagrams.
#pragma once

#include "bench/echo/listening.hpp"

#include <cstddef>

namespace bench {

// False: none is there. An answer that the system does not take is dropped, as datagrams may be.
inline bool echo_datagram(int socket) {
  static char buffer[64 * 1024];
  sockaddr_in from;
  socklen_t size = sizeof from;
  const ssize_t count =
      ::recvfrom(socket, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size);
  if (count < 0) {
    return false;
  }
  ::sendto(socket, buffer, static_cast<std::size_t>(count), 0, reinterpret_cast<sockaddr*>(&from), size);
  return true;
}

// Until none is left, or for so long that others would wait.
inline void echo_datagrams(int socket) {
  for (int i = 0; i != 64 && echo_datagram(socket); ++i) {
  }
}

}  // namespace bench
