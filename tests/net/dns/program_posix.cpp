// Programs on POSIX: a child, which is reaped.
#include "tests/net/dns/program.hpp"

#include <doctest/doctest.h>

#include <spawn.h>
#include <sys/wait.h>

extern char** environ;

namespace weir::testing {

Program::Program(std::vector<std::string> words) {
  std::vector<char*> pointers;
  for (std::string& one : words) {
    pointers.push_back(one.data());
  }
  pointers.push_back(nullptr);
  REQUIRE(::posix_spawnp(&process_, pointers[0], nullptr, nullptr, pointers.data(), environ) == 0);
}

Program::~Program() { ::waitpid(process_, nullptr, 0); }

}  // namespace weir::testing
