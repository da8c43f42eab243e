// The one place where the operations are compiled for Windows.
#include "backends/iocp/backend.hpp"

#include "backends/readiness/readiness_datagrams.hpp"
#include "backends/readiness/readiness_handles.hpp"
#include "backends/readiness/readiness_ops.hpp"
#include "backends/readiness/readiness_turn.hpp"

namespace weir::inline WEIR_ABI::detail {

static_assert(IsPoller<IocpPoller>);
template class ReadinessBackend<IocpPoller>;

}  // namespace weir::inline WEIR_ABI::detail
