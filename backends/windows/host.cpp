// The machine's files, interfaces and routes on Windows.
#include "backends/host.hpp"

#include "backends/windows/sockets.hpp"
#include "backends/windows/text.hpp"
#include "backends/windows/winsock.hpp"

#include <iphlpapi.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

// An open file, closed at the end.
class Opened {
 public:
  Opened(const std::string& path, DWORD access) noexcept {
    std::wstring wide;
    if (!path.empty() && to_wide(path, wide) == 0) {
      handle_ = ::CreateFileW(wide.c_str(), access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                              nullptr, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr);
    }
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  ~Opened() {
    if (is_open()) {
      ::CloseHandle(handle_);
    }
  }

  bool is_open() const noexcept { return handle_ != INVALID_HANDLE_VALUE; }
  HANDLE get() const noexcept { return handle_; }

 private:
  HANDLE handle_ = INVALID_HANDLE_VALUE;
};

std::uint64_t joined(DWORD high, DWORD low) noexcept { return std::uint64_t{high} << 32 | low; }

// The adapters of this machine with their addresses, or null.
std::unique_ptr<std::byte[]> read_adapters() {
  constexpr ULONG flags = GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST | GAA_FLAG_SKIP_DNS_SERVER |
                          GAA_FLAG_SKIP_FRIENDLY_NAME;
  ULONG size = 16 * 1024;  // as Microsoft advises
  for (int tries = 0; tries != 4; ++tries) {
    auto memory = std::make_unique<std::byte[]>(size);
    const ULONG error = ::GetAdaptersAddresses(AF_UNSPEC, flags, nullptr,
                                               reinterpret_cast<IP_ADAPTER_ADDRESSES*>(memory.get()), &size);
    if (error == NO_ERROR) {
      return memory;
    }
    if (error != ERROR_BUFFER_OVERFLOW) {
      return nullptr;
    }
  }
  return nullptr;
}

}  // namespace

FileStamp stamp_of(const std::string& path) noexcept {
  const Opened file(path, FILE_READ_ATTRIBUTES);
  BY_HANDLE_FILE_INFORMATION about{};
  if (!file.is_open() || ::GetFileInformationByHandle(file.get(), &about) == FALSE) {
    return {};
  }
  constexpr std::uint64_t ticks_a_second = 10'000'000;  // of 100 ns
  const std::uint64_t ticks =
      joined(about.ftLastWriteTime.dwHighDateTime, about.ftLastWriteTime.dwLowDateTime);
  FileStamp stamp;
  stamp.seconds = static_cast<std::int64_t>(ticks / ticks_a_second);
  stamp.nanoseconds = static_cast<std::int64_t>(ticks % ticks_a_second * 100);
  stamp.inode = joined(about.nFileIndexHigh, about.nFileIndexLow);
  stamp.size = static_cast<std::int64_t>(joined(about.nFileSizeHigh, about.nFileSizeLow));
  return stamp;
}

std::string read_whole_file(const std::string& path) {
  const Opened file(path, GENERIC_READ);
  std::string text;
  char part[16 * 1024];
  DWORD moved = 0;
  while (file.is_open() && ::ReadFile(file.get(), part, sizeof part, &moved, nullptr) != FALSE &&
         moved != 0) {
    text.append(part, moved);
  }
  return text;
}

std::string system_table(const char* name) {
  wchar_t folder[MAX_PATH] = {};
  const UINT size = ::GetSystemDirectoryW(folder, MAX_PATH);
  return from_wide({folder, size < MAX_PATH ? size : 0}) + "\\drivers\\etc\\" + name;
}

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
  const std::int64_t opened = WindowsSockets::open(destination.family, SocketType::datagram, 0);
  if (opened < 0) {
    return std::nullopt;
  }
  const auto socket = static_cast<native_socket>(opened);
  RawAddress source;
  const bool is_known =
      WindowsSockets::connect(socket, destination) == 0 && WindowsSockets::local_address(socket, source) == 0;
  WindowsSockets::close(socket);
  source.port = 0;
  return is_known ? std::optional<RawAddress>(source) : std::nullopt;
}

ConfiguredFamilies configured_families() noexcept {
  std::unique_ptr<std::byte[]> memory;
  try {
    memory = read_adapters();
  } catch (...) {
    // As when the system does not tell.
  }
  if (memory == nullptr) {
    return {true, true};
  }
  ConfiguredFamilies found;
  for (auto* adapter = reinterpret_cast<const IP_ADAPTER_ADDRESSES*>(memory.get()); adapter != nullptr;
       adapter = adapter->Next) {
    if (adapter->IfType == IF_TYPE_SOFTWARE_LOOPBACK || adapter->OperStatus != IfOperStatusUp) {
      continue;
    }
    for (const auto* one = adapter->FirstUnicastAddress; one != nullptr; one = one->Next) {
      found.inet = found.inet || one->Address.lpSockaddr->sa_family == AF_INET;
      found.inet6 = found.inet6 || one->Address.lpSockaddr->sa_family == AF_INET6;
    }
  }
  return found;
}

}  // namespace weir::inline WEIR_ABI::detail
