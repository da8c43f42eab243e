// CONN, SRV, SOCK: names instead of addresses, and several addresses for one name.
#include "tests/net/folder.hpp"
#include "tests/net/net_test.hpp"

#include <weir/net/resolver.hpp>
#include <weir/sim.hpp>

#include <array>
#include <fstream>
#include <initializer_list>
#include <set>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

constexpr auto recorder = [] { return make_ref<Recorder>(); };

// Gives the name "many.test" these addresses: by a hosts file, or in the simulator's table.
class Names {
 public:
#if defined(WEIR_BACKEND_SIM)
  Names(EventLoop&, std::initializer_list<std::string_view> addresses) {
    sim::set_host("many.test", addresses, 20us);
  }
#else
  Names(EventLoop& loop, std::initializer_list<std::string_view> addresses) {
    const std::string path = folder_.file("hosts");
    std::ofstream file(path);
    for (const std::string_view address : addresses) {
      file << address << " many.test\n";
    }
    file.close();
    loop.set_resolver_options({.hosts_file = path});
  }

 private:
  Folder folder_;
#endif
};

Coro<std::exception_ptr> failure(EventLoop& loop, ConnectionOptions options) {
  try {
    auto [transport, protocol] = co_await loop.create_connection(recorder, options);
    transport->abort();
    co_return nullptr;
  } catch (...) {
    co_return std::current_exception();
  }
}

std::error_code code_of(const std::exception_ptr& error) {
  return error_of([&] {
    if (error) {
      std::rethrow_exception(error);
    }
  });
}

// The messages of the group, in its order; none when it is no group.
std::vector<std::string> messages_of(const std::exception_ptr& error) {
  std::vector<std::string> messages;
  try {
    if (error) {
      std::rethrow_exception(error);
    }
  } catch (const ExceptionGroup& group) {
    for (const std::exception_ptr& one : group.exceptions()) {
      messages.push_back(message_of(one));
    }
  } catch (...) {
  }
  return messages;
}

Coro<void> end_of(Ref<Transport> transport, Ref<Recorder> protocol) {
  transport->close();
  co_await until([&] { return protocol->lost != 0; });
}

// Listens on 127.0.0.x and never answers: its queue is full.
class Silence {
 public:
  Socket listener = Socket::open(AddressFamily::inet);
  std::vector<Socket> queued;
};
Coro<void> fall_silent(EventLoop& loop, Silence& silence, std::string_view host, std::uint16_t port) {
  silence.listener.bind(Address::inet(host, port));
  silence.listener.listen(1);
  for (;;) {
    Socket client = Socket::open(AddressFamily::inet);
    auto connecting = ensure_future(loop.sock_connect(client, silence.listener.local_address()), &loop);
    co_await sleep(10ms);
    const bool ignored = !connecting.done();
    connecting.cancel();
    co_await until([&] { return connecting.done(); });
    if (ignored) {
      co_return;
    }
    REQUIRE(silence.queued.size() < 100);
    silence.queued.push_back(std::move(client));
  }
}

}  // namespace

WEIR_TEST("CONN-001 a name is looked up, and so is a service") {
  auto server = co_await loop.create_server(recorder, {.host = "localhost"});
  for (const SocketView& socket : server->sockets()) {
    CHECK(socket.local_address().host() == Address::loopback(socket.family(), 0).host());
  }
  const std::uint16_t port = address_of(server).port();
  const std::string text = std::to_string(port);
  auto [by_number, first] = co_await loop.create_connection(recorder, {.host = "localhost", .port = port});
  auto [by_text, second] = co_await loop.create_connection(recorder, {.host = "localhost", .port = text});
  CHECK(by_number->get_extra_info<extra::peername>()->port() == port);
  CHECK(by_text->get_extra_info<extra::peername>()->port() == port);
  co_await end_of(by_number, first);
  co_await end_of(by_text, second);
  co_await stop_server(std::move(server));
}

