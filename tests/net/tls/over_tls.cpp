// Suites over TLS: the contexts, and the peer that speaks it.
#include "tests/net/peer.hpp"
#include "tests/net/tls/tls_test.hpp"

#include <cstdlib>

namespace weir::testing {

namespace {

// What TLS 1.3 adds to a record, and how much fits into one.
constexpr std::size_t record_overhead = 22;
constexpr std::size_t most_in_record = 16384;

class PeerOverTls final : public Peer {
 public:
  PeerOverTls(EventLoop& on, Socket s) : Peer(on), tls_(on, std::move(s), *server_ssl(), true) {
    tls_.socket.set_no_delay();  // the handshake has small pieces, each of which would hold up the next
  }

  Coro<void> handshake() { co_await tls_.handshake(); }
  Coro<void> send(std::string_view text) override { co_await tls_.send(text); }
  Coro<void> shutdown_write() override { co_await tls_.shut_down(); }
  // Waits for the other's close notification: a socket that is closed before would reset the connection.
  Coro<void> close() override {
    co_await tls_.shut_down();
    co_await tls_.receive_all();
    tls_.socket.close();
  }
  std::size_t on_line(std::size_t size) const override {
    return size + (size + most_in_record - 1) / most_in_record * record_overhead;
  }
  Socket& socket() override { return tls_.socket; }

 protected:
  Coro<std::string> receive() override { co_return co_await tls_.receive(); }
  Coro<void> answer_end() override {
    if (tls_.got_close_notification) {
      co_await tls_.shut_down();
    }
  }

 private:
  TlsPeer tls_;
};

}  // namespace

bool over_tls() noexcept { return std::getenv("WEIR_TEST_TLS") != nullptr; }

const SSLContext* server_ssl() {
  static const SSLContext context = server_context();
  return over_tls() ? &context : nullptr;
}

const SSLContext* client_ssl() {
  static const SSLContext context = client_context();
  return over_tls() ? &context : nullptr;
}

FarEnd far_end(EventLoop& loop, Socket socket) {
  FarEnd end;
  if (over_tls()) {
    auto peer = std::make_unique<PeerOverTls>(loop, std::move(socket));
    end.handshake = loop.create_task(peer->handshake());
    end.peer = std::move(peer);
  } else {
    end.peer = plain_peer(loop, std::move(socket));
  }
  return end;
}

}  // namespace weir::testing
