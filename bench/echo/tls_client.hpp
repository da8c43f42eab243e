// What the load generator's TLS works share: the client's settings, the same towards every server, and a
// connection with its end of TLS.
#pragma once

#include "bench/echo/listening.hpp"
#include "bench/echo/load.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace bench {

// The client decides for all servers: TLS 1.3 with TLS_AES_128_GCM_SHA256 and X25519. It trusts anybody, but
// checks the signature of the handshake, as every client does.
inline SSL_CTX* make_client_context() {
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
      SSL_CTX_set1_groups_list(context, "X25519") != 1) {
    fail("OpenSSL has no TLS 1.3");
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return context;
}

// After a call that did not succeed: true when it has to wait for the system, else the load generator ends.
inline bool has_to_wait(SSL* ssl, const char* call) {
  const int reason = SSL_get_error(ssl, 0);
  if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
    return true;
  }
  ERR_print_errors_fp(stderr);
  fail(call);
}

// `from` is the last byte of the address on this side, 127.0.0.x: one address has too few ports for many
// short connections. Blocks in connect(), which on one machine waits for nobody.
inline int connect_from(int port, std::uint32_t from) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int one = 1;
  ::setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl((INADDR_LOOPBACK & ~0xffU) | from);
  if (::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    give_up("bind");
  }
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    give_up("connect");
  }
  set_no_delay(descriptor);
  return descriptor;
}

inline SSL* start_client(SSL_CTX* context, int descriptor) {
  SSL* const ssl = SSL_new(context);
  if (ssl == nullptr || SSL_set_fd(ssl, descriptor) != 1) {
    fail("out of memory");
  }
  SSL_set_connect_state(ssl);
  return ssl;
}

}  // namespace bench
