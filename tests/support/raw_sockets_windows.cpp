// The calls of Winsock. Every socket here is weir's, and so none waits.
#include "tests/support/raw_sockets.hpp"

// clang-format off
#include <winsock2.h>
#include <iphlpapi.h>
// clang-format on

#include <vector>

namespace weir::testing {

native_socket raw_accept(native_socket listening) { return ::accept(listening, nullptr, nullptr); }
void raw_close(native_socket native) { ::closesocket(native); }
std::ptrdiff_t raw_receive(native_socket native, std::span<char> into) {
  return ::recv(native, into.data(), static_cast<int>(into.size()), 0);
}
std::ptrdiff_t raw_receive_from(native_socket native, std::span<char> into, RawPeer& peer) {
  peer.size = sizeof peer.address;
  return ::recvfrom(native, into.data(), static_cast<int>(into.size()), 0,
                    reinterpret_cast<sockaddr*>(peer.address), &peer.size);
}
bool raw_send_to(native_socket native, std::string_view text, const RawPeer& peer) {
  const int size = static_cast<int>(text.size());
  return ::sendto(native, text.data(), size, 0, reinterpret_cast<const sockaddr*>(peer.address), peer.size) ==
         size;
}
// The system does not tell otherwise.
bool is_non_blocking(native_socket native) {
  char byte = 0;
  return ::recv(native, &byte, 1, 0) < 0 && ::WSAGetLastError() == WSAEWOULDBLOCK;
}

std::uint32_t loopback_interface() {
  ULONG size = 0;
  ::GetAdaptersAddresses(AF_INET, 0, nullptr, nullptr, &size);
  std::vector<std::max_align_t> memory(size / sizeof(std::max_align_t) + 1);
  auto* const first = reinterpret_cast<IP_ADAPTER_ADDRESSES*>(memory.data());
  if (::GetAdaptersAddresses(AF_INET, 0, nullptr, first, &size) != NO_ERROR) {
    return 0;
  }
  for (const IP_ADAPTER_ADDRESSES* one = first; one != nullptr; one = one->Next) {
    if (one->IfType == IF_TYPE_SOFTWARE_LOOPBACK) {
      return one->IfIndex;
    }
  }
  return 0;
}

}  // namespace weir::testing
