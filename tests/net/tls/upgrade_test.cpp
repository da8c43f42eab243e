// TLS: start_tls on transports and streams, TLS in TLS.
#include "tests/net/tls/tls_test.hpp"

#include <chrono>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// Two transports in the clear, connected with each other.
template <class C, class S>
Coro<TlsPair<C, S>> plain_pair(EventLoop& loop, Ref<C> client, Ref<S> server) {
  SocketPair sockets = co_await connected_sockets(loop);
  ConnectionOptions near;
  near.sock = &sockets.near;
  ConnectionOptions far;
  far.sock = &sockets.far;
  auto one = co_await loop.create_connection([&client] { return client; }, near);
  auto other = co_await loop.create_connection([&server] { return server; }, far);
  TlsPair<C, S> pair;
  pair.client = std::move(one.first);
  pair.client_protocol = std::move(one.second);
  pair.server = std::move(other.first);
  pair.server_protocol = std::move(other.second);
  co_return pair;
}

Coro<void> send_and_end(TlsPeer& peer, std::string text) {
  co_await peer.send(text);
  co_await peer.shut_down();
  peer.socket.shutdown_write();
}

// Upgrades both ends, and puts the new transports into the pair.
template <class C, class S>
Coro<void> upgrade(EventLoop& loop, TlsPair<C, S>& pair) {
  const SSLContext of_server = server_context();
  const SSLContext of_client = client_context();
  StartTLSOptions serving;
  serving.server_side = true;
  StartTLSOptions connecting;
  connecting.server_hostname = "localhost";
  auto upgrading =
      ensure_future(loop.start_tls(pair.server, pair.server_protocol, of_server, serving), &loop);
  Ref<Transport> client = co_await loop.start_tls(pair.client, pair.client_protocol, of_client, connecting);
  pair.server = co_await upgrading;
  pair.client = std::move(client);
}

template <class C, class S>
Coro<void> talk_and_close(TlsPair<C, S>& pair) {
  pair.client->write("ping");
  pair.server->write("pong");
  co_await until([&] {
    return pair.server_protocol->received.ends_with("ping") &&
           pair.client_protocol->received.ends_with("pong");
  });
  pair.client->close();
  co_await until([&] { return pair.client_protocol->lost + pair.server_protocol->lost == 2; });
  CHECK(!pair.client_protocol->error);
  CHECK(!pair.server_protocol->error);
}

// Asks for TLS in the clear, then echoes lines.
Coro<void> serve_lines(Ref<StreamReader> reader, Ref<StreamWriter> writer) {
  const SSLContext context = server_context();
  const Bytes line = co_await reader->readline();
  CHECK(line == "STARTTLS\n");
  StartTLSOptions options;
  co_await writer->start_tls(context, options);
  CHECK(writer->get_extra_info<extra::ssl_object>()->server_side());
  while (auto next = co_await reader->next()) {
    writer->write(std::move(*next));
    co_await writer->drain();
  }
  writer->close();
  co_await writer->wait_closed();
}

}  // namespace

WEIR_TEST("TLS-008 start_tls upgrades both sides in place, keeps the protocol and gives the new transport") {
  auto client = make_ref<Recorder>();
  auto server = make_ref<Recorder>();
  auto pair = co_await plain_pair(loop, client, server);
  pair.client->write("in the clear");
  co_await until([&] { return server->received == "in the clear"; });
  const Ref<Transport> before = pair.client;
  co_await upgrade(loop, pair);
  CHECK(pair.client != before);
  CHECK(pair.client->get_protocol() == client);
  CHECK(pair.client->get_extra_info<extra::cipher>().has_value());
  CHECK(pair.server->get_extra_info<extra::ssl_object>()->server_side());
  co_await talk_and_close(pair);
  CHECK(client->count("made") == 1);
  CHECK(client->lost == 1);
  CHECK(server->received == "in the clearping");
}

