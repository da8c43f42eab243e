// What net/ asks of the machine besides sockets: files, interfaces, and which address a packet would have as
// its sender. The same for every backend of a system; none of it waits for the network.
#pragma once

#include <weir/detail/raw_address.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// The category of the errors that the operations answer with: errno values, which are those of std::errc.
const std::error_category& os_category() noexcept;

// Tells one content of a file from another. A file that is absent has the default one.
struct FileStamp {
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
  std::uint64_t inode = 0;
  std::int64_t size = -1;

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

FileStamp stamp_of(const std::string& path) noexcept;
// Empty when it cannot be read.
std::string read_whole_file(const std::string& path);

// The path of one of the system's tables of names: "hosts", "services".
std::string system_table(const char* name);

// Tells one state of the machine's settings for the resolver from another: those of the file, or of the place
// that Windows has instead.
FileStamp resolver_stamp(const std::string& resolv_conf) noexcept;

// An IPv4 or IPv6 address written as numbers, without a scope; nothing for any other text.
std::optional<RawAddress> address_from_text(const std::string& text) noexcept;

// The number of an interface, and the other way round; nothing when there is none.
std::optional<std::uint32_t> interface_number(const std::string& name) noexcept;
std::string interface_name(std::uint32_t number);

// The address from which packets to `destination` would be sent; nothing when there is no route. Sends
// nothing.
std::optional<RawAddress> source_for(RawAddress destination) noexcept;

// The certificates of the authorities that the system trusts, in DER, where they are not in files that
// OpenSSL knows of: on Windows.
std::vector<std::string> system_authorities();

// The families of which this machine has an address besides loopback.
struct ConfiguredFamilies {
  bool inet = false;
  bool inet6 = false;
};
ConfiguredFamilies configured_families() noexcept;

}  // namespace weir::inline WEIR_ABI::detail
