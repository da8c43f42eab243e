// The capabilities of POSIX systems.
#include "backends/posix/capabilities.hpp"

#include "backends/posix/sockets.hpp"

namespace weir::inline WEIR_ABI::detail {

bool posix_has(Capability capability) noexcept {
  switch (capability) {
    case Capability::ipv6: {
      // Built without it or switched off, the kernel refuses the family. Asked once.
      static const bool ipv6 = [] {
        const std::int64_t probe = PosixSockets::open(AddressFamily::inet6, SocketType::stream, 0);
        return probe >= 0 && PosixSockets::close(static_cast<native_socket>(probe)) == 0;
      }();
      return ipv6;
    }
    case Capability::abstract_unix_sockets:
    case Capability::subprocesses:
    case Capability::process_signals:
    case Capability::unix_process_options:
    case Capability::terminals:
    case Capability::process_pools:
#ifdef __linux__
      return true;
#else
      return false;
#endif
    case Capability::internationalized_names:
    case Capability::multicast_dns:
    case Capability::kernel_tls:
      return false;
    default:
      return true;
  }
}

}  // namespace weir::inline WEIR_ABI::detail
