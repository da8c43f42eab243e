// The resolver's system calls on POSIX.
#include "net/dns/system.hpp"

#include <sys/socket.h>
#include <sys/stat.h>

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cstring>
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

std::optional<std::uint32_t> interface_number(const std::string& name) noexcept {
  const unsigned number = ::if_nametoindex(name.c_str());
  return number != 0 ? std::optional<std::uint32_t>(number) : std::nullopt;
}

std::string interface_name(std::uint32_t number) {
  char name[IF_NAMESIZE] = {};
  return ::if_indextoname(number, name) != nullptr ? name : std::string();
}

namespace {

// A descriptor for the length of one question.
class Probe {
 public:
  explicit Probe(int family) noexcept : descriptor_(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  ~Probe() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
  }
  template <class S>
  bool ask(const S& destination, S& source) const noexcept {
    socklen_t size = sizeof source;
    return descriptor_ >= 0 &&
           ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&destination), sizeof destination) == 0 &&
           ::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&source), &size) == 0;
  }

 private:
  int descriptor_;
};

constexpr std::uint16_t any_port = 9;  // connecting a datagram socket sends nothing, but wants a port

}  // namespace

std::optional<Address> source_for(const Address& destination) noexcept {
  const RawAddress& raw = destination.raw();
  RawAddress answer;
  answer.family = raw.family;
  if (raw.family == AddressFamily::inet) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(any_port);
    std::memcpy(&to.sin_addr, raw.ip.data(), sizeof to.sin_addr);
    sockaddr_in from{};
    if (!Probe(AF_INET).ask(to, from)) {
      return std::nullopt;
    }
    std::memcpy(answer.ip.data(), &from.sin_addr, sizeof from.sin_addr);
  } else {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(any_port);
    to.sin6_scope_id = raw.scope_id;
    std::memcpy(&to.sin6_addr, raw.ip.data(), sizeof to.sin6_addr);
    sockaddr_in6 from{};
    if (!Probe(AF_INET6).ask(to, from)) {
      return std::nullopt;
    }
    std::memcpy(answer.ip.data(), &from.sin6_addr, sizeof from.sin6_addr);
  }
  return Address(answer);
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
