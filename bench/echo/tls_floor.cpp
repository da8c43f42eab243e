// The hand-written TLS echo server: OpenSSL with read-ahead on level-triggered epoll, and one buffer for all
// connections. OpenSSL keeps the buffers of a connection's records, two of 17 KiB, unless told to release
// them.
//
// Usage: echo_tls_floor CERTIFICATE_AND_KEY [--release]
#include "bench/echo/listening.hpp"
#include "bench/echo/tls_context.hpp"

#include <sys/epoll.h>

#include <csignal>
#include <cstdint>
#include <string_view>
#include <vector>

namespace {

struct Connection {
  SSL* ssl;
  int descriptor;
  std::vector<char> unsent;
};

class Server {
 public:
  explicit Server(SSL_CTX* context)
      : context_(context), epoll_(::epoll_create1(0)), buffer_(std::size_t{64} * 1024) {}

  [[noreturn]] void serve(int listener) {
    epoll_event event{EPOLLIN, {.ptr = nullptr}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, listener, &event);
    epoll_event events[256];
    for (;;) {
      const int count = ::epoll_wait(epoll_, events, 256, -1);
      for (int i = 0; i < count; ++i) {
        auto* const connection = static_cast<Connection*>(events[i].data.ptr);
        if (connection == nullptr) {
          accept_from(listener);
        } else if ((events[i].events & EPOLLOUT) != 0) {
          flush(connection);
        } else {
          receive(connection);
        }
      }
    }
  }

 private:
  void accept_from(int listener) {
    for (;;) {
      const int descriptor = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor < 0) {
        return;
      }
      bench::set_no_delay(descriptor);
      auto* const connection = new Connection{SSL_new(context_), descriptor, {}};
      SSL_set_fd(connection->ssl, descriptor);
      SSL_set_accept_state(connection->ssl);
      epoll_event event{EPOLLIN, {.ptr = connection}};
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
    }
  }
  // Also does the handshake, inside OpenSSL.
  void receive(Connection* connection) {
    SSL* const ssl = connection->ssl;
    std::size_t filled = 0;
    do {
      std::size_t count = 0;
      if (SSL_read_ex(ssl, buffer_.data() + filled, buffer_.size() - filled, &count) != 1) {
        if (SSL_get_error(ssl, 0) != SSL_ERROR_WANT_READ && filled == 0) {
          drop(connection);
          return;
        }
        break;
      }
      filled += count;
    } while (filled != buffer_.size() && SSL_has_pending(ssl) == 1);
    if (filled != 0) {
      send(connection, filled);
    }
  }
  void send(Connection* connection, std::size_t size) {
    std::size_t sent = 0;
    if (SSL_write_ex(connection->ssl, buffer_.data(), size, &sent) == 1) [[likely]] {
      return;
    }
    if (SSL_get_error(connection->ssl, 0) != SSL_ERROR_WANT_WRITE) {
      drop(connection);
      return;
    }
    connection->unsent.assign(buffer_.data(), buffer_.data() + size);
    watch(connection, EPOLLOUT);
  }
  // Reads on when all of it is sent: first what OpenSSL has read ahead, which epoll does not know of.
  void flush(Connection* connection) {
    std::size_t sent = 0;
    if (SSL_write_ex(connection->ssl, connection->unsent.data(), connection->unsent.size(), &sent) == 1) {
      connection->unsent.clear();
      watch(connection, EPOLLIN);
      if (SSL_has_pending(connection->ssl) == 1) {
        receive(connection);
      }
    } else if (SSL_get_error(connection->ssl, 0) != SSL_ERROR_WANT_WRITE) {
      drop(connection);
    }
  }
  void watch(Connection* connection, std::uint32_t events) const {
    epoll_event event{events, {.ptr = connection}};
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection->descriptor, &event);
  }
  static void drop(Connection* connection) {
    if (SSL_get_error(connection->ssl, 0) == SSL_ERROR_ZERO_RETURN) {
      SSL_shutdown(connection->ssl);
    }
    ERR_clear_error();
    SSL_free(connection->ssl);
    ::close(connection->descriptor);
    delete connection;
  }

  SSL_CTX* context_;
  int epoll_;
  std::vector<char> buffer_;
};

}  // namespace

int main(int argc, char** argv) {
  SSL_CTX* const context = bench::make_server_context(bench::certificate_file(argc, argv));
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (argc > 2 && std::string_view(argv[2]) == "--release") {
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  }
  ::signal(SIGPIPE, SIG_IGN);
  Server(context).serve(bench::listen_anywhere());
}
