// RawAddress to and from the system's sockaddr, which POSIX and Windows share. Private to backends/.
#pragma once

#include <weir/detail/raw_address.hpp>

#ifdef _WIN32
#include "backends/windows/winsock.hpp"
#else
#include <sys/socket.h>
#endif

namespace weir::inline WEIR_ABI::detail {

#ifdef _WIN32
using SystemLength = int;
#else
using SystemLength = socklen_t;
#endif

// A sockaddr of any family together with the length that the system calls want beside it.
struct SystemAddress {
  SystemAddress() noexcept {}  // whoever writes an address writes all of it, and its length

  sockaddr_storage storage;
  SystemLength length = sizeof(sockaddr_storage);

  sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

// The length is 0 for a family that has no sockaddr here, and for a path that is too long for one.
SystemAddress to_system(const RawAddress& address) noexcept;
inline bool is_too_long(const RawAddress& address, const SystemAddress& system) noexcept {
  return address.family == AddressFamily::unix_domain && system.length == 0;
}

// The family is unspecified for anything but IPv4, IPv6 and AF_UNIX.
RawAddress from_system(const sockaddr_storage& storage, SystemLength length) noexcept;
inline RawAddress from_system(const SystemAddress& address) noexcept {
  return from_system(address.storage, address.length);
}

// AF_INET and so on.
int system_family(AddressFamily family) noexcept;
AddressFamily neutral_family(int family) noexcept;

}  // namespace weir::inline WEIR_ABI::detail
