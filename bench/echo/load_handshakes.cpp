// The load generator's --tls-full and --tls-resumed: connections that come and go, by TLS, closed with a
// close notification as clients send it.
//
// Resumed ones come back with the newest ticket that their predecessor was given; the first ones share that
// of a connection before the clock starts.
#include "bench/echo/load_visits.hpp"
#include "bench/echo/tls_client.hpp"

#include <csignal>

namespace bench {

namespace {

struct TlsVisitor : VisitorBase {
  SSL* ssl = nullptr;
  SSL_SESSION* session = nullptr;
  bool is_sent = false;
};

int keep_session(SSL* ssl, SSL_SESSION* session) noexcept {
  auto& visitor = *static_cast<TlsVisitor*>(SSL_get_app_data(ssl));
  SSL_SESSION_free(visitor.session);
  visitor.session = session;
  return 1;
}

class TlsExchange {
 public:
  using Visitor = TlsVisitor;

  explicit TlsExchange(const Plan& plan) : context_(make_client_context()), answers_(plan.size) {
    if (plan.work == Work::tls_resumed) {
      SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
      SSL_CTX_sess_set_new_cb(context_, &keep_session);
      take_first_session(plan.port);
    }
  }

  bool begin(Visitor& visitor) {
    start(visitor);
    ::fcntl(visitor.descriptor, F_SETFL, O_NONBLOCK);
    return go_on(visitor);
  }
  // What is sent is small enough never to wait.
  bool go_on(Visitor& visitor) {
    if (!visitor.is_sent && !shake_hands_and_send(visitor)) {
      return false;
    }
    for (;;) {
      std::size_t count = 0;
      if (SSL_read_ex(visitor.ssl, answers_.input.data(), answers_.input.size(), &count) != 1) {
        expect_wait(visitor.ssl, "the server closed a connection");
        return false;
      }
      if (answers_.take(visitor, count)) {
        return true;
      }
    }
  }
  void end(Visitor& visitor) {
    SSL_shutdown(visitor.ssl);
    SSL_free(visitor.ssl);
    ::close(visitor.descriptor);
  }

 private:
  // OpenSSL takes a session as used up once, so each visitor has one of its own.
  void start(Visitor& visitor) {
    set_no_delay(visitor.descriptor);
    visitor.is_sent = false;
    visitor.ssl = start_client(context_, visitor.descriptor);
    SSL_set_app_data(visitor.ssl, &visitor);
    if (visitor.session == nullptr && first_session_ != nullptr) {
      visitor.session = SSL_SESSION_dup(first_session_);
    }
    if (visitor.session != nullptr) {
      SSL_set_session(visitor.ssl, visitor.session);
    }
  }
  bool shake_hands_and_send(Visitor& visitor) {
    if (SSL_do_handshake(visitor.ssl) != 1) {
      expect_wait(visitor.ssl, "TLS handshake");
      return false;
    }
    if ((SSL_session_reused(visitor.ssl) == 1) != (visitor.session != nullptr)) {
      fail("a session was not resumed");
    }
    std::size_t count = 0;
    if (SSL_write_ex(visitor.ssl, answers_.message.data(), answers_.message.size(), &count) != 1) {
      fail("TLS write");
    }
    visitor.is_sent = true;
    return true;
  }
  // Blocks. The tickets come before what is echoed.
  void take_first_session(int port) {
    Visitor first;
    first.descriptor = Connector(port).connect();
    start(first);
    go_on(first);
    end(first);
    if (first.session == nullptr) {
      fail("the server gave no ticket");
    }
    first_session_ = first.session;
  }

  SSL_CTX* context_;
  SSL_SESSION* first_session_ = nullptr;
  Answers answers_;
};

}  // namespace

void run_handshakes(const Plan& plan) {
  ::signal(SIGPIPE, SIG_IGN);
  VisitLoad<TlsExchange>(plan).run();
}

}  // namespace bench
