// SpawnPlan: what a child is to be, checked and owned.
#pragma once

#include <weir/subprocess/exec.hpp>

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

struct SpawnPlan {
  const char* call = "";  // for errors
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

}  // namespace weir::inline WEIR_ABI::detail
