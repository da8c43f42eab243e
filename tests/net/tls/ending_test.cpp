// TLS: how connections end: time-outs, close notifications, truncation, errors.
#include "tests/net/tls/tls_test.hpp"

#include <openssl/ssl.h>

#include <chrono>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// The first handshake flight of a client.
std::string client_hello() {
  detail::TlsEngine engine(client_context(), false, "localhost", nullptr);
  std::vector<std::byte> output;
  engine.set_output(&output);
  engine.handshake();
  return std::string(as_text(output));
}

// What awaiting `attempt` throws, as text; empty when it succeeds.
template <class T>
Coro<std::string> complaint_of(Coro<T> attempt) {
  try {
    co_await std::move(attempt);
  } catch (const std::exception& error) {
    co_return error.what();
  }
  co_return std::string();
}

// Protocols whose end is to be seen.
class Counted final : public Protocol {
 public:
  explicit Counted(int& alive) : alive_(alive) { ++alive_; }

 protected:
  ~Counted() override { --alive_; }

 private:
  int& alive_;
};

}  // namespace

WEIR_TEST("TLS-004 a handshake that takes too long is given up with a time-out error") {
  for (const bool server_side : {true, false}) {
    SocketPair sockets = co_await connected_sockets(loop);
    TlsWireSetup options;
    options.server_side = server_side;
    options.handshake_timeout = 100ms;
    auto protocol = make_ref<Recorder>();
    const TimePoint before = loop.time();
    const std::string complaint =
        co_await complaint_of(begin_tls(loop, std::move(sockets.near), protocol, options));
    CHECK(complaint == "SSL handshake is taking longer than 0.1 seconds: aborting the connection");
    CHECK(loop.time() - before >= 100ms);
    CHECK(protocol->events.empty());
    const std::string rest = co_await read_rest(loop, sockets.far);
    CHECK(rest.empty() == server_side);
  }
}

WEIR_TEST("TLS-004 the whole call's time-out bounds the handshake, too") {
  const Socket listener = listening_socket();
  const SSLContext context = client_context();
  ConnectionOptions options;
  options.host = "127.0.0.1";
  options.port = listener.local_address().port();
  options.ssl = &context;
  options.timeout = 100ms;
  bool timed_out = false;
  try {
    co_await loop.create_connection([] { return make_ref<Recorder>(); }, options);
  } catch (const TimeoutError&) {
    timed_out = true;
  }
  CHECK(timed_out);
}

WEIR_TEST("TLS-004 a server reports a late handshake, once") {
  const SSLContext context = server_context();
  ServerOptions options;
  options.host = "127.0.0.1";
  options.ssl = &context;
  options.ssl_handshake_timeout = 100ms;
  Made made;
  const Ref<Server> server = co_await loop.create_server(made.factory(), options);
  Socket silent = co_await connect_to(loop, address_of(server));
  const std::string rest = co_await read_rest(loop, silent);
  CHECK(rest.empty());
  co_await settle(loop);
  const auto reports = env.take_reports();
  REQUIRE(reports.size() == 1);
  CHECK(reports.at(0).message == "SSL handshake failed");
  CHECK(describe_exception(reports.at(0).exception).find("longer than 0.1 seconds") != std::string::npos);
  CHECK(made.all.at(0)->events.empty());
  co_await stop_server(server);
}

WEIR_TEST("TLS-025 a server says nothing of a client that goes away in the middle of a handshake") {
  const SSLContext context = server_context();
  ServerOptions options;
  options.host = "127.0.0.1";
  options.ssl = &context;
  options.ssl_handshake_timeout = 1s;
  Made made;
  const Ref<Server> server = co_await loop.create_server(made.factory(), options);
  for (const bool resets : {false, true}) {
    Socket gone = co_await connect_to(loop, address_of(server));
    co_await loop.sock_sendall(gone, client_hello().substr(0, 100));
    co_await settle(loop);
    if (resets) {
      gone.set_linger_abort();
    }
  }
  co_await sleep(1100ms);
  for (const Report& report : env.take_reports()) {
    FAIL_CHECK(report.message, ": ", describe_exception(report.exception));
  }
  CHECK(made.all.size() == 2);
  for (const auto& protocol : made.all) {
    CHECK(protocol->events.empty());
  }
  co_await stop_server(server);
}

