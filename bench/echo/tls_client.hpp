// What the load generator's TLS works share: the client's settings, the same towards every server, and its
// end of a connection.
#pragma once

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

// After a call that did not succeed: unless it only has to wait for the system, the load generator ends.
inline void expect_wait(SSL* ssl, const char* call) {
  const int reason = SSL_get_error(ssl, 0);
  if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) {
    ERR_print_errors_fp(stderr);
    fail(call);
  }
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
