// The one place that knows which backend this weir was built for.
#pragma once

#include "backends/backend.hpp"

#if defined(WEIR_BACKEND_SIM)
#include "backends/sim/backend.hpp"
#else
#include "backends/epoll/backend.hpp"
#endif

namespace weir::inline WEIR_ABI::detail {
#if defined(WEIR_BACKEND_SIM)
using Backend = SimBackend;
#endif
static_assert(IsBackend<Backend>);
}  // namespace weir::inline WEIR_ABI::detail
