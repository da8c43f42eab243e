// DNS: what is answered without asking anybody, held against the system's resolver.
#include "backends/host.hpp"
#include "tests/net/dns/dns_test.hpp"
#include "tests/support/raw_sockets.hpp"

#include <array>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <sstream>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::array families{AddressFamily::unspecified, AddressFamily::inet, AddressFamily::inet6};
constexpr std::array<std::optional<SocketType>, 3> types{std::nullopt, SocketType::stream,
                                                         SocketType::datagram};
using Texts = std::initializer_list<const char*>;
constexpr Texts numeric_hosts{"127.0.0.1", "::1",        "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1",
                              "0.0.0.0",   "::",         "1.2.3.4",   "127.1",       "0x7f.1",
                              "017.0.0.1", "2130706433", "1.2.3"};
constexpr Texts spellings{"localhost", "LocalHost"};
constexpr Texts scoped_hosts{"10.1.2.3", "fe80::1%1", "::1%1"};
constexpr Texts services{"http", "domain", "ssh", "ntp", "no-such-service", "HTTP", ""};
constexpr Texts loopbacks{"127.0.0.1", "::1"};
constexpr Texts mappable{"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "not a number"};
constexpr std::array mappings{AddrInfoFlags::v4_mapped, AddrInfoFlags::v4_mapped | AddrInfoFlags::all,
                              AddrInfoFlags::canonical_name, AddrInfoFlags::none};
const std::array<ServiceName, 6> no_ports{ServiceName(-1),
                                          ServiceName(65536),
                                          ServiceName("65536"),
                                          ServiceName("-1"),
                                          ServiceName("99999999999999999999"),
                                          ServiceName(std::numeric_limits<std::int64_t>::max())};

std::vector<std::string> no_names() {
  std::string long_name;
  while (long_name.size() < 256) {
    long_name += "abcdefg.";
  }
  return {std::string(64, 'a'), long_name, "a..b", ".a", ".", "a b", "a/b", "a\tb", "%", "1.2.3.4%lo"};
}

constexpr std::string_view names_table =
    "# a comment\n"
    "192.0.2.1\tone.example one  Uno\n"
    "2001:db8::1 one.example\n"
    "192.0.2.2 two.example # two.commented\n"
    "192.0.2.3 two.example second\n"
    "192.0.2.9 printer.local\n"
    "broken line\n"
    "999.0.2.1 wrong.example\n"
    "192.0.2.1\n"
    "192.0.2.1 late.example\n"
    "192.0.2.7 nonl.example";

Coro<int> port_of(EventLoop& loop, ServiceName service) {
  const auto answers = co_await loop.getaddrinfo("127.0.0.1", service);
  co_return answers.at(0).address.port();
}

std::string loopback_name() {
  std::string name = weir::detail::interface_name(loopback_interface());
  REQUIRE(!name.empty());
  return name;
}

// Do the type and the protocol belong together, as far as they are given?
bool fits(const std::optional<SocketType>& type, int proto) {
  return !type || proto == 0 || (proto == 6) == (*type == SocketType::stream);
}

void use_table(EventLoop& loop, const TemporaryFile& file) {
  loop.set_resolver_options({.hosts_file = file.path()});
}

}  // namespace

WEIR_TEST("DNS-001 the hosts file, localhost and numeric hosts give what the system gives") {
  loop.set_resolver_options({.hosts_file = "/etc/hosts"});  // also on the simulator
  for (const AddressFamily family : families) {
    for (const char* host : numeric_hosts) {
      co_await compare(loop, {host, "80", family});
    }
  }
  // In other families a server would be asked.
  for (const char* host : spellings) {
    co_await compare(loop, {host, "80", AddressFamily::inet});
  }
  co_await compare(
      loop, {"localhost", "80", AddressFamily::inet, SocketType::stream, 0, AddrInfoFlags::canonical_name});
  std::ifstream hosts_file("/etc/hosts");
  for (std::string row; std::getline(hosts_file, row);) {
    std::istringstream words(row.substr(0, row.find('#')));
    std::string word;
    for (words >> word; words >> word;) {
      co_await compare(loop, {word, "80"});
    }
  }
  const TemporaryFile none("");
  use_table(loop, none);
  CHECK(co_await lookup(loop, "localhost") == "127.0.0.1 ::1");
  CHECK(co_await lookup(loop, "localhost.") == "127.0.0.1 ::1");
  CHECK(co_await lookup(loop, "any.localhost", AddressFamily::inet) == "127.0.0.1");
}

