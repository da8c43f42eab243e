// create_datagram_endpoint: datagrams over UDP and Unix sockets. Its transport is DatagramTransport in
// <weir/net/transport.hpp>, its protocol DatagramProtocol in <weir/net/protocol.hpp>.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/host_query.hpp>
#include <weir/detail/protocol_factory.hpp>
#include <weir/event_loop.hpp>
#include <weir/net/address.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/socket.hpp>
#include <weir/net/transport.hpp>
#include <weir/ref.hpp>

#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI {

// What create_datagram_endpoint makes. Trivially destructible: the call copies what it keeps before it
// returns its Coro.
struct DatagramEndpointOptions {
  // The address to bind to: an IP address, with port 0 for one that the system chooses, or the path of a Unix
  // socket.
  std::optional<Address> local_addr = {};
  // Where sendto() sends to, and, unless allow_broadcast is set, whom alone it receives from.
  std::optional<Address> remote_addr = {};
  // The same by name: the addresses of the host that are of a family with local_addr are tried in turn. A
  // datagram that gets lost is no error, so that the first one is taken to which there is a way.
  std::string_view remote_host = {};
  ServiceName remote_port = {};
  // Needed only where there is neither address nor socket: what the endpoint will send to.
  AddressFamily family = AddressFamily::unspecified;
  bool reuse_port = false;       // SO_REUSEPORT: several endpoints share a port
  bool allow_broadcast = false;  // SO_BROADCAST: may send to broadcast addresses
  bool reuse_address = false;    // refused when true, as by asyncio: it lets others take the port over
  Socket* sock = nullptr;        // instead of all others: a datagram socket, which is moved from
};

namespace detail {

// The options, checked, with what they pointed to.
struct EndpointPlan {
  weir::Socket socket;  // the given one; else none
  AddressFamily family = AddressFamily::unspecified;
  std::optional<Address> local;
  std::optional<Address> remote;
  std::optional<HostQuery> query;  // which remote will be an answer of
  bool reuse_port = false;
  bool allow_broadcast = false;
};

WEIR_API EndpointPlan plan_endpoint(EventLoop& loop, const DatagramEndpointOptions& options);
// Gives a socket that is bound and connected, and puts into the plan to whom. The plan is used until then.
WEIR_API Coro<weir::Socket> open_endpoint(EventLoop& loop, EndpointPlan& plan);
// Makes the transport and gives it after connection_made.
WEIR_API Coro<Ref<DatagramTransport>> start_endpoint(EventLoop& loop, weir::Socket socket,
                                                     std::optional<Address> remote,
                                                     Ref<BaseProtocol> protocol);

template <class P, class F>
Coro<std::pair<Ref<DatagramTransport>, P>> endpoint_with(EventLoop& loop, F factory, EndpointPlan plan) {
  weir::Socket socket = co_await open_endpoint(loop, plan);
  P protocol = factory();
  Ref<DatagramTransport> transport = co_await start_endpoint(loop, std::move(socket), plan.remote, protocol);
  co_return std::pair<Ref<DatagramTransport>, P>(std::move(transport), std::move(protocol));
}

}  // namespace detail

// Opens a datagram socket, calls `factory` once for a protocol (a callable that returns a Ref of it), and
// gives transport and protocol after connection_made (loop.create_datagram_endpoint). A Unix socket's file
// that is in the way of local_addr is taken for one of a dead endpoint and replaced, and stays when this one
// is closed. The protocol's callbacks run in a copy of the context of this call. What it throws, after
// closing the socket, and a socket that was given as well: std::invalid_argument when options contradict each
// other; NotSupportedError "unix_sockets" where the system has none; std::system_error with the call and the
// address; what getaddrinfo throws; what the factory throws; CancelledError.
template <class F>
Coro<std::pair<Ref<DatagramTransport>, detail::ProtocolRef<F>>> EventLoop::create_datagram_endpoint(
    F&& factory, DatagramEndpointOptions options) {
  static_assert(detail::DatagramProtocolFactory<F>,
                "the factory must return a Ref<P>, P deriving from DatagramProtocol");
  detail::check_not_empty(factory, "create_datagram_endpoint");
  return detail::endpoint_with<detail::ProtocolRef<F>, std::decay_t<F>>(
      *this, std::forward<F>(factory), detail::plan_endpoint(*this, options));
}

}  // namespace weir::inline WEIR_ABI