WEIR_TEST("TLS-005 a time-out of zero or less is an invalid argument") {
  const SSLContext client = client_context();
  const SSLContext server = server_context();
  const auto factory = [] { return make_ref<Recorder>(); };
  for (const Duration wrong : {Duration(0), Duration(-1s)}) {
    ConnectionOptions connection;
    connection.host = "127.0.0.1";
    connection.port = 1;
    connection.ssl = &client;
    connection.ssl_handshake_timeout = wrong;
    CHECK_THROWS_AS((void)loop.create_connection(factory, connection), std::invalid_argument);
    connection.ssl_handshake_timeout.reset();
    connection.ssl_shutdown_timeout = wrong;
    CHECK_THROWS_AS((void)loop.create_connection(factory, connection), std::invalid_argument);
    ServerOptions serving;
    serving.host = "127.0.0.1";
    serving.ssl = &server;
    serving.ssl_handshake_timeout = wrong;
    CHECK_THROWS_AS((void)loop.create_server(factory, serving), std::invalid_argument);
    serving.ssl_handshake_timeout.reset();
    serving.ssl_shutdown_timeout = wrong;
    CHECK_THROWS_AS((void)loop.create_server(factory, serving), std::invalid_argument);
  }
  co_return;
}

WEIR_TEST("TLS-006 a connection that is lost during the handshake fails the call, and nothing is made") {
  for (const bool resets : {false, true}) {
    for (const bool server_side : {false, true}) {
      SocketPair sockets = co_await connected_sockets(loop);
      TlsWireSetup options;
      options.server_side = server_side;
      auto protocol = make_ref<Recorder>();
      auto beginning =
          ensure_future(failure_of(begin_tls(loop, std::move(sockets.near), protocol, options)), &loop);
      co_await settle(loop);
      if (resets) {
        sockets.far.set_linger_abort();
      }
      sockets.far.close();
      CHECK(co_await beginning == std::errc::connection_reset);
      CHECK(protocol->events.empty());
    }
  }
}

WEIR_TEST("TLS-007 a slow handshake, in pieces, succeeds below the limit") {
  SocketPair sockets = co_await connected_sockets(loop);
  TlsWireSetup options;
  auto protocol = make_ref<Recorder>();
  auto beginning = ensure_future(begin_tls(loop, std::move(sockets.near), protocol, options), &loop);
  detail::TlsEngine engine(client_context(), false, "localhost", nullptr);
  std::vector<std::byte> output;
  std::vector<std::byte> input(16384);
  engine.set_output(&output);
  while (engine.handshake() != detail::TlsEngine::Status::done || !output.empty()) {
    for (const std::byte& one : std::exchange(output, {})) {
      co_await loop.sock_sendall(sockets.far, {&one, 1});
      if (!has("real_clock")) {
        co_await sleep(50ms);
      } else {
        co_await settle(loop);
      }
    }
    if (beginning.done()) {
      break;
    }
    const std::size_t count = co_await loop.sock_recv_into(sockets.far, input);
    engine.feed(std::span(input).first(count));
  }
  auto made = co_await beginning;
  CHECK(protocol->events.front() == "made");
  made.first->abort();
  co_await until([&] { return protocol->lost == 1; });
}

