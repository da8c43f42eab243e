// The resolver of a loop: its options checked, its channel made and replaced.
#include "net/dns/resolver.hpp"

#include "net/net_state.hpp"
#include "runtime/loop_access.hpp"

#include <algorithm>
#include <stdexcept>

namespace weir::inline WEIR_ABI {

namespace detail {

namespace {

constexpr std::uint16_t dns_port = 53;

[[noreturn]] void refuse(const std::string& why) {
  throw std::invalid_argument("set_resolver_options: " + why);
}

std::string path_of(std::string_view path) {
  if (path.find('\0') != std::string_view::npos) {
    refuse("a path contains a NUL");
  }
  return std::string(path);
}

// A run of the simulator is not to depend on the machine.
std::string system_hosts_file() {
  return Backend::has(Capability::real_network) ? system_table("hosts") : std::string();
}

std::vector<std::string> read_domains(std::string_view list) {
  constexpr std::string_view separators = " ,\t";
  std::vector<std::string> domains;
  for (std::size_t at = list.find_first_not_of(separators); at != std::string_view::npos;
       at = list.find_first_not_of(separators)) {
    list.remove_prefix(at);
    const std::string_view domain = list.substr(0, list.find_first_of(separators));
    if (domain.find('\0') != std::string_view::npos) {
      refuse("a search domain contains a NUL");
    }
    domains.emplace_back(domain);
    list.remove_prefix(domain.size());
  }
  return domains;
}

ChannelSettings settings_of(const ResolverOptions& options) {
  ChannelSettings settings;
  for (const Address& server : options.servers) {
    const bool is_ip = server.family() == AddressFamily::inet || server.family() == AddressFamily::inet6;
    if (!is_ip || server.scope_id() != 0) {
      refuse("the name server " + server.to_string() + " is not an IP address without scope");
    }
    RawAddress raw = server.raw();
    raw.port = raw.port != 0 ? raw.port : dns_port;
    settings.servers.emplace_back(raw);
  }
  if (options.search) {
    settings.search = read_domains(*options.search);
  }
  if (options.ndots && (*options.ndots < 0 || *options.ndots > 15)) {
    refuse("ndots is not between 0 and 15");
  }
  if (options.tries && (*options.tries < 1 || *options.tries > 100)) {
    refuse("tries is not between 1 and 100");
  }
  if (options.timeout && options.timeout->count() <= 0) {
    refuse("the timeout is not positive");
  }
  if (options.total_timeout.count() <= 0) {
    refuse("total_timeout is not positive");
  }
  settings.ndots = options.ndots;
  settings.timeout = options.timeout;
  settings.tries = options.tries;
  settings.resolv_conf = path_of(options.resolv_conf);
  return settings;
}

}  // namespace

Resolver::Resolver(EventLoop& loop, const ResolverOptions& options)
    : loop_(&loop),
      settings_(settings_of(options)),
      total_timeout_(options.total_timeout),
      hosts_(options.hosts_file ? path_of(*options.hosts_file) : system_hosts_file()),
      services_(options.services_file ? path_of(*options.services_file) : system_table("services")) {}

Resolver& Resolver::of(EventLoop& loop) {
  NetState& net = NetState::of(loop);
  if (net.resolver == nullptr) {
    net.resolver = std::make_unique<Resolver>(loop, ResolverOptions());
  }
  return *net.resolver;
}

std::shared_ptr<Channel> Resolver::channel() {
  const FileStamp stamp = resolver_stamp(settings_.resolv_conf);
  if (channel_ == nullptr || stamp != stamp_) {
    channel_ = std::make_shared<Channel>(*loop_, settings_);
    stamp_ = stamp;
  }
  return channel_;
}

}  // namespace detail

void EventLoop::set_resolver_options(const ResolverOptions& options) {
  check_open("set_resolver_options");
  check_thread("set_resolver_options");
  detail::NetState::of(*this).resolver = std::make_unique<detail::Resolver>(*this, options);
}

}  // namespace weir::inline WEIR_ABI
