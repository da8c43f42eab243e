// The coroutine form of sockets: sock_recv, sock_recv_into, sock_sendall, sock_connect and sock_accept of
// EventLoop. They are awaiters with the operation inside, so that awaiting one allocates nothing. What all
// have in common:
//
// - The socket must be open, be a stream socket, stay in place until the call returns, and belong to no
// transport. One reading (recv, accept) and one
//   writing (sendall, connect) operation at a time: a second one throws RuntimeError and leaves the first
//   alone.
// - They are cancellation points. A result that is there when the task is cancelled wins: nothing that was
// received or accepted is lost, and the
//   cancellation is delivered at the next await. Afterwards nothing is read or written on behalf of a
//   cancelled call.
// - Errors are std::system_error naming the call; std::errc::bad_file_descriptor when the socket is or gets
// closed. std::invalid_argument in debug mode for a
//   socket that somebody has made blocking. RuntimeError on a closed loop, and for a socket that another loop
//   uses.
// - The address of the awaiter matters once it is awaited; before, it may be moved, for example into
// create_task(…) by ensure_future.
#pragma once

#include <weir/bytes.hpp>
#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/op.hpp>
#include <weir/event_loop.hpp>
#include <weir/net/address.hpp>
#include <weir/net/resolver.hpp>
#include <weir/net/socket.hpp>
#include <weir/task_base.hpp>

#include <cerrno>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

// What the awaiters of sock_* have in common.
class WEIR_API SockAwaiter : public AwaiterBase, protected CancelHook {
 protected:
  SockAwaiter(EventLoop& loop, weir::Socket& socket, Cancel cancel, const char* call) noexcept
      : CancelHook(cancel, call), loop_(&loop), socket_(&socket) {}

  // Throws when the socket cannot be used for this now; else attaches it to the loop.
  inline BackendHandle* prepare(Direction direction) const;
  // May a call that is done return without suspending? False when the task has had its share of these in this
  // turn.
  inline bool may_go_on() const noexcept;
  template <std::derived_from<PromiseBase> P>
  void suspend(std::coroutine_handle<P> coroutine, const Op& op) noexcept {
    suspend(coroutine);
    if (op.state == OpState::idle) [[unlikely]] {
      task_->wake();  // done already; it only gives way to others
    }
  }
  template <std::derived_from<PromiseBase> P>
  void suspend(std::coroutine_handle<P> coroutine) noexcept {
    task_ = coroutine.promise().task;
    task_->suspend(coroutine, coroutine.promise(), *this);
  }
  // Asks for the end of the operation because the task is cancelled: from here on that cannot be taken back.
  void interrupt(Op& op) const noexcept;
  // Throws what a negative result means.
  [[noreturn]] void fail(std::int64_t result) const;
  [[noreturn]] void refuse_second() const;
  void check_non_blocking() const;

  EventLoop* loop_;
  weir::Socket* socket_;
  TaskBase* task_ = nullptr;  // null until it suspends
};

// What sock_recv_into returns.
class WEIR_API RecvIntoAwaiter : public SockAwaiter, private RecvOp {
 public:
  RecvIntoAwaiter(EventLoop& loop, weir::Socket& socket, std::span<std::byte> buffer) noexcept
      : RecvIntoAwaiter(loop, socket, buffer, "sock_recv_into") {}
  RecvIntoAwaiter(RecvIntoAwaiter&& other) noexcept
      : RecvIntoAwaiter(*other.loop_, *other.socket_, other.into, other.awaits) {}

  bool await_ready();
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine, *this);
  }
  std::size_t await_resume() const {
    if (result < 0) [[unlikely]] {
      fail(result);
    }
    return static_cast<std::size_t>(result);
  }

 protected:
  RecvIntoAwaiter(EventLoop& loop, weir::Socket& socket, std::span<std::byte> buffer,
                  const char* call) noexcept
      : SockAwaiter(loop, socket, &cancel_op, call) {
    into = buffer;
  }

 private:
  static bool cancel_op(CancelHook& hook, std::string_view message) noexcept;
  static void done(Op& op) noexcept;
};

// What sock_recv returns.
class WEIR_API RecvAwaiter : private Bytes, public RecvIntoAwaiter {
 public:
  RecvAwaiter(EventLoop& loop, weir::Socket& socket, std::size_t max_bytes)
      : Bytes(max_bytes), RecvIntoAwaiter(loop, socket, Bytes::span(), "sock_recv") {}

  Bytes await_resume() {
    Bytes::truncate(RecvIntoAwaiter::await_resume());
    return std::move(static_cast<Bytes&>(*this));
  }
};

// What sock_sendall returns.
class WEIR_API SendAllAwaiter : public SockAwaiter, private SendOp {
 public:
  SendAllAwaiter(EventLoop& loop, weir::Socket& socket, std::span<const std::byte> data) noexcept
      : SockAwaiter(loop, socket, &cancel_op, "sock_sendall"), rest_(data) {}
  SendAllAwaiter(SendAllAwaiter&& other) noexcept
      : SendAllAwaiter(*other.loop_, *other.socket_, other.rest_) {}

