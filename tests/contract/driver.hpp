// A loop without a runtime, so that the contract of a backend is tested by itself: a ready queue, the backend
// under test, turns, and connected pairs. Waits are bounded by the backend's clock, never by sleeping.
#pragma once

#ifdef WEIR_TEST_BROKEN_POLLER
#include "tests/backends/broken_poller.hpp"
#else
#include "backends/chosen.hpp"
#endif

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace contract {

using namespace weir::detail;
using namespace std::chrono_literals;
using weir::AddressFamily;
using weir::native_socket;
using weir::SocketType;
using Sockets = Backend::Sockets;

// Raised while a function runs in which nobody may be called back (clause 2). Every callback below checks it.
inline bool is_inside = false;

template <class Call>
decltype(auto) inside(Call call) {
  struct Guard {
    Guard() { is_inside = true; }
    ~Guard() { is_inside = false; }
  } guard;
  return call();
}

// A one-shot operation that remembers its answer.
template <class O>
struct Waited : O {
  Waited() {
    this->on_done = [](Op& op) noexcept {
      CHECK_FALSE(is_inside);
      CHECK(op.state == OpState::idle);
      ++static_cast<Waited&>(op).answers;
    };
  }
  ~Waited() {
    if (this->state != OpState::idle) {
      backend->close_all();  // the test has failed: nobody may answer into it
    }
  }
  bool is_answered() const { return was_done || answers > 0; }
  Backend* backend = nullptr;
  bool was_done = false;
  int answers = 0;
};

// A read stream that collects.
struct Reading : ReadStream {
  Reading() {
    on_data = [](ReadStream& stream, std::span<std::byte> data) noexcept {
      CHECK_FALSE(is_inside);
      auto& self = static_cast<Reading&>(stream);
      self.text.append(reinterpret_cast<const char*>(data.data()), data.size());
      ++self.deliveries;
    };
    on_done = [](Op& op) noexcept {
      CHECK_FALSE(is_inside);
      ++static_cast<Reading&>(op).ends;
    };
  }
  ~Reading() {
    if (backend != nullptr) {
      backend->stop(*this);
    }
  }
  Backend* backend = nullptr;
  std::string text;
  int deliveries = 0;
  int ends = 0;
};

// An accept stream that collects.
struct Accepting : AcceptStream {
  Accepting() {
    on_accept = [](AcceptStream& stream, native_socket native, const RawAddress& peer) noexcept {
      CHECK_FALSE(is_inside);
      static_cast<Accepting&>(stream).sockets.push_back(native);
      static_cast<Accepting&>(stream).peers.push_back(peer);
    };
    on_done = [](Op& op) noexcept {
      CHECK_FALSE(is_inside);
      ++static_cast<Accepting&>(op).ends;
    };
  }
  ~Accepting() {
    if (backend != nullptr) {
      backend->stop(*this);
    }
  }
  Backend* backend = nullptr;
  std::vector<native_socket> sockets;
  std::vector<RawAddress> peers;
  int ends = 0;
};

// A watch that counts.
struct Watching : Watch {
  explicit Watching(Direction a_direction) {
    direction = a_direction;
    on_ready = [](Watch& watch) noexcept {
      CHECK_FALSE(is_inside);
      ++static_cast<Watching&>(watch).calls;
    };
  }
  int calls = 0;
};

inline RawAddress loopback(std::uint16_t port = 0) {
  RawAddress address;
  address.family = AddressFamily::inet;
  address.port = port;
  address.ip = {127, 0, 0, 1};
  return address;
}

inline native_socket open() {
  const std::int64_t native = Sockets::open(AddressFamily::inet, SocketType::stream, 0);
  REQUIRE(native >= 0);
  return static_cast<native_socket>(native);
}

struct Loop {
  ReadyQueue queue;
  Backend backend{queue};

  ~Loop() {
    backend.close_all();
    while (!queue.empty()) {
      ReadyItem item = queue.pop();
      item(ReadyAction::drop);
    }
  }

  // Runs what is queued now; what that queues is for the next turn.
  void run() {
    for (std::size_t left = queue.size(); left > 0; --left) {
      ReadyItem item = queue.pop();
      item(ReadyAction::run);
    }
  }
  void turn(TimePoint deadline = TimePoint::min()) {
    backend.poll(queue.empty() ? deadline : TimePoint::min());
    run();
  }
  // Turns until the predicate holds; false when it does not within `limit`.
  template <class Predicate>
  bool until(Predicate holds, std::chrono::nanoseconds limit = 20s) {
    const TimePoint end = backend.now() + limit;
    while (!holds()) {
      if (backend.now() >= end) {
        return false;
      }
      turn(end);
    }
    return true;
  }
  // Turns for this long, so that whatever was on its way has come, and says how many turns that took.
  int pass(std::chrono::nanoseconds duration = 5ms) {
    const TimePoint end = backend.now() + duration;
    int turns = 0;
    for (; backend.now() < end; ++turns) {
      turn(end);
    }
    return turns;
  }
  // Collects, without running anything, until there is something to run.
  bool collect(std::chrono::nanoseconds limit = 20s) {
    const TimePoint end = backend.now() + limit;
    while (queue.empty() && backend.now() < end) {
      backend.poll(end);
    }
    return !queue.empty();
  }

  template <class O>
  bool start(Waited<O>& op, BackendHandle* handle) {
    op.handle = handle;
    op.backend = &backend;
    op.answers = 0;
    op.was_done = inside([&] { return backend.start(op); }) == Started::done;
    return op.was_done;
  }
  template <class O>
  Started begin(O& stream, BackendHandle* handle) {
    stream.handle = handle;
    stream.backend = &backend;
    return inside([&] { return backend.start(stream); });
  }
  // Starts an operation and turns until it is answered.
  template <class O>
  std::int64_t finish(Waited<O>& op, BackendHandle* handle) {
    start(op, handle);
    REQUIRE(until([&] { return op.is_answered(); }));
    return op.result;
  }
};

}  // namespace contract
