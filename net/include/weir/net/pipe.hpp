// connect_read_pipe and connect_write_pipe: transports that go one way, on pipes, FIFOs, terminals, other
// character devices, and sockets.
#pragma once

#include <weir/config.hpp>
#include <weir/net/connect.hpp>
#include <weir/net/file.hpp>

#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

// Checks that it is of a kind that a pipe's transport takes, and makes it non-blocking.
WEIR_API weir::Socket take_pipe(EventLoop& loop, File pipe, const char* call);
WEIR_API StartTransport start_read_pipe;
WEIR_API StartTransport start_write_pipe;

template <class F>
Coro<std::pair<Ref<Transport>, ProtocolRef<F>>> connect_pipe(EventLoop& loop, F&& factory, File pipe,
                                                             const char* call, StartTransport* start) {
  static_assert(ProtocolFactory<F>,
                "the factory must return a Ref<P>, P deriving from Protocol or BufferedProtocol");
  check_not_empty(factory, call);
  weir::Socket taken = take_pipe(loop, std::move(pipe), call);
  return start_with<ProtocolRef<F>, std::decay_t<F>>(loop, std::forward<F>(factory), std::move(taken), start);
}

}  // namespace detail

// Calls `factory` once for a protocol, and gives it and a transport that reads `pipe`, after connection_made
// (loop.connect_read_pipe). At the pipe's end come eof_received and, whatever that returns,
// connection_lost(nullptr); so does the end of a terminal that hangs up. What the transport would write with
// throws NotSupportedError. `pipe` is taken over, made non-blocking, and closed when the transport closes, or
// when this fails. (The open file is made so, which others may share: a shell's terminal, for example.)
// Throws std::invalid_argument for a file that is closed or of another kind, such as a regular one; what
// the factory throws; CancelledError; NotSupportedError "native_descriptors" where the backend knows no such
// descriptors.
template <class F>
Coro<std::pair<Ref<Transport>, detail::ProtocolRef<F>>> EventLoop::connect_read_pipe(F&& factory, File pipe) {
  return detail::connect_pipe(*this, std::forward<F>(factory), std::move(pipe), "connect_read_pipe",
                              &detail::start_read_pipe);
}

// The same with a transport that writes (loop.connect_write_pipe). Nothing is read: what would read throws
// NotSupportedError. write_eof() is close(). When nobody reads the pipe any more, connection_lost comes, also
// when nothing is written; its error is null unless something was still to be written. A broken pipe never
// raises SIGPIPE here.
template <class F>
Coro<std::pair<Ref<Transport>, detail::ProtocolRef<F>>> EventLoop::connect_write_pipe(F&& factory,
                                                                                      File pipe) {
  return detail::connect_pipe(*this, std::forward<F>(factory), std::move(pipe), "connect_write_pipe",
                              &detail::start_write_pipe);
}

}  // namespace weir::inline WEIR_ABI
