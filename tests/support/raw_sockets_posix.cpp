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
std::ptrdiff_t raw_receive_from(native_socket native, std::span<char> into, RawPeer& peer) {
  socklen_t size = sizeof peer.address;
  const ssize_t count = ::recvfrom(native, into.data(), into.size(), MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(peer.address), &size);
  peer.size = static_cast<int>(size);
  return count;
}
bool raw_send_to(native_socket native, std::string_view text, const RawPeer& peer) {
  return ::sendto(native, text.data(), text.size(), MSG_DONTWAIT,
                  reinterpret_cast<const sockaddr*>(peer.address),
                  static_cast<socklen_t>(peer.size)) == static_cast<ssize_t>(text.size());
}
bool is_non_blocking(native_socket native) { return (::fcntl(native, F_GETFL) & O_NONBLOCK) != 0; }

std::uint32_t loopback_interface() {
  const std::uint32_t number = ::if_nametoindex("lo");
  return number != 0 ? number : ::if_nametoindex("lo0");  // the BSDs' name
}

}  // namespace weir::testing
