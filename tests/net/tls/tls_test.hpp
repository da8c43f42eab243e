// What the tests of TLS share: certificates, contexts, pairs of transports, and a peer that does what it is
// told.
#pragma once

#include "net/tls/engine.hpp"
#include "tests/net/net_test.hpp"
#include "tools/weir/certificates.hpp"

#include <weir/weir.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::testing {

// Made once for all tests: an authority, and what it vouches for.
struct Pki {
  Pki();
  program::Identity authority;
  program::Identity server;  // for localhost, *.example.test, 127.0.0.1 and ::1
  program::Identity client;
};
const Pki& pki();

SSLContext server_context_with(const program::Identity& identity);
// Shows pki().server.
SSLContext server_context();
// Trusts pki().authority, and nobody else.
SSLContext client_context();

// Both ends of a TLS connection between two transports.
template <class C = Recorder, class S = Recorder>
class TlsPair {
 public:
  Ref<Transport> client, server;
  Ref<C> client_protocol;
  Ref<S> server_protocol;
};

// As TlsWireSetup.
struct TlsPairSetup {
  TlsPairSetup() {}  // NOLINT(modernize-use-equals-default)
  SSLContext server = server_context();
  SSLContext client = client_context();
  std::string name = "localhost";
  bool small = false;
  std::optional<Duration> shutdown_timeout = {};
  std::optional<SSLSession> session = {};
};

// Makes the server's end of a connected socket.
template <class S>
Coro<std::pair<Ref<Transport>, Ref<S>>> accept_tls(EventLoop& loop, Socket socket, Ref<S> protocol,
                                                   SSLContext context,
                                                   std::optional<Duration> shutdown_timeout) {
  AcceptedSocketOptions options;
  options.ssl = &context;
  options.ssl_shutdown_timeout = shutdown_timeout;
  co_return co_await loop.connect_accepted_socket([&protocol] { return protocol; }, std::move(socket),
                                                  options);
}

template <class C = Recorder, class S = Recorder>
Coro<TlsPair<C, S>> tls_pair(EventLoop& loop, TlsPairSetup options, Ref<C> client = make_ref<C>(),
                             Ref<S> server = make_ref<S>()) {
  SocketPair sockets = co_await connected_sockets(loop, options.small);
  auto accepting = ensure_future(
      accept_tls(loop, std::move(sockets.far), server, options.server, options.shutdown_timeout), &loop);
  ConnectionOptions how;
  how.sock = &sockets.near;
  how.ssl = &options.client;
  how.server_hostname = options.name;
  how.ssl_shutdown_timeout = options.shutdown_timeout;
  how.ssl_session = options.session ? &*options.session : nullptr;
  auto connected = co_await loop.create_connection([&client] { return client; }, how);
  auto accepted = co_await accepting;
  TlsPair<C, S> pair;
  pair.client = std::move(connected.first);
  pair.client_protocol = std::move(connected.second);
  pair.server = std::move(accepted.first);
  pair.server_protocol = std::move(accepted.second);
  co_return pair;
}
inline Coro<TlsPair<>> tls_pair(EventLoop& loop) {
  TlsPairSetup options;
  co_return co_await tls_pair<Recorder, Recorder>(loop, std::move(options));
}

// A peer that speaks TLS by hand: what it sends, and when, is up to the test.
class TlsPeer {
 public:
  TlsPeer(EventLoop& loop, Socket socket, const SSLContext& context, bool server_side,
          const std::string& server_hostname = "localhost");

  Coro<void> handshake();
  // Encrypts, and sends it.
  Coro<void> send(std::string_view text);
  // Sends these bytes as they are.
  Coro<void> send_raw(std::string_view bytes);
  // What comes next, decrypted; nothing when the connection or its TLS ended.
  Coro<std::string> receive();
  // Everything up to the end.
  Coro<std::string> receive_all();
  // Receives so many bytes.
  Coro<std::string> receive_exactly(std::size_t size);
  // The close notification.
  Coro<void> shut_down();
  // Sends what the engine wants to send.
  Coro<void> flush();

  // Goes out in front of what is sent next, in one piece with it.
  void send_before_next(std::string_view text) {
    const auto bytes = as_bytes(text);
    output_.insert(output_.begin(), bytes.begin(), bytes.end());
  }

  SSL* ssl() const { return engine->link()->ssl.get(); }

  Socket socket;
  std::unique_ptr<detail::TlsEngine> engine;
  bool got_close_notification = false;
  bool got_end = false;  // of the connection

 private:
  Coro<bool> more();

  EventLoop& loop_;
  std::vector<std::byte> output_;
  std::vector<std::byte> input_;
};

// A transport of TLS under test, and a peer in the test's hands.
template <class P = Recorder>
class TlsWire {
 public:
  Ref<Transport> transport;
  Ref<P> protocol;
  std::unique_ptr<TlsPeer> peer;
};

// Not an aggregate: g++ 12 destroys those twice when they are temporaries of a co_await.
struct TlsWireSetup {
  TlsWireSetup() {}         // NOLINT(modernize-use-equals-default)
  bool server_side = true;  // the side under test
  bool small = false;
  std::optional<Duration> handshake_timeout = {};
  std::optional<Duration> shutdown_timeout = {};
  SSLContext server = server_context();
  SSLContext client = client_context();
};

// Begins the side under test on a socket.
template <class P>
Coro<std::pair<Ref<Transport>, Ref<P>>> begin_tls(EventLoop& loop, Socket socket, Ref<P> protocol,
                                                  TlsWireSetup options) {
  if (options.server_side) {
    AcceptedSocketOptions how;
    how.ssl = &options.server;
    how.ssl_handshake_timeout = options.handshake_timeout;
    how.ssl_shutdown_timeout = options.shutdown_timeout;
    co_return co_await loop.connect_accepted_socket([&protocol] { return protocol; }, std::move(socket), how);
  }
  ConnectionOptions how;
  how.sock = &socket;
  how.ssl = &options.client;
  how.server_hostname = "localhost";
  how.ssl_handshake_timeout = options.handshake_timeout;
  how.ssl_shutdown_timeout = options.shutdown_timeout;
  co_return co_await loop.create_connection([&protocol] { return protocol; }, how);
}

template <class P = Recorder>
Coro<TlsWire<P>> tls_wire(EventLoop& loop, TlsWireSetup options = {}, Ref<P> protocol = make_ref<P>()) {
  SocketPair sockets = co_await connected_sockets(loop, options.small);
  auto beginning = ensure_future(begin_tls(loop, std::move(sockets.near), protocol, options), &loop);
  TlsWire<P> wire;
  wire.peer =
      std::make_unique<TlsPeer>(loop, std::move(sockets.far),
                                options.server_side ? options.client : options.server, !options.server_side);
  co_await wire.peer->handshake();
  auto made = co_await beginning;
  wire.transport = std::move(made.first);
  wire.protocol = std::move(made.second);
  co_return wire;
}

// Waits for the end of a task, however it ends.
template <class T>
Coro<void> wait_done(const Task<T>& task) {
  co_await until([&task] { return task.done(); });
}

// The TLSErrc or other code that awaiting `attempt` fails with; none when it succeeds.
template <class T>
Coro<std::error_code> failure_of(Coro<T> attempt) {
  try {
    co_await std::move(attempt);
  } catch (const std::system_error& error) {
    co_return error.code();
  }
  co_return std::error_code();
}

}  // namespace weir::testing
