// What a POSIX system can do, whichever call of it a poller waits in.
#pragma once

#include "backends/backend.hpp"

namespace weir::inline WEIR_ABI::detail {

bool posix_has(Capability capability) noexcept;

}  // namespace weir::inline WEIR_ABI::detail