WEIR_TEST("DNS-001 the hosts file has several addresses, aliases, comments and a last line without end") {
  const TemporaryFile file(names_table);
  use_table(loop, file);
  CHECK(co_await lookup(loop, "ONE.example.") == "192.0.2.1 2001:db8::1");
  CHECK(co_await lookup(loop, "one.example", AddressFamily::inet6) == "2001:db8::1");
  CHECK(co_await lookup(loop, "uno") == "192.0.2.1");
  CHECK(co_await lookup(loop, "two.example") == "192.0.2.2 192.0.2.3");
  CHECK(co_await lookup(loop, "nonl.example") == "192.0.2.7");
  const AddrInfoOptions canonical{.flags = AddrInfoFlags::canonical_name};
  const auto answers = co_await loop.getaddrinfo("second", 1, canonical);
  REQUIRE(answers.size() == 2);
  CHECK(answers[0].canonical_name == "two.example");
  CHECK(answers[1].canonical_name.empty());
}

WEIR_TEST("DNS-001 the hosts file is read again when it changed") {
  const TemporaryFile file("192.0.2.1 moved.example\n");
  use_table(loop, file);
  CHECK(co_await lookup(loop, "moved.example") == "192.0.2.1");
  file.replace("192.0.2.2 moved.example\n");
  CHECK(co_await lookup(loop, "moved.example") == "192.0.2.2");
  file.remove();
  const Address nobody = Address::loopback(AddressFamily::inet, closed_port());
  // A server that is not there is a silent one where the system tells no errors of datagrams.
  loop.set_resolver_options({.servers = {&nobody, 1},
                             .search = "",
                             .total_timeout = has("datagram_errors") ? 30s : 200ms,
                             .hosts_file = file.path(),
                             .resolv_conf = ""});
  if (has("real_network")) {
    CHECK(co_await lookup_error(loop, "moved.example") == ResolverErrc::temporary_failure);
  } else {
    CHECK(co_await lacking(loop, "moved.example") == "real_network");
  }
}

WEIR_TEST("DNS-002 numeric hosts and scopes need no query") {
  // A server that does not exist: to ask it would be an error.
  const Address nobody = Address::loopback(AddressFamily::inet, closed_port());
  loop.set_resolver_options({.servers = {&nobody, 1}, .hosts_file = ""});
  for (const char* host : scoped_hosts) {
    co_await compare(loop, {host, "7"});
    co_await compare(loop, {host, "7", AddressFamily::unspecified, {}, 0, AddrInfoFlags::numeric_host});
  }
  const std::string named = "fe80::1%" + loopback_name();
  CHECK((co_await loop.getaddrinfo(named, 7)).at(0).address.scope_id() == loopback_interface());
  if (!lacks("net", Trait::scope_names)) {
    co_await compare(loop, {named, "7"});
    co_await compare(loop, {named, "7", AddressFamily::unspecified, {}, 0, AddrInfoFlags::numeric_host});
  }
  const auto answers = co_await loop.getaddrinfo("fe80::1%3", 9);
  CHECK(answers.at(0).address.scope_id() == 3);
  CHECK(answers.at(0).address.port() == 9);
  CHECK(co_await lookup_error(loop, "fe80::1%no-such-interface") == ResolverErrc::not_found);
}

WEIR_TEST("DNS-003 a service name is resolved to its port, an unknown one is an error") {
  const bool compares_untyped = !lacks("net", Trait::typed_answers);
  for (const char* service : services) {
    for (const std::optional<SocketType>& type : types) {
      if (type || compares_untyped) {
        co_await compare(loop, {"127.0.0.1", service, AddressFamily::unspecified, type});
      }
    }
  }
  const auto answers = co_await loop.getaddrinfo("127.0.0.1", "https");
  CHECK(answers.at(0).address.port() == 443);
  co_await compare(loop, {"127.0.0.1", "http", AddressFamily::unspecified, SocketType::stream, 0,
                          AddrInfoFlags::numeric_service});
}

WEIR_TEST("DNS-004 a port is a number, a numeric text, or absent") {
  CHECK(co_await port_of(loop, 8080) == 8080);
  CHECK(co_await port_of(loop, std::uint16_t{65535}) == 65535);
  CHECK(co_await port_of(loop, "8080") == 8080);
  CHECK(co_await port_of(loop, std::string("0080")) == 80);
  CHECK(co_await port_of(loop, {}) == 0);
  CHECK(co_await port_of(loop, std::nullopt) == 0);
  co_await compare(loop, {"127.0.0.1", "8080"});
  co_await compare(loop, {"127.0.0.1", std::nullopt});
  for (const ServiceName& wrong : no_ports) {
    std::error_code code;
    try {
      co_await port_of(loop, wrong);
    } catch (const std::system_error& error) {
      code = error.code();
    }
    CHECK(code == ResolverErrc::service);
  }
}

