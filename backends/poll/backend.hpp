// PollBackend: the operations of readiness/ over poll. Instantiated once, in backend.cpp.
#pragma once

#include "backends/poll/poller.hpp"
#include "backends/readiness/readiness_backend.hpp"

namespace weir::inline WEIR_ABI::detail {

using PollBackend = ReadinessBackend<PollPoller>;
extern template class ReadinessBackend<PollPoller>;

}  // namespace weir::inline WEIR_ABI::detail