  bool await_ready();
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine, *this);
  }
  void await_resume() const {
    if (result < 0) [[unlikely]] {
      fail(result);
    }
  }

 private:
  static bool cancel_op(CancelHook& hook, std::string_view message) noexcept;
  static void done(Op& op) noexcept;
  // Goes on after the system took `taken` bytes, or none, or failed, until nothing is left, it takes no more,
  // or it fails. False: an operation is pending.
  bool send_rest(std::int64_t taken) noexcept;

  std::span<const std::byte> rest_;  // also the gather list of one
  bool cancelled_ = false;
};

// What sock_connect returns.
class WEIR_API ConnectAwaiter : public SockAwaiter, private ConnectOp {
 public:
  ConnectAwaiter(EventLoop& loop, weir::Socket& socket, const Address& to,
                 const char* call = "sock_connect") noexcept
      : SockAwaiter(loop, socket, &cancel_op, call) {
    address = to.raw();
  }
  ConnectAwaiter(ConnectAwaiter&& other) noexcept
      : ConnectAwaiter(*other.loop_, *other.socket_, Address(other.address), other.awaits) {}

  bool await_ready();
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine, *this);
  }
  void await_resume() const {
    if (result < 0) [[unlikely]] {
      fail_with_address();
    }
  }

 private:
  static bool cancel_op(CancelHook& hook, std::string_view message) noexcept;
  static void done(Op& op) noexcept;
  [[noreturn]] void fail_with_address() const;
};

WEIR_API Coro<void> connect_to_host(EventLoop& loop, weir::Socket& socket, std::string_view host,
                                    ServiceName service);

// What sock_accept returns.
class WEIR_API AcceptAwaiter : public SockAwaiter, private AcceptOp {
 public:
  AcceptAwaiter(EventLoop& loop, weir::Socket& socket) noexcept
      : SockAwaiter(loop, socket, &cancel_op, "sock_accept") {}
  AcceptAwaiter(AcceptAwaiter&& other) noexcept : AcceptAwaiter(*other.loop_, *other.socket_) {}

  bool await_ready();
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine, *this);
  }
  std::pair<weir::Socket, Address> await_resume();

 private:
  static bool cancel_op(CancelHook& hook, std::string_view message) noexcept;
  static void done(Op& op) noexcept;
  void take() noexcept;

  weir::Socket accepted_;
};

}  // namespace weir::inline WEIR_ABI::detail

namespace weir::inline WEIR_ABI {

// co_await gives at most max_bytes, nothing at end of stream (loop.sock_recv). max_bytes are allocated when
// it is called; sock_recv_into does without.
inline detail::RecvAwaiter EventLoop::sock_recv(Socket& socket, std::size_t max_bytes) {
  return detail::RecvAwaiter(*this, socket, max_bytes);
}
// co_await fills the first bytes of `buffer`, which must stay in place until then, and gives how many; 0 at
// end of stream (loop.sock_recv_into).
inline detail::RecvIntoAwaiter EventLoop::sock_recv_into(Socket& socket, std::span<std::byte> buffer) {
  return detail::RecvIntoAwaiter(*this, socket, buffer);
}
// co_await returns when the system has taken every byte (loop.sock_sendall). The memory must stay in place
// until then. When it is cancelled or fails, it is not known how many bytes were taken; those stay sent.
inline detail::SendAllAwaiter EventLoop::sock_sendall(Socket& socket, std::span<const std::byte> data) {
  return detail::SendAllAwaiter(*this, socket, data);
}
inline detail::SendAllAwaiter EventLoop::sock_sendall(Socket& socket, std::string_view text) {
  return detail::SendAllAwaiter(*this, socket, as_bytes(text));
}
// co_await returns when the socket is connected (loop.sock_connect). On failure the socket stays open: the
// caller's to close. After a cancellation the connection may still come about; close the socket.
inline detail::ConnectAwaiter EventLoop::sock_connect(Socket& socket, const Address& address) {
  return detail::ConnectAwaiter(*this, socket, address);
}
// co_await gives a new connection of a listening socket and the address of its other side (loop.sock_accept).
inline detail::AcceptAwaiter EventLoop::sock_accept(Socket& socket) {
  return detail::AcceptAwaiter(*this, socket);
}

// Looks the host up for the socket's own family and type, and connects to its first address
// (loop.sock_connect). An empty host: this machine. Throws std::invalid_argument at the call for a socket
// that is closed or of no IP family, and what getaddrinfo and the other sock_connect throw.
inline Coro<void> EventLoop::sock_connect(Socket& socket, std::string_view host, ServiceName service) {
  return detail::connect_to_host(*this, socket, host, service);
}

}  // namespace weir::inline WEIR_ABI