WEIR_TEST("DNS-005 family, type, protocol and flags restrict the answer as in the system") {
  const bool compares_untyped = !lacks("net", Trait::typed_answers);
  for (const AddressFamily family : families) {
    for (const std::optional<SocketType>& type : types) {
      for (const int proto : {0, 6, 17}) {
        for (const char* host : loopbacks) {
          if (fits(type, proto) || compares_untyped) {
            co_await compare(loop, {host, "80", family, type, proto});
          }
          if (!fits(type, proto)) {
            const Outcome refused = refusal(ResolverErrc::socket_type);
            CHECK(co_await ask_weir(loop, {host, "80", family, type, proto}) == refused);
          }
        }
      }
    }
    for (const char* host : mappable) {
      for (const AddrInfoFlags flags : mappings) {
        co_await compare(loop,
                         {host, "80", family, SocketType::stream, 0, flags | AddrInfoFlags::numeric_host});
      }
    }
    // Flags that need what is missing.
    co_await compare(loop, {std::nullopt, "80", family, {}, 0, AddrInfoFlags::canonical_name});
    co_await compare(loop, {"localhost", "80", AddressFamily::inet, {}, 0, AddrInfoFlags::numeric_host});
  }
  const AddrInfoOptions unknown{.flags = static_cast<AddrInfoFlags>(1U << 30)};
  try {
    co_await loop.getaddrinfo("127.0.0.1", 80, unknown);
    FAIL("unknown flags were taken");
  } catch (const std::system_error& error) {
    CHECK(error.code() == ResolverErrc::bad_flags);
    CHECK(std::string(error.code().category().name()) == "weir.resolver");
  }
  const TemporaryFile file(names_table);
  use_table(loop, file);
  const AddrInfoOptions mapped{
      .family = AddressFamily::inet6, .type = SocketType::stream, .flags = AddrInfoFlags::v4_mapped};
  CHECK(hosts_of(co_await loop.getaddrinfo("two.example", 1, mapped)) == "::ffff:192.0.2.2 ::ffff:192.0.2.3");
  CHECK(hosts_of(co_await loop.getaddrinfo("one.example", 1, mapped)) == "2001:db8::1");
  AddrInfoOptions all = mapped;
  all.flags = AddrInfoFlags::v4_mapped | AddrInfoFlags::all;
  CHECK((co_await loop.getaddrinfo("one.example", 1, all)).size() == 2);
}

WEIR_TEST("DNS-006 without a host: the wildcard addresses when passive, else the loopback ones") {
  for (const AddressFamily family : families) {
    co_await compare(loop, {std::nullopt, "80", family, {}, 0, AddrInfoFlags::passive});
    co_await compare(loop, {std::nullopt, "80", family});
    co_await compare(loop, {std::nullopt, std::nullopt, family});
  }
}

WEIR_TEST("DNS-010 getnameinfo gives names, and numbers when these are asked for") {
  const TemporaryFile file(names_table);
  use_table(loop, file);
  using Names = std::pair<std::string, std::string>;
  const Address one = Address::inet("192.0.2.1", 80);
  CHECK(co_await loop.getnameinfo(one) == Names("one.example", "http"));
  CHECK(co_await loop.getnameinfo(one, NameInfoFlags::numeric_host) == Names("192.0.2.1", "http"));
  CHECK(co_await loop.getnameinfo(one, NameInfoFlags::numeric_service) == Names("one.example", "80"));
  CHECK(co_await loop.getnameinfo(one, NameInfoFlags::no_fqdn) == Names("one", "http"));
  const NameInfoFlags numbers = NameInfoFlags::numeric_host | NameInfoFlags::numeric_service;
  CHECK(co_await loop.getnameinfo(Address::inet("2001:db8::5", 443), numbers) == Names("2001:db8::5", "443"));
  CHECK((co_await loop.getnameinfo(Address::inet("127.0.0.1", 123), NameInfoFlags::datagram)).second ==
        "ntp");
  CHECK((co_await loop.getnameinfo(Address::inet("127.0.0.1", 4), NameInfoFlags::none)).second == "4");
  CHECK((co_await loop.getnameinfo(Address::inet("127.0.0.1", 4))).first == "localhost");
  const std::string named = "fe80::1%" + loopback_name();
  const auto scoped = co_await loop.getaddrinfo(named, 1);
  CHECK((co_await loop.getnameinfo(scoped.at(0).address, numbers)).first == named);
  try {
    co_await loop.getnameinfo(one, numbers | NameInfoFlags::name_required);
    FAIL("a required name was not missed");
  } catch (const std::system_error& error) {
    CHECK(error.code() == ResolverErrc::not_found);
  }
}

