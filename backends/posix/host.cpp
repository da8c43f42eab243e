// The machine's files, interfaces and routes on POSIX.
#include "backends/host.hpp"

#include "backends/posix/sockets.hpp"

#include <sys/socket.h>
#include <sys/stat.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <fstream>
#include <iterator>

namespace weir::inline WEIR_ABI::detail {

FileStamp stamp_of(const std::string& path) noexcept {
  struct stat status{};
  if (path.empty() || ::stat(path.c_str(), &status) != 0) {
    return {};
  }
  FileStamp stamp;
#ifdef __APPLE__
  stamp.seconds = status.st_mtimespec.tv_sec;
  stamp.nanoseconds = status.st_mtimespec.tv_nsec;
#else
  stamp.seconds = status.st_mtim.tv_sec;
  stamp.nanoseconds = status.st_mtim.tv_nsec;
#endif
  stamp.inode = status.st_ino;
  stamp.size = status.st_size;
  return stamp;
}

std::string read_whole_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string system_table(const char* name) { return std::string("/etc/") + name; }

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
  char name[IF_NAMESIZE] = {};
  return ::if_indextoname(number, name) != nullptr ? name : std::string();
}

std::optional<RawAddress> source_for(RawAddress destination) noexcept {
  destination.port = 9;  // connecting a datagram socket sends nothing, but wants a port
  const std::int64_t opened = PosixSockets::open(destination.family, SocketType::datagram, 0);
  if (opened < 0) {
    return std::nullopt;
  }
  const auto socket = static_cast<native_socket>(opened);
  RawAddress source;
  const bool is_known =
      PosixSockets::connect(socket, destination) == 0 && PosixSockets::local_address(socket, source) == 0;
  PosixSockets::close(socket);
  source.port = 0;
  return is_known ? std::optional<RawAddress>(source) : std::nullopt;
}

ConfiguredFamilies configured_families() noexcept {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) {
    return {true, true};
  }
  ConfiguredFamilies found;
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_LOOPBACK) != 0) {
      continue;
    }
    found.inet = found.inet || one->ifa_addr->sa_family == AF_INET;
    found.inet6 = found.inet6 || one->ifa_addr->sa_family == AF_INET6;
  }
  ::freeifaddrs(first);
  return found;
}

}  // namespace weir::inline WEIR_ABI::detail