WEIR_TEST("TLS-011 garbage instead of a record closes the connection with a TLS error, told once") {
  auto wire = co_await tls_wire(loop);
  co_await wire.peer->send_raw("GET / HTTP/1.1\r\nHost: example.test\r\n\r\n");
  co_await until([&] { return wire.protocol->lost == 1; });
  CHECK(wire.protocol->code().category() == tls_category());
  CHECK(wire.protocol->count("eof") == 0);
  const SSLContext context = server_context();
  ServerOptions options;
  options.host = "127.0.0.1";
  options.ssl = &context;
  Made made;
  const Ref<Server> server = co_await loop.create_server(made.factory(), options);
  Socket plain = co_await connect_to(loop, address_of(server));
  co_await loop.sock_sendall(plain, std::string_view("GET / HTTP/1.1\r\n\r\n"));
  co_await read_rest(loop, plain);
  co_await settle(loop);
  const auto reports = env.take_reports();
  REQUIRE(reports.size() == 1);
  CHECK(reports.at(0).message == "SSL handshake failed");
  // SRV-021: the next client is served.
  const SSLContext trusting = client_context();
  ConnectionOptions how;
  how.host = "127.0.0.1";
  how.port = address_of(server).port();
  how.ssl = &trusting;
  how.server_hostname = "localhost";
  auto good = co_await loop.create_connection([] { return make_ref<Recorder>(); }, how);
  good.first->close();
  co_await until([&] { return good.second->lost == 1; });
  co_await stop_server(server);
}

WEIR_TEST("TLS-014 close sends what is buffered and the close notification, and waits for the peer's") {
  TlsWireSetup options;
  options.small = true;
  auto wire = co_await tls_wire(loop, options);
  const std::string text = pattern(3'000'000);
  wire.transport->write(text);
  wire.transport->close();
  CHECK(wire.transport->is_closing());
  const std::string got = co_await wire.peer->receive_all();
  CHECK(got == text);
  CHECK(wire.peer->got_close_notification);
  co_await settle(loop);
  CHECK(wire.protocol->lost == 0);
  co_await wire.peer->shut_down();
  co_await until([&] { return wire.protocol->lost == 1; });
  CHECK(!wire.protocol->error);
}

