// TLS: handshakes, what is verified, and what a connection tells of itself.
#include "tests/net/tls/tls_test.hpp"

#include <openssl/ssl.h>

#include <array>
#include <chrono>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// Connects a client to a server that shows `identity`, and gives what the client fails with. The server's own
// failure is reported, and taken.
Coro<std::error_code> verify(EventLoop& loop, Env& env, program::Identity identity, std::string name,
                             SSLContext client) {
  Made made;
  const SSLContext context = server_context_with(identity);
  ServerOptions options;
  options.host = "127.0.0.1";
  options.ssl = &context;
  const Ref<Server> server = co_await loop.create_server(made.factory(), options);
  ConnectionOptions how;
  how.host = "127.0.0.1";
  how.port = address_of(server).port();
  how.ssl = &client;
  how.server_hostname = name;
  std::error_code code;
  auto protocol = make_ref<Recorder>();
  try {
    auto connected = co_await loop.create_connection([&protocol] { return protocol; }, how);
    connected.first->abort();
    co_await until([&] { return protocol->lost == 1; });
  } catch (const std::system_error& error) {
    code = error.code();
    CHECK(protocol->events.empty());
  }
  co_await stop_server(server);
  co_await settle(loop);
  for (const Report& report : env.take_reports()) {
    CHECK(report.message == "SSL handshake failed");
  }
  co_return code;
}

program::Identity server_identity(std::chrono::seconds from, std::chrono::seconds to,
                                  const program::Identity* issuer) {
  program::CertificateRequest request;
  request.common_name = "localhost";
  request.names = {"localhost", "127.0.0.1"};
  request.valid_from = from;
  request.valid_to = to;
  return program::make_certificate(request, issuer);
}

}  // namespace

WEIR_TEST("TLS-001 a client and a server exchange data, connection_made comes after the handshake") {
  auto server = make_ref<Recorder>();
  auto client = make_ref<Recorder>();
  bool client_was_ready = false;
  bool server_was_ready = false;
  client->on_made = [&] {
    client_was_ready = client->transport->get_extra_info<extra::cipher>().has_value();
    client->transport->write("from the client");
  };
  server->on_made = [&] {
    server_was_ready = server->transport->get_extra_info<extra::cipher>().has_value();
    server->transport->write("from the server");
  };
  TlsPairSetup options;
  auto pair = co_await tls_pair(loop, options, client, server);
  CHECK(client_was_ready);
  CHECK(server_was_ready);
  co_await until([&] { return !client->received.empty() && !server->received.empty(); });
  CHECK(client->received == "from the server");
  CHECK(server->received == "from the client");
  const std::string large = pattern(1'000'000);
  pair.client->write(large);
  pair.server->write(large);
  co_await until([&] { return client->received.size() == large.size() + 15; });
  co_await until([&] { return server->received.size() == large.size() + 15; });
  CHECK(client->received.substr(15) == large);
  CHECK(server->received.substr(15) == large);
  pair.client->close();
  co_await until([&] { return client->lost + server->lost == 2; });
  CHECK(!client->error);
  CHECK(!server->error);
  CHECK(server->count("eof") == 1);
}

WEIR_TEST("TLS-002 a client verifies certificate and host name by default, and says what is wrong") {
  const auto authority = pki().authority;
  const SSLContext trusting = client_context();
  const auto good = server_identity(-1h, 24h, &authority);
  CHECK_FALSE(co_await verify(loop, env, good, "localhost", trusting));
  CHECK_FALSE(co_await verify(loop, env, good, "127.0.0.1", trusting));
  const std::error_code host = co_await verify(loop, env, good, "another.test", trusting);
  CHECK(host == TLSErrc::certificate_wrong_host);
  const std::error_code address = co_await verify(loop, env, good, "127.0.0.2", trusting);
  CHECK(address == TLSErrc::certificate_wrong_host);
  const auto old = server_identity(-48h, -24h, &authority);
  CHECK(co_await verify(loop, env, old, "localhost", trusting) == TLSErrc::certificate_expired);
  const auto early = server_identity(24h, 48h, &authority);
  CHECK(co_await verify(loop, env, early, "localhost", trusting) == TLSErrc::certificate_not_yet_valid);
  const auto own = server_identity(-1h, 24h, nullptr);
  CHECK(co_await verify(loop, env, own, "localhost", trusting) == TLSErrc::certificate_self_signed);
  program::CertificateRequest request;
  request.common_name = "another authority";
  request.is_authority = true;
  const auto other = program::make_certificate(request, nullptr);
  const auto foreign = server_identity(-1h, 24h, &other);
  CHECK(co_await verify(loop, env, foreign, "localhost", trusting) == TLSErrc::certificate_unknown_authority);
  SSLContext with_list = client_context();
  with_list.load_verify_locations({.cadata = program::make_revocation_list(authority, {good.certificate})});
  CHECK(co_await verify(loop, env, good, "localhost", with_list) == TLSErrc::certificate_revoked);
  CHECK_FALSE(co_await verify(loop, env, pki().server, "localhost", with_list));
  // Nobody but the system's authorities: ours is not among them.
  const SSLContext system = create_default_context();
  CHECK(co_await verify(loop, env, good, "localhost", system) == TLSErrc::certificate_unknown_authority);
}

