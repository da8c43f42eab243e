// The awaiters of sock_recvfrom, sock_recvfrom_into and sock_sendto: each is the operation that it waits for.
#include <weir/net/sock_datagrams.hpp>

#include "net/os_error.hpp"
#include "net/sock_awaiter.hpp"

#include <chrono>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

// --- sock_recvfrom, sock_recvfrom_into

bool RecvFromIntoAwaiter::await_ready() {
  handle = prepare(Direction::read);
  on_done = &done;
  return LoopAccess::backend(*loop_).start(static_cast<RecvFromOp&>(*this)) == Started::done && may_go_on();
}

bool RecvFromIntoAwaiter::cancel_op(CancelHook& hook, std::string_view) noexcept {
  auto& self = static_cast<RecvFromIntoAwaiter&>(static_cast<SockAwaiter&>(hook));
  self.interrupt(self);
  return false;
}

void RecvFromIntoAwaiter::done(Op& op) noexcept {
  static_cast<RecvFromIntoAwaiter&>(static_cast<RecvFromOp&>(op)).task_->step();
}

// --- sock_sendto

bool SendToAwaiter::await_ready() {
  handle = prepare(Direction::write);
  on_done = &done;
  datagram_.to = to_.family() != AddressFamily::unspecified ? &to_.raw() : nullptr;
  datagrams = std::span<const Datagram>(&datagram_, 1);
  if (to_.family() == AddressFamily::unix_domain) {
    return try_again_and_again() && may_go_on();
  }
  return LoopAccess::backend(*loop_).start(static_cast<SendToOp&>(*this)) == Started::done && may_go_on();
}

// Linux does not tell when the receiver, to which this socket is not connected, has room again, but tells
// after each attempt that there is room in this socket. So it is tried now and then, and not by an operation.
bool SendToAwaiter::try_again_and_again() {
  constexpr std::chrono::milliseconds interval(1);
  const bool is_closed = SocketAccess::handle(*socket_) != handle;
  result = is_closed ? -EBADF : LoopAccess::backend(*loop_).try_send_to(handle, datagrams);
  waits_for_retry_ = result == -EAGAIN;
  if (!waits_for_retry_) {
    return true;
  }
  retry_ = LoopAccess::call_at_plain(*loop_, loop_->time() + interval, [this] {
    if (try_again_and_again()) {
      task_->wake();
    }
  });
  return false;
}

bool SendToAwaiter::cancel_op(CancelHook& hook, std::string_view) noexcept {
  auto& self = static_cast<SendToAwaiter&>(static_cast<SockAwaiter&>(hook));
  if (std::exchange(self.waits_for_retry_, false)) {
    self.retry_.cancel();
    self.result = -ECANCELED;
    self.task_->interrupted();
    self.task_->wake();
    return false;
  }
  self.interrupt(self);
  return false;
}

void SendToAwaiter::done(Op& op) noexcept {
  static_cast<SendToAwaiter&>(static_cast<SendToOp&>(op)).task_->step();
}

void SendToAwaiter::fail_with_address() const {
  if (result == -ECANCELED || result == -EBADF || to_.family() == AddressFamily::unspecified) {
    fail(result);
  }
  throw os_error(result, awaits, to_);
}

}  // namespace weir::inline WEIR_ABI::detail
