// DGRM-020: multicast groups on the loopback interface.
#include "tests/net/datagrams/datagram_test.hpp"

#if defined(WEIR_BACKEND_EPOLL)
#include <net/if.h>
#endif

using namespace weir;
using namespace weir::testing;

namespace {

std::uint32_t loopback_interface() {
#if defined(WEIR_BACKEND_EPOLL)
  return ::if_nametoindex("lo");
#else
  return 0;
#endif
}

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

  std::uint32_t interface = loopback_interface();
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
