// What every awaiter of sock_* does first. A header, because it lies on the way of every receive and send.
#pragma once

#include "net/socket_access.hpp"
#include "runtime/loop_access.hpp"

#include <weir/net/sock_ops.hpp>

namespace weir::inline WEIR_ABI::detail {

inline BackendHandle* SockAwaiter::prepare(Direction direction) const {
  BackendHandle* const handle = SocketAccess::attach(*socket_, *loop_, awaits);
  if (LoopAccess::backend(*loop_).pending(handle, direction) != nullptr) [[unlikely]] {
    refuse_second();
  }
  if (loop_->get_debug()) [[unlikely]] {
    check_non_blocking();
  }
  return handle;
}

inline bool SockAwaiter::may_go_on() const noexcept { return LoopAccess::spend_await_budget(*loop_); }

}  // namespace weir::inline WEIR_ABI::detail
