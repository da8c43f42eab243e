// SRV: accepting, and what may go wrong there.
#include "tests/net/net_test.hpp"
#include "tests/support/raw_sockets.hpp"

#include <algorithm>

#if defined(WEIR_TEST_POSIX)
#include <sys/resource.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <unistd.h>
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

WEIR_TEST("SRV-016 an accept that would block is not an error") {
#if !defined(WEIR_BACKEND_SIM)
  Made made;
  auto server = co_await loop.create_server(made.factory(), {.host = "127.0.0.1"});
  Socket client = Socket::open(AddressFamily::inet);
  auto connecting = ensure_future(loop.sock_connect(client, address_of(server)), &loop);
  // The task connects in the next turn, and what is queued now for the turn after it runs before what that
  // turn's poll reports: the connection is gone when the server accepts.
  native_socket stolen = invalid_socket;
  loop.call_soon([&] { loop.call_soon([&] { stolen = raw_accept(server->sockets()[0].native_handle()); }); });
  co_await connecting;
  REQUIRE(stolen != invalid_socket);
  co_await settle(loop);
  CHECK(made.all.empty());
  CHECK(server->is_serving());
  CHECK(env.take_reports().empty());
  Socket second = co_await connect_to(loop, address_of(server));
  co_await until([&] { return made.all.size() == 1; });
  raw_close(stolen);
  co_await stop_server(server);
#else
  skip("SRV-016", "real_network");
  co_return;
#endif
}

namespace {

// Lets the process, or the world, have no more descriptors than it has now.
class Shortage {
 public:
  Shortage() {
#if defined(WEIR_BACKEND_SIM)
    sim::set_descriptor_limit(sim::open_sockets());
#elif defined(WEIR_TEST_POSIX)
    // The limit is one of numbers: the next one to be given out is too large.
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    REQUIRE(next >= 0);
    ::close(next);
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(next);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
#endif
  }
  Shortage(const Shortage&) = delete;
  Shortage& operator=(const Shortage&) = delete;
  ~Shortage() {
#if defined(WEIR_BACKEND_SIM)
    sim::set_descriptor_limit(1U << 20);
#elif defined(WEIR_TEST_POSIX)
    ::setrlimit(RLIMIT_NOFILE, &before_);
#endif
  }

 private:
#if defined(WEIR_TEST_POSIX)
  rlimit before_{};
#endif
};

// The undefined-behaviour sanitizer looks at objects of a type that it has not met yet through a pipe, for
// which there are no descriptors later: errors are to be met before.
Coro<void> rehearse_errors(EventLoop& loop) {
  const std::error_code code =
      co_await connect_error(loop, Address::loopback(AddressFamily::inet, closed_port()));
  CHECK(code == std::errc::connection_refused);
}

}  // namespace

WEIR_TEST("SRV-017 running out of descriptors is reported, accepting pauses for a second and then goes on") {
  if (lacks("SRV-017", Trait::descriptor_limit)) {
    co_return;
  }
  co_await rehearse_errors(loop);
  Made made;
  auto server = co_await loop.create_server(made.factory(), {.host = "127.0.0.1"});
  std::vector<Socket> clients;
  for (int i = 0; i != 5; ++i) {
    clients.push_back(Socket::open(AddressFamily::inet));
  }
  TimePoint begun;
  {
    Shortage shortage;
    for (Socket& client : clients) {
      co_await loop.sock_connect(client, address_of(server));
    }
    begun = loop.time();
    std::vector<Report> reports;
    co_await until([&] {
      for (Report& report : env.take_reports()) {
        reports.push_back(std::move(report));
      }
      return !reports.empty();
    });
    co_await settle(loop);
    CHECK(env.take_reports().empty());
    REQUIRE(reports.size() == 1);
    CHECK(error_of([&] { std::rethrow_exception(reports[0].exception); }) == std::errc::too_many_files_open);
    CHECK(reports[0].object.find(address_of(server).to_string()) != std::string::npos);
    CHECK(made.all.empty());
    CHECK(server->is_serving());
  }
  co_await until([&] { return made.all.size() == clients.size(); });
  CHECK(loop.time() - begun >= 900ms);
  CHECK(loop.time() - begun < 5s);
  co_await stop_server(server);
}

