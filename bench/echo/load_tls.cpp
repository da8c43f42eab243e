// The load generator's --tls: messages in flight on connections by TLS. The handshakes are over before the
// clock starts.
#include "bench/echo/load_in_flight.hpp"
#include "bench/echo/tls_client.hpp"

#include <csignal>

namespace bench {

namespace {

class TlsChannel {
 public:
  TlsChannel(SSL_CTX* context, int descriptor) : ssl_(start_client(context, descriptor)) {
    if (SSL_connect(ssl_) != 1) {
      expect_wait(ssl_, "TLS handshake");
    }
  }

  int descriptor() const { return SSL_get_fd(ssl_); }
  // All of it or nothing.
  std::size_t send(const char* data, std::size_t size) {
    std::size_t count = 0;
    if (SSL_write_ex(ssl_, data, size, &count) != 1) {
      expect_wait(ssl_, "TLS write");
    }
    return count;
  }
  std::size_t receive(char* data, std::size_t size) {
    std::size_t count = 0;
    if (SSL_read_ex(ssl_, data, size, &count) != 1) {
      expect_wait(ssl_, "the server closed a connection");
    }
    return count;
  }
  // Of what OpenSSL has read ahead, epoll does not know.
  bool has_more() const { return SSL_has_pending(ssl_) == 1; }

 private:
  SSL* ssl_;
};

}  // namespace

void run_tls(const Plan& plan) {
  ::signal(SIGPIPE, SIG_IGN);
  SSL_CTX* const context = make_client_context();
  InFlightLoad<TlsChannel>(plan, [context](int descriptor) { return TlsChannel(context, descriptor); }).run();
}

}  // namespace bench
