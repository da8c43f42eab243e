// open_connection, start_server and their forms for Unix sockets: a reader and a writer for a connection.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/callback.hpp>
#include <weir/event_loop.hpp>
#include <weir/net/connect.hpp>
#include <weir/net/server.hpp>
#include <weir/net/stream_reader.hpp>
#include <weir/net/stream_writer.hpp>
#include <weir/net/unix.hpp>
#include <weir/policy.hpp>
#include <weir/ref.hpp>

#include <concepts>
#include <cstddef>
#include <utility>

namespace weir::inline WEIR_ABI {

using StreamPair = std::pair<Ref<StreamReader>, Ref<StreamWriter>>;

namespace detail {

using StreamConnection = std::pair<Ref<Transport>, Ref<StreamReaderProtocol>>;

// Makes the pair once there is a connection of whatever kind.
WEIR_API Coro<StreamPair> open_stream(Ref<StreamReader> reader, Coro<StreamConnection> connecting);
// Throws std::invalid_argument unless a reader can have this limit.
WEIR_API void check_stream_limit(std::ptrdiff_t limit);

// Makes the protocols of a server of streams.
template <class F>
auto stream_factory(F&& client_connected, std::ptrdiff_t limit, const char* call) {
  check_not_empty(client_connected, call);
  check_stream_limit(limit);
  return [&loop = get_running_loop(), limit, handler = stream_handler(std::forward<F>(client_connected))] {
    return make_ref<StreamReaderProtocol>(make_ref<StreamReader>(loop, limit), handler);
  };
}

}  // namespace detail

// Connects, and gives the two halves of the connection (asyncio.open_connection). `options` are those of
// EventLoop::create_connection, which see for what it throws; `limit` is the reader's, in bytes. Called on a
// running loop; RuntimeError without one.
WEIR_API Coro<StreamPair> open_connection(ConnectionOptions options,
                                          std::ptrdiff_t limit = default_stream_limit);

// Serves streams (asyncio.start_server): calls client_connected(reader, writer) for every connection, with a
// Ref of each. When that returns a Coro it becomes a task: one that fails is reported, and its connection is
// closed, as it is when the task is cancelled. The handler closes the writer when it is done. Dropping the
// writer closes it too, with a warning. `options` are those of EventLoop::create_server, which see for what
// it throws and for the Server; `limit` is that of the readers, in bytes. Called on a running loop.
template <class F>
  requires std::invocable<std::decay_t<F>&, Ref<StreamReader>, Ref<StreamWriter>>
Coro<Ref<Server>> start_server(F&& client_connected, ServerOptions options,
                               std::ptrdiff_t limit = default_stream_limit) {
  return get_running_loop().create_server(
      detail::stream_factory(std::forward<F>(client_connected), limit, "start_server"), options);
}

// As open_connection and start_server, for Unix sockets (asyncio.open_unix_connection, start_unix_server).
// `options` are those of EventLoop::create_unix_connection and create_unix_server.
WEIR_API Coro<StreamPair> open_unix_connection(UnixConnectionOptions options,
                                               std::ptrdiff_t limit = default_stream_limit);
template <class F>
  requires std::invocable<std::decay_t<F>&, Ref<StreamReader>, Ref<StreamWriter>>
Coro<Ref<Server>> start_unix_server(F&& client_connected, UnixServerOptions options,
                                    std::ptrdiff_t limit = default_stream_limit) {
  return get_running_loop().create_unix_server(
      detail::stream_factory(std::forward<F>(client_connected), limit, "start_unix_server"), options);
}

}  // namespace weir::inline WEIR_ABI
