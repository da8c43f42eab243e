// What all systems are asked for by the same calls.
#include "backends/host.hpp"

#include "backends/system/system.hpp"

#ifdef _WIN32
#include "backends/windows/winsock.hpp"
// After Winsock's.
#include <netioapi.h>
#else
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/socket.h>
#endif

namespace weir::inline WEIR_ABI::detail {

std::optional<RawAddress> address_from_text(const std::string& text) noexcept {
  RawAddress address;
  if (::inet_pton(AF_INET, text.c_str(), address.ip.data()) == 1) {
    address.family = AddressFamily::inet;
    return address;
  }
  if (::inet_pton(AF_INET6, text.c_str(), address.ip.data()) == 1) {
    address.family = AddressFamily::inet6;
    return address;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> interface_number(const std::string& name) noexcept {
  const unsigned number = ::if_nametoindex(name.c_str());
  return number != 0 ? std::optional<std::uint32_t>(number) : std::nullopt;
}

std::string interface_name(std::uint32_t number) {
  char name[IF_NAMESIZE + 1] = {};
  return ::if_indextoname(number, name) != nullptr ? name : std::string();
}

std::optional<RawAddress> source_for(RawAddress destination) noexcept {
  destination.port = 9;  // connecting a datagram socket sends nothing, but wants a port
  const std::int64_t opened = SystemSockets::open(destination.family, SocketType::datagram, 0);
  if (opened < 0) {
    return std::nullopt;
  }
  const auto socket = static_cast<native_socket>(opened);
  RawAddress source;
  const bool is_known =
      SystemSockets::connect(socket, destination) == 0 && SystemSockets::local_address(socket, source) == 0;
  SystemSockets::close(socket);
  source.port = 0;
  return is_known ? std::optional<RawAddress>(source) : std::nullopt;
}

}  // namespace weir::inline WEIR_ABI::detail
