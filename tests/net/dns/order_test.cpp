// The order of addresses by RFC 6724: the examples of its section 10.2, and others.
#include "net/dns/order.hpp"
#include "tests/net/dns/dns_test.hpp"

using namespace weir;
using namespace weir::testing;

namespace {

detail::Destination to(const char* address, const char* source) {
  return {Address::inet(address, 0),
          source != nullptr ? std::optional<Address>(Address::inet(source, 0)) : std::nullopt};
}

std::vector<std::string> ordered(std::vector<detail::Destination> destinations) {
  detail::order_destinations(destinations);
  std::vector<std::string> hosts;
  for (const detail::Destination& one : destinations) {
    hosts.push_back(one.address.host());
  }
  return hosts;
}

using Hosts = std::vector<std::string>;

}  // namespace

TEST_CASE("DNS-ORDER the examples of RFC 6724") {
  CHECK(ordered({to("198.51.100.121", "198.51.100.117"), to("2001:db8:1::1", "2001:db8:1::2")}) ==
        Hosts{"2001:db8:1::1", "198.51.100.121"});
  CHECK(ordered({to("2001:db8:1::1", "fe80::1"), to("198.51.100.121", "198.51.100.117")}) ==
        Hosts{"198.51.100.121", "2001:db8:1::1"});
  CHECK(ordered({to("10.1.2.3", "10.1.2.4"), to("2001:db8:1::1", "2001:db8:1::2")}) ==
        Hosts{"2001:db8:1::1", "10.1.2.3"});
  CHECK(ordered({to("2001:db8:1::1", "2001:db8:1::2"), to("fe80::1", "fe80::2")}) ==
        Hosts{"fe80::1", "2001:db8:1::1"});
  CHECK(ordered({to("2001:db8:1::1", "2001:db8:1::2"), to("2001:db8:3ffe::1", "2001:db8:3f44::2")}) ==
        Hosts{"2001:db8:1::1", "2001:db8:3ffe::1"});
  CHECK(ordered({to("2002:c633:6401::1", "2002:c633:6401::2"), to("2001:db8:1::1", "2002:c633:6401::2")}) ==
        Hosts{"2002:c633:6401::1", "2001:db8:1::1"});
  CHECK(ordered({to("2002:c633:6401::1", "2002:c633:6401::2"), to("2001:db8:1::1", "2001:db8:1::2")}) ==
        Hosts{"2001:db8:1::1", "2002:c633:6401::1"});
}

TEST_CASE("DNS-ORDER unreachable addresses go last, and equals stay in their order") {
  CHECK(ordered({to("2001:db8:1::1", nullptr), to("192.0.2.1", "192.0.2.9")}) ==
        Hosts{"192.0.2.1", "2001:db8:1::1"});
  CHECK(ordered({to("192.0.2.9", "10.0.0.1"), to("192.0.2.1", "10.0.0.1"), to("10.0.0.2", "10.0.0.1")}) ==
        Hosts{"192.0.2.9", "192.0.2.1", "10.0.0.2"});
  CHECK(ordered({to("127.0.0.1", "127.0.0.1"), to("::1", "::1")}) == Hosts{"::1", "127.0.0.1"});
  CHECK(ordered({}) == Hosts{});
}
