// LibeventBackend: the operations of readiness/ over libevent. Instantiated once, in backend.cpp.
#pragma once

#include "backends/libevent/host.hpp"
#include "backends/libevent/poller.hpp"
#include "backends/readiness/readiness_backend.hpp"

namespace weir::inline WEIR_ABI::detail {

using LibeventBackend = ReadinessBackend<LibeventPoller>;
extern template class ReadinessBackend<LibeventPoller>;

}  // namespace weir::inline WEIR_ABI::detail
