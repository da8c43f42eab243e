// IocpBackend: the operations of readiness/ over a completion port. Instantiated once, in backend.cpp.
#pragma once

#include "backends/iocp/poller.hpp"
#include "backends/readiness/readiness_backend.hpp"

namespace weir::inline WEIR_ABI::detail {

using IocpBackend = ReadinessBackend<IocpPoller>;
extern template class ReadinessBackend<IocpPoller>;

}  // namespace weir::inline WEIR_ABI::detail
