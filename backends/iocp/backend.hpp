// IocpBackend: the operations of readiness/ over a completion port. Instantiated once, in backend.cpp.
#pragma once

#include "backends/iocp/poller.hpp"
#include "backends/readiness/readiness_backend.hpp"

namespace weir::inline WEIR_ABI::detail {

using IocpBackend = ReadinessBackend<AfdPoller>;
extern template class ReadinessBackend<AfdPoller>;

}  // namespace weir::inline WEIR_ABI::detail
