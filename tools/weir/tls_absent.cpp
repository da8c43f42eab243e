// A build without TLS: the command line refuses tls:// before any of this is reached, but for `weir cert`.
#include "tools/weir/tls.hpp"
#include "tools/weir/verbs.hpp"

#include <stdexcept>

namespace program {

TlsSettings listening_settings(const ListeningTls&) { throw std::runtime_error(built_without_tls); }
TlsSettings connecting_settings(const ConnectingTls&, const char*) {
  throw std::runtime_error(built_without_tls);
}
void tell_tls(const weir::Transport&, const char*) {}
int cert(const CertPlan&) { throw std::runtime_error(built_without_tls); }

}  // namespace program
