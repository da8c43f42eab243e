// What the TLS echo servers share: their certificate, from a file with it and its key in PEM. Everything else
// is as OpenSSL chooses by default; the load generator asks for one version and one cipher.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstdio>
#include <cstdlib>

namespace bench {

// Ends the program with OpenSSL's reason.
[[noreturn]] inline void give_up_tls(const char* call) {
  std::fprintf(stderr, "%s: ", call);
  ERR_print_errors_fp(stderr);
  std::exit(1);
}

inline SSL_CTX* make_server_context(const char* pem) {
  SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr || SSL_CTX_use_certificate_chain_file(context, pem) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, pem, SSL_FILETYPE_PEM) != 1) {
    give_up_tls(pem);
  }
  return context;
}

// The file that the command line names first.
inline const char* certificate_file(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CERTIFICATE_AND_KEY [OPTION]\n", argv[0]);
    std::exit(2);
  }
  return argv[1];
}

}  // namespace bench
