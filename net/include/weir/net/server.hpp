// Server: what create_server returns, and create_server itself.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/protocol_factory.hpp>
#include <weir/event_loop.hpp>
#include <weir/handle.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/resolver.hpp>
#include <weir/net/socket.hpp>
#include <weir/net/transport.hpp>
#include <weir/ref.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

// Where and how a server listens. Trivially destructible: the call copies what it keeps before it returns its
// Coro.
struct ServerOptions {
  std::string_view host = {};  // a name or a numeric address; empty: all interfaces, IPv4 and IPv6
  std::span<const std::string_view> hosts = {};  // several of them, instead of `host`
  // A number, or the name of a service. 0, or left out with a host: one free port for all addresses.
  ServiceName port = {};
  AddressFamily family = AddressFamily::unspecified;  // of the addresses to listen on; unspecified: both
  AddrInfoFlags flags = AddrInfoFlags::none;          // of the look-up, in addition to passive
  Socket* sock = nullptr;  // instead of host and port: a bound stream socket, which is moved from
  int backlog = 0;         // how many connections may queue; 0: as many as the system allows
  std::optional<bool> reuse_address = {};  // SO_REUSEADDR; left out: on, but on Windows
  bool reuse_port = false;                 // SO_REUSEPORT
  bool keep_alive = false;                 // SO_KEEPALIVE on the connections
  bool start_serving = true;               // false: only bind; start_serving() listens
  // TLS with these settings (<weir/net/ssl.hpp>), which need a certificate; null: none. What follows is about
  // TLS.
  const SSLContext* ssl = nullptr;
  std::optional<Duration> ssl_handshake_timeout = {};  // none: 60 s
  std::optional<Duration> ssl_shutdown_timeout = {};   // for the whole of close(); none: 30 s
};

namespace detail {

struct ServerState;

WEIR_API Coro<Ref<Server>> create_server(EventLoop& loop, AnyProtocolFactory factory,
                                         const ServerOptions& options);

}  // namespace detail

// Listening sockets, and the connections that came through them (asyncio.Server). Used on the loop's thread.
// Keep the Ref: dropping the last one of a server that is still serving closes it, and that is reported as a
// warning. Connections live on without their server.
class WEIR_API Server final : public RefCounted {
 public:
  // The loop it belongs to (Server.get_loop).
  EventLoop& get_loop() const noexcept;
  // Its listening sockets, IPv4 first; none after close() (Server.sockets). local_address() of each tells
  // where it listens.
  std::vector<SocketView> sockets() const;
  // Are connections being accepted (Server.is_serving)? Also true in the pause after running out of
  // descriptors.
  bool is_serving() const noexcept;
  // Begins to accept (Server.start_serving); again: nothing. Throws std::system_error when the system refuses
  // to listen, RuntimeError when the server is closed.
  Coro<void> start_serving();
  // Serves until the awaiting task is cancelled or the server is closed, then closes the server and its
  // connections, waits until they are gone and throws CancelledError (Server.serve_forever). Throws
  // RuntimeError for a second concurrent call and on a closed server.
  Coro<void> serve_forever();
  // Stops accepting at once and closes the listening sockets; connections live on (Server.close). Again:
  // nothing.
  void close() noexcept;
  // Waits until the server is closed and its last connection gone, also when it is called before close()
  // (Server.wait_closed).
  Coro<void> wait_closed();
  // Closes its connections: each after what it still has to send, or at once (Server.close_clients,
  // abort_clients).
  void close_clients() noexcept;
  void abort_clients() noexcept;
  // Ends in good order: stops accepting at once, lets the connections end by themselves until `deadline` on
  // the clock of EventLoop::time(), then aborts those that are left, waits until they are gone too, and gives
  // how many it aborted. Again, also at the same time: each gives what it aborted itself. When the awaiting
  // task is cancelled, the server stays closed and its connections live on.
  Coro<std::size_t> shutdown(TimePoint deadline);
  // close(), then wait_closed(): what leaving `async with server` does.
  Coro<void> aclose();

  // For weir's own rooms.
  explicit Server(std::unique_ptr<detail::ServerState> state) noexcept;

 protected:
  ~Server() override;

 private:
  std::unique_ptr<detail::ServerState> state_;
};

// Awaits body(*server), then server->aclose(), also when the body throws; gives the body's value or exception
// (`async with server`). body returns a Coro.
template <class F>
auto serve(Ref<Server> server, F body) -> std::invoke_result_t<F&, Server&> {
  using T = typename std::invoke_result_t<F&, Server&>::value_type;
  std::exception_ptr error;
  std::optional<detail::StoredResult<T>> result;
  try {
    auto running = body(*server);
    if constexpr (std::is_void_v<T>) {
      co_await std::move(running);
    } else {
      result.emplace(co_await std::move(running));
    }
  } catch (...) {
    error = std::current_exception();
  }
  co_await server->aclose();
  if (error) {
    std::rethrow_exception(std::move(error));
  }
  if constexpr (!std::is_void_v<T>) {
    co_return std::move(*result);
  }
}

// Binds, and listens unless options.start_serving is false; then every connection gets a protocol of its own
// from `factory`, called with nothing and returning a Ref of it (loop.create_server). An IPv6 socket takes
// IPv6 only, so that both families can have the same port. Connections have TCP_NODELAY. Factory and
// protocols run in copies of the context of this call. A factory that throws costs its connection and is
// reported; so does and is a TLS handshake that fails, unless it was the client that went away. With TLS
// connection_made comes after the handshake. Of a name, an address whose family this machine lacks is passed
// over when there is another. Throws std::invalid_argument when options contradict each other, what
// getaddrinfo throws, std::system_error that names the address when one cannot be had; no socket stays open
// then. Out of descriptors: reported, and accepting pauses for one second.
template <class F>
Coro<Ref<Server>> EventLoop::create_server(F&& factory, ServerOptions options) {
  static_assert(detail::ProtocolFactory<F>,
                "the factory must return a Ref<P>, P deriving from Protocol or BufferedProtocol");
  detail::check_not_empty(factory, "create_server");
  return detail::create_server(*this, detail::AnyProtocolFactory(std::forward<F>(factory)), options);
}

}  // namespace weir::inline WEIR_ABI