WEIR_TEST("CONN-002 all addresses of a name are tried until one connects") {
  const Names names(loop, {"127.0.0.2", "127.0.0.3", "127.0.0.4"});
  auto server = co_await loop.create_server(recorder, {.host = "127.0.0.4"});
  auto [transport, protocol] =
      co_await loop.create_connection(recorder, {.host = "many.test", .port = address_of(server).port()});
  CHECK(transport->get_extra_info<extra::peername>() == address_of(server));
  co_await end_of(transport, protocol);
  co_await stop_server(std::move(server));
}

WEIR_TEST("CONN-003 a name whose every address fails says so, address by address") {
  const Names names(loop, {"127.0.0.2", "127.0.0.3"});
  const std::uint16_t port = 1;  // nobody is there
  const auto merged = co_await failure(loop, {.host = "many.test", .port = port});
  CHECK(code_of(merged) == std::errc::connection_refused);
  CHECK(message_of(merged).find("127.0.0.2:1") != std::string::npos);
  CHECK(message_of(merged).find("127.0.0.3:1") != std::string::npos);
  for (const bool raced : {false, true}) {
    ConnectionOptions options{.host = "many.test", .port = port, .all_errors = true};
    if (raced) {
      options.happy_eyeballs_delay = 1h;
    }
    const std::vector<std::string> each = messages_of(co_await failure(loop, options));
    REQUIRE(each.size() == 2);
    CHECK(each[0].find("127.0.0.2:1") != std::string::npos);
    CHECK(each[1].find("127.0.0.3:1") != std::string::npos);
  }
}

WEIR_TEST("CONN-004 a host without an address is an error of the resolver") {
  const auto family =
      co_await failure(loop, {.host = "127.0.0.1", .port = 1, .family = AddressFamily::inet6});
  CHECK(code_of(family) == ResolverErrc::address_family);
  const std::string long_name = std::string(300, 'a') + ".test";
  CHECK(code_of(co_await failure(loop, {.host = long_name, .port = 1})) == ResolverErrc::not_found);
  CHECK(code_of(co_await failure(loop, {.host = "a b", .port = 1})) == ResolverErrc::not_found);
  CHECK(code_of(co_await failure(loop, {.host = "127.0.0.1", .port = 65536})) == ResolverErrc::service);
  CHECK(code_of(co_await failure(loop, {.host = "127.0.0.1", .port = -1})) == ResolverErrc::service);
  CHECK(code_of(co_await failure(loop, {.host = "127.0.0.1", .port = "no such service"})) ==
        ResolverErrc::service);
  const std::string_view with_nul("local\0host", 10);
  CHECK_THROWS_AS(co_await loop.create_connection(recorder, {.host = with_nul, .port = 1}),
                  std::invalid_argument);
  CHECK_THROWS_AS(co_await loop.create_server(recorder, {.host = with_nul, .port = 0}),
                  std::invalid_argument);
}

WEIR_TEST("CONN-008 CONN-016 the next address is started when the delay is over, and the loser is closed") {
  const Names names(loop, {"127.0.0.2", "127.0.0.3"});
  std::size_t accepted = 0;
  const auto counting = [&accepted] {
    ++accepted;
    return make_ref<Recorder>();
  };
  auto server = co_await loop.create_server(counting, {.host = "127.0.0.3"});
  const std::uint16_t port = address_of(server).port();
  Silence silence;
  co_await fall_silent(loop, silence, "127.0.0.2", port);
  const std::size_t before = open_descriptors();
  const TimePoint begun = loop.time();
  auto [transport, protocol] = co_await loop.create_connection(
      recorder, {.host = "many.test", .port = port, .happy_eyeballs_delay = 30ms});
  CHECK(open_descriptors() == before + 1 + accepted);
  CHECK(loop.time() - begun >= 30ms);
  CHECK(transport->get_extra_info<extra::peername>() == address_of(server));
  co_await end_of(transport, protocol);
  co_await stop_server(std::move(server));
}

