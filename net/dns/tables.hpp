// The hosts file and the services file, read and kept. Knows nothing of loops.
#pragma once

#include "backends/chosen.hpp"

#include <weir/net/address.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// Lines of an address and its names.
class HostsTable {
 public:
  struct Entry {
    std::string canonical;           // the first name of the first line
    std::vector<Address> addresses;  // in the order of the file, without a port
  };

  HostsTable() = default;
  explicit HostsTable(std::string_view text);

  // Null when the table does not have it. `name` is a table_name().
  const Entry* find(const std::string& name) const;
  // The first name of the first line with this address, whatever its port; empty when there is none.
  std::string name_of(const Address& address) const;

 private:
  void add(const Address& address, std::string_view name, std::string_view canonical);

  std::unordered_map<std::string, Entry> entries_;
  std::unordered_map<Address, std::string> names_;
};

// Lines of a name, a port with its protocol, and other names.
class ServicesTable {
 public:
  ServicesTable() = default;
  explicit ServicesTable(std::string_view text);

  std::optional<std::uint16_t> port(std::string_view name, std::string_view protocol) const;
  // Empty when there is none.
  std::string name_of(std::uint16_t port, std::string_view protocol) const;

 private:
  std::unordered_map<std::string, std::uint16_t> ports_;  // by "name/protocol"
  std::unordered_map<std::string, std::string> names_;    // by "port/protocol"
};

// A table that is read when it is first used, and again when its file changed.
template <class T>
class FileTable {
 public:
  explicit FileTable(std::string path) : path_(std::move(path)) {}

  const T& get() {
    if (const FileStamp stamp = stamp_of(path_); stamp != stamp_) {
      table_ = T(read_whole_file(path_));
      stamp_ = stamp;
    }
    return table_;
  }

 private:
  std::string path_;
  FileStamp stamp_;  // that of an absent file, which is an empty table
  T table_;
};

}  // namespace weir::inline WEIR_ABI::detail
