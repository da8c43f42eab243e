// Where children cannot be started yet: nobody asks.
#include "subprocess/own_process.hpp"

namespace weir::inline WEIR_ABI::detail {

const char* own_program() noexcept { return ""; }
std::string own_program_name() { return {}; }
std::vector<std::string> own_environment() { return {}; }
void forget_variable(const char*) noexcept {}

}  // namespace weir::inline WEIR_ABI::detail
