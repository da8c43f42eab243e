// TemporaryFile: a real file on the disk for one test, on every backend.
#pragma once

#include <weir/net/file.hpp>

#include <doctest/doctest.h>

#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace weir::testing {

class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view content)
      : path_((std::filesystem::temp_directory_path() / "weir-file-XXXXXX").string()) {
    const int made = ::mkstemp(path_.data());
    REQUIRE(made >= 0);
    ::close(made);
    std::ofstream(path_, std::ios::binary) << content;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }
  File open(FileMode mode = FileMode::read) const { return File::open(path_, mode); }

 private:
  std::string path_;
};

}  // namespace weir::testing
