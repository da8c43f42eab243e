// Folder: where a test puts the files of its Unix sockets.
#pragma once

#include "tests/support/system.hpp"

#include <filesystem>
#include <string>

namespace weir::testing {

// A folder of its own for each test. The simulator has no files but those of its sockets.
class Folder {
 public:
#if defined(WEIR_BACKEND_SIM)
  std::string file(const std::string& name) const { return "/run/" + name; }
#else
  Folder() : path_(make_scratch_folder("weir-unix-").string()) {}
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
#endif
};

}  // namespace weir::testing