WEIR_TEST("TLS-014 what a peer sends after close() is taken for one read buffer, no more") {
  auto wire = co_await tls_wire(loop);
  wire.transport->close();
  const std::string rest = co_await wire.peer->receive_all();
  CHECK(rest.empty());
  const std::string piece = pattern(16'000);
  std::size_t sent = 0;
  try {
    while (wire.protocol->lost == 0) {
      REQUIRE(sent < 100'000'000);
      co_await wire.peer->send(piece);
      sent += piece.size();
    }
  } catch (const std::system_error&) {  // it is gone
  }
  co_await until([&] { return wire.protocol->lost == 1; });
  CHECK(!wire.protocol->error);
  CHECK(wire.protocol->received.empty());
}

WEIR_TEST("TLS-015 a peer that never answers the close notification is aborted in time") {
  for (const bool paused : {false, true}) {
    TlsWireSetup options;
    options.shutdown_timeout = 100ms;
    auto wire = co_await tls_wire(loop, options);
    if (paused) {
      wire.transport->pause_reading();
    }
    const TimePoint before = loop.time();
    wire.transport->close();
    co_await until([&] { return wire.protocol->lost == 1; });
    CHECK(loop.time() - before >= 100ms);
    CHECK(describe_exception(wire.protocol->error) == "weir::TimeoutError: SSL shutdown timed out");
  }
}

WEIR_TEST("TLS-015 a peer that does not even read is aborted in time") {
  TlsWireSetup options;
  options.small = true;
  options.shutdown_timeout = 100ms;
  auto wire = co_await tls_wire(loop, options);
  clog(*wire.transport);
  wire.transport->close();
  co_await until([&] { return wire.protocol->lost == 1; });
  CHECK(describe_exception(wire.protocol->error) == "weir::TimeoutError: SSL shutdown timed out");
}

WEIR_TEST("TLS-014 what could not be sent after close() is an error, what came too late is none") {
  for (const bool unsent : {true, false}) {
    TlsWireSetup options;
    options.small = true;
    auto wire = co_await tls_wire(loop, options);
    if (unsent) {
      clog(*wire.transport);
    }
    wire.transport->close();
    co_await settle(loop);
    wire.peer->socket.set_linger_abort();
    wire.peer->socket.close();
    co_await until([&] { return wire.protocol->lost == 1; });
    CHECK(static_cast<bool>(wire.protocol->error) == unsent);
  }
}

WEIR_TEST("TLS-014 a paused reader does not hold up the end") {
  auto wire = co_await tls_wire(loop);
  wire.transport->pause_reading();
  co_await wire.peer->send(pattern(30'000));
  co_await settle(loop);
  wire.transport->close();
  co_await wire.peer->shut_down();
  co_await until([&] { return wire.protocol->lost == 1; });
  CHECK(!wire.protocol->error);
}

WEIR_TEST("TLS-016 closing during the handshake ends the connection") {
  for (const bool aborts : {false, true}) {
    SocketPair sockets = co_await connected_sockets(loop);
    auto protocol = make_ref<Recorder>();
    auto plain = co_await loop.create_connection([&protocol] { return protocol; }, {.sock = &sockets.near});
    const SSLContext context = client_context();
    auto upgrading = ensure_future(
        complaint_of(loop.start_tls(plain.first, protocol, context, {.server_hostname = "localhost"})),
        &loop);
    co_await settle(loop);
    if (aborts) {
      plain.first->abort();
    } else {
      plain.first->close();
    }
    const std::string complaint = co_await upgrading;
    CHECK(complaint.find("the connection was closed") != std::string::npos);
    CHECK(protocol->lost == 1);
  }
}

WEIR_TEST("TLS-017 data that comes while closing is dropped, and nothing is raised") {
  auto wire = co_await tls_wire(loop);
  wire.transport->close();
  co_await wire.peer->send("late");
  co_await wire.peer->shut_down();
  co_await until([&] { return wire.protocol->lost == 1; });
  CHECK(!wire.protocol->error);
  CHECK(wire.protocol->received.empty());
}

WEIR_TEST("TLS-018 write after close is ignored") {
  auto wire = co_await tls_wire(loop);
  wire.transport->write("before");
  wire.transport->close();
  for (int i = 0; i != 10; ++i) {
    wire.transport->write("after");
  }
  env.expect_log("does nothing: the connection is gone");
  const std::string got = co_await wire.peer->receive_all();
  CHECK(got == "before");
  co_await wire.peer->shut_down();
  co_await until([&] { return wire.protocol->lost == 1; });
}

WEIR_TEST("TLS-019 abort closes without the close notification") {
  auto wire = co_await tls_wire(loop);
  wire.transport->abort();
  CHECK(wire.transport->is_closing());
  CHECK(wire.protocol->lost == 0);
  const std::string got = co_await wire.peer->receive_all();
  CHECK(got.empty());
  CHECK(wire.peer->got_end);
  CHECK_FALSE(wire.peer->got_close_notification);
  co_await until([&] { return wire.protocol->lost == 1; });
  CHECK(!wire.protocol->error);
}

WEIR_TEST("TLS: the three ends are told apart: clean, truncated, error") {
  auto clean = co_await tls_wire(loop);
  co_await clean.peer->send("all of it");
  co_await clean.peer->shut_down();
  const std::string answer = co_await clean.peer->receive_all();
  CHECK(answer.empty());
  CHECK(clean.peer->got_close_notification);
  clean.peer->socket.close();
  co_await until([&] { return clean.protocol->lost == 1; });
  CHECK(clean.protocol->received == "all of it");
  CHECK(clean.protocol->count("eof") == 1);
  CHECK(!clean.protocol->error);

  auto truncated = co_await tls_wire(loop);
  co_await truncated.peer->send("a part");
  truncated.peer->socket.shutdown_write();
  co_await until([&] { return truncated.protocol->lost == 1; });
  CHECK(truncated.protocol->received == "a part");
  CHECK(truncated.protocol->count("eof") == 0);
  CHECK(truncated.protocol->code() == TLSErrc::truncated);

  auto reset = co_await tls_wire(loop);
  reset.peer->socket.set_linger_abort();
  reset.peer->socket.close();
  co_await until([&] { return reset.protocol->lost == 1; });
  CHECK(reset.protocol->code() == std::errc::connection_reset);
}

WEIR_TEST("TLS: what is written in eof_received goes before the answer to the close notification") {
  auto protocol = make_ref<Recorder>();
  protocol->on_eof = [&] {
    protocol->transport->write("last words");
    return true;  // has no meaning here
  };
  auto wire = co_await tls_wire(loop, {}, protocol);
  co_await wire.peer->shut_down();
  // OpenSSL drops what comes after it has seen the end, so what is left is looked at as it came.
  const std::string raw = co_await read_all(loop, wire.peer->socket);
  CHECK(raw.size() > std::string_view("last words").size() + 40);
  co_await until([&] { return protocol->lost == 1; });
  CHECK(!protocol->error);
}

WEIR_TEST("TLS-023 a refused or failed handshake destroys every object of the connection") {
  int alive = 0;
  const SSLContext context = server_context();
  ServerOptions options;
  options.host = "127.0.0.1";
  options.ssl = &context;
  const Ref<Server> server =
      co_await loop.create_server([&alive] { return make_ref<Counted>(alive); }, options);
  const SSLContext distrustful(SSLProtocol::tls_client);
  ConnectionOptions how;
  how.host = "127.0.0.1";
  how.port = address_of(server).port();
  how.ssl = &distrustful;
  how.server_hostname = "localhost";
  const std::error_code code =
      co_await failure_of(loop.create_connection([&alive] { return make_ref<Counted>(alive); }, how));
  CHECK(code == TLSErrc::certificate_unknown_authority);
  co_await until([&] { return alive == 0; });
  env.expect_report("SSL handshake failed");
  co_await stop_server(server);
}

WEIR_TEST("TLS-024 the timers of a connection are gone with it") {
  TlsWireSetup options;
  options.handshake_timeout = 1s;
  options.shutdown_timeout = 1s;
  auto closed = co_await tls_wire(loop, options);
  auto cut = co_await tls_wire(loop, options);
  auto open = co_await tls_wire(loop, options);
  closed.transport->close();
  co_await closed.peer->shut_down();
  cut.peer->socket.close();
  co_await until([&] { return closed.protocol->lost + cut.protocol->lost == 2; });
  const auto error = cut.protocol->error;
  co_await sleep(1100ms);
  CHECK(closed.protocol->lost + cut.protocol->lost == 2);
  CHECK(!closed.protocol->error);
  CHECK(cut.protocol->error == error);
  CHECK(env.take_reports().empty());
  co_await open.peer->send("still here");
  co_await until([&] { return open.protocol->received == "still here"; });
  open.transport->abort();
  co_await until([&] { return open.protocol->lost == 1; });
}

WEIR_TEST("TLS-026 a key update by the peer does not disturb the data") {
  auto protocol = make_ref<Recorder>();
  auto wire = co_await tls_wire(loop, {}, protocol);
  for (int i = 0; i != 3; ++i) {
    REQUIRE(SSL_key_update(wire.peer->ssl(), SSL_KEY_UPDATE_REQUESTED) == 1);
    co_await wire.peer->send("ping");
    co_await until([&] { return protocol->received.size() == 4U * static_cast<unsigned>(i + 1); });
    wire.transport->write("pong");
    const std::string got = co_await wire.peer->receive_exactly(4);
    CHECK(got == "pong");
  }
  wire.transport->abort();
  co_await until([&] { return protocol->lost == 1; });
}

WEIR_TEST("TLS-026 a renegotiation of TLS 1.2 is refused, whichever side asks for it") {
  for (const bool server_side : {true, false}) {
    TlsWireSetup options;
    options.server_side = server_side;
    options.server.set_maximum_version(TLSVersion::tls1_2);
    const SSLContext& of_peer = server_side ? options.client : options.server;
    SSL_CTX_clear_options(of_peer.state()->native(), SSL_OP_NO_RENEGOTIATION);
    auto wire = co_await tls_wire(loop, options);
    REQUIRE(SSL_renegotiate(wire.peer->ssl()) == 1);
    wire.peer->engine->handshake();
    co_await wire.peer->flush();
    std::string refusal;
    try {
      co_await wire.peer->receive();
    } catch (const std::system_error& error) {
      refusal = error.what();
    }
    CHECK(refusal.find("no renegotiation") != std::string::npos);
    CHECK(wire.protocol->received.empty());
    wire.transport->abort();
    co_await until([&] { return wire.protocol->lost == 1; });
  }
}