WEIR_TEST("CONN-008 the next address is started as soon as the one before it failed") {
  const Names names(loop, {"127.0.0.2", "127.0.0.3"});
  auto server = co_await loop.create_server(recorder, {.host = "127.0.0.3"});
  const TimePoint begun = loop.time();
  auto [transport, protocol] = co_await loop.create_connection(
      recorder,
      {.host = "many.test", .port = address_of(server).port(), .timeout = 10s, .happy_eyeballs_delay = 1h});
  CHECK(loop.time() - begun < 10s);
  CHECK(transport->get_extra_info<extra::peername>() == address_of(server));
  co_await end_of(transport, protocol);
  co_await stop_server(std::move(server));
}

WEIR_TEST("CONN-008 families are interleaved") {
  if (!has("ipv6")) {
    skip("CONN-008", "ipv6");
    co_return;
  }
  // ::1 is of the other family than what stands before and behind it, wherever the resolver puts it.
  const Names names(loop, {"127.0.0.2", "127.0.0.3", "127.0.0.4", "::1"});
  const auto place_of_six = [](const std::vector<std::string>& messages) {
    const auto found = std::find_if(messages.begin(), messages.end(), [](const std::string& one) {
      return one.find("[::1]:1") != std::string::npos;
    });
    return found - messages.begin();
  };
  ConnectionOptions options{.host = "many.test", .port = 1, .all_errors = true};
  const std::vector<std::string> plain = messages_of(co_await failure(loop, options));
  REQUIRE(plain.size() == 4);
  const bool six_is_first = place_of_six(plain) == 0;
  options.interleave = 2;
  CHECK(place_of_six(messages_of(co_await failure(loop, options))) == (six_is_first ? 0 : 2));
  options.interleave = 0;
  options.happy_eyeballs_delay = 1h;
  CHECK(messages_of(co_await failure(loop, options)) == plain);
  options.interleave = {};
  CHECK(place_of_six(messages_of(co_await failure(loop, options))) == (six_is_first ? 0 : 1));
}

WEIR_TEST("CONN-008 what makes no sense is refused") {
  for (const bool delay : {false, true}) {
    ConnectionOptions options{.host = "127.0.0.1", .port = 1};
    if (delay) {
      options.happy_eyeballs_delay = -1ms;
    } else {
      options.interleave = -1;
    }
    CHECK_THROWS_AS(co_await loop.create_connection(recorder, options), std::invalid_argument);
  }
}

WEIR_TEST("CONN-013 the limit is for all addresses together") {
  const Names names(loop, {"127.0.0.2", "127.0.0.3"});
  Silence one;
  co_await fall_silent(loop, one, "127.0.0.2", 0);
  const std::uint16_t port = one.listener.local_address().port();
  Silence other;
  co_await fall_silent(loop, other, "127.0.0.3", port);
  const std::size_t before = open_descriptors();
  for (const bool raced : {false, true}) {
    ConnectionOptions options{.host = "many.test", .port = port, .timeout = 40ms};
    if (raced) {
      options.happy_eyeballs_delay = 10ms;
    }
    const TimePoint begun = loop.time();
    const auto error = co_await failure(loop, options);
    CHECK_THROWS_AS(std::rethrow_exception(error), TimeoutError);
    CHECK(message_of(error).find("many.test") != std::string::npos);
    CHECK(loop.time() - begun >= 40ms);
    CHECK(open_descriptors() == before);
  }
}

namespace {

Coro<void> connect_and_keep(EventLoop& loop, ConnectionOptions options, Ref<Recorder> protocol,
                            bool& returned) {
  const auto factory = [&protocol] { return protocol; };
  co_await loop.create_connection(factory, options);
  returned = true;
}

}  // namespace

