// Folder: the files that `weir serve` may give away.
#pragma once

#include <weir/net/file.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace program {

// What stands at a path: a file to send, or the status that says why not.
struct Found {
  int status = 200;
  weir::File file = {};  // open when the status is 200
  std::uint64_t size = 0;
  std::chrono::sys_seconds modified = {};
  std::string_view type = {};
};

class Folder {
 public:
  // Throws std::system_error when it is no folder.
  explicit Folder(const std::string& path);

  // `path` is that of an HttpRequest. A folder gives its index.html, or 301 when the path does not end in
  // '/'. What lies outside, by way of a symbolic link, is not found. Opening a file waits for the disk.
  Found find(const std::string& path) const;

 private:
  std::filesystem::path root_;  // without symbolic links
  weir::File folder_;           // the same, open
};

}  // namespace program
