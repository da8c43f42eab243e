// Suites in a build without TLS: every run is a plain one.
#include "tests/net/peer.hpp"

namespace weir::testing {

bool over_tls() noexcept { return false; }
const SSLContext* server_ssl() { return nullptr; }
const SSLContext* client_ssl() { return nullptr; }

FarEnd far_end(EventLoop& loop, Socket socket) {
  FarEnd end;
  end.peer = plain_peer(loop, std::move(socket));
  return end;
}

}  // namespace weir::testing
