// Where children get no terminals: nothing gets here, because plans are refused before.
#include "subprocess/terminal.hpp"

#include <weir/exceptions.hpp>

#include <cerrno>

namespace weir::inline WEIR_ABI::detail {

Terminal open_terminal(TerminalSize, const char* call) { throw NotSupportedError(call, "terminals"); }
std::int64_t set_size(native_file, TerminalSize) noexcept { return -ENOTSUP; }

}  // namespace weir::inline WEIR_ABI::detail
