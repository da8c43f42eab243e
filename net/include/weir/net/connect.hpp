// create_connection and connect_accepted_socket: a transport and a protocol on a new or given socket.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/host_query.hpp>
#include <weir/detail/protocol_factory.hpp>
#include <weir/event_loop.hpp>
#include <weir/handle.hpp>
#include <weir/net/address.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/resolver.hpp>
#include <weir/net/socket.hpp>
#include <weir/net/transport.hpp>
#include <weir/ref.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

// Where create_connection connects to. Trivially destructible: the call copies what it keeps before it
// returns its Coro.
struct ConnectionOptions {
  std::string_view host = {};  // a name or a numeric address; empty: this machine, ::1 and then 127.0.0.1
  ServiceName port = {};       // a number, or the name of a service
  AddressFamily family = AddressFamily::unspecified;  // of the addresses to try; unspecified: both
  AddrInfoFlags flags = AddrInfoFlags::none;          // of the look-up
  Socket* sock = nullptr;  // instead of host and port: a connected stream socket, which is moved from
  std::optional<Address> local_addr = {};  // bind to it before connecting; other families are passed over
  std::optional<Duration> timeout = {};    // for the whole call; TimeoutError when it is over
  // Do not wait for an address that does not answer: try the next one beside it after this time, or as soon
  // as it failed (RFC 8305, which recommends 250 ms). None: one address after the other.
  std::optional<Duration> happy_eyeballs_delay = {};
  // Alternate the families, beginning with so many addresses of the first one; 0: the order of getaddrinfo.
  // None: 1 with happy_eyeballs_delay, else 0.
  std::optional<int> interleave = {};
  bool keep_alive = false;  // SO_KEEPALIVE
  bool all_errors = false;  // throw an ExceptionGroup with the error of each address that was tried
  // TLS with these settings (<weir/net/ssl.hpp>); null: none. What follows is about TLS.
  const SSLContext* ssl = nullptr;
  // Whose certificate it must be, and who is asked for; none: the host. Empty, where the context does not
  // check names: nobody.
  std::optional<std::string_view> server_hostname = {};
  std::optional<Duration> ssl_handshake_timeout = {};  // none: 60 s
  std::optional<Duration> ssl_shutdown_timeout = {};   // for the whole of close(); none: 30 s
  const SSLSession* ssl_session = nullptr;             // to resume, from an earlier connection
};

// What connect_accepted_socket can be told: TLS, as in ServerOptions.
struct AcceptedSocketOptions {
  const SSLContext* ssl = nullptr;
  std::optional<Duration> ssl_handshake_timeout = {};
  std::optional<Duration> ssl_shutdown_timeout = {};
};

namespace detail {

struct TlsPlan;

// The options of create_connection, checked, with what they pointed to.
struct ConnectionPlan {
  std::string what() const;  // where to, for errors

  const char* call = "create_connection";  // for errors
  weir::Socket socket;                     // the given one; else none
  std::vector<Address> targets;            // when they are known without asking; else:
  HostQuery query;
  std::optional<Address> local;
  TimePoint deadline = TimePoint::max();
  std::optional<Duration> stagger;  // between the attempts; none: one after the other
  int interleave = 0;
  bool keep_alive = false;
  bool all_errors = false;
  std::shared_ptr<const TlsPlan> tls;  // null: none
};

WEIR_API ConnectionPlan plan_connection(EventLoop& loop, const ConnectionOptions& options);
// Throws unless it is an open stream socket.
WEIR_API void check_stream_socket(const weir::Socket& socket, const char* call);
// Gives a connected socket. The plan is used until then.
WEIR_API Coro<weir::Socket> connect_socket(EventLoop& loop, ConnectionPlan& plan);
// The plan for a socket that was accepted elsewhere.
WEIR_API ConnectionPlan plan_accepted(EventLoop& loop, weir::Socket socket,
                                      const AcceptedSocketOptions& options);
// Makes the transport and gives it after connection_made. The plan is used until then.
WEIR_API Coro<Ref<Transport>> start_transport(EventLoop& loop, weir::Socket socket,
                                              Ref<BaseProtocol> protocol, const ConnectionPlan& plan);

template <class P, class F>
Coro<std::pair<Ref<Transport>, P>> connect_with(EventLoop& loop, F factory, ConnectionPlan plan) {
  weir::Socket socket = co_await connect_socket(loop, plan);
  P protocol = factory();
  Ref<Transport> transport = co_await start_transport(loop, std::move(socket), protocol, plan);
  co_return std::pair<Ref<Transport>, P>(std::move(transport), std::move(protocol));
}

// The same on a descriptor that is used as a socket; `start` makes the transport.
using StartTransport = Coro<Ref<Transport>>(EventLoop& loop, weir::Socket socket, Ref<BaseProtocol> protocol);

template <class P, class F>
Coro<std::pair<Ref<Transport>, P>> start_with(EventLoop& loop, F factory, weir::Socket socket,
                                              StartTransport* start) {
  P protocol = factory();
  Ref<Transport> transport = co_await start(loop, std::move(socket), protocol);
  co_return std::pair<Ref<Transport>, P>(std::move(transport), std::move(protocol));
}

}  // namespace detail

// Connects a stream socket, calls `factory` once for a protocol (a callable that returns a Ref of it), and
// gives transport and protocol after connection_made (loop.create_connection). The addresses of the host
// are tried in the order of getaddrinfo until one connects; with happy_eyeballs_delay the first that connects
// wins, and the others are closed before the call returns. The connection has TCP_NODELAY. The protocol's
// callbacks run in a copy of the context of this call. What it throws, after closing its sockets, and a
// socket that was given as well: std::invalid_argument when options contradict each other; what getaddrinfo
// throws; std::system_error with the address, or the one error of several equal ones, or a std::system_error
// that lists different ones; with TLS, where connection_made comes after the handshake, std::system_error
// with a TLSErrc, or of the system when the connection is lost before; TimeoutError; what the factory throws;
// CancelledError when the task is cancelled, also while it looks up or connects.
template <class F>
Coro<std::pair<Ref<Transport>, detail::ProtocolRef<F>>> EventLoop::create_connection(
    F&& factory, ConnectionOptions options) {
  static_assert(detail::ProtocolFactory<F>,
                "the factory must return a Ref<P>, P deriving from Protocol or BufferedProtocol");
  detail::check_not_empty(factory, "create_connection");
  return detail::connect_with<detail::ProtocolRef<F>, std::decay_t<F>>(
      *this, std::forward<F>(factory), detail::plan_connection(*this, options));
}

// Makes a transport and a protocol on a connection that was accepted elsewhere
// (loop.connect_accepted_socket), of a server if TLS is asked for. Throws std::invalid_argument unless
// `socket` is an open stream socket, and what create_connection throws for TLS.
template <class F>
Coro<std::pair<Ref<Transport>, detail::ProtocolRef<F>>> EventLoop::connect_accepted_socket(
    F&& factory, Socket socket, AcceptedSocketOptions options) {
  static_assert(detail::ProtocolFactory<F>,
                "the factory must return a Ref<P>, P deriving from Protocol or BufferedProtocol");
  detail::check_not_empty(factory, "connect_accepted_socket");
  return detail::connect_with<detail::ProtocolRef<F>, std::decay_t<F>>(
      *this, std::forward<F>(factory), detail::plan_accepted(*this, std::move(socket), options));
}

}  // namespace weir::inline WEIR_ABI
