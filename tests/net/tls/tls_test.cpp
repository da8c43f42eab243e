// Certificates, contexts and peers for the tests of TLS.
#include "tests/net/tls/tls_test.hpp"

namespace weir::testing {

Pki::Pki() {
  program::CertificateRequest request;
  request.common_name = "weir test authority";
  request.is_authority = true;
  authority = program::make_certificate(request, nullptr);
  program::CertificateRequest of_server;
  of_server.common_name = "localhost";
  of_server.names = {"localhost", "*.example.test", "127.0.0.1", "::1"};
  server = program::make_certificate(of_server, &authority);
  program::CertificateRequest of_client;
  of_client.common_name = "a client";
  client = program::make_certificate(of_client, &authority);
}

const Pki& pki() {
  static const Pki made;
  return made;
}

SSLContext server_context_with(const program::Identity& identity) {
  SSLContext context = create_default_context(Purpose::client_auth);
  context.load_cert_chain({.certdata = identity.certificate, .keydata = identity.key});
  return context;
}

SSLContext server_context() { return server_context_with(pki().server); }

SSLContext client_context() {
  return create_default_context(Purpose::server_auth, {.cadata = pki().authority.certificate});
}

// --- TlsPeer

TlsPeer::TlsPeer(EventLoop& loop, Socket s, const SSLContext& context, bool server_side,
                 const std::string& server_hostname)
    : socket(std::move(s)),
      engine(std::make_unique<detail::TlsEngine>(context, server_side, server_side ? "" : server_hostname,
                                                 nullptr)),
      loop_(loop) {
  engine->set_output(&output_);
}

Coro<void> TlsPeer::flush() {
  const std::vector<std::byte> sent = std::exchange(output_, {});
  if (!sent.empty()) {
    co_await loop_.sock_sendall(socket, sent);
  }
}

// Feeds what comes; false at the end.
Coro<bool> TlsPeer::more() {
  std::vector<std::byte> buffer(16384);
  const std::size_t count = co_await loop_.sock_recv_into(socket, buffer);
  got_end = count == 0;
  const std::span<const std::byte> rest = engine->unread();
  std::vector<std::byte> joined(rest.begin(), rest.end());
  joined.insert(joined.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(count));
  input_ = std::move(joined);
  engine->feed(input_);
  co_return !got_end;
}

Coro<void> TlsPeer::handshake() {
  for (;;) {
    const auto status = engine->handshake();
    co_await flush();
    if (status == detail::TlsEngine::Status::done) {
      co_return;
    }
    if (status == detail::TlsEngine::Status::failed) {
      std::rethrow_exception(engine->take_error());
    }
    const bool is_more = co_await more();
    if (!is_more) {
      throw std::runtime_error("the peer's handshake met the end");
    }
  }
}

Coro<void> TlsPeer::send(std::string_view text) {
  const auto status = engine->write(as_bytes(text));
  if (status != detail::TlsEngine::Status::done) {
    throw std::runtime_error("the peer could not encrypt");
  }
  co_await flush();
}

Coro<void> TlsPeer::send_raw(std::string_view bytes) { co_await loop_.sock_sendall(socket, bytes); }

Coro<std::string> TlsPeer::receive() {
  std::string text(65536, '\0');
  while (!got_end && !got_close_notification) {
    std::size_t count = 0;
    const auto status = engine->read(std::as_writable_bytes(std::span(text)), count);
    co_await flush();
    if (status == detail::TlsEngine::Status::done) {
      text.resize(count);
      co_return text;
    }
    if (status == detail::TlsEngine::Status::failed) {
      std::rethrow_exception(engine->take_error());
    }
    got_close_notification = status == detail::TlsEngine::Status::ended;
    if (!got_close_notification) {
      co_await more();
    }
  }
  co_return std::string();
}

Coro<std::string> TlsPeer::receive_all() {
  std::string all;
  for (;;) {
    const std::string piece = co_await receive();
    if (piece.empty()) {
      co_return all;
    }
    all += piece;
  }
}

Coro<std::string> TlsPeer::receive_exactly(std::size_t size) {
  std::string all;
  while (all.size() < size) {
    const std::string piece = co_await receive();
    if (piece.empty()) {
      throw std::runtime_error("the peer met the end after " + std::to_string(all.size()) + " bytes");
    }
    all += piece;
  }
  co_return all;
}

Coro<void> TlsPeer::shut_down() {
  engine->shutdown();
  co_await flush();
}

}  // namespace weir::testing
