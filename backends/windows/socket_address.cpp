// Addresses as Windows writes them.
#include "backends/windows/socket_address.hpp"

#include <afunix.h>
#include <algorithm>
#include <cstddef>
#include <cstring>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);

}  // namespace

int system_family(AddressFamily family) noexcept {
  switch (family) {
    case AddressFamily::inet:
      return AF_INET;
    case AddressFamily::inet6:
      return AF_INET6;
    case AddressFamily::unix_domain:
      return AF_UNIX;
    case AddressFamily::unspecified:
      break;
  }
  return AF_UNSPEC;
}

AddressFamily neutral_family(int family) noexcept {
  switch (family) {
    case AF_INET:
      return AddressFamily::inet;
    case AF_INET6:
      return AddressFamily::inet6;
    case AF_UNIX:
      return AddressFamily::unix_domain;
    default:
      return AddressFamily::unspecified;
  }
}

SystemAddress to_system(const RawAddress& address) noexcept {
  SystemAddress result;
  result.length = 0;
  if (address.family == AddressFamily::inet) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = ::htons(address.port);
    std::memcpy(&in.sin_addr, address.ip.data(), sizeof in.sin_addr);
    std::memcpy(&result.storage, &in, sizeof in);
    result.length = sizeof in;
  } else if (address.family == AddressFamily::inet6) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = ::htons(address.port);
    in.sin6_scope_id = address.scope_id;
    in.sin6_flowinfo = ::htonl(address.flow);
    std::memcpy(&in.sin6_addr, address.ip.data(), sizeof in.sin6_addr);
    std::memcpy(&result.storage, &in, sizeof in);
    result.length = sizeof in;
  } else if (address.family == AddressFamily::unix_domain) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    const std::string_view path = address.path_view();
    if (path.size() < sizeof un.sun_path) {
      std::memcpy(un.sun_path, path.data(), path.size());
      std::memcpy(&result.storage, &un, sizeof un);
      result.length = sizeof un;
    }
  }
  return result;
}

RawAddress from_system(const sockaddr& address, int length) noexcept {
  RawAddress result;
  const auto size = static_cast<std::size_t>(length);
  if (size >= sizeof(sockaddr_in) && address.sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &address, sizeof in);
    result.family = AddressFamily::inet;
    result.port = ::ntohs(in.sin_port);
    std::memcpy(result.ip.data(), &in.sin_addr, sizeof in.sin_addr);
  } else if (size >= sizeof(sockaddr_in6) && address.sa_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, &address, sizeof in);
    result.family = AddressFamily::inet6;
    result.port = ::ntohs(in.sin6_port);
    result.scope_id = in.sin6_scope_id;
    result.flow = ::ntohl(in.sin6_flowinfo);
    std::memcpy(result.ip.data(), &in.sin6_addr, sizeof in.sin6_addr);
  } else if (size >= path_offset && address.sa_family == AF_UNIX) {
    sockaddr_un un{};
    std::memcpy(&un, &address, std::min(size, sizeof un));
    result.family = AddressFamily::unix_domain;
    const std::size_t path = ::strnlen(un.sun_path, std::min(size, sizeof un) - path_offset);
    result.path_size = static_cast<std::uint8_t>(std::min(path, RawAddress::most_path));
    std::memcpy(result.path.data(), un.sun_path, result.path_size);
  }
  return result;
}

}  // namespace weir::inline WEIR_ABI::detail