WEIR_TEST("DNS-011 getnameinfo refuses what is no address") {
  CHECK_THROWS_AS((void)loop.getnameinfo(Address()), std::invalid_argument);
  CHECK_THROWS_AS((void)loop.getnameinfo(Address::unix_path("/run/weir")), std::invalid_argument);
  const Address no_server = Address::unix_path("/run/weir");
  CHECK_THROWS_AS(loop.set_resolver_options({.servers = {&no_server, 1}}), std::invalid_argument);
  co_return;
}

WEIR_TEST("DNS-012 the broadcast address is what it is to the system, and the empty host is nobody") {
  for (const AddressFamily family : families) {
    co_await compare(loop, {"255.255.255.255", "80", family});
    CHECK(co_await lookup_error(loop, "", family) == ResolverErrc::not_found);
  }
}

WEIR_TEST("DNS-012 the empty host is what it is to the system") {
  if (lacks("DNS-012", Trait::empty_host_error)) {
    co_return;
  }
  for (const AddressFamily family : families) {
    co_await compare(loop, {"", "80", family});
    co_await compare(loop, {"", "80", family, SocketType::stream, 0, AddrInfoFlags::passive});
  }
}

WEIR_TEST("DNS names that cannot be asked for are refused and say why") {
  const TemporaryFile file(names_table);
  use_table(loop, file);
  CHECK(co_await lacking(loop, "m\xc3\xbcnchen.example") == "internationalized_names");
  CHECK(co_await lacking(loop, "scanner.local") == "multicast_dns");
  CHECK(co_await lacking(loop, "Scanner.LOCAL.") == "multicast_dns");
  CHECK(co_await lookup(loop, "printer.local") == "192.0.2.9");
  for (const std::string& name : no_names()) {
    CHECK(co_await lookup_error(loop, name) == ResolverErrc::not_found);
  }
  CHECK_THROWS_AS((void)loop.getaddrinfo(std::string_view("a\0b", 3), 80), std::invalid_argument);
  CHECK_THROWS_AS((void)loop.getaddrinfo("a", std::string_view("8\0", 2)), std::invalid_argument);
  if (!has("real_network")) {
    CHECK(co_await lacking(loop, "www.example.org") == "real_network");
  }
}

WEIR_TEST("DNS options that make no sense are refused and change nothing") {
  const TemporaryFile file(names_table);
  use_table(loop, file);
  const Address none;
  const Address scoped = Address::inet("fe80::1%1", 53);
  CHECK_THROWS_AS(loop.set_resolver_options({.servers = {&none, 1}}), std::invalid_argument);
  CHECK_THROWS_AS(loop.set_resolver_options({.servers = {&scoped, 1}}), std::invalid_argument);
  CHECK_THROWS_AS(loop.set_resolver_options({.ndots = -1}), std::invalid_argument);
  CHECK_THROWS_AS(loop.set_resolver_options({.timeout = 0ms}), std::invalid_argument);
  CHECK_THROWS_AS(loop.set_resolver_options({.tries = 0}), std::invalid_argument);
  CHECK_THROWS_AS(loop.set_resolver_options({.total_timeout = -1ms}), std::invalid_argument);
  CHECK_THROWS_AS(loop.set_resolver_options({.hosts_file = std::string_view("a\0b", 3)}),
                  std::invalid_argument);
  CHECK(co_await lookup(loop, "uno") == "192.0.2.1");
}

TEST_CASE_FIXTURE(LoopFixture, "DNS a closed loop looks nothing up") {
  loop.close();
  CHECK_THROWS_AS((void)loop.getaddrinfo("localhost", 80), RuntimeError);
  CHECK_THROWS_AS((void)loop.getnameinfo(Address::inet("127.0.0.1", 80)), RuntimeError);
  CHECK_THROWS_AS(loop.set_resolver_options({}), RuntimeError);
}
