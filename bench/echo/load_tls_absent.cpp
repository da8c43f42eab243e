// The load generator's works by TLS, in a build without OpenSSL.
#include "bench/echo/load.hpp"

namespace bench {

void run_tls(const Plan&) { fail("built without TLS"); }
void run_handshakes(const Plan&) { fail("built without TLS"); }

}  // namespace bench
