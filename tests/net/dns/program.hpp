// Starting a program of the machine that tests run on: of POSIX, or of what lies under Wine.
#pragma once

#include <string>
#include <vector>

namespace weir::testing {

// It must end by itself when the test closes a connection to it, or is killed.
class Program {
 public:
  // A name to be found in PATH, and its arguments, without quotation marks and backslashes.
  explicit Program(std::vector<std::string> words);
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  // Waits for its end where the system keeps it for that.
  ~Program();

 private:
  int process_ = -1;
};

}  // namespace weir::testing
