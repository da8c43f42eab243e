// The awaiters of sock_*: each is the operation that it waits for.
#include <weir/net/sock_ops.hpp>

#include "net/os_error.hpp"
#include "net/sock_awaiter.hpp"

#include <weir/detail/host_query.hpp>
#include <weir/exceptions.hpp>

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// --- What they share

void SockAwaiter::refuse_second() const {
  throw RuntimeError(std::string(awaits) + ": another operation in this direction is pending on the socket");
}

void SockAwaiter::check_non_blocking() const {
  if (Backend::Sockets::is_blocking(socket_->native_handle()) > 0) {
    throw std::invalid_argument(std::string(awaits) + ": the socket must be non-blocking");
  }
}

// The cancellation stays with the task: it is thrown when the operation answers -ECANCELED, and at the next
// await when a result came first.
void SockAwaiter::interrupt(Op& op) const noexcept {
  if (op.state == OpState::pending) {
    LoopAccess::backend(*loop_).cancel(op);
    task_->interrupted();
  }
}

void SockAwaiter::fail(std::int64_t result) const {
  if (result == -ECANCELED && task_ != nullptr) {
    task_->throw_if_cancelled();
  }
  if (result == -EBADF) {
    throw os_error(result, std::string(awaits) + ": the socket was closed");
  }
  throw os_error(result, awaits);
}

// --- sock_recv, sock_recv_into

bool RecvIntoAwaiter::await_ready() {
  handle = prepare(Direction::read);
  if (into.empty()) [[unlikely]] {
    return true;  // the result is 0
  }
  on_done = &done;
  return LoopAccess::backend(*loop_).start(static_cast<RecvOp&>(*this)) == Started::done && may_go_on();
}

bool RecvIntoAwaiter::cancel_op(CancelHook& hook, std::string_view) noexcept {
  auto& self = static_cast<RecvIntoAwaiter&>(static_cast<SockAwaiter&>(hook));
  self.interrupt(self);
  return false;
}

void RecvIntoAwaiter::done(Op& op) noexcept {
  static_cast<RecvIntoAwaiter&>(static_cast<RecvOp&>(op)).task_->step();
}

// --- sock_sendall

bool SendAllAwaiter::await_ready() {
  handle = prepare(Direction::write);
  if (rest_.empty()) [[unlikely]] {
    return true;
  }
  result = LoopAccess::backend(*loop_).try_send(handle, {&rest_, 1});
  return (result == static_cast<std::int64_t>(rest_.size()) || send_rest(result)) && may_go_on();
}

bool SendAllAwaiter::send_rest(std::int64_t taken) noexcept {
  if (taken < 0 && taken != -EAGAIN) {
    return true;
  }
  on_done = &done;
  rest_ = rest_.subspan(static_cast<std::size_t>(std::max<std::int64_t>(taken, 0)));
  while (!rest_.empty()) {
    buffers = std::span<const ConstBuffer>(&rest_, 1);
    if (LoopAccess::backend(*loop_).start(static_cast<SendOp&>(*this)) == Started::pending) {
      return false;
    }
    if (result < 0) {
      return true;
    }
    rest_ = rest_.subspan(static_cast<std::size_t>(result));
  }
  return true;
}

bool SendAllAwaiter::cancel_op(CancelHook& hook, std::string_view) noexcept {
  auto& self = static_cast<SendAllAwaiter&>(static_cast<SockAwaiter&>(hook));
  self.cancelled_ = true;
  self.interrupt(self);
  return false;
}

void SendAllAwaiter::done(Op& op) noexcept {
  auto& self = static_cast<SendAllAwaiter&>(static_cast<SendOp&>(op));
  if (self.result >= 0 && static_cast<std::size_t>(self.result) != self.rest_.size()) {
    if (self.cancelled_) {
      self.result = -ECANCELED;  // these bytes are sent, the others will not be
    } else if (!self.send_rest(self.result)) {
      return;
    }
  }
  self.task_->step();
}

// --- sock_connect

bool ConnectAwaiter::await_ready() {
  handle = prepare(Direction::write);
  on_done = &done;
  return LoopAccess::backend(*loop_).start(static_cast<ConnectOp&>(*this)) == Started::done && may_go_on();
}

bool ConnectAwaiter::cancel_op(CancelHook& hook, std::string_view) noexcept {
  auto& self = static_cast<ConnectAwaiter&>(static_cast<SockAwaiter&>(hook));
  self.interrupt(self);
  return false;
}

void ConnectAwaiter::done(Op& op) noexcept {
  static_cast<ConnectAwaiter&>(static_cast<ConnectOp&>(op)).task_->step();
}

void ConnectAwaiter::fail_with_address() const {
  if (result == -ECANCELED && task_ != nullptr) {
    task_->throw_if_cancelled();
  }
  const std::string what = std::string(awaits) + ' ' + Address(address).to_string();
  throw os_error(result, result == -EBADF ? what + ": the socket was closed" : what);
}

namespace {

Coro<void> connect_to_first(EventLoop& loop, weir::Socket& socket, HostQuery query) {
  const std::vector<Address> addresses = co_await query.look_up(loop);
  ConnectAwaiter connecting(loop, socket, addresses.front());
  co_await connecting;
}

}  // namespace

Coro<void> connect_to_host(EventLoop& loop, weir::Socket& socket, std::string_view host,
                           ServiceName service) {
  LoopAccess::check_open(loop, "sock_connect");
  if (!socket.is_open()) {
    throw std::invalid_argument("sock_connect: the socket is closed");
  }
  const AddressFamily family = socket.family();
  if (family != AddressFamily::inet && family != AddressFamily::inet6) {
    throw std::invalid_argument("sock_connect: a host has no address of the socket's family");
  }
  return connect_to_first(loop, socket, HostQuery(host, service, {.family = family, .type = socket.type()}));
}

// --- sock_accept

bool AcceptAwaiter::await_ready() {
  handle = prepare(Direction::read);
  on_done = &done;
  if (LoopAccess::backend(*loop_).start(static_cast<AcceptOp&>(*this)) == Started::pending) {
    return false;
  }
  take();
  return may_go_on();
}

// Owned from here on, so that it is closed should nobody take it.
void AcceptAwaiter::take() noexcept {
  if (result >= 0) {
    accepted_ = SocketAccess::own(static_cast<native_socket>(result));
  }
}

bool AcceptAwaiter::cancel_op(CancelHook& hook, std::string_view) noexcept {
  auto& self = static_cast<AcceptAwaiter&>(static_cast<SockAwaiter&>(hook));
  self.interrupt(self);
  return false;
}

void AcceptAwaiter::done(Op& op) noexcept {
  auto& self = static_cast<AcceptAwaiter&>(static_cast<AcceptOp&>(op));
  self.take();
  self.task_->step();
}

std::pair<weir::Socket, Address> AcceptAwaiter::await_resume() {
  if (result < 0) {
    fail(result);
  }
  return {std::move(accepted_), Address(peer)};
}

}  // namespace weir::inline WEIR_ABI::detail
