// KqueueBackend: the operations of readiness/ over kqueue. Instantiated once, in backend.cpp.
#pragma once

#include "backends/kqueue/poller.hpp"
#include "backends/readiness/readiness_backend.hpp"

namespace weir::inline WEIR_ABI::detail {

using KqueueBackend = ReadinessBackend<KqueuePoller>;
extern template class ReadinessBackend<KqueuePoller>;

}  // namespace weir::inline WEIR_ABI::detail
