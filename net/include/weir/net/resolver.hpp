// Names to addresses and back: getaddrinfo, getnameinfo and set_resolver_options of EventLoop. The resolver
// works on the loop itself, by its own sockets and timers: no thread, and no call that waits for the network.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/event_loop.hpp>
#include <weir/handle.hpp>
#include <weir/net/address.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

// Why a look-up failed (socket.gaierror). The code of a std::system_error; its text names the call and the
// name that was looked up.
enum class ResolverErrc : int {
  temporary_failure = 1,  // no server answered in time, or none could: try again later (EAI_AGAIN)
  not_found,              // there is no such name (EAI_NONAME)
  no_data,                // the name exists, but has no address of the family that was asked for (EAI_NODATA)
  address_family,         // a numeric host of another family than the one asked for (EAI_ADDRFAMILY)
  family,                 // no such family (EAI_FAMILY)
  socket_type,            // type and protocol do not fit each other (EAI_SOCKTYPE)
  service,                // no such service for this type (EAI_SERVICE)
  bad_flags,              // unknown flags, or flags that need what is missing (EAI_BADFLAGS)
  failure,                // a server answered what cannot be understood (EAI_FAIL)
};

// The category of ResolverErrc; its name is "weir.resolver". Any thread.
WEIR_API const std::error_category& resolver_category() noexcept;
// Makes std::error_code(ResolverErrc::…) work. Any thread.
inline std::error_code make_error_code(ResolverErrc code) noexcept {
  return {static_cast<int>(code), resolver_category()};
}

