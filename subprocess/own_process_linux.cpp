// What this process was started with, on Linux.
#include "subprocess/own_process.hpp"

#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace weir::inline WEIR_ABI::detail {

const char* own_program() noexcept { return "/proc/self/exe"; }

std::string own_program_name() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink(own_program(), error);
  return error ? own_program() : path.string();
}

std::vector<std::string> own_environment() {
  std::vector<std::string> variables;
  for (char** variable = ::environ; variable != nullptr && *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  return variables;
}

void forget_variable(const char* name) noexcept { ::unsetenv(name); }

}  // namespace weir::inline WEIR_ABI::detail
