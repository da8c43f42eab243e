// TemporaryFile: a real file on the disk for one test, on every backend.
#pragma once

#include "tests/support/system.hpp"

#include <weir/net/file.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace weir::testing {

class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view content)
      : folder_(make_scratch_folder("weir-file-")), path_((folder_ / "file").string()) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove_all(folder_); }
  const std::string& path() const { return path_; }
  File open(FileMode mode = FileMode::read) const { return File::open(path_, mode); }

 private:
  std::filesystem::path folder_;
  std::string path_;
};

}  // namespace weir::testing
