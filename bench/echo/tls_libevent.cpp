// libevent's TLS echo server, on its bufferevents for OpenSSL.
//
// Usage: echo_tls_libevent CERTIFICATE_AND_KEY
#include "bench/echo/listening.hpp"
#include "bench/echo/tls_context.hpp"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/event_struct.h>

#include <csignal>

namespace {

struct Server {
  event_base* base;
  SSL_CTX* context;
};

// Reads on when so much of the answer is sent.
constexpr std::size_t most_unsent = std::size_t{64} * 1024;

void received(bufferevent* connection, void*) {
  evbuffer* const output = bufferevent_get_output(connection);
  evbuffer_add_buffer(output, bufferevent_get_input(connection));
  if (evbuffer_get_length(output) > most_unsent) {
    bufferevent_disable(connection, EV_READ);
  }
}

void sent(bufferevent* connection, void*) {
  if ((bufferevent_get_enabled(connection) & EV_READ) == 0) {
    bufferevent_enable(connection, EV_READ);
  }
}

void happened(bufferevent* connection, short events, void*) {
  if ((events & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0) {
    SSL* const ssl = bufferevent_openssl_get_ssl(connection);
    if ((events & BEV_EVENT_EOF) != 0 && SSL_is_init_finished(ssl) == 1) {
      SSL_shutdown(ssl);
    }
    bufferevent_free(connection);
  }
}

void connected(evutil_socket_t listener, short, void* argument) {
  const auto& server = *static_cast<Server*>(argument);
  for (;;) {
    const int descriptor = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
      return;
    }
    bench::set_no_delay(descriptor);
    bufferevent* const connection = bufferevent_openssl_socket_new(
        server.base, descriptor, SSL_new(server.context), BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_openssl_set_allow_dirty_shutdown(connection, 1);
    bufferevent_setcb(connection, &received, &sent, &happened, nullptr);
    bufferevent_enable(connection, EV_READ | EV_WRITE);
  }
}

}  // namespace

int main(int argc, char** argv) {
  event_config* const config = event_config_new();
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  Server server{event_base_new_with_config(config),
                bench::make_server_context(bench::certificate_file(argc, argv))};
  ::signal(SIGPIPE, SIG_IGN);
  event listening;
  event_assign(&listening, server.base, bench::listen_anywhere(), EV_READ | EV_PERSIST, &connected, &server);
  event_add(&listening, nullptr);
  return event_base_dispatch(server.base);
}
