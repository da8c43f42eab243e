// The names of the capabilities, as errors, skips and tables print them.
#include "backends/backend.hpp"

namespace weir::inline WEIR_ABI::detail {

std::string_view capability_name(Capability capability) noexcept {
  switch (capability) {
    case Capability::native_descriptors:
      return "native_descriptors";
    case Capability::real_clock:
      return "real_clock";
    case Capability::real_network:
      return "real_network";
    case Capability::ipv6:
      return "ipv6";
    case Capability::reuse_port:
      return "reuse_port";
    case Capability::signals:
      return "signals";
    case Capability::unix_sockets:
      return "unix_sockets";
    case Capability::abstract_unix_sockets:
      return "abstract_unix_sockets";
    case Capability::internationalized_names:
      return "internationalized_names";
    case Capability::multicast_dns:
      return "multicast_dns";
    case Capability::kernel_tls:
      return "kernel_tls";
    case Capability::pollable_descriptor:
      return "pollable_descriptor";
    case Capability::datagram_errors:
      return "datagram_errors";
    case Capability::descriptor_passing:
      return "descriptor_passing";
    case Capability::peer_credentials:
      return "peer_credentials";
    case Capability::subprocesses:
      return "subprocesses";
    case Capability::process_signals:
      return "process_signals";
    case Capability::unix_process_options:
      return "unix_process_options";
    case Capability::terminals:
      return "terminals";
    case Capability::process_pools:
      return "process_pools";
  }
  return "unknown";
}

}  // namespace weir::inline WEIR_ABI::detail
