// The one place that says which class `Backend` is. The build defines exactly one WEIR_BACKEND_… in
// <weir/config.hpp>.
#pragma once

#include "backends/backend.hpp"
#include "backends/fault_point.hpp"
#include "backends/host.hpp"

#if defined(WEIR_BACKEND_EPOLL)
#include "backends/epoll/backend.hpp"
#elif defined(WEIR_BACKEND_IOCP)
#include "backends/iocp/backend.hpp"
#elif defined(WEIR_BACKEND_KQUEUE)
#include "backends/kqueue/backend.hpp"
#elif defined(WEIR_BACKEND_LIBEVENT)
#include "backends/libevent/backend.hpp"
#elif defined(WEIR_BACKEND_POLL)
#include "backends/poll/backend.hpp"
#elif defined(WEIR_BACKEND_SIM)
#include "backends/sim/backend.hpp"
#else
#error "weir was configured for a backend that backends/chosen.hpp does not know"
#endif

namespace weir::inline WEIR_ABI::detail {

#if defined(WEIR_BACKEND_EPOLL)
using Backend = EpollBackend;
#elif defined(WEIR_BACKEND_IOCP)
using Backend = IocpBackend;
#elif defined(WEIR_BACKEND_KQUEUE)
using Backend = KqueueBackend;
#elif defined(WEIR_BACKEND_LIBEVENT)
using Backend = LibeventBackend;
#elif defined(WEIR_BACKEND_POLL)
using Backend = PollBackend;
#elif defined(WEIR_BACKEND_SIM)
using Backend = SimBackend;
#endif

static_assert(IsBackend<Backend>);
static_assert(IsSocketApi<Backend::Sockets>);
static_assert(IsFileApi<Backend::Files>);

}  // namespace weir::inline WEIR_ABI::detail
