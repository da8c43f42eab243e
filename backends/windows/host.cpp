// The machine's files, interfaces and routes on Windows.
#include "backends/host.hpp"

#include "backends/windows/adapters.hpp"
#include "backends/windows/text.hpp"
#include "backends/windows/winsock.hpp"

#include <wincrypt.h>

#include <iterator>
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

// Makes one number of many, in which a change of any shows.
class Mixed {
 public:
  void add(std::uint64_t part) noexcept { value_ = (value_ ^ part) * 0x9e3779b97f4a7c15 + (value_ >> 29); }
  void add(FILETIME time) noexcept { add(std::uint64_t{time.dwHighDateTime} << 32 | time.dwLowDateTime); }
  std::uint64_t value() const noexcept { return value_; }

 private:
  std::uint64_t value_ = 1;
};

// When a key of the registry was written to, and each of those right below it.
void add_key(Mixed& mixed, const wchar_t* path) noexcept {
  HKEY key = nullptr;
  if (::RegOpenKeyExW(HKEY_LOCAL_MACHINE, path, 0, KEY_READ, &key) != ERROR_SUCCESS) {
    mixed.add(0);
    return;
  }
  FILETIME written{};
  ::RegQueryInfoKeyW(key, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                     nullptr, &written);
  mixed.add(written);
  wchar_t name[256];  // the longest name of a key
  for (DWORD i = 0, size = std::size(name);
       ::RegEnumKeyExW(key, i, name, &size, nullptr, nullptr, nullptr, &written) == ERROR_SUCCESS;
       ++i, size = std::size(name)) {
    mixed.add(written);
  }
  ::RegCloseKey(key);
}

std::uint64_t joined(DWORD high, DWORD low) noexcept { return std::uint64_t{high} << 32 | low; }

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

// What c-ares asks for is slow to get, but it is written here when it changes, and a network that is joined
// writes its lease. One that is left without a trace leaves servers that do not answer, beside the others.
FileStamp resolver_stamp(const std::string&) noexcept {
  Mixed mixed;
  for (const wchar_t* path : {L"System\\CurrentControlSet\\Services\\Tcpip\\Parameters",
                              L"System\\CurrentControlSet\\Services\\Tcpip\\Parameters\\Interfaces",
                              L"System\\CurrentControlSet\\Services\\Tcpip6\\Parameters",
                              L"System\\CurrentControlSet\\Services\\Tcpip6\\Parameters\\Interfaces",
                              L"Software\\Policies\\Microsoft\\Windows NT\\DNSClient",
                              L"Software\\Policies\\Microsoft\\System\\DNSClient"}) {
    add_key(mixed, path);
  }
  FileStamp stamp;
  stamp.inode = mixed.value();
  return stamp;
}

ConfiguredFamilies configured_families() noexcept {
  const Adapters adapters;
  if (adapters.first() == nullptr) {
    return {true, true};
  }
  ConfiguredFamilies found;
  for (const IP_ADAPTER_ADDRESSES* adapter = adapters.first(); adapter != nullptr; adapter = adapter->Next) {
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

// Those of the machine and the user, whose stores Windows shows as one.
std::vector<std::string> system_authorities() {
  std::vector<std::string> found;
  for (const wchar_t* const name : {L"ROOT", L"CA"}) {
    const HCERTSTORE store = ::CertOpenSystemStoreW(0, name);
    if (store == nullptr) {
      continue;
    }
    PCCERT_CONTEXT each = nullptr;
    while ((each = ::CertEnumCertificatesInStore(store, each)) != nullptr) {
      found.emplace_back(reinterpret_cast<const char*>(each->pbCertEncoded), each->cbCertEncoded);
    }
    ::CertCloseStore(store, 0);
  }
  return found;
}

}  // namespace weir::inline WEIR_ABI::detail
