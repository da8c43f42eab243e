// start_tls: TLS on a connection that is there already.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/event_loop.hpp>
#include <weir/fwd.hpp>
#include <weir/handle.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/transport.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace weir::inline WEIR_ABI {

// The arguments of loop.start_tls. Trivially destructible: the call copies what it keeps before it returns
// its Coro.
struct StartTLSOptions {
  bool server_side = false;
  std::optional<std::string_view> server_hostname = {};  // the name to verify, and to ask for
  std::optional<Duration> ssl_handshake_timeout = {};    // none: 60 s
  std::optional<Duration> ssl_shutdown_timeout = {};     // none: 30 s
  // What came behind the last byte in the clear and is the first of TLS: it was received together with that.
  std::span<const std::byte> read_ahead = {};
  const SSLSession* ssl_session = nullptr;  // of a client: to resume, from an earlier connection
};

// EventLoop::start_tls(transport, protocol, context, options) (loop.start_tls): makes a TLS connection of
// `transport` and gives the transport to use from now on; the old one belongs to it. `protocol` keeps its
// life: it gets the decrypted bytes by data_received, and connection_lost, but no connection_made. The
// protocol must not write on the old transport from the call on; what it has written goes first, in the
// clear. Loop's thread. Throws at once std::invalid_argument for null, a context of the other side, a
// transport that cannot be upgraded (a pipe, one that is closing or has ended writing), options as in
// create_connection. When the handshake fails, is late or is cancelled the connection is closed, the protocol
// is told by connection_lost, and the call throws what create_connection would.

}  // namespace weir::inline WEIR_ABI
