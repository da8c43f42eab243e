// The load generator's --tls-full and --tls-resumed: C connections at a time, each of which shakes hands, has
// S bytes echoed and is closed, with a close notification as clients send it.
//
// Resumed ones come back with the newest ticket that their predecessor was given; the first ones share that
// of a connection before the clock starts.
#include "bench/echo/load.hpp"
#include "bench/echo/tls_client.hpp"

#include <sys/epoll.h>

#include <csignal>
#include <cstring>

namespace bench {

namespace {

constexpr std::uint32_t addresses = 16;

struct Visitor {
  int descriptor = -1;
  SSL* ssl = nullptr;
  SSL_SESSION* session = nullptr;
  std::int64_t begun = 0;
  bool is_sent = false;
  std::size_t received = 0;
};

int keep_session(SSL* ssl, SSL_SESSION* session) noexcept {
  auto& visitor = *static_cast<Visitor*>(SSL_get_app_data(ssl));
  SSL_SESSION_free(visitor.session);
  visitor.session = session;
  return 1;
}

class HandshakeLoad {
 public:
  explicit HandshakeLoad(const Plan& plan)
      : plan_(plan),
        context_(make_client_context()),
        epoll_(::epoll_create1(0)),
        visitors_(plan.connections),
        message_(make_message(plan.size)),
        input_(plan.size + 1),
        run_(plan) {
    if (resumes()) {
      SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
      SSL_CTX_sess_set_new_cb(context_, &keep_session);
      take_first_session();
    }
  }

  void run() {
    run_.start();
    for (std::size_t i = 0; i != visitors_.size(); ++i) {
      open(i);
    }
    epoll_event events[256];
    while (!run_.is_over()) {
      const int ready = ::epoll_wait(epoll_, events, 256, 10'000);
      if (ready == 0) {
        fail("nothing came back for ten seconds");
      }
      for (int i = 0; i < ready; ++i) {
        const auto index = static_cast<std::size_t>(events[i].data.u64);
        if (go_on(visitors_[index])) {
          complete(visitors_[index]);
          open(index);
        }
      }
      run_.look_at_clock();
    }
    run_.print();
  }

 private:
  bool resumes() const { return plan_.work == Work::tls_resumed; }

  void begin(Visitor& visitor) {
    visitor.begun = now();
    visitor.is_sent = false;
    visitor.received = 0;
    visitor.descriptor = connect_from(plan_.port, 1 + next_address_++ % addresses);
    visitor.ssl = start_client(context_, visitor.descriptor);
    SSL_set_app_data(visitor.ssl, &visitor);
    if (visitor.session != nullptr) {
      SSL_set_session(visitor.ssl, visitor.session);
    }
  }
  // A quick server may have answered already.
  void open(std::size_t index) {
    Visitor& visitor = visitors_[index];
    while (run_.begin()) {
      begin(visitor);
      ::fcntl(visitor.descriptor, F_SETFL, O_NONBLOCK);
      epoll_event event{EPOLLIN, {.u64 = index}};
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, visitor.descriptor, &event);
      if (!go_on(visitor)) {
        return;
      }
      complete(visitor);
    }
  }
  void complete(Visitor& visitor) {
    end(visitor);
    run_.complete(visitor.begun);
  }
  // True when everything has come back. What is sent is small enough never to wait.
  bool go_on(Visitor& visitor) {
    std::size_t count = 0;
    if (!visitor.is_sent) {
      if (SSL_do_handshake(visitor.ssl) != 1) {
        has_to_wait(visitor.ssl, "TLS handshake");
        return false;
      }
      if ((SSL_session_reused(visitor.ssl) == 1) != (visitor.session != nullptr)) {
        fail("a session was not resumed");
      }
      if (SSL_write_ex(visitor.ssl, message_.data(), message_.size(), &count) != 1) {
        fail("TLS write");
      }
      visitor.is_sent = true;
    }
    while (visitor.received != message_.size()) {
      if (SSL_read_ex(visitor.ssl, input_.data(), input_.size(), &count) != 1) {
        has_to_wait(visitor.ssl, "the server closed a connection");
        return false;
      }
      if (visitor.received + count > message_.size() ||
          std::memcmp(input_.data(), message_.data() + visitor.received, count) != 0) {
        fail("a wrong byte came back");
      }
      visitor.received += count;
    }
    return true;
  }
  static void end(Visitor& visitor) {
    SSL_shutdown(visitor.ssl);
    SSL_free(visitor.ssl);
    ::close(visitor.descriptor);
  }
  // Blocks. The tickets come before what is echoed. OpenSSL takes a session as used up once, so each gets a
  // copy.
  void take_first_session() {
    Visitor first;
    begin(first);
    go_on(first);
    end(first);
    if (first.session == nullptr) {
      fail("the server gave no ticket");
    }
    for (Visitor& visitor : visitors_) {
      visitor.session = SSL_SESSION_dup(first.session);
    }
  }

  const Plan plan_;
  SSL_CTX* context_;
  int epoll_;
  std::vector<Visitor> visitors_;
  std::vector<char> message_;
  std::vector<char> input_;
  Run run_;
  std::uint32_t next_address_ = 0;
};

}  // namespace

void run_handshakes(const Plan& plan) {
  ::signal(SIGPIPE, SIG_IGN);
  HandshakeLoad(plan).run();
}

}  // namespace bench
