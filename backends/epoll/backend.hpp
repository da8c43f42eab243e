// EpollBackend: the operations of readiness/ over epoll. Instantiated once, in backend.cpp.
#pragma once

#include "backends/epoll/poller.hpp"
#include "backends/readiness/readiness_backend.hpp"

namespace weir::inline WEIR_ABI::detail {

using EpollBackend = ReadinessBackend<EpollPoller>;
extern template class ReadinessBackend<EpollPoller>;

}  // namespace weir::inline WEIR_ABI::detail