WEIR_TEST("SRV-017 a server may be closed in the pause, and by the report") {
  if (lacks("SRV-017", Trait::descriptor_limit)) {
    co_return;
  }
  co_await rehearse_errors(loop);
  auto server = co_await loop.create_server([] { return make_ref<Echo>(); }, {.host = "127.0.0.1"});
  Socket client = Socket::open(AddressFamily::inet);
  const Address address = address_of(server);
  {
    Shortage shortage;
    loop.set_exception_handler([&](EventLoop&, const ExceptionContext&) { server->close(); });
    // The system completes the connection, and resets it when the queue is closed.
    auto connecting = ensure_future(loop.sock_connect(client, address), &loop);
    co_await until([&] { return !server->is_serving() && connecting.done(); });
    (void)connecting.exception();
  }
  env.watch(loop);
  CHECK(co_await connect_error(loop, address) == std::errc::connection_refused);
  co_await server->wait_closed();
}

WEIR_TEST("SRV-018 a client that was reset before it is accepted does not disturb the server") {
  // The queue fills before anybody accepts.
  Socket listener = listening_socket();
  const Address address = listener.local_address();
  for (int i = 0; i != 20; ++i) {
    Socket client = co_await connect_to(loop, address);
    client.set_linger_abort();
    client.close();
  }
  co_await settle(loop);
  Made made;
  auto server = co_await loop.create_server(made.factory(), {.sock = &listener});
  Socket good = co_await connect_to(loop, address);
  co_await loop.sock_sendall(good, "good");
  co_await until([&] {
    return std::any_of(made.all.begin(), made.all.end(),
                       [](const auto& one) { return one->received == "good"; });
  });
  good.close();
  co_await until([&] { return made.lost() == static_cast<int>(made.all.size()); });
  CHECK(server->is_serving());
  co_await stop_server(server);
}

WEIR_TEST("SRV-019 several pending connections are accepted in one go, but not without limit") {
  Socket listener = listening_socket();
  const Address address = listener.local_address();
  std::vector<Socket> clients;
  for (int i = 0; i != 300; ++i) {
    clients.push_back(co_await connect_to(loop, address));
  }
  co_await settle(loop);
  std::size_t turn = 0;
  std::vector<std::size_t> accepted_in_turn;
  std::vector<Ref<Recorder>> made;
  std::function<void()> count = [&] {
    ++turn;
    if (made.size() != 300) {
      loop.call_soon(count);
    }
  };
  loop.call_soon(count);
  const auto factory = [&] {
    accepted_in_turn.resize(turn + 1);
    ++accepted_in_turn[turn];
    return made.emplace_back(make_ref<Recorder>());
  };
  auto server = co_await loop.create_server(factory, {.sock = &listener});
  co_await until([&] { return made.size() == 300; });
  const std::size_t most = *std::max_element(accepted_in_turn.begin(), accepted_in_turn.end());
  CHECK(most > 1);
  CHECK(most <= 100);
  co_await stop_server(server);
}

WEIR_TEST(
    "SRV-020 a protocol factory that throws closes its connection, is reported, and the server goes on") {
  int calls = 0;
  const auto factory = [&]() -> Ref<Echo> {
    if (++calls == 1) {
      throw std::domain_error("factory");
    }
    return calls == 2 ? nullptr : make_ref<Echo>();
  };
  auto server = co_await loop.create_server(factory, {.host = "127.0.0.1"});
  Socket first = co_await connect_to(loop, address_of(server));
  CHECK(co_await read_all(loop, first) == "");
  const Report report = env.expect_report("transport creation");
  CHECK(message_of(report.exception) == "factory");
  CHECK(report.object.find(address_of(server).to_string()) != std::string::npos);
  Socket second = co_await connect_to(loop, address_of(server));
  CHECK(co_await read_all(loop, second) == "");
  env.expect_report("transport creation");
  Socket third = co_await connect_to(loop, address_of(server));
  co_await loop.sock_sendall(third, "fine");
  CHECK(co_await read_exactly(loop, third, 4) == "fine");
  co_await stop_server(server);
}

WEIR_TEST("SRV: keep_alive reaches the connections") {
  for (const bool keep_alive : {false, true}) {
    Made made;
    auto server =
        co_await loop.create_server(made.factory(), {.host = "127.0.0.1", .keep_alive = keep_alive});
    Socket client = co_await connect_to(loop, address_of(server));
    co_await until([&] { return made.all.size() == 1; });
    CHECK(made.all[0]->transport->get_extra_info<extra::socket>()->keep_alive() == keep_alive);
    co_await stop_server(server);
  }
}
