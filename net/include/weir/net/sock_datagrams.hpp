// The coroutine form of datagram sockets: sock_recvfrom, sock_recvfrom_into and sock_sendto of EventLoop.
// What <weir/net/sock_ops.hpp> says of its awaiters is true of these as well: one operation each way at a
// time, cancellation, errors; a datagram that was received when the task is cancelled wins. An error that an
// earlier datagram met, such as std::errc::connection_refused, is thrown once by the next call; the socket
// goes on.
#pragma once

#include <weir/net/sock_ops.hpp>

namespace weir::inline WEIR_ABI::detail {

// What sock_recvfrom_into returns.
class WEIR_API RecvFromIntoAwaiter : public SockAwaiter, private RecvFromOp {
 public:
  RecvFromIntoAwaiter(EventLoop& loop, weir::Socket& socket, std::span<std::byte> buffer) noexcept
      : RecvFromIntoAwaiter(loop, socket, buffer, "sock_recvfrom_into") {}
  RecvFromIntoAwaiter(RecvFromIntoAwaiter&& other) noexcept
      : RecvFromIntoAwaiter(*other.loop_, *other.socket_, other.into, other.awaits) {}

  bool await_ready();
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine, *this);
  }
  std::pair<std::size_t, Address> await_resume() const {
    if (result < 0) [[unlikely]] {
      fail(result);
    }
    return {static_cast<std::size_t>(result), Address(from)};
  }

 protected:
  RecvFromIntoAwaiter(EventLoop& loop, weir::Socket& socket, std::span<std::byte> buffer,
                      const char* call) noexcept
      : SockAwaiter(loop, socket, &cancel_op, call) {
    into = buffer;
  }

 private:
  static bool cancel_op(CancelHook& hook, std::string_view message) noexcept;
  static void done(Op& op) noexcept;
};

// What sock_recvfrom returns.
class WEIR_API RecvFromAwaiter : private Bytes, public RecvFromIntoAwaiter {
 public:
  RecvFromAwaiter(EventLoop& loop, weir::Socket& socket, std::size_t max_bytes)
      : Bytes(max_bytes), RecvFromIntoAwaiter(loop, socket, Bytes::span(), "sock_recvfrom") {}

  std::pair<Bytes, Address> await_resume() {
    const auto [size, from] = RecvFromIntoAwaiter::await_resume();
    Bytes::truncate(size);
    return {std::move(static_cast<Bytes&>(*this)), from};
  }
};

// What sock_sendto returns.
class WEIR_API SendToAwaiter : public SockAwaiter, private SendToOp {
 public:
  SendToAwaiter(EventLoop& loop, weir::Socket& socket, std::span<const std::byte> data,
                const Address& to) noexcept
      : SockAwaiter(loop, socket, &cancel_op, "sock_sendto"), to_(to) {
    datagram_.data = data;
  }
  SendToAwaiter(SendToAwaiter&& other) noexcept
      : SendToAwaiter(*other.loop_, *other.socket_, other.datagram_.data, other.to_) {}

  bool await_ready();
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    if (waits_for_retry_) [[unlikely]] {
      suspend(coroutine);
    } else {
      suspend(coroutine, *this);
    }
  }
  std::size_t await_resume() const {
    if (result < 0) [[unlikely]] {
      fail_with_address();
    }
    return datagram_.data.size();
  }

 private:
  static bool cancel_op(CancelHook& hook, std::string_view message) noexcept;
  static void done(Op& op) noexcept;
  // False: a timer tries again.
  bool try_again_and_again();
  [[noreturn]] void fail_with_address() const;

  Datagram datagram_;
  Address to_;
  TimerHandle retry_;
  bool waits_for_retry_ = false;
};

}  // namespace weir::inline WEIR_ABI::detail

namespace weir::inline WEIR_ABI {

// co_await gives one datagram, of which what exceeds max_bytes is lost, and its sender (loop.sock_recvfrom).
// max_bytes are allocated when it is called; sock_recvfrom_into does without. The sender is of family
// unspecified when it is a Unix socket without a name.
inline detail::RecvFromAwaiter EventLoop::sock_recvfrom(Socket& socket, std::size_t max_bytes) {
  return detail::RecvFromAwaiter(*this, socket, max_bytes);
}
// co_await receives one datagram into the first bytes of `buffer`, which must stay in place until then, and
// gives how many and the sender; what does not fit is lost (loop.sock_recvfrom_into).
inline detail::RecvFromIntoAwaiter EventLoop::sock_recvfrom_into(Socket& socket,
                                                                 std::span<std::byte> buffer) {
  return detail::RecvFromIntoAwaiter(*this, socket, buffer);
}
// co_await returns when the system has taken the datagram, and gives its size (loop.sock_sendto). The memory
// must stay in place until then. An address of family unspecified means the one that the socket is connected
// to.
inline detail::SendToAwaiter EventLoop::sock_sendto(Socket& socket, std::span<const std::byte> data,
                                                    const Address& address) {
  return detail::SendToAwaiter(*this, socket, data, address);
}
inline detail::SendToAwaiter EventLoop::sock_sendto(Socket& socket, std::string_view text,
                                                    const Address& address) {
  return detail::SendToAwaiter(*this, socket, as_bytes(text), address);
}

}  // namespace weir::inline WEIR_ABI