WEIR_TEST("TLS-009 start_tls works for buffered protocols") {
  auto client = make_ref<BufferedRecorder>();
  auto server = make_ref<BufferedRecorder>();
  auto pair = co_await plain_pair(loop, client, server);
  co_await upgrade(loop, pair);
  const std::string text = pattern(100'000);
  pair.client->write(text);
  co_await until([&] { return server->received.size() == text.size(); });
  CHECK(server->received == text);
  co_await talk_and_close(pair);
}

WEIR_TEST("TLS-010 start_tls refuses a wrong context and a transport that cannot be upgraded") {
  auto protocol = make_ref<Recorder>();
  auto pair = co_await plain_pair(loop, protocol, make_ref<Recorder>());
  const SSLContext of_server = server_context();
  const SSLContext of_client = client_context();
  const auto refused = [&](Ref<Transport> transport, const SSLContext& context, StartTLSOptions options) {
    CHECK_THROWS_AS((void)loop.start_tls(std::move(transport), protocol, context, options),
                    std::invalid_argument);
  };
  StartTLSOptions serving;
  serving.server_side = true;
  StartTLSOptions connecting;
  connecting.server_hostname = "localhost";
  refused(pair.client, of_client, serving);
  refused(pair.client, of_server, connecting);
  refused(pair.client, of_client, {});
  refused({}, of_client, connecting);
  refused(pair.client, create_default_context(Purpose::client_auth), serving);
  CHECK_THROWS_AS((void)loop.start_tls(pair.client, {}, of_client, connecting), std::invalid_argument);
  auto [from, to] = File::pipe();
  auto pipe = co_await loop.connect_write_pipe([] { return make_ref<Recorder>(); }, std::move(to));
  refused(pipe.first, of_client, connecting);
  pipe.first->abort();
  co_await until([&] { return pipe.second->lost == 1; });
  pair.client->write_eof();
  refused(pair.client, of_client, connecting);
  pair.server->abort();
  co_await until([&] { return pair.server_protocol->lost == 1 && protocol->lost == 1; });
  refused(pair.client, of_client, connecting);
}

WEIR_TEST("TLS-012 cancelling start_tls during the handshake closes the connection") {
  auto client = make_ref<Recorder>();
  auto server = make_ref<Recorder>();
  auto pair = co_await plain_pair(loop, client, server);
  const SSLContext context = client_context();
  auto upgrading =
      ensure_future(loop.start_tls(pair.client, client, context, {.server_hostname = "localhost"}), &loop);
  co_await until([&] { return !server->received.empty(); });
  upgrading.cancel();
  co_await wait_done(upgrading);
  CHECK(upgrading.cancelled());
  co_await until([&] { return client->lost + server->lost == 2; });
  CHECK(pair.client->is_closing());
}

WEIR_TEST("TLS-012 cancelling create_connection during the handshake closes the connection") {
  SocketPair sockets = co_await connected_sockets(loop);
  auto protocol = make_ref<Recorder>();
  TlsWireSetup options;
  options.server_side = false;
  auto beginning = ensure_future(begin_tls(loop, std::move(sockets.near), protocol, options), &loop);
  co_await settle(loop);
  beginning.cancel();
  co_await wait_done(beginning);
  CHECK(beginning.cancelled());
  const std::string rest = co_await read_rest(loop, sockets.far);
  CHECK_FALSE(rest.empty());
  CHECK(protocol->events.empty());
}

WEIR_TEST("TLS-013 TLS inside TLS works, for clients and servers") {
  auto client = make_ref<Recorder>();
  auto server = make_ref<Recorder>();
  auto pair = co_await plain_pair(loop, client, server);
  co_await upgrade(loop, pair);
  const Ref<Transport> outer = pair.client;
  co_await upgrade(loop, pair);
  CHECK(pair.client != outer);
  const std::string text = pattern(500'000);
  pair.client->write(text);
  co_await until([&] { return server->received.size() == text.size(); });
  CHECK(server->received == text);
  CHECK(pair.client->get_extra_info<extra::peername>().has_value());
  co_await talk_and_close(pair);
}

WEIR_TEST("TLS-020 set_protocol switches the protocol, also to and from buffered ones") {
  auto wire = co_await tls_wire(loop);
  co_await wire.peer->send("one");
  co_await until([&] { return wire.protocol->received == "one"; });
  auto buffered = make_ref<BufferedRecorder>();
  wire.transport->set_protocol(buffered);
  CHECK(wire.transport->get_protocol() == buffered);
  co_await wire.peer->send("two");
  co_await until([&] { return buffered->received == "two"; });
  auto last = make_ref<Recorder>();
  wire.transport->set_protocol(last);
  co_await wire.peer->send("three");
  co_await until([&] { return last->received == "three"; });
  CHECK_THROWS_AS(wire.transport->set_protocol({}), std::invalid_argument);
  wire.transport->abort();
  co_await until([&] { return last->lost == 1; });
  CHECK(wire.protocol->lost == 0);
  CHECK(wire.protocol->received == "one");
}

WEIR_TEST("TLS-021 reading pauses on decrypted data, and the peer has to wait") {
  TlsWireSetup options;
  options.small = true;
  auto wire = co_await tls_wire(loop, options);
  const std::string text = pattern(clogging);
  wire.protocol->on_data = [&] { wire.transport->pause_reading(); };
  auto sending = ensure_future(wire.peer->send(text), &loop);
  co_await until([&] { return !wire.protocol->received.empty(); });
  // As long as the whole would need to get through without the pause, at the least.
  for (int i = 0; i != 200; ++i) {
    co_await settle(loop);
  }
  CHECK_FALSE(wire.transport->is_reading());
  CHECK_FALSE(sending.done());
  CHECK(wire.protocol->count("data") == 1);
  CHECK(wire.protocol->received.size() <= 65536);
  // Piece by piece: each resumption brings at most what one buffer holds.
  while (wire.protocol->received.size() < text.size()) {
    const auto before = wire.protocol->received.size();
    wire.transport->resume_reading();
    co_await until([&] { return wire.protocol->received.size() != before; });
    CHECK(wire.protocol->received.size() - before <= 65536);
  }
  co_await sending;
  CHECK(wire.protocol->received == text);
  wire.transport->abort();
  co_await until([&] { return wire.protocol->lost == 1; });
}

WEIR_TEST("TLS-021 what came together with the piece that paused is kept, encrypted, and comes in order") {
  auto protocol = make_ref<BufferedRecorder>();
  auto wire = co_await tls_wire(loop, TlsWireSetup(), protocol);
  protocol->on_data = [&] { wire.transport->pause_reading(); };
  const std::string text = pattern(100'000);
  auto sending = ensure_future(send_and_end(*wire.peer, text), &loop);
  co_await until([&] { return !protocol->received.empty(); });
  while (protocol->received.size() < text.size()) {
    const auto before = protocol->received.size();
    CHECK(protocol->count("eof") == 0);
    wire.transport->resume_reading();
    co_await until([&] { return protocol->received.size() != before; });
    CHECK(protocol->received.size() - before <= protocol->memory.size());
  }
  CHECK(protocol->received == text);
  CHECK(protocol->lost == 0);
  wire.transport->resume_reading();
  co_await until([&] { return protocol->lost == 1; });
  co_await sending;
  CHECK(protocol->count("eof") == 1);
  CHECK(!protocol->error);
}

WEIR_TEST("TLS-021 an end that came with the last bytes waits for a paused reader, too") {
  auto wire = co_await tls_wire(loop);
  wire.protocol->on_data = [&] { wire.transport->pause_reading(); };
  REQUIRE(wire.peer->engine->write(as_bytes("the last words")) == detail::TlsEngine::Status::done);
  co_await wire.peer->shut_down();  // in one piece with them
  co_await until([&] { return !wire.protocol->received.empty(); });
  co_await settle(loop);
  CHECK(wire.protocol->count("eof") == 0);
  CHECK(wire.protocol->lost == 0);
  wire.transport->resume_reading();
  co_await until([&] { return wire.protocol->count("eof") == 1; });
  wire.peer->socket.close();
  co_await until([&] { return wire.protocol->lost == 1; });
  CHECK(!wire.protocol->error);
}

WEIR_TEST("TLS-021 the end does not overtake what waits for a paused reader") {
  auto wire = co_await tls_wire(loop);
  wire.protocol->on_data = [&] {
    if (wire.protocol->count("data") == 1) {
      wire.transport->pause_reading();
    }
  };
  const std::string text = pattern(200'000);
  auto sending = ensure_future(send_and_end(*wire.peer, text), &loop);
  co_await until([&] { return !wire.protocol->received.empty(); });
  co_await settle(loop);
  CHECK(wire.protocol->count("eof") == 0);
  CHECK(wire.protocol->lost == 0);
  wire.transport->resume_reading();
  co_await until([&] { return wire.protocol->lost == 1; });
  co_await sending;
  CHECK(wire.protocol->received == text);
  CHECK(wire.protocol->count("eof") == 1);
  CHECK(!wire.protocol->error);
}

WEIR_TEST("TLS-021 the marks of writing pause and resume the protocol") {
  TlsWireSetup options;
  options.small = true;
  auto wire = co_await tls_wire(loop, options);
  wire.transport->set_write_buffer_limits(30'000, 10'000);
  CHECK(wire.transport->get_write_buffer_limits() == WriteBufferLimits{10'000, 30'000});
  std::string written;
  while (wire.protocol->count("pause") == 0) {
    REQUIRE(written.size() < 100'000'000);
    const std::string piece = pattern(100'000);
    wire.transport->write(piece);
    written += piece;
  }
  CHECK(wire.transport->get_write_buffer_size() > 30'000);
  CHECK(wire.protocol->count("resume") == 0);
  const std::string got = co_await wire.peer->receive_exactly(written.size());
  CHECK(got == written);
  co_await until([&] { return wire.protocol->count("resume") == 1; });
  CHECK(wire.protocol->count("pause") == 1);
  wire.transport->abort();
  co_await until([&] { return wire.protocol->lost == 1; });
}

WEIR_TEST("TLS-022 write_eof is not supported, and says so") {
  auto wire = co_await tls_wire(loop);
  CHECK_FALSE(wire.transport->can_write_eof());
  CHECK_THROWS_AS(wire.transport->write_eof(), NotSupportedError);
  co_await wire.peer->send("goes on");
  co_await until([&] { return wire.protocol->received == "goes on"; });
  wire.transport->abort();
  co_await until([&] { return wire.protocol->lost == 1; });
}

WEIR_TEST("TLS: what came ahead of start_tls is not lost: a PROXY header and a ClientHello in one packet") {
  SocketPair sockets = co_await connected_sockets(loop);
  auto protocol = make_ref<Recorder>();
  ConnectionOptions near;
  near.sock = &sockets.near;
  auto plain = co_await loop.create_connection([&protocol] { return protocol; }, near);
  TlsPeer peer(loop, std::move(sockets.far), client_context(), false);
  const std::string header = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
  peer.send_before_next(header);
  auto shaking = ensure_future(peer.handshake(), &loop);
  co_await until([&] { return protocol->received.size() > header.size() + 200; });
  co_await settle(loop);
  REQUIRE(protocol->received.starts_with(header));
  const std::string ahead = protocol->received.substr(header.size());
  const SSLContext context = server_context();
  StartTLSOptions options;
  options.server_side = true;
  options.read_ahead = as_bytes(ahead);
  Ref<Transport> encrypted = co_await loop.start_tls(plain.first, protocol, context, options);
  co_await shaking;
  co_await peer.send("and on it goes");
  co_await until([&] { return protocol->received.ends_with("and on it goes"); });
  encrypted->abort();
  co_await until([&] { return protocol->lost == 1; });
}

WEIR_TEST("STRM-021 after the upgrade a full reader pauses the new transport, and a drained one resumes it") {
  SocketPair sockets = co_await connected_sockets(loop);
  ConnectionOptions near;
  near.sock = &sockets.near;
  StreamPair streams = co_await open_connection(near, 1000);
  TlsPeer peer(loop, std::move(sockets.far), server_context(), true);
  auto shaking = ensure_future(peer.handshake(), &loop);
  const SSLContext context = client_context();
  StartTLSOptions options;
  options.server_hostname = "localhost";
  co_await streams.second->start_tls(context, options);
  co_await shaking;
  const std::string text = pattern(300'000);
  auto sending = ensure_future(send_and_end(peer, text), &loop);
  co_await until([&] { return !streams.second->transport()->is_reading(); });
  CHECK_FALSE(streams.second->transport()->is_closing());
  const Bytes all = co_await streams.first->read(-1);
  CHECK(all == text);
  co_await sending;
  streams.second->close();
}

WEIR_TEST("STRM-021 writer.start_tls upgrades the connection, with what the reader had read ahead") {
  ServerOptions serving;
  serving.host = "127.0.0.1";
  const Ref<Server> server = co_await start_server(&serve_lines, serving);
  {
    const std::string host = address_of(server).host();
    ConnectionOptions how;
    how.host = host;
    how.port = address_of(server).port();
    StreamPair streams = co_await open_connection(how);
    streams.second->write("STARTTLS\n");
    const SSLContext trusting = client_context();
    StartTLSOptions connecting;
    connecting.server_hostname = "localhost";
    co_await streams.second->start_tls(trusting, connecting);
    CHECK(streams.second->get_extra_info<extra::peercert>().has_value());
    streams.second->write("hello\n");
    const Bytes echoed = co_await streams.first->readline();
    CHECK(echoed == "hello\n");
    streams.second->close();
    co_await streams.second->wait_closed();
  }
  {
    // A client that sends the line and its first flight at once, so that both are in the reader's buffer.
    TlsPeer peer(loop, co_await connect_to(loop, address_of(server)), client_context(), false);
    peer.send_before_next("STARTTLS\n");
    co_await peer.handshake();
    co_await peer.send("again\n");
    const std::string echoed = co_await peer.receive_exactly(6);
    CHECK(echoed == "again\n");
    co_await peer.shut_down();
    co_await peer.receive_all();
    CHECK(peer.got_close_notification);
  }
  co_await stop_server(server);
}
