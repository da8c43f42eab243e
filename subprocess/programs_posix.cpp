// Where programs are found, and what the shell is, on POSIX systems.
#include "subprocess/spawn_plan.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace weir::inline WEIR_ABI::detail {

namespace {

// As os.get_exec_path(): the PATH of the environment that the child gets.
std::string search_path(const SpawnPlan& plan) {
  constexpr std::string_view name = "PATH=";
  if (plan.env) {
    for (const std::string& variable : *plan.env) {
      if (variable.starts_with(name)) {
        return variable.substr(name.size());
      }
    }
    return "/bin:/usr/bin";
  }
  const char* const path = std::getenv("PATH");
  return path != nullptr ? path : "/bin:/usr/bin";
}

}  // namespace

std::vector<std::string> candidates_for(const SpawnPlan& plan, const std::string& program) {
  if (program.find('/') != std::string::npos) {
    return {program};
  }
  std::vector<std::string> found;
  const std::string path = search_path(plan);
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const std::string folder = path.substr(begin, end - begin);
    found.push_back((folder.empty() ? "." : folder) + '/' + program);
    begin = end + 1;
  }
  return found;
}

std::vector<std::string> shell_args(std::string_view command) {
  return {"/bin/sh", "-c", std::string(command)};
}

}  // namespace weir::inline WEIR_ABI::detail
