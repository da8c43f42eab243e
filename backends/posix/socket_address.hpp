// RawAddress to and from the system's sockaddr. Private to the POSIX side of backends/ and to what includes
// it there.
#pragma once

#include <weir/detail/raw_address.hpp>

#include <sys/socket.h>

namespace weir::inline WEIR_ABI::detail {

// A sockaddr of any family together with the length that the system calls want beside it.
struct SystemAddress {
  SystemAddress() noexcept {}  // whoever writes an address writes all of it, and its length

  sockaddr_storage storage;
  socklen_t length = sizeof(sockaddr_storage);

  sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

// The length is 0 for a family that has no sockaddr here, and for a path that is too long for one.
SystemAddress to_system(const RawAddress& address) noexcept;

// The family is unspecified for anything but IPv4, IPv6 and AF_UNIX.
RawAddress from_system(const sockaddr_storage& storage, socklen_t length) noexcept;
inline RawAddress from_system(const SystemAddress& address) noexcept {
  return from_system(address.storage, address.length);
}

}  // namespace weir::inline WEIR_ABI::detail
