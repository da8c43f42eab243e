// create_unix_connection and create_unix_server: byte streams between processes of one machine, under the
// path of a file or a name of Linux's abstract namespace.
#pragma once

#include <weir/config.hpp>
#include <weir/net/connect.hpp>
#include <weir/net/server.hpp>

#include <optional>
#include <string_view>

namespace weir::inline WEIR_ABI {

// Where create_unix_connection connects to. Trivially destructible: the call copies what it keeps before it
// returns its Coro. Paths are what Address::unix_path takes.
struct UnixConnectionOptions {
  std::string_view path = {};
  Socket* sock = nullptr;  // instead of the path: a connected Unix stream socket, which is moved from
  std::optional<Duration> timeout = {};  // for the whole call; TimeoutError when it is over
  // TLS, as in ConnectionOptions; the server's name must be said, for there is no host.
  const SSLContext* ssl = nullptr;
  std::optional<std::string_view> server_hostname = {};
  std::optional<Duration> ssl_handshake_timeout = {};
  std::optional<Duration> ssl_shutdown_timeout = {};
  const SSLSession* ssl_session = nullptr;
};

// Where and how a server of a Unix socket listens. As UnixConnectionOptions.
struct UnixServerOptions {
  std::string_view path = {};
  Socket* sock = nullptr;           // instead of the path: a bound Unix stream socket, which is moved from
  int backlog = 0;                  // how many connections may queue; 0: as many as the system allows
  bool cleanup_socket = true;       // close() removes the socket's file, unless another has taken its place
  bool start_serving = true;        // false: only bind; start_serving() listens
  const SSLContext* ssl = nullptr;  // TLS, as in ServerOptions
  std::optional<Duration> ssl_handshake_timeout = {};
  std::optional<Duration> ssl_shutdown_timeout = {};
};

namespace detail {

WEIR_API ConnectionPlan plan_unix_connection(EventLoop& loop, const UnixConnectionOptions& options);
WEIR_API Coro<Ref<Server>> create_unix_server(EventLoop& loop, AnyProtocolFactory factory,
                                              const UnixServerOptions& options);

}  // namespace detail

// As create_connection, by a path (loop.create_unix_connection). Throws std::invalid_argument when options
// contradict each other, for a path that Address::unix_path refuses and a socket of another kind;
// std::system_error with the path, EAGAIN when the server's queue is full; NotSupportedError "unix_sockets"
// where the system has none.
template <class F>
Coro<std::pair<Ref<Transport>, detail::ProtocolRef<F>>> EventLoop::create_unix_connection(
    F&& factory, UnixConnectionOptions options) {
  static_assert(detail::ProtocolFactory<F>,
                "the factory must return a Ref<P>, P deriving from Protocol or BufferedProtocol");
  detail::check_not_empty(factory, "create_unix_connection");
  return detail::connect_with<detail::ProtocolRef<F>, std::decay_t<F>>(
      *this, std::forward<F>(factory), detail::plan_unix_connection(*this, options));
}

// As create_server, under a path (loop.create_unix_server). A socket's file that is there already is taken
// for a dead server's and replaced; a file of another kind stays, and gives std::system_error (EADDRINUSE).
// The path should be absolute: it is looked up again when the server is closed. Throws otherwise what
// create_server and create_unix_connection throw.
template <class F>
Coro<Ref<Server>> EventLoop::create_unix_server(F&& factory, UnixServerOptions options) {
  static_assert(detail::ProtocolFactory<F>,
                "the factory must return a Ref<P>, P deriving from Protocol or BufferedProtocol");
  detail::check_not_empty(factory, "create_unix_server");
  return detail::create_unix_server(*this, detail::AnyProtocolFactory(std::forward<F>(factory)), options);
}

}  // namespace weir::inline WEIR_ABI
