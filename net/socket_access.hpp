// What the other files of net/ may do to a Socket.
#pragma once

#include "runtime/loop_access.hpp"

#include <weir/net/socket.hpp>

namespace weir::inline WEIR_ABI::detail {

struct SocketAccess {
  // A socket that is non-blocking and close-on-exec already.
  static weir::Socket own(native_socket native) noexcept { return weir::Socket(native); }
  // The handle with `loop`'s backend, made on first use. Throws RuntimeError when another loop uses the
  // socket.
  static BackendHandle* attach(weir::Socket& socket, EventLoop& loop, const char* call) {
    return is_attached(socket, loop) ? socket.handle_ : attach_first(socket, loop, call);
  }
  // The same for a transport or a listener, which want the socket for themselves: throws RuntimeError when an
  // operation is pending on it.
  static BackendHandle* take_over(weir::Socket& socket, EventLoop& loop, const char* call);
  static BackendHandle* handle(const weir::Socket& socket) noexcept { return socket.handle_; }
  // Gives the native socket away without leaving the loop: the handle belongs to `owner` from now on.
  static native_socket give(weir::Socket& socket, BackendHandle*& owner) noexcept;

 private:
  static bool is_attached(const weir::Socket& socket, const EventLoop& loop) noexcept {
    return socket.handle_ != nullptr && socket.loop_ == &loop;
  }
  static BackendHandle* attach_first(weir::Socket& socket, EventLoop& loop, const char* call);
};

}  // namespace weir::inline WEIR_ABI::detail
