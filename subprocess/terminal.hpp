// A new terminal: the end that a child has, and the end that shows what it does there.
#pragma once

#include <weir/net/file.hpp>
#include <weir/subprocess/transport.hpp>

#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

struct Terminal {
  File of_parent;  // non-blocking
  File of_child;
};

// Throws std::system_error that begins with `call`.
Terminal open_terminal(TerminalSize size, const char* call);
// 0 or a negated errno. Either end names it.
std::int64_t set_size(native_file terminal, TerminalSize size) noexcept;

}  // namespace weir::inline WEIR_ABI::detail
