// The capabilities of the chosen backend, in public words.
#include "backends/chosen.hpp"

#include <weir/info.hpp>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

namespace weir::inline WEIR_ABI {

namespace {

using detail::Capability;

constexpr std::size_t capability_count = static_cast<std::size_t>(detail::last_capability) + 1;

std::string_view meaning_of(Capability capability) noexcept {
  switch (capability) {
    case Capability::native_descriptors:
      return "add_reader and add_writer on pipes, terminals and event descriptors";
    case Capability::real_clock:
      return "time passes by itself";
    case Capability::real_network:
      return "sockets reach other processes";
    case Capability::ipv6:
      return "sockets of IPv6";
    case Capability::reuse_port:
      return "several servers share a port (SO_REUSEPORT)";
    case Capability::signals:
      return "signals reach the loop";
    case Capability::unix_sockets:
      return "sockets with the paths of files (AF_UNIX)";
    case Capability::abstract_unix_sockets:
      return "Unix sockets with names that are no files";
    case Capability::internationalized_names:
      return "names of hosts outside ASCII, without their xn-- form";
    case Capability::multicast_dns:
      return "names that end in .local";
    case Capability::kernel_tls:
      return "the system encrypts what a socket of TLS sends, files too";
    case Capability::pollable_descriptor:
      return "the loop has a descriptor that a host loop can wait on (LoopGuest)";
    case Capability::datagram_errors:
      return "connected datagram sockets hear that nobody receives";
    case Capability::descriptor_passing:
      return "descriptors travel over Unix sockets";
    case Capability::peer_credentials:
      return "process and user at the other end of a Unix socket";
    case Capability::subprocesses:
      return "children can be started (subprocess_exec)";
    case Capability::process_signals:
      return "children can be sent any signal, and end by one";
    case Capability::unix_process_options:
      return "user, groups, limits, umask and process group of a child";
    case Capability::terminals:
      return "new terminals for children";
    case Capability::process_pools:
      return "functions in processes of their own (ProcessPoolExecutor)";
  }
  return "";
}

}  // namespace

std::span<const CapabilityInfo> capabilities() {
  static const auto table = [] {
    std::array<CapabilityInfo, capability_count> all;
    for (std::size_t i = 0; i != capability_count; ++i) {
      const auto capability = static_cast<Capability>(i);
      all[i] = {detail::capability_name(capability), meaning_of(capability),
                detail::Backend::has(capability)};
    }
    return all;
  }();
  return table;
}

bool has_capability(std::string_view name) {
  const std::span<const CapabilityInfo> all = capabilities();
  const auto found =
      std::find_if(all.begin(), all.end(), [name](const CapabilityInfo& one) { return one.name == name; });
  if (found == all.end()) {
    throw std::invalid_argument("has_capability: there is no capability '" + std::string(name) + "'");
  }
  return found->available;
}

}  // namespace weir::inline WEIR_ABI
