// What the rest of net/ knows of TLS: how to plan it, and how to put it between a transport and a protocol.
// Defined by tls.cpp, or by absent.cpp in a build without TLS.
#pragma once

#include "net/file_part.hpp"

#include <weir/context.hpp>
#include <weir/coro.hpp>
#include <weir/fwd.hpp>
#include <weir/handle.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/transport.hpp>
#include <weir/ref.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace weir::inline WEIR_ABI::detail {

struct TlsPlan;

// The options of a call that may use TLS.
struct TlsArguments {
  const char* call;
  const SSLContext* context;
  bool server_side = false;
  std::optional<std::string_view> server_hostname = {};
  std::optional<Duration> handshake_timeout = {};
  std::optional<Duration> shutdown_timeout = {};
  const SSLSession* session = nullptr;
};

// Null without a context. Throws std::invalid_argument for options that make no sense, together or alone.
std::shared_ptr<const TlsPlan> plan_tls(const TlsArguments& arguments);

// How a connection becomes an encrypted one.
struct TlsStart {
  bool upgrade = false;                   // the protocol has had its connection_made
  bool awaited = false;                   // somebody calls encrypted(); else a failure is reported
  TimePoint deadline = TimePoint::max();  // of the handshake, in addition to the plan's time-out
};
// The protocol for the transport that carries the encrypted bytes; `protocol` gets the others. The handshake
// begins with its connection_made.
Ref<BaseProtocol> encrypt(EventLoop& loop, Ref<BaseProtocol> protocol, const TlsPlan& plan, Context context,
                          TlsStart start);
// Waits for the handshake of what encrypt() gave, which this keeps, and gives the transport for the protocol.
// Throws what the handshake failed with; the connection is being closed then. Cancelling aborts it.
Coro<Ref<Transport>> encrypted(Ref<BaseProtocol> below);
// Closes it as close() of its transport does; false when the protocol is none of encrypt().
bool close_encrypted(BaseProtocol& below) noexcept;

// Is it a transport of TLS that another TLS can be put on?
bool can_carry_tls(const Transport& transport) noexcept;

// sendfile() on a transport of TLS: is it one, may it begin (RuntimeError), and doing it.
bool is_encrypted(const Transport& transport) noexcept;
void check_encrypted_file(const Transport& transport);
Coro<std::uint64_t> send_encrypted_file(Ref<Transport> transport, FilePart part);

}  // namespace weir::inline WEIR_ABI::detail
