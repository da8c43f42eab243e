// start_tls: TLS on a connection that is there already, and on streams.
#include <weir/net/start_tls.hpp>

#include "net/stream_transport.hpp"
#include "net/tls/tls.hpp"
#include "net/transport_calls.hpp"
#include "runtime/loop_access.hpp"

#include <weir/bytes.hpp>
#include <weir/exceptions.hpp>
#include <weir/net/ssl.hpp>
#include <weir/net/stream_writer.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

namespace {

constexpr const char* call = "start_tls";

std::shared_ptr<const TlsPlan> plan(const SSLContext& context, const StartTLSOptions& options) {
  return plan_tls({.call = call,
                   .context = &context,
                   .server_side = options.server_side,
                   .server_hostname = options.server_hostname,
                   .handshake_timeout = options.ssl_handshake_timeout,
                   .shutdown_timeout = options.ssl_shutdown_timeout,
                   .session = options.ssl_session});
}

bool can_be_upgraded(const Transport& transport) noexcept {
  const auto* const stream = dynamic_cast<const StreamTransport*>(&transport);
  return stream != nullptr ? stream->can_carry() : can_carry_tls(transport);
}

Coro<Ref<Transport>> upgrade(Ref<Transport> transport, Ref<BaseProtocol> protocol,
                             std::shared_ptr<const TlsPlan> plan, Bytes read_ahead) {
  if (!can_be_upgraded(*transport)) {
    throw std::invalid_argument("start_tls: the transport is closing");
  }
  const Ref<BaseProtocol> below = encrypt(transport->get_loop(), std::move(protocol), *plan, copy_context(),
                                          {.upgrade = true, .awaited = true});
  transport->set_protocol(below);
  auto& carrier = static_cast<Protocol&>(*below);
  carrier.connection_made(transport);
  if (!read_ahead.empty() && !transport->is_closing()) {
    carrier.data_received(read_ahead);
  }
  transport->resume_reading();
  co_return co_await encrypted(below);
}

Coro<void> upgrade_stream(Ref<StreamWriter> writer, std::shared_ptr<const TlsPlan> plan, Bytes read_ahead) {
  co_await writer->drain();
  if (writer->reader() != nullptr) {
    const Bytes unread = writer->reader()->take_unread();
    Bytes joined(read_ahead.size() + unread.size());
    std::ranges::copy(read_ahead.span(), joined.data());
    std::ranges::copy(unread.span(), joined.data() + read_ahead.size());
    read_ahead = std::move(joined);
  }
  Ref<Transport> encrypted =
      co_await upgrade(writer->transport(), writer->protocol(), std::move(plan), std::move(read_ahead));
  writer->replace_transport(std::move(encrypted));
}

}  // namespace

}  // namespace detail

Coro<Ref<Transport>> EventLoop::start_tls(Ref<Transport> transport, Ref<BaseProtocol> protocol,
                                          const SSLContext& context, StartTLSOptions options) {
  check_open(detail::call);
  if (transport == nullptr || protocol == nullptr) {
    throw std::invalid_argument("start_tls: the transport or the protocol is null");
  }
  detail::check_stream_protocol(*protocol, detail::call);
  if (!detail::can_be_upgraded(*transport)) {
    throw std::invalid_argument("start_tls: the transport cannot be upgraded: it is closing, or a pipe");
  }
  if (&transport->get_loop() != this) {
    throw RuntimeError("start_tls: the transport belongs to another loop");
  }
  return detail::upgrade(std::move(transport), std::move(protocol), detail::plan(context, options),
                         Bytes(options.read_ahead));
}

Coro<void> StreamWriter::start_tls(const SSLContext& context, const StartTLSOptions& options) {
  StartTLSOptions own = options;
  own.server_side = options.server_side || protocol_->serves();
  return detail::upgrade_stream(Ref<StreamWriter>(this), detail::plan(context, own),
                                Bytes(options.read_ahead));
}

}  // namespace weir::inline WEIR_ABI
