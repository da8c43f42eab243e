// The calls of POSIX.
#include "tests/support/raw_sockets.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

namespace weir::testing {

native_socket raw_accept(native_socket listening) { return ::accept(listening, nullptr, nullptr); }
void raw_close(native_socket native) { ::close(native); }
std::ptrdiff_t raw_receive(native_socket native, std::span<char> into) {
  return ::recv(native, into.data(), into.size(), MSG_DONTWAIT);
}
bool is_non_blocking(native_socket native) { return (::fcntl(native, F_GETFL) & O_NONBLOCK) != 0; }

std::uint32_t loopback_interface() {
  const std::uint32_t number = ::if_nametoindex("lo");
  return number != 0 ? number : ::if_nametoindex("lo0");  // the BSDs' name
}

}  // namespace weir::testing
