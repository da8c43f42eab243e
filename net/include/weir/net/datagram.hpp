// create_datagram_endpoint, and its transport: datagrams over UDP and Unix sockets. The protocol is
// DatagramProtocol in <weir/net/protocol.hpp>.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/protocol_factory.hpp>
#include <weir/event_loop.hpp>
#include <weir/net/address.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/socket.hpp>
#include <weir/net/transport.hpp>
#include <weir/ref.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI {

// One end of a way for datagrams (asyncio.DatagramTransport). As for every transport: all functions are for
// the loop's thread and may be called from any callback.
class WEIR_API DatagramTransport : public BaseTransport {
 public:
  // Sends one datagram (sendto), which may be empty; the memory is the caller's again when it returns. The
  // first one that a callback or a task sends leaves at once if the system takes it; those that follow before
  // it gives way leave together, and order is kept. What the system does not take yet is kept, too; other
  // errors are error_received's. The address may be left out where there is a remote address. Throws
  // std::invalid_argument for an address of another family, for none where one is needed, and for another one
  // than the remote address; std::bad_alloc. On a closed endpoint it does nothing, and logs one warning when
  // that goes on.
  virtual void sendto(std::span<const std::byte> data, const Address& address) = 0;
  void sendto(std::span<const std::byte> data) { sendto(data, Address()); }
  void sendto(std::string_view text, const Address& address = Address()) { sendto(as_bytes(text), address); }
  // Drops what is buffered and closes; connection_lost(nullptr) follows in a later turn (abort).
  virtual void abort() noexcept = 0;

  // What is buffered, in bytes: datagrams count with 8 more each, so that empty ones count as well
  // (get_write_buffer_size).
  virtual std::size_t get_write_buffer_size() const noexcept = 0;
  // The marks of flow control, as those of Transport (get_write_buffer_limits, set_write_buffer_limits).
  virtual WriteBufferLimits get_write_buffer_limits() const noexcept = 0;
  virtual void set_write_buffer_limits(std::optional<std::ptrdiff_t> high = {},
                                       std::optional<std::ptrdiff_t> low = {}) = 0;

 protected:
  ~DatagramTransport() override;
};

// What create_datagram_endpoint makes. Trivially destructible: the call copies what it keeps before it
// returns its Coro.
struct DatagramEndpointOptions {
  // The address to bind to: an IP address, with port 0 for one that the system chooses, or the path of a Unix
  // socket.
  std::optional<Address> local_addr = {};
  // Where sendto() sends to, and, unless allow_broadcast is set, whom alone it receives from.
  std::optional<Address> remote_addr = {};
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
  bool reuse_port = false;
  bool allow_broadcast = false;
};

WEIR_API EndpointPlan plan_endpoint(EventLoop& loop, const DatagramEndpointOptions& options);
// Gives a socket that is bound and connected. The plan is used until then.
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
// address; what the factory throws; CancelledError.
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
