// How Windows is told a child's arguments and environment: as one text each.
#pragma once

#include "subprocess/spawn_plan.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// UTF-16. Throws std::system_error that begins with the plan's call for what is no UTF-8; `what` names it.
std::wstring wide(const SpawnPlan& plan, std::string_view text, const std::string& what);
// The arguments, quoted so that a C program (and CommandLineToArgvW) reads them as they are. The command of a
// shell is not quoted: cmd.exe takes what stands between the first quote and the last.
std::string command_line_of(const SpawnPlan& plan);
// Sorted by name, whose case does not count, as the system wants it; of two with one name the first.
std::wstring environment_block(const SpawnPlan& plan, const std::vector<std::string>& variables);

}  // namespace weir::inline WEIR_ABI::detail
