// Planning TLS, and putting it between a transport and a protocol.
#include "net/tls/tls.hpp"

#include "net/net_state.hpp"
#include "net/os_error.hpp"
#include "net/tls/plan.hpp"
#include "net/tls/transport.hpp"
#include "runtime/loop_access.hpp"

#include <weir/bytes.hpp>
#include <weir/exceptions.hpp>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr Duration default_handshake_timeout = std::chrono::seconds(60);
constexpr Duration default_shutdown_timeout = std::chrono::seconds(30);
// How much of a file is read and encrypted at once.
constexpr std::size_t file_piece = std::size_t{64} * 1024;

[[noreturn]] void refuse(const TlsArguments& arguments, const std::string& why) {
  throw std::invalid_argument(std::string(arguments.call) + ": " + why);
}

Duration checked_timeout(const TlsArguments& arguments, const char* name, std::optional<Duration> given,
                         Duration otherwise) {
  if (given && given->count() <= 0) {
    refuse(arguments,
           std::string(name) + " should be a positive number, got " +
               std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(*given).count()) + " ms");
  }
  return given.value_or(otherwise);
}

void refuse_without_context(const TlsArguments& arguments) {
  const auto check = [&arguments](bool is_given, const char* name) {
    if (is_given) {
      refuse(arguments, std::string(name) + " is only meaningful with ssl");
    }
  };
  check(arguments.server_hostname.has_value(), "server_hostname");
  check(arguments.handshake_timeout.has_value(), "ssl_handshake_timeout");
  check(arguments.shutdown_timeout.has_value(), "ssl_shutdown_timeout");
  check(arguments.session != nullptr, "ssl_session");
}

void check_side(const TlsArguments& arguments) {
  const TlsContext& context = *arguments.context->state();
  if (context.is_server() != arguments.server_side) {
    refuse(arguments, arguments.server_side
                          ? "a client's SSLContext cannot serve (Purpose::client_auth makes a server's)"
                          : "a server's SSLContext cannot connect (Purpose::server_auth makes a client's)");
  }
  if (arguments.server_side) {
    if (!context.can_serve()) {
      refuse(arguments, "the SSLContext has no certificate (load_cert_chain)");
    }
    if (arguments.server_hostname || arguments.session != nullptr) {
      refuse(arguments, "server_hostname and ssl_session are for clients");
    }
  }
}

std::string checked_name(const TlsArguments& arguments) {
  if (arguments.server_side) {
    return {};
  }
  if (!arguments.server_hostname) {
    refuse(arguments, "you must set server_hostname when using ssl without a host");
  }
  if (arguments.server_hostname->empty()) {
    if (arguments.context->check_hostname()) {
      refuse(arguments, "check_hostname requires server_hostname");
    }
    return {};
  }
  return checked_server_hostname(*arguments.server_hostname, arguments.call);
}

// Reads and encrypts as fast as the connection takes it.
Coro<void> read_and_encrypt(TlsTransport& transport, FilePart& part) {
  Bytes buffer(part.left(file_piece));
  while (part.left(file_piece) != 0) {
    const std::size_t count = part.file->read_at(part.at(), buffer.span().first(part.left(file_piece)));
    if (count == 0) {
      break;
    }
    transport.write_file(buffer.span().first(count));
    part.sent += count;
    if (const std::optional<Future<void>> room = transport.room(); room) {
      co_await *room;
    }
    if (transport.is_closing()) {
      throw os_error(-EBADF, "sendfile: it was closed");
    }
  }
}

}  // namespace

std::shared_ptr<const TlsPlan> plan_tls(const TlsArguments& arguments) {
  if (arguments.context == nullptr) {
    refuse_without_context(arguments);
    return nullptr;
  }
  check_side(arguments);
  auto plan = std::make_shared<TlsPlan>(TlsPlan{*arguments.context, arguments.server_side,
                                                checked_name(arguments), Duration{}, Duration{}, nullptr});
  plan->handshake_timeout = checked_timeout(arguments, "ssl_handshake_timeout", arguments.handshake_timeout,
                                            default_handshake_timeout);
  plan->shutdown_timeout = checked_timeout(arguments, "ssl_shutdown_timeout", arguments.shutdown_timeout,
                                           default_shutdown_timeout);
  if (arguments.session != nullptr) {
    plan->session = arguments.session->ticket();
  }
  return plan;
}

Ref<BaseProtocol> encrypt(EventLoop& loop, Ref<BaseProtocol> protocol, const TlsPlan& plan, Context context,
                          TlsStart start) {
  NetState::of(loop);
  const auto transport =
      make_ref<TlsTransport>(loop, std::move(protocol), plan, std::move(context), start.upgrade);
  transport->set_deadline(start.deadline);
  if (start.awaited) {
    transport->handshaken();
  }
  return make_ref<TlsBelow>(transport);
}

Coro<Ref<Transport>> encrypted(Ref<BaseProtocol> below) {
  const Ref<TlsTransport> transport(&static_cast<TlsBelow&>(*below).transport());
  const Future<void> handshaken = transport->handshaken();
  try {
    co_await handshaken;
  } catch (...) {
    transport->abort();
    throw;
  }
  co_return transport;
}

bool close_encrypted(BaseProtocol& below) noexcept {
  auto* const tls = dynamic_cast<TlsBelow*>(&below);
  if (tls == nullptr) {
    return false;
  }
  tls->transport().close();
  return true;
}

bool can_carry_tls(const Transport& transport) noexcept {
  const auto* const tls = dynamic_cast<const TlsTransport*>(&transport);
  return tls != nullptr && tls->can_carry();
}

bool is_encrypted(const Transport& transport) noexcept {
  return dynamic_cast<const TlsTransport*>(&transport) != nullptr;
}

void check_encrypted_file(const Transport& transport) {
  static_cast<const TlsTransport&>(transport).check_file();
}

Coro<std::uint64_t> send_encrypted_file(Ref<Transport> transport, FilePart part) {
  if (!part.fallback) {
    throw NotSupportedError("sendfile over TLS without fallback", "kernel_tls");
  }
  auto& tls = static_cast<TlsTransport&>(*transport);
  const FileHold hold(tls);
  try {
    co_await read_and_encrypt(tls, part);
  } catch (...) {
    part.set_position();
    throw;
  }
  part.set_position();
  co_return part.sent;
}

}  // namespace weir::inline WEIR_ABI::detail