WEIR_TEST("TLS-002 what is turned off is not verified") {
  SSLContext client(SSLProtocol::tls_client);
  client.set_check_hostname(false);
  const auto own = server_identity(-48h, -24h, nullptr);
  CHECK(co_await verify(loop, env, own, "localhost", client) == TLSErrc::certificate_self_signed);
  client.set_verify_mode(VerifyMode::cert_none);
  CHECK_FALSE(co_await verify(loop, env, own, "another.test", client));
  CHECK_FALSE(co_await verify(loop, env, own, "", client));
  SSLContext any_host = client_context();
  any_host.set_check_hostname(false);
  CHECK_FALSE(co_await verify(loop, env, pki().server, "another.test", any_host));
}

WEIR_TEST("TLS-003 a verified connection tells certificate, cipher, compression, ALPN and context") {
  TlsPairSetup options;
  constexpr std::array<std::string_view, 2> of_server{"h2", "http/1.1"};
  constexpr std::array<std::string_view, 2> of_client{"http/1.1", "spdy"};
  options.server.set_alpn_protocols(of_server);
  options.client.set_alpn_protocols(of_client);
  auto pair = co_await tls_pair<Recorder, Recorder>(loop, options);
  for (const Ref<Transport>& side : {pair.client, pair.server}) {
    const auto cipher = side->get_extra_info<extra::cipher>();
    REQUIRE(cipher);
    CHECK(cipher->protocol == "TLSv1.3");
    CHECK(cipher->name.starts_with("TLS_"));
    CHECK(cipher->secret_bits >= 128);
    CHECK(side->get_extra_info<extra::compression>() == std::string());
    CHECK(side->get_extra_info<extra::alpn>() == "http/1.1");
    const auto object = side->get_extra_info<extra::ssl_object>();
    REQUIRE(object);
    CHECK(object->version() == "TLSv1.3");
    CHECK(object->server_hostname() == "localhost");
    CHECK(object->server_side() == (side == pair.server));
    CHECK_FALSE(object->session_reused());
    CHECK(side->get_extra_info<extra::peername>().has_value());
    CHECK(side->get_extra_info<extra::socket>().has_value());
  }
  CHECK(pair.client->get_extra_info<extra::sslcontext>() == options.client);
  CHECK(pair.server->get_extra_info<extra::sslcontext>() == options.server);
  const auto certificate = pair.client->get_extra_info<extra::peercert>();
  REQUIRE(certificate);
  CHECK(certificate->subject == Certificate::Names{{"commonName", "localhost"}});
  CHECK(certificate->issuer == Certificate::Names{{"commonName", "weir test authority"}});
  CHECK(certificate->subject_alt_name == Certificate::Names{{"DNS", "localhost"},
                                                            {"DNS", "*.example.test"},
                                                            {"IP Address", "127.0.0.1"},
                                                            {"IP Address", "::1"}});
  CHECK(certificate->version == 3);
  CHECK_FALSE(certificate->serial_number.empty());
  const auto now = std::chrono::system_clock::now();
  CHECK(certificate->not_before < now);
  CHECK(certificate->not_after > now + 24h * 300);
  CHECK(certificate->not_after < now + 24h * 400);
  CHECK_FALSE(certificate->der.empty());
  CHECK_FALSE(pair.server->get_extra_info<extra::peercert>());
  pair.client->abort();
  co_await until([&] { return pair.client_protocol->lost + pair.server_protocol->lost == 2; });
}

