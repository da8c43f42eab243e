// Multicast on Windows: each call has one form for IPv4 and one for IPv6.
#include "backends/windows/adapters.hpp"
#include "backends/windows/errors.hpp"
#include "backends/windows/sockets.hpp"
#include "backends/windows/winsock.hpp"

#include <cerrno>
#include <cstring>

namespace weir::inline WEIR_ABI::detail {

namespace {

std::int64_t set(native_socket native, int level, int name, const auto& value) noexcept {
  return ::setsockopt(native, level, name, reinterpret_cast<const char*>(&value), sizeof value) != 0
             ? last_socket_error(native)
             : 0;
}

// IPv4 names an interface by an address of it. Windows takes 0.0.0.N for a number too, Wine does not.
ULONG address_of_interface(std::uint32_t number) noexcept {
  if (number == 0) {
    return INADDR_ANY;  // the system chooses
  }
  const Adapters adapters;
  for (const IP_ADAPTER_ADDRESSES* adapter = adapters.first(); adapter != nullptr; adapter = adapter->Next) {
    for (const auto* one = adapter->FirstUnicastAddress; one != nullptr; one = one->Next) {
      if (adapter->IfIndex == number && one->Address.lpSockaddr->sa_family == AF_INET) {
        sockaddr_in found{};
        std::memcpy(&found, one->Address.lpSockaddr, sizeof found);
        return found.sin_addr.s_addr;
      }
    }
  }
  return ::htonl(number);
}

std::int64_t change_group(native_socket native, const RawAddress& group, std::uint32_t number, int inet_call,
                          int inet6_call) noexcept {
  if (group.family == AddressFamily::inet) {
    ip_mreq request{};
    std::memcpy(&request.imr_multiaddr, group.ip.data(), sizeof request.imr_multiaddr);
    request.imr_interface.s_addr = address_of_interface(number);
    return set(native, IPPROTO_IP, inet_call, request);
  }
  if (group.family == AddressFamily::inet6) {
    ipv6_mreq request{};
    std::memcpy(&request.ipv6mr_multiaddr, group.ip.data(), sizeof request.ipv6mr_multiaddr);
    request.ipv6mr_interface = number != 0 ? number : group.scope_id;
    return set(native, IPPROTO_IPV6, inet6_call, request);
  }
  return -EAFNOSUPPORT;
}

}  // namespace

std::int64_t WindowsSockets::join_group(native_socket native, const RawAddress& group,
                                        std::uint32_t interface_number) noexcept {
  return change_group(native, group, interface_number, IP_ADD_MEMBERSHIP, IPV6_ADD_MEMBERSHIP);
}

std::int64_t WindowsSockets::leave_group(native_socket native, const RawAddress& group,
                                         std::uint32_t interface_number) noexcept {
  const std::int64_t error =
      change_group(native, group, interface_number, IP_DROP_MEMBERSHIP, IPV6_DROP_MEMBERSHIP);
  return error == -EINVAL ? -EADDRNOTAVAIL : error;  // so Wine says that it is no member
}

std::int64_t WindowsSockets::set_multicast_option(native_socket native, SocketOption option,
                                                  int value) noexcept {
  const std::int64_t own = family(native);
  if (own == static_cast<std::int64_t>(AddressFamily::inet6)) {
    const int name = option == SocketOption::multicast_ttl    ? IPV6_MULTICAST_HOPS
                     : option == SocketOption::multicast_loop ? IPV6_MULTICAST_LOOP
                                                              : IPV6_MULTICAST_IF;
    return set(native, IPPROTO_IPV6, name, static_cast<DWORD>(value));
  }
  if (own < 0 || own != static_cast<std::int64_t>(AddressFamily::inet)) {
    return own < 0 ? own : -ENOPROTOOPT;
  }
  if (option == SocketOption::multicast_interface) {
    return set(native, IPPROTO_IP, IP_MULTICAST_IF,
               DWORD{address_of_interface(static_cast<std::uint32_t>(value))});
  }
  if (value < 0 || value > 255) {
    return -EINVAL;
  }
  return set(native, IPPROTO_IP, option == SocketOption::multicast_ttl ? IP_MULTICAST_TTL : IP_MULTICAST_LOOP,
             static_cast<DWORD>(value));
}

std::int64_t WindowsSockets::get_multicast_option(native_socket native, SocketOption option) noexcept {
  const bool is_ttl = option == SocketOption::multicast_ttl;
  const std::int64_t own = family(native);
  if (own < 0 || option == SocketOption::multicast_interface) {
    return own < 0 ? own : -ENOTSUP;  // IPv4 tells an address instead of the number
  }
  const bool is_inet = own == static_cast<std::int64_t>(AddressFamily::inet);
  if (!is_inet && own != static_cast<std::int64_t>(AddressFamily::inet6)) {
    return -ENOPROTOOPT;
  }
  const int level = is_inet ? IPPROTO_IP : IPPROTO_IPV6;
  const int ttl = is_inet ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS;
  const int loop = is_inet ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP;
  DWORD value = 0;
  int length = sizeof value;
  return ::getsockopt(native, level, is_ttl ? ttl : loop, reinterpret_cast<char*>(&value), &length) != 0
             ? last_socket_error(native)
             : std::int64_t{value};
}

}  // namespace weir::inline WEIR_ABI::detail
