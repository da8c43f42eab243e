// A loop without a runtime: a ready queue, a backend on the simulated network, and turns. For the tests of
// the simulator itself, and for those of another backend on that network, whose header comes before this one,
// defines sim_test::TestBackend and says so with SIM_TEST_BACKEND.
#pragma once

#ifndef SIM_TEST_BACKEND
#include "backends/sim/backend.hpp"
namespace sim_test {
using TestBackend = weir::detail::SimBackend;
}
#endif
#include "backends/sim/network.hpp"
#include "backends/sim/world.hpp"

#include <weir/sim.hpp>

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sim_test {

using namespace weir::detail;  // NOLINT: the tests are about the internals
namespace sim = weir::sim;
using weir::AddressFamily;
using weir::native_socket;
using weir::SocketType;
using Sockets = TestBackend::Sockets;

// A one-shot operation that remembers its answer.
template <class O>
struct Waited : O {
  Waited() {
    this->on_done = [](Op& op) noexcept { ++static_cast<Waited&>(op).answers; };
  }
  bool answered() const { return started_done || answers > 0; }
  bool started_done = false;
  int answers = 0;
};

struct Loop {
  ReadyQueue queue;
  TestBackend backend{queue};
  std::function<void()> before_turn = [] {};

  ~Loop() {
    backend.close_all();
    while (!queue.empty()) {
      ReadyItem item = queue.pop();
      item(ReadyAction::drop);
    }
  }

  // One of 0 … bound - 1 by the seed.
  static std::uint64_t draw(std::uint64_t bound) { return World::current()->choice_chance.draw(bound); }

  void turn(TimePoint deadline = TimePoint::min()) {
    before_turn();
    backend.poll(queue.empty() ? deadline : TimePoint::min());
    for (std::size_t left = queue.size(); left > 0; --left) {
      ReadyItem item = queue.pop();
      item(ReadyAction::run);
    }
  }

  // Turns until the predicate holds; false when it still does not after an hour of virtual time or a million
  // turns.
  template <class Predicate>
  bool until(Predicate holds) {
    const TimePoint end = backend.now() + std::chrono::hours(1);
    for (int turns = 0; turns != 1'000'000 && !holds(); ++turns) {
      if (backend.now() >= end) {
        return false;
      }
      turn(end);
    }
    return holds();
  }

  // Turns for this long.
  void pass(std::chrono::nanoseconds duration) {
    const TimePoint end = backend.now() + duration;
    while (backend.now() < end) {
      turn(end);
    }
  }

  template <class O>
  bool start(Waited<O>& op, BackendHandle* handle) {
    op.handle = handle;
    op.answers = 0;
    op.started_done = backend.start(op) == Started::done;
    return op.started_done;
  }

  template <class O>
  std::int64_t run(Waited<O>& op, BackendHandle* handle) {
    start(op, handle);
    return until([&] { return op.answered(); }) ? op.result : -ETIME;
  }
};

inline RawAddress v4(std::uint16_t port, std::array<std::uint8_t, 4> ip = {127, 0, 0, 1}) {
  RawAddress address;
  address.family = AddressFamily::inet;
  address.port = port;
  std::copy(ip.begin(), ip.end(), address.ip.begin());
  return address;
}

inline RawAddress v6(std::uint16_t port, std::uint8_t last = 1) {
  RawAddress address;
  address.family = AddressFamily::inet6;
  address.port = port;
  address.ip[15] = last;
  return address;
}

inline native_socket open(AddressFamily family = AddressFamily::inet) {
  return static_cast<native_socket>(Sockets::open(family, SocketType::stream, 0));
}

// A socket with its handle, closed at the end of the scope.
struct End {
  explicit End(Loop& a_loop, native_socket socket = open()) : loop(&a_loop), native(socket) {
    handle = loop->backend.attach(native, &handle);
  }
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  ~End() { close(); }
  void close() {
    if (handle != nullptr) {
      loop->backend.close(handle);
    }
  }
  void abort() {
    Sockets::set_option(native, SocketOption::linger_abort, 1);
    close();
  }
  std::int64_t send(std::string_view text) {
    const ConstBuffer buffer = std::as_bytes(std::span(text));
    Waited<SendOp> op;
    op.buffers = std::span(&buffer, 1);
    return loop->run(op, handle);
  }
  // Sends all of it, however short each write is. 0, or the first error.
  std::int64_t send_all(std::string_view text) {
    while (!text.empty()) {
      const std::int64_t sent = send(text);
      if (sent <= 0) {
        return sent;
      }
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return 0;
  }
  std::int64_t receive(std::string& text, std::size_t most = 1 << 16) {
    text.resize(most);
    Waited<RecvOp> op;
    op.into = std::as_writable_bytes(std::span(text));
    const std::int64_t result = loop->run(op, handle);
    text.resize(result > 0 ? static_cast<std::size_t>(result) : 0);
    return result;
  }
  // Receives until the end or an error: 0 or that error.
  std::int64_t receive_all(std::string& text) {
    for (;;) {
      std::string part;
      const std::int64_t result = receive(part);
      if (result <= 0) {
        return result;
      }
      text += part;
    }
  }
  std::int64_t connect(const RawAddress& to) {
    Waited<ConnectOp> op;
    op.address = to;
    return loop->run(op, handle);
  }
  // A new connection, or a negated errno.
  std::int64_t accept() {
    Waited<AcceptOp> op;
    const std::int64_t result = loop->run(op, handle);
    peer = op.peer;
    return result;
  }
  std::int64_t listen_on(const RawAddress& address, int backlog = 128) {
    const std::int64_t bound = Sockets::bind(native, address);
    return bound != 0 ? bound : Sockets::listen(native, backlog);
  }
  RawAddress address() const {
    RawAddress out;
    Sockets::local_address(native, out);
    return out;
  }

  Loop* loop;
  native_socket native;
  BackendHandle* handle = nullptr;
  RawAddress peer;
};

// A listener on an ephemeral port, and one connection to it.
struct Connection {
  explicit Connection(Loop& loop) : listener(loop), client(loop) {
    listener.listen_on(v4(0));
    connected = client.connect(listener.address());
    accepted = listener.accept();
    server.emplace(loop, static_cast<native_socket>(accepted));
  }
  End listener;
  End client;
  std::optional<End> server;
  std::int64_t connected = -1;
  std::int64_t accepted = -1;
};

// Options under which nothing is left to chance but the order.
inline sim::Options calm(std::uint64_t seed = 1) {
  sim::Options options;
  options.seed = seed;
  options.pending_chance = options.late_chance = options.split_chance = 0;
  options.short_read_chance = options.short_write_chance = 0;
  return options;
}

// Configures the worlds of one test.
struct Configured {
  explicit Configured(const sim::Options& options) { set_configured_options(options); }
  ~Configured() { set_configured_options({}); }
};

inline std::string pattern(std::size_t size, unsigned salt = 0) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i != size; ++i) {
    text[i] = static_cast<char>((i * 31 + i / 251 + salt) & 0xff);
  }
  return text;
}

}  // namespace sim_test