WEIR_TEST("TLS-003 a certificate that was not verified is not given as one that was") {
  TlsPairSetup options;
  options.client.set_check_hostname(false);
  options.client.set_verify_mode(VerifyMode::cert_none);
  auto pair = co_await tls_pair<Recorder, Recorder>(loop, options);
  CHECK_FALSE(pair.client->get_extra_info<extra::peercert>());
  const auto object = pair.client->get_extra_info<extra::ssl_object>();
  CHECK(object->getpeercert().has_value());
  CHECK_FALSE(object->is_verified());
  pair.client->abort();
  co_await until([&] { return pair.client_protocol->lost + pair.server_protocol->lost == 2; });
}

WEIR_TEST("TLS-027 a closed connection tells nothing of its TLS") {
  auto pair = co_await tls_pair(loop);
  bool told_in_lost = false;
  pair.client_protocol->on_lost = [&] {
    told_in_lost = pair.client->get_extra_info<extra::cipher>().has_value();
  };
  const auto object = pair.client->get_extra_info<extra::ssl_object>();
  pair.client->close();
  co_await until([&] { return pair.client_protocol->lost + pair.server_protocol->lost == 2; });
  CHECK(told_in_lost);
  CHECK_FALSE(pair.client->get_extra_info<extra::ssl_object>());
  CHECK_FALSE(pair.client->get_extra_info<extra::peercert>());
  CHECK_FALSE(pair.client->get_extra_info<extra::cipher>());
  CHECK_FALSE(pair.client->get_extra_info<extra::compression>());
  CHECK_FALSE(pair.client->get_extra_info<extra::alpn>());
  CHECK_FALSE(pair.client->get_extra_info<extra::sslcontext>());
  CHECK_FALSE(pair.client->get_extra_info<extra::socket>());
  CHECK(pair.client->get_extra_info<extra::peername>().has_value());
  CHECK(object->version() == "TLSv1.3");  // what was asked for before lives on
}

WEIR_TEST("TLS: a server asks for the client's certificate, and takes none but verified ones") {
  TlsPairSetup options;
  options.server.load_verify_locations({.cadata = pki().authority.certificate});
  options.server.set_verify_mode(VerifyMode::cert_optional);
  for (const bool shows : {false, true}) {
    if (shows) {
      options.client.load_cert_chain({.certdata = pki().client.certificate, .keydata = pki().client.key});
      options.server.set_verify_mode(VerifyMode::cert_required);
    }
    auto pair = co_await tls_pair<Recorder, Recorder>(loop, options);
    const auto certificate = pair.server->get_extra_info<extra::peercert>();
    CHECK(certificate.has_value() == shows);
    if (certificate) {
      CHECK(certificate->subject == Certificate::Names{{"commonName", "a client"}});
    }
    pair.client->abort();
    co_await until([&] { return pair.client_protocol->lost + pair.server_protocol->lost == 2; });
  }
}

WEIR_TEST("TLS: a client without the certificate that is required learns it by an alert") {
  TlsWireSetup options;
  options.server.load_verify_locations({.cadata = pki().authority.certificate});
  options.server.set_verify_mode(VerifyMode::cert_required);
  SocketPair sockets = co_await connected_sockets(loop);
  auto serving = ensure_future(
      failure_of(begin_tls(loop, std::move(sockets.near), make_ref<Recorder>(), options)), &loop);
  TlsPeer peer(loop, std::move(sockets.far), options.client, false);
  co_await peer.handshake();  // in TLS 1.3 the client is done before the server has looked
  std::error_code code;
  try {
    co_await peer.receive();
  } catch (const std::system_error& error) {
    code = error.code();
  }
  CHECK(code == TLSErrc::alert_received);
  const std::error_code of_server = co_await serving;
  CHECK(of_server == TLSErrc::certificate_missing);
}

