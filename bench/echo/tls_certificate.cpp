// Makes the certificate of the TLS echo servers, Ed25519 and signed by itself, with its key in one file.
//
// Usage: tls_certificate FILE
#include "tools/weir/certificates.hpp"

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  std::FILE* const file = argc == 2 ? std::fopen(argv[1], "w") : nullptr;
  if (file == nullptr) {
    std::perror("usage: tls_certificate FILE");
    return 2;
  }
  try {
    const program::Identity identity =
        program::make_certificate({.common_name = "localhost", .names = {"127.0.0.1"}}, nullptr);
    std::fprintf(file, "%s%s", identity.certificate.c_str(), identity.key.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tls_certificate: %s\n", error.what());
    return 1;
  }
  return std::fclose(file) == 0 ? 0 : 1;
}
