// DGRM-020: multicast groups on the loopback interface.
#include "tests/net/datagrams/datagram_test.hpp"
#include "tests/support/raw_sockets.hpp"

#if defined(WEIR_TEST_POSIX)
#include <netinet/in.h>
#include <sys/socket.h>

#include <fstream>
#endif

using namespace weir;
using namespace weir::testing;

namespace {

#if defined(WEIR_TEST_POSIX)

// Does the kernel account the loopback interface a member of this group of IPv6?
bool has_member_on_loopback(const std::string& digits) {
  std::ifstream groups("/proc/net/igmp6");
  for (std::string number, name, group, rest;
       groups >> number >> name >> group && std::getline(groups, rest);) {
    if (name == "lo" && group == digits) {
      return true;
    }
  }
  return false;
}

int sending_interface(const SocketView& socket) {
  int interface = -1;
  socklen_t length = sizeof interface;
  REQUIRE(::getsockopt(socket.native_handle(), IPPROTO_IPV6, IPV6_MULTICAST_IF, &interface, &length) == 0);
  return interface;
}

#endif

// A member of the group, and a sender. Linux's loopback interface has no route for groups of IPv6: there it
// is only the kernel's own account of members that shows.
class Group {
 public:
  Group(std::string host, Endpoint a_member, Endpoint a_sender)
      : host(Address::inet(host, 0)),
        member(std::move(a_member)),
        sender(std::move(a_sender)),
        address(Address::inet(host, member.address().port())),
        receiving(member.transport->get_extra_info<extra::socket>().value()),
        sending(sender.transport->get_extra_info<extra::socket>().value()),
        is_carried(!has("real_network") || address.family() == AddressFamily::inet) {
    sending.set_multicast_interface(interface);
  }
  Coro<void> check_received(std::string text) {
    if (is_carried) {
      const std::size_t before = member.protocol->received.size();
      sender.transport->sendto(text, address);
      co_await member.receives(before + 1);
      CHECK(member.protocol->received.back() == text);
      CHECK(member.protocol->senders.back() == sender.address());
    }
  }
  Coro<void> check_not_received(EventLoop& loop) {
    if (is_carried) {
      const std::size_t before = member.protocol->received.size();
      sender.transport->sendto("not to be heard", address);
      co_await settle(loop);
      CHECK(member.protocol->received.size() == before);
    }
  }

  std::uint32_t interface = has("real_network") ? loopback_interface() : 0;
  Address host;
  Endpoint member, sender;
  Address address;
  SocketView receiving, sending;
  bool is_carried;
};

Coro<void> check_group(EventLoop& loop, std::string host) {
  const AddressFamily family = Address::inet(host, 0).family();
  const DatagramEndpointOptions anywhere{.local_addr = Address::any(family, 0)};
  Endpoint member = co_await endpoint(loop, anywhere);
  const DatagramEndpointOptions here{.local_addr = Address::loopback(family, 0)};
  Endpoint sender = co_await endpoint(loop, here);
  Group group(host, std::move(member), std::move(sender));
  co_await group.check_not_received(loop);
  group.receiving.join_multicast_group(group.host, group.interface);
  co_await group.check_received("joined");
  CHECK(error_of([&] { group.receiving.join_multicast_group(group.host, group.interface); }) ==
        std::errc::address_in_use);

  CHECK(group.sending.multicast_loop());
  group.sending.set_multicast_loop(false);
  CHECK_FALSE(group.sending.multicast_loop());
#if defined(WEIR_BACKEND_SIM)
  co_await group.check_not_received(loop);  // a real loopback interface is its own other side
#endif
  group.sending.set_multicast_loop(true);
  CHECK(group.sending.multicast_ttl() == 1);
  group.sending.set_multicast_ttl(7);
  CHECK(group.sending.multicast_ttl() == 7);
  CHECK_THROWS_AS(group.sending.set_multicast_ttl(256), std::invalid_argument);
  co_await group.check_received("again");

  group.receiving.leave_multicast_group(group.host, group.interface);
  CHECK(error_of([&] { group.receiving.leave_multicast_group(group.host, group.interface); }) ==
        std::errc::address_not_available);
  co_await group.check_not_received(loop);
  const Address no_group = Address::loopback(family, 0);
  CHECK(error_of([&] { group.receiving.join_multicast_group(no_group, group.interface); }));
  CHECK_THROWS_AS(group.receiving.join_multicast_group(Address::unix_path("/x"), 0), std::invalid_argument);
  co_await group.member.close();
  co_await group.sender.close();
}

}  // namespace

