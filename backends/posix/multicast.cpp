// Multicast on POSIX: each call has one form for IPv4 and one for IPv6.
#include "backends/posix/sockets.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <cerrno>
#include <cstring>

namespace weir::inline WEIR_ABI::detail {

namespace {

std::int64_t set(native_socket native, int level, int name, const auto& value) noexcept {
  return ::setsockopt(native, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

#ifdef __NetBSD__
// It has no ip_mreqn, and takes the number of an interface for its address.
using GroupRequest = ip_mreq;
using InterfaceRequest = in_addr;
void set_interface(GroupRequest& request, std::uint32_t number) noexcept {
  request.imr_interface.s_addr = htonl(number);
}
void set_interface(InterfaceRequest& request, std::uint32_t number) noexcept {
  request.s_addr = htonl(number);
}
#else
using GroupRequest = ip_mreqn;
using InterfaceRequest = ip_mreqn;
void set_interface(ip_mreqn& request, std::uint32_t number) noexcept {
  request.imr_ifindex = static_cast<int>(number);
}
#endif

std::int64_t change_group(native_socket native, const RawAddress& group, std::uint32_t interface,
                          int inet_call, int inet6_call) noexcept {
  if (group.family == AddressFamily::inet) {
    GroupRequest request{};
    std::memcpy(&request.imr_multiaddr, group.ip.data(), sizeof request.imr_multiaddr);
    set_interface(request, interface);
    return set(native, IPPROTO_IP, inet_call, request);
  }
  if (group.family == AddressFamily::inet6) {
    ipv6_mreq request{};
    std::memcpy(&request.ipv6mr_multiaddr, group.ip.data(), sizeof request.ipv6mr_multiaddr);
    request.ipv6mr_interface = interface != 0 ? interface : group.scope_id;
    return set(native, IPPROTO_IPV6, inet6_call, request);
  }
  return -EAFNOSUPPORT;
}

template <class T>
std::int64_t get(native_socket native, int level, int name) noexcept {
  T value = 0;
  socklen_t length = sizeof value;
  return ::getsockopt(native, level, name, &value, &length) < 0 ? -errno : std::int64_t{value};
}

}  // namespace

std::int64_t PosixSockets::join_group(native_socket native, const RawAddress& group,
                                      std::uint32_t interface) noexcept {
  return change_group(native, group, interface, IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP);
}

std::int64_t PosixSockets::leave_group(native_socket native, const RawAddress& group,
                                       std::uint32_t interface) noexcept {
  return change_group(native, group, interface, IP_DROP_MEMBERSHIP, IPV6_LEAVE_GROUP);
}

// Every system takes the options of IPv4 as a byte, and not every one as an int.
std::int64_t PosixSockets::set_multicast_option(native_socket native, SocketOption option,
                                                int value) noexcept {
  const std::int64_t own = family(native);
  if (own == static_cast<std::int64_t>(AddressFamily::inet6)) {
    const int name = option == SocketOption::multicast_ttl    ? IPV6_MULTICAST_HOPS
                     : option == SocketOption::multicast_loop ? IPV6_MULTICAST_LOOP
                                                              : IPV6_MULTICAST_IF;
    return set(native, IPPROTO_IPV6, name, value);
  }
  if (own < 0 || own != static_cast<std::int64_t>(AddressFamily::inet)) {
    return own < 0 ? own : -ENOPROTOOPT;
  }
  if (option == SocketOption::multicast_interface) {
    InterfaceRequest request{};
    set_interface(request, static_cast<std::uint32_t>(value));
    return set(native, IPPROTO_IP, IP_MULTICAST_IF, request);
  }
  if (value < 0 || value > 255) {
    return -EINVAL;
  }
  return set(native, IPPROTO_IP, option == SocketOption::multicast_ttl ? IP_MULTICAST_TTL : IP_MULTICAST_LOOP,
             static_cast<unsigned char>(value));
}

std::int64_t PosixSockets::get_multicast_option(native_socket native, SocketOption option) noexcept {
  const bool is_ttl = option == SocketOption::multicast_ttl;
  const std::int64_t own = family(native);
  if (own < 0 || option == SocketOption::multicast_interface) {
    return own < 0 ? own : -ENOTSUP;  // IPv4 tells an address instead of the number
  }
  if (own == static_cast<std::int64_t>(AddressFamily::inet6)) {
    return get<int>(native, IPPROTO_IPV6, is_ttl ? IPV6_MULTICAST_HOPS : IPV6_MULTICAST_LOOP);
  }
  return own == static_cast<std::int64_t>(AddressFamily::inet)
             ? get<unsigned char>(native, IPPROTO_IP, is_ttl ? IP_MULTICAST_TTL : IP_MULTICAST_LOOP)
             : -ENOPROTOOPT;
}

}  // namespace weir::inline WEIR_ABI::detail