WEIR_TEST("CONN-015 cancelled in the middle of a race, all attempts are closed") {
  const Names names(loop, {"127.0.0.2", "127.0.0.3", "127.0.0.4"});
  auto server = co_await loop.create_server(recorder, {.host = "127.0.0.4"});
  const std::uint16_t port = address_of(server).port();
  Silence silence;
  co_await fall_silent(loop, silence, "127.0.0.2", port);
  const std::size_t tasks = all_tasks(loop).size();
  int connected = 0;
  for (int turns = 0; turns != 100; ++turns) {
    const std::size_t before = open_descriptors();
    auto protocol = make_ref<Recorder>();
    bool returned = false;
    const ConnectionOptions options{.host = "many.test", .port = port, .happy_eyeballs_delay = 0s};
    auto task = loop.create_task(connect_and_keep(loop, options, protocol, returned));
    for (int i = 0; i != turns; ++i) {
      co_await sleep(0s);
    }
    task.cancel();
    co_await until([&] { return task.done(); });
    CHECK(task.cancelled() == !returned);
    connected += returned ? 1 : 0;
    if (protocol->transport != nullptr) {
      protocol->transport->abort();
    }
    if (protocol->count("made") != 0) {
      co_await until([&] { return protocol->lost == 1; });
    }
    co_await settle(loop);
    server->abort_clients();
    co_await until([&] { return open_descriptors() == before; });
    CHECK(all_tasks(loop).size() == tasks);
  }
  CHECK(connected > 0);
  CHECK(connected < 100);
  co_await stop_server(std::move(server));
}

WEIR_TEST("CONN: keep_alive is set before the connection is made") {
  auto server = co_await loop.create_server(recorder, {.host = "127.0.0.1", .keep_alive = true});
  const std::uint16_t port = address_of(server).port();
  auto [transport, protocol] =
      co_await loop.create_connection(recorder, {.host = "127.0.0.1", .port = port, .keep_alive = true});
  CHECK(transport->get_extra_info<extra::socket>()->keep_alive());
  co_await end_of(transport, protocol);
  auto [plain, second] = co_await loop.create_connection(recorder, {.host = "127.0.0.1", .port = port});
  CHECK(!plain->get_extra_info<extra::socket>()->keep_alive());
  co_await end_of(plain, second);
  co_await stop_server(std::move(server));
}

WEIR_TEST("SRV-002 a name listens on each of its addresses, on one port") {
  const Names names(loop, {"127.0.0.2", "127.0.0.3", "127.0.0.2"});
  auto server = co_await loop.create_server(recorder, {.host = "many.test"});
  std::set<std::string> hosts;
  std::set<std::uint16_t> ports;
  for (const SocketView& socket : server->sockets()) {
    hosts.insert(socket.local_address().host());
    ports.insert(socket.local_address().port());
  }
  CHECK(hosts == std::set<std::string>{"127.0.0.2", "127.0.0.3"});
  CHECK(ports.size() == 1);
  CHECK(server->sockets().size() == 2);
  co_await stop_server(std::move(server));
  const std::size_t before = open_descriptors();
  CHECK_THROWS_AS(co_await loop.create_server(recorder, {.host = "127.0.0.1", .port = "no such service"}),
                  std::system_error);
  CHECK_THROWS_AS(co_await loop.create_server(recorder, {.host = "127.0.0.1", .port = 65536}),
                  std::system_error);
  CHECK(open_descriptors() == before);
  auto only = co_await loop.create_server(recorder, {.port = 0, .family = AddressFamily::inet});
  REQUIRE(only->sockets().size() == 1);
  CHECK(only->sockets()[0].local_address().host() == "0.0.0.0");
  co_await stop_server(std::move(only));
}

WEIR_TEST("SRV-005 of several addresses one that cannot be had leaves none open") {
  const Names names(loop, {"127.0.0.2", "127.0.0.3"});
  Socket taken = Socket::open(AddressFamily::inet);
  taken.bind(Address::inet("127.0.0.3", 0));
  taken.listen();
  const std::size_t before = open_descriptors();
  std::string what;
  try {
    co_await loop.create_server(recorder, {.host = "many.test", .port = taken.local_address().port()});
  } catch (const std::system_error& error) {
    CHECK(error.code() == std::errc::address_in_use);
    what = error.what();
  }
  CHECK(what.find("127.0.0.3:") != std::string::npos);
  CHECK(open_descriptors() == before);
}

