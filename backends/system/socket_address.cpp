// Addresses as the system writes them.
#include "backends/system/socket_address.hpp"

#ifdef _WIN32
#include <afunix.h>
#else
#include <netinet/in.h>
#include <sys/un.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

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
  if (address.family == AddressFamily::inet) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(address.port);
    std::memcpy(&in.sin_addr, address.ip.data(), sizeof in.sin_addr);
    std::memcpy(&result.storage, &in, sizeof in);
    result.length = sizeof in;
  } else if (address.family == AddressFamily::inet6) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(address.port);
    in.sin6_scope_id = address.scope_id;
    in.sin6_flowinfo = htonl(address.flow);
    std::memcpy(&in.sin6_addr, address.ip.data(), sizeof in.sin6_addr);
    std::memcpy(&result.storage, &in, sizeof in);
    result.length = sizeof in;
  } else if (address.family == AddressFamily::unix_domain) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    const std::string_view path = address.path_view();
    const std::size_t size = path.size() + (address.is_file() ? 1 : 0);  // with a file's NUL
    if (size <= sizeof un.sun_path) {
      std::memcpy(un.sun_path, path.data(), path.size());
      std::memcpy(&result.storage, &un, sizeof un);
      result.length = static_cast<SystemLength>(path_offset + size);
    } else {
      result.length = 0;
    }
  } else {
    result.length = 0;
  }
  return result;
}

RawAddress from_system(const sockaddr_storage& storage, SystemLength system_length) noexcept {
  const auto length = static_cast<std::size_t>(system_length);
  RawAddress result;
  if (length >= sizeof(sockaddr_in) && storage.ss_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &storage, sizeof in);
    result.family = AddressFamily::inet;
    result.port = ntohs(in.sin_port);
    std::memcpy(result.ip.data(), &in.sin_addr, sizeof in.sin_addr);
  } else if (length >= sizeof(sockaddr_in6) && storage.ss_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, &storage, sizeof in);
    result.family = AddressFamily::inet6;
    result.port = ntohs(in.sin6_port);
    result.scope_id = in.sin6_scope_id;
    result.flow = ntohl(in.sin6_flowinfo);
    std::memcpy(result.ip.data(), &in.sin6_addr, sizeof in.sin6_addr);
  } else if (length >= path_offset && storage.ss_family == AF_UNIX) {
    sockaddr_un un{};
    std::memcpy(&un, &storage, std::min(length, sizeof un));
    std::size_t size = std::min(length, sizeof un) - path_offset;
#ifdef __linux__
    const bool is_abstract = size != 0 && un.sun_path[0] == '\0';
#else
    constexpr bool is_abstract = false;  // what has no name may come with room for one
#endif
    if (!is_abstract) {
      size = ::strnlen(un.sun_path, size);
    }
    result.family = AddressFamily::unix_domain;
    result.path_size = static_cast<std::uint8_t>(std::min(size, RawAddress::most_path));
    std::memcpy(result.path.data(), un.sun_path, result.path_size);
  }
  return result;
}

}  // namespace weir::inline WEIR_ABI::detail