WEIR_TEST("TLS: versions that have nothing in common, and what TLS 1.2 agrees on") {
  TlsPairSetup options;
  options.server.set_maximum_version(TLSVersion::tls1_2);
  auto pair = co_await tls_pair<Recorder, Recorder>(loop, options);
  CHECK(pair.client->get_extra_info<extra::cipher>()->protocol == "TLSv1.2");
  pair.client->write("over TLS 1.2");
  co_await until([&] { return pair.server_protocol->received == "over TLS 1.2"; });
  pair.client->close();
  co_await until([&] { return pair.client_protocol->lost + pair.server_protocol->lost == 2; });
  SSLContext modern = client_context();
  modern.set_minimum_version(TLSVersion::tls1_3);
  TlsWireSetup wire;
  wire.server = options.server;
  SocketPair sockets = co_await connected_sockets(loop);
  auto serving =
      ensure_future(failure_of(begin_tls(loop, std::move(sockets.near), make_ref<Recorder>(), wire)), &loop);
  TlsPeer peer(loop, std::move(sockets.far), modern, false);
  std::error_code code;
  try {
    co_await peer.handshake();
  } catch (const std::system_error& error) {
    code = error.code();
  }
  CHECK(code == TLSErrc::alert_received);
  CHECK(co_await serving == TLSErrc::handshake_failure);
}

WEIR_TEST("TLS: a session is resumed, by TLS 1.3 and 1.2, and not when tickets are off") {
  for (const TLSVersion version : {TLSVersion::tls1_3, TLSVersion::tls1_2}) {
    for (const bool tickets : {true, false}) {
      CAPTURE(static_cast<int>(version));
      CAPTURE(tickets);
      TlsPairSetup options;
      options.server.set_maximum_version(version);
      if (!tickets) {
        options.server.set_num_tickets(0);
      }
      auto first = co_await tls_pair<Recorder, Recorder>(loop, options);
      first.server->write("x");
      co_await until([&] { return first.client_protocol->received == "x"; });
      const auto object = first.client->get_extra_info<extra::ssl_object>();
      options.session = object->session();
      first.client->close();
      co_await until([&] { return first.client_protocol->lost + first.server_protocol->lost == 2; });
      REQUIRE(options.session);
      CHECK(options.session->is_resumable() == tickets);
      auto second = co_await tls_pair<Recorder, Recorder>(loop, options);
      CHECK(second.client->get_extra_info<extra::ssl_object>()->session_reused() == tickets);
      CHECK(second.server->get_extra_info<extra::ssl_object>()->session_reused() == tickets);
      second.client->close();
      co_await until([&] { return second.client_protocol->lost + second.server_protocol->lost == 2; });
    }
  }
}

WEIR_TEST("TLS: the SNI callback sees the name, chooses another context, and refuses by throwing") {
  program::CertificateRequest request;
  request.common_name = "other.test";
  request.names = {"other.test"};
  SSLContext other = server_context_with(program::make_certificate(request, &pki().authority));
  other.load_verify_locations({.cadata = pki().authority.certificate});
  other.set_verify_mode(VerifyMode::cert_required);
  std::vector<std::string> asked;
  TlsPairSetup options;
  options.server.set_sni_callback([&](SSLObject& object, std::string_view name) {
    asked.emplace_back(name);
    if (name == "other.test") {
      object.set_context(other);
    } else if (name == "nobody.example.test") {
      throw std::runtime_error("nobody here");
    }
  });
  options.client.load_cert_chain({.certdata = pki().client.certificate, .keydata = pki().client.key});
  for (const std::string name : {"localhost", "other.test", "127.0.0.1"}) {
    options.name = name;
    auto pair = co_await tls_pair<Recorder, Recorder>(loop, options);
    CHECK(pair.server->get_extra_info<extra::sslcontext>() ==
          (name == "other.test" ? other : options.server));
    CHECK(pair.server->get_extra_info<extra::peercert>().has_value() == (name == "other.test"));
    CHECK_THROWS_AS(pair.server->get_extra_info<extra::ssl_object>()->set_context(other), RuntimeError);
    pair.client->abort();
    co_await until([&] { return pair.client_protocol->lost + pair.server_protocol->lost == 2; });
  }
  CHECK(asked == std::vector<std::string>{"localhost", "other.test", ""});
  TlsWireSetup wire;
  wire.server = options.server;
  SocketPair sockets = co_await connected_sockets(loop);
  auto serving = ensure_future(begin_tls(loop, std::move(sockets.near), make_ref<Recorder>(), wire), &loop);
  TlsPeer peer(loop, std::move(sockets.far), options.client, false, "nobody.example.test");
  std::error_code code;
  try {
    co_await peer.handshake();
  } catch (const std::system_error& error) {
    code = error.code();
  }
  CHECK(code == TLSErrc::alert_received);
  std::string refusal;
  try {
    co_await serving;
  } catch (const std::runtime_error& error) {
    refusal = error.what();
  }
  CHECK(refusal == "nobody here");
}