// The flags of getaddrinfo, to be combined with |. They mean what AI_PASSIVE and its relatives mean.
enum class AddrInfoFlags : std::uint32_t {
  none = 0,
  passive = 1,          // without a host: the wildcard addresses instead of the loopback ones
  canonical_name = 2,   // fill canonical_name of the first answer
  numeric_host = 4,     // the host is a numeric address: ask nobody
  numeric_service = 8,  // the service is a number
  v4_mapped = 16,       // with family inet6: IPv4 addresses as ::ffff:a.b.c.d where there is no IPv6 one
  all = 32,             // with v4_mapped: in addition to the IPv6 ones
  addr_config = 64,     // of a name, only families of which this machine has an address besides loopback
};
constexpr AddrInfoFlags operator|(AddrInfoFlags a, AddrInfoFlags b) noexcept {
  return static_cast<AddrInfoFlags>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
// Does `flags` contain one of `wanted`?
constexpr bool has_flag(AddrInfoFlags flags, AddrInfoFlags wanted) noexcept {
  return (static_cast<std::uint32_t>(flags) & static_cast<std::uint32_t>(wanted)) != 0;
}

// The flags of getnameinfo, as NI_NUMERICHOST and its relatives.
enum class NameInfoFlags : std::uint32_t {
  none = 0,
  numeric_host = 1,     // the address as text: ask nobody
  numeric_service = 2,  // the port as text
  name_required = 4,    // ResolverErrc::not_found for a host without a name, instead of its address as text
  datagram = 8,         // the service's name for UDP instead of TCP
  no_fqdn = 16,         // only the first part of a name
};
constexpr NameInfoFlags operator|(NameInfoFlags a, NameInfoFlags b) noexcept {
  return static_cast<NameInfoFlags>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
// Does `flags` contain one of `wanted`?
constexpr bool has_flag(NameInfoFlags flags, NameInfoFlags wanted) noexcept {
  return (static_cast<std::uint32_t>(flags) & static_cast<std::uint32_t>(wanted)) != 0;
}

// A port by its number, by the text of its number, by the name of its service, or none. A view: the text must
// live until the call that takes it returns.
class ServiceName {
 public:
  // None: the answers have port 0.
  constexpr ServiceName() noexcept = default;
  constexpr ServiceName(std::nullopt_t) noexcept {}
  template <std::integral I>
    requires(!std::same_as<I, bool> && !std::same_as<I, char>)
  constexpr ServiceName(I port) noexcept
      : number_(std::in_range<std::uint16_t>(port) ? static_cast<int>(port) : -1), kind_(Kind::number) {}
  constexpr ServiceName(std::string_view text) noexcept : text_(text), kind_(Kind::text) {}
  constexpr ServiceName(const char* text) noexcept : text_(text), kind_(Kind::text) {}
  ServiceName(const std::string& text) noexcept : text_(text), kind_(Kind::text) {}

  constexpr bool empty() const noexcept { return kind_ == Kind::none; }
  constexpr bool is_number() const noexcept { return kind_ == Kind::number; }
  // The number, or -1 for one that is no port.
  constexpr int number() const noexcept { return number_; }
  constexpr std::string_view text() const noexcept { return text_; }

 private:
  enum class Kind : std::uint8_t { none, number, text };
  std::string_view text_;
  int number_ = 0;
  Kind kind_ = Kind::none;
};

// What getaddrinfo can be told. Trivially destructible.
struct AddrInfoOptions {
  AddressFamily family = AddressFamily::unspecified;  // unspecified: both
  std::optional<SocketType> type = {};                // none: one answer for each that fits
  int proto = 0;  // the protocol's number: 6 for TCP, 17 for UDP; 0: the type's own
  AddrInfoFlags flags = AddrInfoFlags::none;
  std::optional<Duration> timeout = {};  // of this look-up; none: total_timeout of the resolver
};

// One answer of getaddrinfo: what is needed to open a socket and connect it.
struct AddrInfo {
  AddressFamily family = AddressFamily::unspecified;
  SocketType type = SocketType::stream;
  int proto = 0;
  std::string canonical_name;  // of the first answer, and only if it was asked for
  Address address;

  friend bool operator==(const AddrInfo&, const AddrInfo&) = default;
};

// How a loop resolves names, for EventLoop::set_resolver_options (which asyncio leaves to the system).
// Trivially destructible: the call copies it all. Look-ups under way go on as they began. The call throws
// std::invalid_argument for what makes no sense, and changes nothing then; RuntimeError on a closed loop.
struct ResolverOptions {
  std::span<const Address> servers = {};  // instead of those in resolv_conf; port 0 means 53
  std::optional<std::string_view> search =
      {};                                // domains to try behind short names, instead of those in resolv_conf
  std::optional<int> ndots = {};         // names with fewer dots are short
  std::optional<Duration> timeout = {};  // how long one server has for its first answer; doubles in each
                                         // round. None: as resolv_conf says, or 5 s
  std::optional<int> tries = {};         // rounds over all servers. None: as resolv_conf says, or 4
  Duration total_timeout = std::chrono::seconds(30);  // of a whole look-up, all servers and domains included
  // Looked at before any server. Empty: no file. None: /etc/hosts, or what Windows has instead, and no file
  // on the simulator, whose names are those of sim::set_host.
  std::optional<std::string_view> hosts_file = {};
  std::optional<std::string_view> services_file = {};  // none: /etc/services, or what Windows has instead
  std::string_view resolv_conf = "/etc/resolv.conf";   // Windows has the registry instead, always
};

namespace detail {

WEIR_API Coro<std::vector<AddrInfo>> get_addr_info(EventLoop& loop, std::optional<std::string_view> host,
                                                   ServiceName service, const AddrInfoOptions& options);
WEIR_API Coro<std::pair<std::string, std::string>> get_name_info(EventLoop& loop, const Address& address,
                                                                 NameInfoFlags flags);

}  // namespace detail

// The addresses of a host, best first by RFC 6724, each with the types of sockets that fit
// (loop.getaddrinfo). No host (std::nullopt): this machine, or all interfaces with flag passive. Numeric
// hosts, "localhost" and the hosts file are answered without asking anybody; the files are read again when
// they changed, and so is resolv.conf or what Windows has instead. Short names are tried with the search
// domains. One look-up that is cancelled or out of time does no harm to others, and an answer that comes
// later is dropped. Raw sockets are not among the answers. Throws, beside what Coro does:
// - std::system_error with a ResolverErrc; a time-out is ResolverErrc::temporary_failure;
// - NotSupportedError for names that are not ASCII (give their xn-- form), for ".local" names (they belong to
//   multicast DNS) that the hosts file does not have, and, with capability "real_network", for names that
//   sim::set_host did not set on the simulator;
// - std::invalid_argument for a host or service with a NUL inside, RuntimeError on a closed loop; these two
//   at the call itself.
inline Coro<std::vector<AddrInfo>> EventLoop::getaddrinfo(std::optional<std::string_view> host,
                                                          ServiceName service = {},
                                                          AddrInfoOptions options = {}) {
  return detail::get_addr_info(*this, host, service, options);
}

// The names of host and service of an address (loop.getnameinfo): by the hosts file, then by the name servers
// (not on the simulator). A host without a name is given as its numeric text, and a port without one as its
// number. Throws std::invalid_argument for what is no IP address and RuntimeError on a closed loop, at the
// call; std::system_error with ResolverErrc::temporary_failure, and not_found with flag name_required.
inline Coro<std::pair<std::string, std::string>> EventLoop::getnameinfo(
    const Address& address, NameInfoFlags flags = NameInfoFlags::none) {
  return detail::get_name_info(*this, address, flags);
}

}  // namespace weir::inline WEIR_ABI

template <>
struct std::is_error_code_enum<weir::ResolverErrc> : std::true_type {};