WEIR_TEST("SOCK-006 sock_connect with a host name resolves it for the socket's own family") {
  const Names names(loop, {"::1", "127.0.0.1"});
  auto server = co_await loop.create_server(recorder, {.host = "127.0.0.1"});
  const std::uint16_t port = address_of(server).port();
  Socket four = Socket::open(AddressFamily::inet);
  co_await loop.sock_connect(four, "many.test", port);
  CHECK(four.peer_address() == Address::inet("127.0.0.1", port));
  four.close();
  if (has("ipv6")) {
    Socket six = Socket::open(AddressFamily::inet6);
    const std::error_code refused =
        co_await [](EventLoop& on, Socket& socket, std::uint16_t to) -> Coro<std::error_code> {
      try {
        co_await on.sock_connect(socket, "many.test", to);
      } catch (const std::system_error& error) {
        co_return error.code();
      }
      co_return std::error_code();
    }(loop, six, port);
    CHECK(refused == std::errc::connection_refused);  // ::1, where nobody is
    CHECK(six.is_open());
  }
  Socket closed;
  CHECK_THROWS_AS((void)loop.sock_connect(closed, "many.test", port), std::invalid_argument);
  auto [local, other] = Socket::pair();
  if (local.family() == AddressFamily::unix_domain) {  // Windows makes pairs of other sockets
    CHECK_THROWS_AS((void)loop.sock_connect(local, "many.test", port), std::invalid_argument);
  }
  co_await stop_server(std::move(server));
}

WEIR_TEST("SOCK-009 the operations work for Unix sockets as for TCP") {
  if (lacks("SOCK-009", "unix_sockets")) {
    co_return;
  }
  const Folder folder;
  const Address address = Address::unix_path(folder.file("socket"));
  Socket listener = Socket::open(AddressFamily::unix_domain);
  listener.bind(address);
  listener.listen();
  Socket client = Socket::open(AddressFamily::unix_domain);
  co_await loop.sock_connect(client, address);
  auto [server, peer] = co_await loop.sock_accept(listener);
  CHECK(peer.family() == AddressFamily::unix_domain);
  CHECK(peer.path().empty());
  const std::string text = pattern(300'000);  // more than the buffers hold
  Task<std::string> reading = loop.create_task(read_exactly(loop, server, text.size()));
  co_await loop.sock_sendall(client, text);
  const std::string received = co_await reading;
  CHECK((received == text));
  co_await loop.sock_sendall(server, "answer");
  std::array<std::byte, 10> memory{};
  CHECK(co_await loop.sock_recv_into(client, memory) == 6);
  auto pending = loop.create_task(read_exactly(loop, client, 4));
  co_await settle(loop);
  pending.cancel();
  co_await until([&] { return pending.done(); });
  co_await loop.sock_sendall(server, "last");
  CHECK(co_await read_exactly(loop, client, 4) == "last");
  server.close();
  CHECK(co_await read_all(loop, client) == "");
}

namespace {

struct Heard : DatagramProtocol {
  void datagram_received(std::span<const std::byte> data, const Address&) override { text += as_text(data); }
  std::string text;
};

}  // namespace

WEIR_TEST("DGRM-002 a host by name: its addresses are tried in turn, those of one family with local_addr") {
  const Names names(loop, {"255.255.255.255", "127.0.0.1", "::1"});  // the first is refused: a broadcast
  auto factory = [] { return make_ref<Heard>(); };
  const DatagramEndpointOptions here{.local_addr = Address::loopback(AddressFamily::inet, 0)};
  auto [receiver, heard] = co_await loop.create_datagram_endpoint(factory, here);
  const std::uint16_t port = receiver->get_extra_info<extra::sockname>()->port();
  const DatagramEndpointOptions there{.local_addr = Address::loopback(AddressFamily::inet, 0),
                                      .remote_host = "many.test",
                                      .remote_port = port};
  auto [sender, unheard] = co_await loop.create_datagram_endpoint(factory, there);
  CHECK(sender->get_extra_info<extra::peername>() == Address::loopback(AddressFamily::inet, port));
  sender->sendto("by name");
  co_await until([&heard = heard] { return heard->text == "by name"; });
  sender->close();
  receiver->close();
  const DatagramEndpointOptions nowhere{
      .remote_host = "127.0.0.1", .remote_port = 1, .family = AddressFamily::inet6};
  CHECK_THROWS_AS(co_await loop.create_datagram_endpoint(factory, nowhere), std::system_error);
  co_await sleep(0s);
}
