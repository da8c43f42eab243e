// Address and Socket: text, options and errors.
#include "tests/net/net_test.hpp"

#include <unordered_set>

#if defined(WEIR_TEST_POSIX)
#include <arpa/inet.h>
#endif

using namespace weir;
using namespace std::chrono_literals;
using namespace weir::testing;

TEST_CASE("an IPv4 address is read and written") {
  const Address address = Address::inet("192.0.2.255", 8080);
  CHECK(address.family() == AddressFamily::inet);
  CHECK(address.host() == "192.0.2.255");
  CHECK(address.port() == 8080);
  CHECK(address.to_string() == "192.0.2.255:8080");
  CHECK(Address::any(AddressFamily::inet, 1).to_string() == "0.0.0.0:1");
  CHECK(Address::loopback(AddressFamily::inet, 0).to_string() == "127.0.0.1:0");
}

TEST_CASE("an IPv6 address is read, and written as RFC 5952 says") {
  const std::pair<const char*, const char*> forms[] = {
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
      {"0:0:0:0:0:0:0:1", "::1"},
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
      {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
      {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
      {"fe80::1%7", "fe80::1%7"},
  };
  for (const auto& [text, written] : forms) {
    CAPTURE(text);
    const std::optional<Address> address = Address::parse(text, 80);
    REQUIRE(address);
    CHECK(address->family() == AddressFamily::inet6);
    CHECK(address->host() == written);
    CHECK(address->to_string() == "[" + std::string(written) + "]:80");
    CHECK(Address::inet(address->host(), 80) == *address);
  }
  CHECK(Address::inet("fe80::1%7", 0).scope_id() == 7);
}

TEST_CASE("what is no numeric address is refused by name") {
  for (const char* text : {"",
                           " ",
                           "localhost",
                           "1",
                           "1.2.3",
                           "1.2.3.4.5",
                           "256.1.1.1",
                           "1.2.3.04",
                           "1.2.3.-4",
                           "+1.2.3.4",
                           "1.2.3.4 ",
                           " 1.2.3.4",
                           "1..2.3",
                           "0x1.2.3.4",
                           ":",
                           ":::",
                           "1:",
                           ":1",
                           "1::2::3",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1:2:3:4:5:6:7:8::",
                           "::1:2:3:4:5:6:7:8",
                           "12345::",
                           "g::",
                           "::1.2.3",
                           "1.2.3.4::",
                           "::1.2.3.4:5",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "fe80::1%",
                           "fe80::1%eth0",
                           "fe80::1%-1",
                           "fe80::1%4294967296",
                           "1.2.3.4%1",
                           "-1::",
                           "+1::",
                           "[::1]"}) {
    CAPTURE(text);
    CHECK(!Address::parse(text, 0));
    std::string what;
    try {
      Address::inet(text, 0);
    } catch (const std::invalid_argument& e) {
      what = e.what();
    }
    CHECK(what.find("'" + std::string(text) + "'") != std::string::npos);
  }
}

#if defined(WEIR_TEST_POSIX)
TEST_CASE("reading addresses agrees with inet_pton on a million texts") {
  const std::string_view letters = "0123456789abf:::::....%Gx";
  std::uint64_t state = 88172645463325252U;
  const auto draw = [&](std::uint64_t bound) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % bound;
  };
  int valid = 0;
  for (int round = 0; round != 1'000'000; ++round) {
    std::string text;
    if (round % 2 == 0) {
      // Nearly right ones.
      text = draw(2) == 0   ? "2001:db8::8:800:200c:417a"
             : draw(2) == 0 ? "10.20.30.40"
                            : "1:2:3:4:5:6:1.2.3.4";
      for (std::uint64_t edits = draw(4); edits != 0; --edits) {
        const std::size_t at = draw(text.size() + 1);
        draw(2) == 0 ? text.insert(at, 1, letters[draw(letters.size())]) : text.erase(at, 1 + draw(3));
      }
    } else {
      for (std::uint64_t size = draw(24); size != 0; --size) {
        text += letters[draw(letters.size())];
      }
    }
    if (text.find('%') != std::string::npos) {
      continue;
    }
    unsigned char ip[16];
    const bool v4 = ::inet_pton(AF_INET, text.c_str(), ip) == 1;
    const bool v6 = !v4 && ::inet_pton(AF_INET6, text.c_str(), ip) == 1;
    const std::optional<Address> address = Address::parse(text, 0);
    if (address.has_value() != (v4 || v6)) {
      FAIL_CHECK("different: " << text);
      continue;
    }
    if (address) {
      ++valid;
      char written[64];
      ::inet_ntop(v4 ? AF_INET : AF_INET6, ip, written, sizeof written);
      if (!(Address::inet(written, 0) == *address)) {
        FAIL_CHECK("different: " << text << " and " << written);
      }
    }
  }
  CHECK(valid > 10'000);
}
#endif

TEST_CASE("addresses compare and hash") {
  const std::unordered_set<Address> set = {Address::inet("::1", 1),       Address::inet("::1", 1),
                                           Address::inet("::1", 2),       Address::inet("127.0.0.1", 1),
                                           Address::inet("fe80::1%1", 1), Address::inet("fe80::1%2", 1)};
  CHECK(set.size() == 5);
  CHECK(Address() != Address::any(AddressFamily::inet, 0));
  CHECK(Address().to_string() == "(no address)");
  CHECK(Address().host().empty());
}

TEST_CASE("a socket is told when a silent connection counts as dead") {
  const Env env;
  const Socket socket = Socket::open(AddressFamily::inet);
  CHECK_FALSE(socket.keep_alive());
  if (lacks("net", Trait::keep_alive_timing)) {
    return;
  }
  CHECK(socket.keep_alive_timing() == KeepAliveTiming());  // what systems take without being told
  const KeepAliveTiming timing{.idle = 60s, .interval = 5s, .count = 4};
  socket.set_keep_alive(timing);
  CHECK(socket.keep_alive());
  CHECK(socket.keep_alive_timing() == timing);
  for (const KeepAliveTiming& wrong : {KeepAliveTiming{.idle = 0s}, KeepAliveTiming{.interval = 32768s},
                                       KeepAliveTiming{.count = 128}, KeepAliveTiming{.count = -1}}) {
    CHECK_THROWS_AS(socket.set_keep_alive(wrong), std::invalid_argument);
  }
  CHECK(socket.keep_alive_timing() == timing);
  const Socket datagrams = Socket::open(AddressFamily::inet, SocketType::datagram);
  CHECK_THROWS_AS(datagrams.set_keep_alive(timing), std::system_error);
}

TEST_CASE("a socket has options, addresses and an end") {
  const Env env;
  Socket socket = Socket::open(AddressFamily::inet6);
  CHECK(socket.family() == AddressFamily::inet6);
  CHECK(socket.type() == SocketType::stream);
  socket.set_reuse_address();
  if (has("reuse_port")) {
    socket.set_reuse_port();
  } else {
    CHECK_THROWS_AS(socket.set_reuse_port(), std::system_error);
  }
  socket.set_no_delay();
  socket.set_keep_alive();
  socket.set_ipv6_only();
  CHECK(socket.reuse_port() == has("reuse_port"));
  CHECK((socket.reuse_address() && socket.no_delay() && socket.keep_alive() && socket.ipv6_only()));
  socket.set_no_delay(false);
  CHECK(!socket.no_delay());
  socket.set_send_buffer_size(10'000);
  CHECK(socket.send_buffer_size() >= 10'000);
  socket.set_receive_buffer_size(10'000);
  CHECK(socket.receive_buffer_size() >= 10'000);
  CHECK(!socket.get_error());
  socket.bind(Address::loopback(AddressFamily::inet6, 0));
  CHECK(socket.local_address().host() == "::1");
  CHECK(socket.local_address().port() != 0);
  CHECK(error_of([&] { (void)socket.peer_address(); }) == std::errc::not_connected);
  CHECK_THROWS_AS(socket.listen(-1), std::invalid_argument);
  socket.listen();
  Socket moved = std::move(socket);
  // NOLINTNEXTLINE(bugprone-use-after-move, clang-analyzer-cplusplus.Move)
  CHECK(!socket.is_open());
  CHECK(moved.is_open());
  moved.close();
  moved.close();
  CHECK(!moved.is_open());
  CHECK(error_of([&] { moved.listen(); }) == std::errc::bad_file_descriptor);
  CHECK_THROWS_AS(Socket::adopt(invalid_socket), std::system_error);
}

TEST_CASE("errors of a socket name the call and the address") {
  const Env env;
  Socket first = Socket::open(AddressFamily::inet);
  first.bind(Address::loopback(AddressFamily::inet, 0));
  const Address taken = first.local_address();
  Socket second = Socket::open(AddressFamily::inet);
  std::string what;
  try {
    second.bind(taken);
  } catch (const std::system_error& e) {
    CHECK(e.code() == std::errc::address_in_use);
    what = e.what();
  }
  CHECK(what.starts_with("bind " + taken.to_string()));
}

WEIR_TEST("a pair of sockets is connected") {
  auto [a, b] = Socket::pair();
  co_await loop.sock_sendall(a, "over");
  CHECK(co_await read_exactly(loop, b, 4) == "over");
  b.shutdown();
  CHECK(co_await read_all(loop, a) == "");
}
