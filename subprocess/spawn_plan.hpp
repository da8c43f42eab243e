// SpawnPlan: what a child is to be, checked and owned.
#pragma once

#include <weir/subprocess/exec.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

struct SpawnPlan {
  const char* call = "";  // for errors
  bool is_shell = false;  // args are those of shell_args()
  std::vector<std::string> args;
  std::vector<std::string> candidates;  // the files to try, in this order
  std::optional<std::vector<std::string>> env;
  std::string cwd;
  std::array<Stdio, 3> stdio;
  std::vector<native_file> pass_fds;
  bool close_fds = true;
  bool start_new_session = false;
  std::optional<int> process_group;
  std::optional<unsigned> umask;
  std::optional<TerminalSize> terminal;
  std::optional<unsigned> user;
  std::optional<unsigned> group;
  std::optional<std::vector<unsigned>> extra_groups;
  std::vector<ResourceLimit> limits;
};

// What the systems have in different ways. A file for each.
//
// The files that a program of this name may be, in the order in which they are tried.
std::vector<std::string> candidates_for(const SpawnPlan& plan, const std::string& program);
// What runs a command, and as what.
std::vector<std::string> shell_args(std::string_view command);

}  // namespace weir::inline WEIR_ABI::detail
