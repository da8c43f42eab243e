// What this process was started with, and what its children are to be. A file for each system.
#pragma once

#include <weir/config.hpp>

#include <string>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// A path by which this program can be started again, also after its file was replaced or removed.
const char* own_program() noexcept;
// Its name, for who looks at the list of processes.
std::string own_program_name();
// The environment, "NAME=value" each.
std::vector<std::string> own_environment();
// Takes a variable out of it. No other thread may look meanwhile.
void forget_variable(const char* name) noexcept;

}  // namespace weir::inline WEIR_ABI::detail
