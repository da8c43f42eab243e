// RawAddress to and from the system's sockaddr. Private to the Windows side of backends/.
#pragma once

#include "backends/windows/winsock.hpp"

#include <weir/detail/raw_address.hpp>

namespace weir::inline WEIR_ABI::detail {

// A sockaddr of any family together with the length that the system calls want beside it.
struct SystemAddress {
  SystemAddress() noexcept {}  // whoever writes an address writes all of it, and its length

  sockaddr_storage storage;
  int length = sizeof(sockaddr_storage);

  sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

// The length is 0 for a family that has no sockaddr here, and for a path that is too long for one.
SystemAddress to_system(const RawAddress& address) noexcept;

// The family is unspecified for anything but IPv4, IPv6 and AF_UNIX.
RawAddress from_system(const sockaddr& address, int length) noexcept;
inline RawAddress from_system(const SystemAddress& address) noexcept {
  return from_system(*address.get(), address.length);
}

// AF_INET and so on.
int system_family(AddressFamily family) noexcept;
AddressFamily neutral_family(int family) noexcept;

}  // namespace weir::inline WEIR_ABI::detail
