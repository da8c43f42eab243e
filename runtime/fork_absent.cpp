// Where a process cannot be forked, there is one.
#include "runtime/fork.hpp"

namespace weir::inline WEIR_ABI::detail {

unsigned this_process() noexcept { return 1; }
void watch_forks() {}

}  // namespace weir::inline WEIR_ABI::detail
