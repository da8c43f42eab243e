// The calls of Winsock. Every socket here is weir's, and so none waits.
#include "tests/support/raw_sockets.hpp"

#include <winsock2.h>

namespace weir::testing {

native_socket raw_accept(native_socket listening) { return ::accept(listening, nullptr, nullptr); }
void raw_close(native_socket native) { ::closesocket(native); }
std::ptrdiff_t raw_receive(native_socket native, std::span<char> into) {
  return ::recv(native, into.data(), static_cast<int>(into.size()), 0);
}
// The system does not tell otherwise.
bool is_non_blocking(native_socket native) {
  char byte = 0;
  return ::recv(native, &byte, 1, 0) < 0 && ::WSAGetLastError() == WSAEWOULDBLOCK;
}

}  // namespace weir::testing
