// The machine's files, interfaces and routes on POSIX.
#include "backends/host.hpp"

#include <sys/socket.h>
#include <sys/stat.h>

#include <ifaddrs.h>
#include <net/if.h>

#include <fstream>
#include <iterator>

namespace weir::inline WEIR_ABI::detail {

const std::error_category& os_category() noexcept { return std::generic_category(); }

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

FileStamp resolver_stamp(const std::string& resolv_conf) noexcept { return stamp_of(resolv_conf); }

std::vector<std::string> system_authorities() { return {}; }

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
