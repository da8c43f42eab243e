// How many system calls an echo server makes: those of a hand-written loop. Counted at the two places that
// make them.
#include "backends/epoll/poller.hpp"
#include "backends/readiness/readiness_datagrams.hpp"
#include "backends/readiness/readiness_handles.hpp"
#include "backends/readiness/readiness_ops.hpp"
#include "backends/readiness/readiness_turn.hpp"

#include <doctest/doctest.h>

#include <sys/socket.h>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

using namespace weir::detail;
using weir::native_socket;

namespace {

struct Counts {
  int receives = 0, sends = 0, polls = 0, controls = 0;
};
Counts counts;

struct CountedSockets : PosixSockets {
  static std::int64_t receive(native_socket native, std::span<std::byte> into) noexcept {
    ++counts.receives;
    return PosixSockets::receive(native, into);
  }
  static std::int64_t send(native_socket native, ConstBuffer buffer) noexcept {
    ++counts.sends;
    return PosixSockets::send(native, buffer);
  }
};

struct CountedPoller : EpollPoller {
  using Sockets = CountedSockets;
  std::int64_t watch(native_socket native, std::uint64_t token, Interest interest) noexcept {
    ++counts.controls;
    return EpollPoller::watch(native, token, interest);
  }
  std::int64_t rewatch(native_socket native, std::uint64_t token, Interest interest) noexcept {
    ++counts.controls;
    return EpollPoller::rewatch(native, token, interest);
  }
  void unwatch(native_socket native) noexcept {
    ++counts.controls;
    EpollPoller::unwatch(native);
  }
  Polled<Event> poll(TimePoint deadline) {
    ++counts.polls;
    return EpollPoller::poll(deadline);
  }
};

struct Server {
  ReadyQueue queue;
  ReadinessBackend<CountedPoller> backend{queue};

  ~Server() {
    backend.close_all();
    while (!queue.empty()) {
      ReadyItem item = queue.pop();
      item(ReadyAction::drop);
    }
  }
  void turn() {
    backend.poll(queue.empty() ? backend.now() + std::chrono::seconds(20) : TimePoint::min());
    for (std::size_t left = queue.size(); left > 0; --left) {
      ReadyItem item = queue.pop();
      item(ReadyAction::run);
    }
  }
};

struct Echo : ReadStream {
  Echo(Server& a_server, native_socket native) : server(a_server) {
    handle = server.backend.attach(native, &handle_slot);
    handle_slot = handle;
    on_data = [](ReadStream& stream, std::span<std::byte> data) noexcept {
      Echo& self = static_cast<Echo&>(stream);
      SendOp sending;
      const ConstBuffer buffer = data;
      sending.handle = self.handle;
      sending.buffers = std::span(&buffer, 1);
      CHECK(self.server.backend.start(sending) == Started::done);
      CHECK(sending.result == static_cast<std::int64_t>(data.size()));
      ++self.messages;
    };
    on_done = [](Op&) noexcept {};
    CHECK(server.backend.start(*this) == Started::pending);
  }
  ~Echo() { server.backend.close(handle); }

  Server& server;
  BackendHandle* handle_slot = nullptr;
  int messages = 0;
};

// The client is a plain blocking descriptor, so that all calls counted are the server's.
void ask(native_socket client) { REQUIRE(::send(client, "message", 7, 0) == 7); }

void expect_answer(native_socket client) {
  char answer[16];
  REQUIRE(::recv(client, answer, sizeof answer, 0) == 7);
  CHECK(std::memcmp(answer, "message", 7) == 0);
}

}  // namespace

TEST_CASE("system calls: one wait, one receive and one send a message on one connection") {
  Server server;
  native_socket pair[2];
  REQUIRE(PosixSockets::open_pair(pair) == 0);
  counts = {};
  {
    Echo echo(server, pair[0]);
    for (int i = 0; i < 1000; ++i) {
      ask(pair[1]);
      while (echo.messages <= i) {
        server.turn();
      }
      expect_answer(pair[1]);
    }
    server.backend.stop(echo);
  }
  CHECK(counts.receives == 1000);
  CHECK(counts.sends == 1000);
  CHECK(counts.polls <= 1010);
  CHECK(counts.controls == 2);  // in and out
  PosixSockets::close(pair[1]);
}

TEST_CASE("system calls: fewer waits than messages on many connections") {
  Server server;
  constexpr int connections = 32;
  constexpr int rounds = 100;
  std::vector<native_socket> clients;
  std::vector<std::unique_ptr<Echo>> echos;
  counts = {};
  for (int i = 0; i < connections; ++i) {
    native_socket pair[2];
    REQUIRE(PosixSockets::open_pair(pair) == 0);
    echos.push_back(std::make_unique<Echo>(server, pair[0]));
    clients.push_back(pair[1]);
  }
  for (int round = 1; round <= rounds; ++round) {
    for (const native_socket client : clients) {
      ask(client);
    }
    for (auto& echo : echos) {
      while (echo->messages < round) {
        server.turn();
      }
    }
    for (const native_socket client : clients) {
      expect_answer(client);
    }
  }
  CHECK(counts.receives == connections * rounds);
  CHECK(counts.sends == connections * rounds);
  CHECK(counts.polls <= 2 * rounds);
  CHECK(counts.controls == connections);
  for (std::size_t i = 0; i < clients.size(); ++i) {
    server.backend.stop(*echos[i]);
    PosixSockets::close(clients[i]);
  }
}

TEST_CASE("system calls: a loop without descriptors does not ask the system unless it sleeps") {
  Server server;
  counts = {};
  for (int i = 0; i < 100; ++i) {
    server.backend.poll(TimePoint::min());
  }
  CHECK(counts.polls == 0);
}
