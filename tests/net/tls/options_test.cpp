// TLS in the calls that make connections: their options, and what of other groups is about TLS.
#include "tests/net/folder.hpp"
#include "tests/net/temporary_file.hpp"
#include "tests/net/tls/tls_test.hpp"

#include <array>
#include <chrono>
#include <fstream>
#include <iterator>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

const auto factory = [] { return make_ref<Recorder>(); };

// The text of the std::invalid_argument that the call throws.
template <class F>
std::string refusal_of(F&& f) {
  try {
    f();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return {};
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

WEIR_TEST("CONN-009 server_hostname needs TLS, defaults to the host, and must be said without one") {
  const SSLContext context = client_context();
  ConnectionOptions plain;
  plain.host = "127.0.0.1";
  plain.port = 1;
  plain.server_hostname = "localhost";
  CHECK(contains(refusal_of([&] { static_cast<void>(loop.create_connection(factory, plain)); }),
                 "server_hostname is only meaningful with ssl"));
  SocketPair sockets = co_await connected_sockets(loop);
  ConnectionOptions given;
  given.sock = &sockets.near;
  given.ssl = &context;
  CHECK(contains(refusal_of([&] { static_cast<void>(loop.create_connection(factory, given)); }),
                 "you must set server_hostname when using ssl without a host"));
  CHECK(sockets.near.is_open());
  given.server_hostname = "";
  CHECK(contains(refusal_of([&] { static_cast<void>(loop.create_connection(factory, given)); }),
                 "check_hostname requires server_hostname"));
  given.server_hostname = ".localhost";
  CHECK(contains(refusal_of([&] { static_cast<void>(loop.create_connection(factory, given)); }),
                 "leading dot"));
  ServerOptions serving;
  const SSLContext of_server = server_context();
  serving.host = "127.0.0.1";
  serving.ssl = &of_server;
  const Ref<Server> server = co_await loop.create_server(factory, serving);
  ConnectionOptions by_host;
  by_host.host = "127.0.0.1";
  by_host.port = address_of(server).port();
  by_host.ssl = &context;
  auto made = co_await loop.create_connection(factory, by_host);
  CHECK(made.first->get_extra_info<extra::ssl_object>()->server_hostname() == "127.0.0.1");
  made.first->close();
  co_await until([&] { return made.second->lost == 1; });
  co_await stop_server(server);
}

WEIR_TEST("CONN-010 TLS time-outs without TLS are invalid arguments") {
  ConnectionOptions connection;
  connection.host = "127.0.0.1";
  connection.port = 1;
  connection.ssl_handshake_timeout = 1s;
  CHECK(contains(refusal_of([&] { static_cast<void>(loop.create_connection(factory, connection)); }),
                 "ssl_handshake_timeout is only meaningful with ssl"));
  connection.ssl_handshake_timeout.reset();
  connection.ssl_shutdown_timeout = 1s;
  CHECK(contains(refusal_of([&] { static_cast<void>(loop.create_connection(factory, connection)); }),
                 "ssl_shutdown_timeout is only meaningful with ssl"));
  ServerOptions serving;
  serving.host = "127.0.0.1";
  serving.ssl_handshake_timeout = 1s;
  CHECK(contains(refusal_of([&] { static_cast<void>(loop.create_server(factory, serving)); }),
                 "only meaningful with ssl"));
  serving.ssl_handshake_timeout.reset();
  serving.ssl_shutdown_timeout = 1s;
  CHECK(contains(refusal_of([&] { static_cast<void>(loop.create_server(factory, serving)); }),
                 "only meaningful with ssl"));
  co_return;
}

WEIR_TEST("CONN: a context of the other side, or one without a certificate, is refused at once") {
  const SSLContext client = client_context();
  const SSLContext server = server_context();
  const SSLContext bare = create_default_context(Purpose::client_auth);
  ConnectionOptions connection;
  connection.host = "127.0.0.1";
  connection.port = 1;
  connection.ssl = &server;
  CHECK(contains(refusal_of([&] { static_cast<void>(loop.create_connection(factory, connection)); }),
                 "cannot connect"));
  ServerOptions serving;
  serving.host = "127.0.0.1";
  serving.ssl = &client;
  CHECK(
      contains(refusal_of([&] { static_cast<void>(loop.create_server(factory, serving)); }), "cannot serve"));
  serving.ssl = &bare;
  CHECK(contains(refusal_of([&] { static_cast<void>(loop.create_server(factory, serving)); }),
                 "has no certificate"));
  co_return;
}

WEIR_TEST("CONN-017 connect_accepted_socket builds a TLS transport on an accepted socket") {
  const SSLContext context = server_context();
  AcceptedSocketOptions options;
  options.ssl = &context;
  SocketPair sockets = co_await connected_sockets(loop);
  auto accepting =
      ensure_future(loop.connect_accepted_socket(factory, std::move(sockets.near), options), &loop);
  TlsPeer peer(loop, std::move(sockets.far), client_context(), false);
  co_await peer.handshake();
  auto made = co_await accepting;
  co_await peer.send("over TLS");
  co_await until([&] { return made.second->received == "over TLS"; });
  made.first->abort();
  co_await until([&] { return made.second->lost == 1; });
  Socket datagrams = Socket::open(AddressFamily::inet, SocketType::datagram);
  CHECK_THROWS_AS((void)loop.connect_accepted_socket(factory, std::move(datagrams), options),
                  std::invalid_argument);
  options.ssl = nullptr;
  options.ssl_handshake_timeout = 1s;
  SocketPair others = co_await connected_sockets(loop);
  CHECK_THROWS_AS((void)loop.connect_accepted_socket(factory, std::move(others.near), options),
                  std::invalid_argument);
}

WEIR_TEST("SRV-021 a handshake that fails is closed and reported, and the server goes on") {
  const SSLContext context = server_context();
  Made made;
  ServerOptions serving;
  serving.host = "127.0.0.1";
  serving.ssl = &context;
  const Ref<Server> server = co_await loop.create_server(made.factory(), serving);
  const SSLContext trusting = client_context();
  ConnectionOptions how;
  how.host = "127.0.0.1";
  how.port = address_of(server).port();
  how.ssl = &trusting;
  auto first = co_await loop.create_connection(factory, how);
  for (int i = 0; i != 3; ++i) {
    Socket wrong = co_await connect_to(loop, address_of(server));
    co_await loop.sock_sendall(wrong, std::string_view("this is no TLS at all"));
    co_await read_rest(loop, wrong);
    co_await settle(loop);
    const auto reports = env.take_reports();
    REQUIRE(reports.size() == 1);
    CHECK(reports.at(0).message == "SSL handshake failed");
    CHECK(reports.at(0).has_transport);
  }
  CHECK(server->is_serving());
  auto second = co_await loop.create_connection(factory, how);
  first.first->write("first");
  second.first->write("second");
  co_await until([&] {
    return std::any_of(made.all.begin(), made.all.end(),
                       [](const auto& one) { return one->received == "first"; }) &&
           std::any_of(made.all.begin(), made.all.end(),
                       [](const auto& one) { return one->received == "second"; });
  });
  // The server's own end closes them as they close themselves: with a close notification.
  server->close();
  server->close_clients();
  co_await server->wait_closed();
  co_await until([&] { return first.second->lost + second.second->lost == 2; });
  CHECK(!first.second->error);
  CHECK(first.second->count("eof") == 1);
}

WEIR_TEST("UNIX-006 TLS on a Unix connection needs server_hostname, and that needs TLS") {
  if (lacks("UNIX-006", "unix_sockets")) {
    co_return;
  }
  const Folder folder;
  const std::string path = folder.file("tls");
  const SSLContext of_server = server_context();
  const SSLContext of_client = client_context();
  UnixServerOptions serving;
  serving.path = path;
  serving.ssl = &of_server;
  Made made;
  const Ref<Server> server = co_await loop.create_unix_server(made.factory(), serving);
  UnixConnectionOptions how;
  how.path = path;
  how.ssl = &of_client;
  CHECK(contains(refusal_of([&] { static_cast<void>(loop.create_unix_connection(factory, how)); }),
                 "you must set server_hostname"));
  how.ssl = nullptr;
  how.server_hostname = "localhost";
  CHECK(contains(refusal_of([&] { static_cast<void>(loop.create_unix_connection(factory, how)); }),
                 "only meaningful with ssl"));
  how.ssl = &of_client;
  auto connected = co_await loop.create_unix_connection(factory, how);
  connected.first->write("over both");
  co_await until([&] { return made.all.at(0)->received == "over both"; });
  connected.first->close();
  co_await until([&] { return connected.second->lost == 1; });
  CHECK(!connected.second->error);
  co_await stop_server(server);
}

WEIR_TEST("SFILE-008 sendfile over TLS reads and encrypts, and the peer gets the same bytes") {
  const std::string content = pattern(1'000'000);
  TemporaryFile temporary(content);
  File file = File::open(temporary.path());
  for (const bool small : {false, true}) {
    TlsWireSetup options;
    options.small = small;
    auto wire = co_await tls_wire(loop, options);
    wire.transport->write("before ");
    auto sending = ensure_future(loop.sendfile(wire.transport, file, {.offset = 10}), &loop);
    co_await settle(loop);
    if (small) {
      REQUIRE_FALSE(sending.done());
      CHECK_THROWS_AS(wire.transport->write("meanwhile"), RuntimeError);
      CHECK_THROWS_AS((void)loop.sendfile(wire.transport, file, {}), RuntimeError);
      CHECK_FALSE(wire.transport->is_reading());
    }
    const std::string got = co_await wire.peer->receive_exactly(content.size() - 10 + 7);
    CHECK(got == "before " + content.substr(10));
    CHECK(co_await sending == content.size() - 10);
    CHECK(file.position() == content.size());
    CHECK(wire.transport->is_reading());
    wire.transport->write("behind");
    CHECK(co_await wire.peer->receive_exactly(6) == "behind");
    wire.transport->abort();
    co_await until([&] { return wire.protocol->lost == 1; });
    CHECK_THROWS_AS((void)loop.sendfile(wire.transport, file, {}), RuntimeError);
  }
}

WEIR_TEST("SFILE-008 sendfile over TLS without the fallback is refused, and ends with the connection") {
  const std::string content = pattern(5'000'000);
  TemporaryFile temporary(content);
  File file = File::open(temporary.path());
  TlsWireSetup options;
  options.small = true;
  auto wire = co_await tls_wire(loop, options);
  SendFileOptions strict;
  strict.fallback = false;
  auto refused = ensure_future(loop.sendfile(wire.transport, file, strict), &loop);
  co_await wait_done(refused);
  CHECK(describe_exception(refused.exception()).find("without fallback") != std::string::npos);
  CHECK(describe_exception(refused.exception()).find("kernel_tls") != std::string::npos);
  SendFileOptions all;
  auto sending = ensure_future(failure_of(loop.sendfile(wire.transport, file, all)), &loop);
  co_await settle(loop);
  CHECK_FALSE(sending.done());
  wire.transport->abort();
  CHECK(co_await sending == std::errc::bad_file_descriptor);
  co_await until([&] { return wire.protocol->lost == 1; });
}

WEIR_TEST("TRAN-025 get_extra_info gives socket, names and TLS, and nothing of TLS without it") {
  auto wire = co_await tls_wire(loop);
  CHECK(wire.transport->get_extra_info<extra::socket>()->is_open());
  CHECK(wire.transport->get_extra_info<extra::sockname>().has_value());
  CHECK(wire.transport->get_extra_info<extra::peername>().has_value());
  CHECK(wire.transport->get_extra_info<extra::cipher>().has_value());
  CHECK(wire.transport->get_extra_info<extra::compression>() == std::string());
  CHECK_FALSE(wire.transport->get_extra_info<extra::alpn>());
  CHECK_FALSE(wire.transport->get_extra_info<extra::pipe>());
  wire.transport->abort();
  co_await until([&] { return wire.protocol->lost == 1; });
  auto plain = co_await testing::wire(loop);
  CHECK_FALSE(plain.transport->get_extra_info<extra::ssl_object>());
  CHECK_FALSE(plain.transport->get_extra_info<extra::sslcontext>());
  CHECK_FALSE(plain.transport->get_extra_info<extra::compression>());
  co_await finish(plain);
}

WEIR_TEST("TLS: streams over TLS, whose reader tells a clean end from a cut one") {
  const SSLContext context = server_context();
  ServerOptions serving;
  serving.host = "127.0.0.1";
  serving.ssl = &context;
  auto echo = [](Ref<StreamReader> reader, Ref<StreamWriter> writer) -> Coro<void> {
    while (auto line = co_await reader->next()) {
      writer->write(std::move(*line));
      co_await writer->drain();
    }
    writer->close();
    co_await writer->wait_closed();
  };
  const Ref<Server> server = co_await start_server(echo, serving);
  const SSLContext trusting = client_context();
  ConnectionOptions how;
  how.host = "127.0.0.1";
  how.port = address_of(server).port();
  how.ssl = &trusting;
  {
    StreamPair streams = co_await open_connection(how);
    streams.second->write("hello\n");
    const Bytes line = co_await streams.first->readline();
    CHECK(line == "hello\n");
    CHECK_FALSE(streams.second->can_write_eof());
    streams.second->close();
    co_await streams.second->wait_closed();
  }
  co_await stop_server(server);
  SocketPair sockets = co_await connected_sockets(loop);
  ConnectionOptions cut;
  cut.sock = &sockets.near;
  cut.ssl = &trusting;
  cut.server_hostname = "localhost";
  auto opening = ensure_future(open_connection(cut), &loop);
  TlsPeer peer(loop, std::move(sockets.far), context, true);
  co_await peer.handshake();
  StreamPair streams = co_await opening;
  co_await peer.send("half of a li");
  peer.socket.close();
  std::error_code code;
  try {
    co_await streams.first->readline();
  } catch (const std::system_error& error) {
    code = error.code();
  }
  CHECK(code == TLSErrc::truncated);
  streams.second->close();
}