WEIR_TEST("DGRM-020 multicast groups of IPv4: joined and left, time-to-live, loop, interface") {
  co_await check_group(loop, "239.255.77.1");
}

WEIR_TEST("DGRM-020 multicast groups of IPv6") {
  if (!has("ipv6")) {
    skip("DGRM-020", "ipv6");
    co_return;
  }
  co_await check_group(loop, "ff15::7701");
}

#if defined(WEIR_TEST_POSIX)

WEIR_TEST("DGRM-020 the interface is the one that was asked for") {
  constexpr std::uint32_t no_interface = 1'000'000;
  Socket inet = bound_socket();
  CHECK(error_of([&] { inet.set_multicast_interface(no_interface); }));
  CHECK(error_of([&] { inet.join_multicast_group(Address::inet("239.255.77.2", 0), no_interface); }));
  if (!has("ipv6")) {
    skip("DGRM-020", "ipv6");
    co_return;
  }
  Socket inet6 = Socket::open(AddressFamily::inet6, SocketType::datagram);
  CHECK(error_of([&] { inet6.set_multicast_interface(no_interface); }));
  CHECK(sending_interface(inet6) == 0);
  inet6.set_multicast_interface(loopback_interface());
  CHECK(sending_interface(inet6) == static_cast<int>(loopback_interface()));
  const Address group = Address::inet("ff15::7702", 0);
  inet6.join_multicast_group(group, loopback_interface());
  CHECK(has_member_on_loopback("ff150000000000000000000000007702"));
  inet6.leave_multicast_group(group, loopback_interface());
  CHECK_FALSE(has_member_on_loopback("ff150000000000000000000000007702"));
  // Without a number the scope of the group counts.
  const Address scoped = Address::inet("ff12::7703%" + std::to_string(loopback_interface()), 0);
  inet6.join_multicast_group(scoped);
  CHECK(has_member_on_loopback("ff120000000000000000000000007703"));
}

WEIR_TEST("DGRM-018 scope and flow reach the system and come back") {
  if (!has("ipv6")) {
    skip("DGRM-018", "ipv6");
    co_return;
  }
  // A group of the link can be bound to with its scope only.
  const Address scoped = Address::inet("ff12::7704%" + std::to_string(loopback_interface()), 0);
  const DatagramEndpointOptions options{.local_addr = scoped};
  Endpoint member = co_await endpoint(loop, options);
  CHECK(member.address().host() == scoped.host());
  CHECK(member.address().scope_id() == loopback_interface());
  co_await member.close();

  // A traffic class, which unlike a flow label needs no lease.
  constexpr int flow_info_send = 33;  // IPV6_FLOWINFO_SEND of Linux
  constexpr std::uint32_t flow = 0x02800000;
  constexpr int on = 1;
  Socket near = Socket::open(AddressFamily::inet6, SocketType::datagram);
  near.bind(Address::loopback(AddressFamily::inet6, 0));
  Socket far = Socket::open(AddressFamily::inet6, SocketType::datagram);
  REQUIRE(::setsockopt(far.native_handle(), IPPROTO_IPV6, flow_info_send, &on, sizeof on) == 0);
  co_await loop.sock_connect(far, near.local_address().with_flow_info(flow));
  CHECK(far.peer_address().flow_info() == flow);
}

#endif
