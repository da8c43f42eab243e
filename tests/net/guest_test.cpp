// LESSON-042: sockets under a host's loop.
#include "tests/net/net_test.hpp"
#include "tests/support/host.hpp"

#include "backends/chosen.hpp"

#include <string>
#include <string_view>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

Coro<void> echo(Ref<StreamReader> reader, Ref<StreamWriter> writer) {
  while (true) {
    const Bytes line = co_await reader->readline();
    if (line.empty()) {
      break;
    }
    writer->write(line);
    co_await writer->drain();
  }
  writer->close();
}

Coro<int> client(std::uint16_t port, int lines) {
  StreamPair pair = co_await open_connection({.host = "127.0.0.1", .port = port});
  int echoed = 0;
  for (int i = 0; i < lines; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    pair.second->write(std::string_view(line));
    const Bytes answer = co_await pair.first->readline();
    echoed += answer == line ? 1 : 0;
  }
  pair.second->close();
  co_await pair.second->wait_closed();
  co_return echoed;
}

Coro<int> everything() {
  Ref<Server> server = co_await start_server(&echo, {.host = "127.0.0.1", .port = 0});
  const std::uint16_t port = server->sockets()[0].local_address().port();
  std::vector<Task<int>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(get_running_loop().create_task(client(port, 25)));
  }
  int echoed = 0;
  for (Task<int>& one : clients) {
    echoed += co_await one;
  }
  server->close();
  co_await server->wait_closed();
  co_return echoed;
}

Coro<Bytes> receive(EventLoop& loop, Socket& socket) { co_return co_await loop.sock_recv(socket, 16); }

Coro<void> send(EventLoop& loop, Socket& socket, const char* text) {
  co_await loop.sock_sendall(socket, std::string_view(text));
}

}  // namespace

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 streams, servers and clients under a host's loop") {
  Host host(loop);
  Task<int> task = loop.create_task(everything());
  CHECK(host.until([&] { return task.done(); }));
  CHECK(task.result() == 200);
  if (has("pollable_descriptor")) {
    const int before = host.rounds;
    bool is_over = false;
    loop.call_later(20ms, [&] { is_over = true; });
    CHECK(host.until([&] { return is_over; }));
    CHECK(host.rounds - before < 10);  // what is left does not keep the host awake
  }
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 what is begun between turns is reported in the next") {
  Host host(loop);
  native_socket ends[2];
  REQUIRE(detail::Backend::Sockets::open_pair(ends) >= 0);
  Socket near = Socket::adopt(ends[0]);
  Socket far = Socket::adopt(ends[1]);
  std::string received;
  for (const char* text : {"one", "two", "six"}) {
    Task<Bytes> receiving = loop.create_task(receive(loop, near));
    host.guest.run_ready();
    CHECK_FALSE(receiving.done());
    Task<void> sending = loop.create_task(send(loop, far, text));
    CHECK(host.until([&] { return receiving.done() && sending.done(); }));
    received += receiving.result().str();
  }
  while (received.size() < 9) {  // a short read is legal
    Task<Bytes> receiving = loop.create_task(receive(loop, near));
    REQUIRE(host.until([&] { return receiving.done(); }));
    received += receiving.result().str();
  }
  CHECK(received == "onetwosix");
}
