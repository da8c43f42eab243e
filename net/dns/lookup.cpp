// getaddrinfo and getnameinfo: what can be answered here is, and only the rest is asked for.
#include "backends/chosen.hpp"
#include "net/dns/errors.hpp"
#include "net/dns/names.hpp"
#include "net/dns/order.hpp"
#include "net/dns/resolver.hpp"
#include "net/scoped_timer.hpp"
#include "runtime/loop_access.hpp"

#include <weir/exceptions.hpp>
#include <weir/tasks.hpp>

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace weir::inline WEIR_ABI::detail {

namespace {

// The arguments of getaddrinfo, copied.
struct Request {
  std::optional<std::string> host;
  ServiceName service;  // its text is in service_text
  std::string service_text;
  AddrInfoOptions options;

  bool has(AddrInfoFlags flag) const noexcept { return has_flag(options.flags, flag); }
  // What the text of an error begins with.
  std::string what() const { return "getaddrinfo " + (host ? '\'' + *host + '\'' : "without host"); }
};

// One kind of socket that the caller may want.
struct Kind {
  SocketType type;
  int proto;
  std::string_view name;
  std::uint16_t port = 0;
};

// The addresses of a host, without ports.
struct Found {
  std::vector<Address> addresses;
  std::string canonical;
};

constexpr int tcp = 6;
constexpr int udp = 17;

void check_request(const Request& request) {
  constexpr auto all_flags = static_cast<std::uint32_t>(AddrInfoFlags::addr_config) * 2 - 1;
  const AddrInfoOptions& options = request.options;
  if ((static_cast<std::uint32_t>(options.flags) & ~all_flags) != 0 ||
      (request.has(AddrInfoFlags::canonical_name) && !request.host)) {
    throw_resolver_error(ResolverErrc::bad_flags, request.what());
  }
  if (options.family > AddressFamily::inet6) {
    throw_resolver_error(ResolverErrc::family, request.what());
  }
  if (!request.host && request.service.empty()) {
    throw_resolver_error(ResolverErrc::not_found, "getaddrinfo: neither host nor service");
  }
}

// The number that the service's text is; nothing when it is a name. The empty text is 0, as it is to the
// system.
std::optional<std::uint32_t> read_port(std::string_view text) noexcept {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty()) {
    return 0;
  }
  if (end != text.data() + text.size()) {
    return std::nullopt;
  }
  return error == std::errc() ? number : ~std::uint32_t{0};
}

[[noreturn]] void throw_unknown_service(const Request& request) {
  throw_resolver_error(
      ResolverErrc::service,
      "getaddrinfo service '" + (request.service.is_number() ? "(no port)" : request.service_text) + '\'');
}

// The kinds that fit the request, each with its port.
std::vector<Kind> kinds_for(const Request& request, Resolver& resolver) {
  const AddrInfoOptions& options = request.options;
  std::vector<Kind> kinds{{SocketType::stream, tcp, "tcp"}, {SocketType::datagram, udp, "udp"}};
  std::erase_if(kinds, [&options](const Kind& kind) {
    return (options.type && *options.type != kind.type) ||
           (options.proto != 0 && options.proto != kind.proto);
  });
  if (kinds.empty()) {
    throw_resolver_error(ResolverErrc::socket_type, request.what());
  }
  std::optional<std::uint32_t> number = 0;
  if (request.service.is_number()) {
    number = static_cast<std::uint32_t>(request.service.number());
  } else if (!request.service.empty()) {
    number = read_port(request.service_text);
  }
  if (number) {
    if (*number > 65535) {
      throw_unknown_service(request);
    }
    for (Kind& kind : kinds) {
      kind.port = static_cast<std::uint16_t>(*number);
    }
    return kinds;
  }
  if (request.has(AddrInfoFlags::numeric_service)) {
    throw_resolver_error(ResolverErrc::not_found, "getaddrinfo service '" + request.service_text + '\'');
  }
  const ServicesTable& services = resolver.services();
  std::erase_if(kinds, [&services, &request](Kind& kind) {
    const std::optional<std::uint16_t> port = services.port(request.service_text, kind.name);
    kind.port = port.value_or(0);
    return !port;
  });
  if (kinds.empty()) {
    throw_unknown_service(request);
  }
  return kinds;
}

// Those of the family that was asked for, in the forms that it allows.
std::vector<Address> select(const std::vector<Address>& addresses, AddressFamily family,
                            const Request& request) {
  std::vector<Address> selected;
  std::copy_if(addresses.begin(), addresses.end(), std::back_inserter(selected),
               [family](const Address& one) {
                 return family == AddressFamily::unspecified || one.family() == family;
               });
  if (family == AddressFamily::inet6 && request.has(AddrInfoFlags::v4_mapped) &&
      (selected.empty() || request.has(AddrInfoFlags::all))) {
    for (const Address& one : addresses) {
      if (one.family() == AddressFamily::inet) {
        selected.push_back(mapped(one));
      }
    }
  }
  return selected;
}

Found without_host(const Request& request) {
  const AddressFamily family = request.options.family;
  const bool passive = request.has(AddrInfoFlags::passive);
  std::vector<AddressFamily> families{AddressFamily::inet6, AddressFamily::inet};
  if (passive) {
    std::swap(families[0], families[1]);  // the system's order
  }
  Found found;
  for (const AddressFamily one : families) {
    if (family == one || (family == AddressFamily::unspecified &&
                          (one == AddressFamily::inet || Backend::has(Capability::ipv6)))) {
      found.addresses.push_back(passive ? Address::any(one, 0) : Address::loopback(one, 0));
    }
  }
  return found;
}

Found numeric(const Address& address, const Request& request) {
  const AddressFamily family = request.options.family;
  Found found{{}, *request.host};
  if (family == AddressFamily::unspecified || family == address.family()) {
    found.addresses.push_back(address);
  } else if (family == AddressFamily::inet6 && request.has(AddrInfoFlags::v4_mapped)) {
    found.addresses.push_back(mapped(address));
  } else if (const std::optional<Address> inner = unmapped(address); inner && family == AddressFamily::inet) {
    found.addresses.push_back(*inner);
  } else {
    throw_resolver_error(ResolverErrc::address_family, request.what());
  }
  return found;
}

// The family in which a name is looked up, after addr_config.
AddressFamily family_for_names(const Request& request) {
  const AddressFamily family = request.options.family;
  if (!request.has(AddrInfoFlags::addr_config) || !Backend::has(Capability::real_network)) {
    return family;
  }
  const ConfiguredFamilies configured = configured_families();
  if (family == AddressFamily::unspecified) {
    return configured.inet == configured.inet6 ? family
           : configured.inet                   ? AddressFamily::inet
                                               : AddressFamily::inet6;
  }
  if (family == AddressFamily::inet ? !configured.inet : !configured.inet6) {
    throw_resolver_error(ResolverErrc::not_found, request.what() + ": no address of this family here");
  }
  return family;
}

// Throws unless a server may be asked for the name.
void check_askable(const Request& request) {
  const std::string& host = *request.host;
  if (is_international(host)) {
    throw NotSupportedError(request.what() + " (give the xn-- form)", "internationalized_names");
  }
  if (!is_host_name(host)) {
    throw_resolver_error(ResolverErrc::not_found, request.what() + ": not a name of a host");
  }
  if (is_multicast_name(host)) {
    throw NotSupportedError(request.what(), "multicast_dns");
  }
}

// What needs nobody's answer: no host, numeric ones, the hosts file, localhost. Nothing when a server must be
// asked.
std::optional<Found> find_here(const Request& request, Resolver& resolver) {
  if (!request.host) {
    return without_host(request);
  }
  if (const std::optional<Address> address = read_numeric_host(*request.host, 0)) {
    return numeric(*address, request);
  }
  if (request.has(AddrInfoFlags::numeric_host) || request.host->empty() ||
      request.host->find('%') != std::string::npos) {
    throw_resolver_error(ResolverErrc::not_found, request.what());
  }
  const AddressFamily family = family_for_names(request);
  if (const HostsTable::Entry* entry = resolver.hosts().find(table_name(*request.host))) {
    if (std::vector<Address> addresses = select(entry->addresses, family, request); !addresses.empty()) {
      return Found{std::move(addresses), entry->canonical};
    }
  }
  check_askable(request);
  if (is_localhost(*request.host)) {
    const std::vector<Address> both{Address::loopback(AddressFamily::inet6, 0),
                                    Address::loopback(AddressFamily::inet, 0)};
    return Found{select(both, family, request), "localhost"};
  }
  return std::nullopt;
}

// The wait for one answer: its limit, and its place among those who wait.
class Waiting {
 public:
  Waiting(EventLoop& loop, std::shared_ptr<Channel> channel, const Future<Answer>& answer, Duration limit)
      : channel_(std::move(channel)), timer_(loop, add_clamped(loop.time(), limit), [answer] {
          if (!answer.done()) {
            answer.set_result(
                Answer{make_error_code(ResolverErrc::temporary_failure), "no answer in time", {}, {}});
          }
        }) {
    channel_->join();
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() { channel_->leave(); }

 private:
  std::shared_ptr<Channel> channel_;
  ScopedTimer timer_;
};

// Waits for the answer, whatever it is.
template <class Ask>
Coro<Answer> ask(EventLoop& loop, Duration limit, Ask question) {
  std::shared_ptr<Channel> channel = Resolver::of(loop).channel();
  Future<Answer> answer = question(*channel);
  const Waiting waiting(loop, std::move(channel), answer, limit);
  co_return co_await std::move(answer);
}

void throw_answer(const Answer& answer, const std::string& what) {
  throw std::system_error(answer.code, what + (answer.reason.empty() ? "" : ": " + answer.reason));
}

// A world of its own has no servers, but may know the name.
Coro<Found> find_in_world(const Request& request) {
  const std::optional<KnownHost> known = Backend::known_host(table_name(*request.host));
  if (!known) {
    throw NotSupportedError(request.what(), "real_network");
  }
  co_await sleep(known->delay);
  if (known->addresses.empty()) {
    throw_resolver_error(ResolverErrc::not_found, request.what());
  }
  std::vector<Address> addresses;
  for (const RawAddress& address : known->addresses) {
    addresses.emplace_back(address);
  }
  Found found{select(addresses, request.options.family, request), *request.host};
  if (found.addresses.empty()) {
    throw_resolver_error(ResolverErrc::no_data, request.what());
  }
  co_return found;
}

Coro<Found> find_by_servers(EventLoop& loop, const Request& request) {
  if (!Backend::has(Capability::real_network)) {
    co_return co_await find_in_world(request);
  }
  const AddressFamily family = family_for_names(request);
  const bool both = family == AddressFamily::inet6 && request.has(AddrInfoFlags::v4_mapped);
  const Duration limit = request.options.timeout.value_or(Resolver::of(loop).total_timeout());
  const auto question = [&request, family = both ? AddressFamily::unspecified : family](Channel& channel) {
    return channel.ask_addresses(*request.host, family);
  };
  Answer answer = co_await ask(loop, limit, question);
  if (answer.code) {
    throw_answer(answer, request.what());
  }
  Found found{select(answer.addresses, family, request), std::move(answer.name)};
  if (found.addresses.empty()) {
    throw_resolver_error(ResolverErrc::no_data, request.what());
  }
  co_return found;
}

void put_in_order(std::vector<Address>& addresses) {
  if (addresses.size() < 2 || !Backend::has(Capability::real_network)) {
    return;
  }
  std::vector<Destination> destinations;
  for (const Address& one : addresses) {
    const std::optional<RawAddress> source = source_for(one.raw());
    destinations.push_back({one, source ? std::optional<Address>(*source) : std::nullopt});
  }
  order_destinations(destinations);
  std::transform(destinations.begin(), destinations.end(), addresses.begin(),
                 [](const Destination& one) { return one.address; });
}

Coro<std::vector<AddrInfo>> resolve(EventLoop& loop, Request request) {
  check_request(request);
  const std::vector<Kind> kinds = kinds_for(request, Resolver::of(loop));
  std::optional<Found> found = find_here(request, Resolver::of(loop));
  if (!found) {
    found = co_await find_by_servers(loop, request);
  }
  if (request.host) {
    put_in_order(found->addresses);
  }
  std::vector<AddrInfo> answers;
  for (const Address& address : found->addresses) {
    for (const Kind& kind : kinds) {
      RawAddress raw = address.raw();
      raw.port = kind.port;
      answers.push_back({address.family(), kind.type, kind.proto, {}, Address(raw)});
    }
  }
  if (request.has(AddrInfoFlags::canonical_name)) {
    answers.front().canonical_name = found->canonical;
  }
  co_return answers;
}

// --- getnameinfo

std::string numeric_text(const Address& address) {
  if (address.scope_id() == 0) {
    return address.host();
  }
  const std::string interface = interface_name(address.scope_id());
  if (interface.empty()) {
    return address.host();
  }
  RawAddress raw = address.raw();
  raw.scope_id = 0;
  return Address(raw).host() + '%' + interface;
}

Coro<std::string> host_name_of(EventLoop& loop, Address address, NameInfoFlags flags) {
  if (has_flag(flags, NameInfoFlags::numeric_host)) {
    if (has_flag(flags, NameInfoFlags::name_required)) {
      throw_resolver_error(ResolverErrc::not_found, "getnameinfo: a name and a number are asked for");
    }
    co_return numeric_text(address);
  }
  RawAddress plain = address.raw();
  plain.port = 0;
  const bool here = Address(plain) == Address::loopback(address.family(), 0);
  std::string name = Resolver::of(loop).hosts().name_of(address);
  if (name.empty() && here) {
    name = "localhost";
  }
  if (name.empty() && Backend::has(Capability::real_network)) {
    const auto question = [&address](Channel& channel) { return channel.ask_name(address); };
    Answer answer = co_await ask(loop, Resolver::of(loop).total_timeout(), question);
    if (answer.code == make_error_code(ResolverErrc::temporary_failure)) {
      throw_answer(answer, "getnameinfo " + address.to_string());
    }
    name = std::move(answer.name);
  }
  if (!name.empty()) {
    co_return has_flag(flags, NameInfoFlags::no_fqdn) ? name.substr(0, name.find('.')) : name;
  }
  if (has_flag(flags, NameInfoFlags::name_required)) {
    throw_resolver_error(ResolverErrc::not_found, "getnameinfo " + address.to_string());
  }
  co_return numeric_text(address);
}

std::string service_name_of(EventLoop& loop, std::uint16_t port, NameInfoFlags flags) {
  std::string name;
  if (!has_flag(flags, NameInfoFlags::numeric_service)) {
    name =
        Resolver::of(loop).services().name_of(port, has_flag(flags, NameInfoFlags::datagram) ? "udp" : "tcp");
  }
  return name.empty() ? std::to_string(port) : name;
}

Coro<std::pair<std::string, std::string>> name_both(EventLoop& loop, Address address, NameInfoFlags flags) {
  constexpr auto all_flags = static_cast<std::uint32_t>(NameInfoFlags::no_fqdn) * 2 - 1;
  if ((static_cast<std::uint32_t>(flags) & ~all_flags) != 0) {
    throw_resolver_error(ResolverErrc::bad_flags, "getnameinfo " + address.to_string());
  }
  std::string host = co_await host_name_of(loop, address, flags);
  std::string service = service_name_of(loop, address.port(), flags);
  co_return std::pair<std::string, std::string>(std::move(host), std::move(service));
}

}  // namespace

Coro<std::vector<AddrInfo>> get_addr_info(EventLoop& loop, std::optional<std::string_view> host,
                                          ServiceName service, const AddrInfoOptions& options) {
  LoopAccess::check_open(loop, "getaddrinfo");
  if ((host && host->find('\0') != std::string_view::npos) ||
      service.text().find('\0') != std::string_view::npos) {
    throw std::invalid_argument("getaddrinfo: host or service contains a NUL");
  }
  Request request{std::nullopt, service, std::string(service.text()), options};
  if (host) {
    request.host = std::string(*host);
  }
  return resolve(loop, std::move(request));
}

Coro<std::pair<std::string, std::string>> get_name_info(EventLoop& loop, const Address& address,
                                                        NameInfoFlags flags) {
  LoopAccess::check_open(loop, "getnameinfo");
  if (address.family() != AddressFamily::inet && address.family() != AddressFamily::inet6) {
    throw std::invalid_argument("getnameinfo: " + address.to_string() + " is no IP address");
  }
  return name_both(loop, address, flags);
}

}  // namespace weir::inline WEIR_ABI::detail
