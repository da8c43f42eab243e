// The operation layer against a drawn course of events: any function at any time, events late, shuffled,
// doubled and stale. Every byte arrives once and in order, nobody waits for ever, and nothing spins.
#include "tests/backends/fake_poller.hpp"

#include <doctest/doctest.h>

#include <memory>

using namespace fake;

namespace {

// One connection with its user, who changes his mind all the time.
template <bool edge>
struct User {
  struct Stream : ReadStream {
    User* user;
  };
  struct Receive : RecvOp {
    User* user;
  };
  struct Send : SendOp {
    User* user;
  };
  struct Look : Watch {
    User* user;
    int calls = 0;
  };

  explicit User(Loop<edge>& a_loop) : loop(a_loop), native(loop.kernel.open(loop.kernel.draw(50))) {
    handle = loop.backend.attach(native, &handle);
    stream.user = receive.user = send.user = this;
    reader.user = writer.user = this;
    writer.direction = Direction::write;
    stream.handle = receive.handle = send.handle = handle;
    stream.on_data = [](ReadStream& op, std::span<std::byte> data) noexcept {
      User& self = *static_cast<Stream&>(op).user;
      self.got.append(reinterpret_cast<const char*>(data.data()), data.size());
      self.act_inside();
    };
    stream.on_done = [](Op& op) noexcept { static_cast<Stream&>(op).user->ended(op); };
    stream.get_buffer = [](ReadStream& op) noexcept {
      User& self = *static_cast<Stream&>(op).user;
      return std::span(self.memory).first(self.loop.kernel.draw(self.memory.size()) + 1);
    };
    receive.on_done = [](Op& op) noexcept {
      User& self = *static_cast<Receive&>(op).user;
      self.take_received();
      self.act_inside();
    };
    send.on_done = [](Op& op) noexcept {
      User& self = *static_cast<Send&>(op).user;
      self.take_sent();
      self.act_inside();
    };
    reader.on_ready = writer.on_ready = [](Watch& watch) noexcept {
      Look& look = static_cast<Look&>(watch);
      ++look.calls;
      look.user->act_inside();
    };
  }

  bool is_reading() const { return stream.state != OpState::idle || receive.state != OpState::idle; }
  bool waits_for_reading() const {
    return stream.state == OpState::pending || receive.state == OpState::pending;
  }

  void ended(Op& op) {
    if (op.result == 0) {
      saw_end = true;
    } else if (op.result != -EBADF && op.result != -ECANCELED) {
      ++surprises;
    }
  }
  void take_received() {
    if (receive.result > 0) {
      got.append(reinterpret_cast<const char*>(receive_memory.data()),
                 static_cast<std::size_t>(receive.result));
    } else {
      ended(receive);
    }
  }
  void take_sent() {
    if (send.result > 0) {
      answered_sent += static_cast<std::size_t>(send.result);
    } else if (send.result != -EBADF && send.result != -ECANCELED) {
      ++surprises;
    }
  }

  void act_inside() {
    if (!is_calm && loop.kernel.draw(3) == 0) {
      act();
    }
  }
  void act() {
    if (handle == nullptr) {
      return;
    }
    auto& backend = loop.backend;
    switch (loop.kernel.draw(12)) {
      case 0:
      case 1:
        if (!is_reading()) {
          backend.start(stream);
        }
        break;
      case 2:
      case 3:
        start_receive();
        break;
      case 4:
        start_send();
        break;
      case 5:
        backend.stop(stream);
        break;
      case 6:
        backend.cancel(stream);
        break;
      case 7:
        backend.cancel(receive);
        break;
      case 8:
        backend.cancel(send);
        break;
      case 9:
        toggle(loop.kernel.draw(2) == 0 ? reader : writer);
        break;
      case 10:
        start_send();
        break;
      case 11:
        if (loop.kernel.draw(20) == 0) {
          close();
        }
        break;
    }
  }
  void start_receive() {
    if (!is_reading()) {
      receive.into = std::span(receive_memory).first(loop.kernel.draw(receive_memory.size()) + 1);
      if (loop.backend.start(receive) == Started::done) {
        take_received();
      }
    }
  }
  void start_send() {
    if (send.state == OpState::idle) {
      buffer = std::as_bytes(std::span(std::string_view("0123456789abcdef"))).first(loop.kernel.draw(16) + 1);
      send.buffers = std::span(&buffer, 1);
      if (loop.backend.start(send) == Started::done) {
        take_sent();
      }
    }
  }
  void toggle(Look& look) {
    if (look.handle != nullptr) {
      loop.backend.unwatch(look);
    } else if (loop.backend.watch(native, look) != 0) {
      ++surprises;
    }
  }
  void close() {
    remembered_sent = loop.kernel.at(native).sent.size();
    remembered_left = loop.kernel.at(native).inbound;
    loop.backend.close(handle);
  }

  // What the outside does.
  void happen() {
    if (handle == nullptr) {
      return;
    }
    switch (loop.kernel.draw(8)) {
      case 0:
      case 1: {
        if (!loop.kernel.at(native).peer_ended) {
          std::string text;
          for (auto count = loop.kernel.draw(100) + 1; count > 0; --count) {
            text.push_back(static_cast<char>(arrived.size() + text.size()));
          }
          arrived += text;
          loop.kernel.arrive(native, text);
        }
        break;
      }
      case 2:
        loop.kernel.give_room(native, loop.kernel.draw(40) + 1);
        break;
      case 3:
        if (loop.kernel.draw(30) == 0) {
          loop.kernel.end(native);
        }
        break;
      default:
        break;
    }
  }

  std::size_t sent() const {
    return handle != nullptr ? loop.kernel.at(native).sent.size() : remembered_sent;
  }
  std::string left() const { return handle != nullptr ? loop.kernel.at(native).inbound : remembered_left; }

  Loop<edge>& loop;
  native_socket native;
  BackendHandle* handle = nullptr;
  Stream stream;
  Receive receive;
  Send send;
  Look reader;
  Look writer;
  std::array<std::byte, 64> memory;
  std::array<std::byte, 64> receive_memory;
  ConstBuffer buffer;
  std::string arrived;
  std::string got;
  std::size_t answered_sent = 0;
  std::size_t remembered_sent = 0;
  std::string remembered_left;
  bool saw_end = false;
  bool is_calm = false;
  int surprises = 0;
};

template <bool edge>
using Users = std::vector<std::unique_ptr<User<edge>>>;

// Whoever waits for what is there must get it, and then all is accounted for.
template <bool edge>
void check_quiet(Loop<edge>& loop, Users<edge>& users) {
  loop.kernel.reports_late = loop.kernel.reports_stale = loop.kernel.reports_twice = false;
  for (auto& user : users) {
    user->is_calm = true;
    if (user->handle != nullptr) {
      for (auto* look : {&user->reader, &user->writer}) {
        loop.backend.unwatch(*look);
      }
      if (!user->is_reading()) {
        loop.backend.start(user->stream);
      }
      loop.kernel.give_room(user->native, 1000);
    }
  }
  for (int i = 0; i < 1000; ++i) {
    loop.turn();
    for (auto& user : users) {
      if (user->handle != nullptr && !user->is_reading() && !user->saw_end) {
        loop.backend.start(user->stream);
      }
    }
  }
  for (auto& user : users) {
    CHECK(user->surprises == 0);
    CHECK(user->send.state == OpState::idle);
    CHECK(user->sent() == user->answered_sent);
    if (user->handle != nullptr) {
      CHECK(user->left().empty());
      CHECK(user->got == user->arrived);
      CHECK(user->saw_end == loop.kernel.at(user->native).peer_ended);
    } else {
      CHECK(user->got + user->left() == user->arrived);
    }
  }
}

// Nothing happens any more: nothing is queued and no call is made but the poll.
template <bool edge>
void check_still(Loop<edge>& loop, Users<edge>& users) {
  loop.turns(2);
  const Counts before = loop.kernel.counts;
  loop.turns(50);
  CHECK(loop.queue.empty());
  CHECK(loop.kernel.counts.receives == before.receives);
  CHECK(loop.kernel.counts.sends == before.sends);
  CHECK(loop.kernel.counts.controls == before.controls);
  for (auto& user : users) {
    if (user->handle != nullptr) {
      user->close();
    }
  }
  loop.turns(2);
  for (const Socket& socket : loop.kernel.sockets) {
    CHECK_FALSE(socket.open);
  }
}

template <bool edge>
void run_chaos(std::uint64_t seed, bool is_spurious) {
  CAPTURE(seed);
  Loop<edge> loop;
  loop.kernel.random = seed;
  loop.kernel.reports_late = true;
  loop.kernel.reports_stale = true;
  loop.kernel.reports_twice = is_spurious;
  loop.kernel.is_shuffled = true;
  Users<edge> users;
  for (int i = 0; i < 6; ++i) {
    users.push_back(std::make_unique<User<edge>>(loop));
  }
  for (int step = 0; step < 1500; ++step) {
    for (auto& user : users) {
      user->happen();
      if (loop.kernel.draw(3) == 0) {
        user->act();
      }
    }
    if (loop.kernel.draw(4) == 0) {
      loop.backend.poll(TimePoint::min());  // several polls before the batch runs
    }
    loop.turn();
    for (auto& user : users) {
      if (user->handle == nullptr && user->stream.state == OpState::idle &&
          user->receive.state == OpState::idle && user->send.state == OpState::idle &&
          loop.kernel.draw(10) == 0) {
        REQUIRE(user->got + user->left() == user->arrived);
        REQUIRE(user->sent() == user->answered_sent);
        REQUIRE(user->surprises == 0);
        user = std::make_unique<User<edge>>(loop);
      }
    }
  }
  check_quiet(loop, users);
  check_still(loop, users);
}

}  // namespace

TEST_CASE("readiness: any course of events, edge-triggered") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    run_chaos<true>(seed, seed % 2 == 0);
  }
}

TEST_CASE("readiness: any course of events, on a poller without edges") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    run_chaos<false>(seed, seed % 2 == 0);
  }
}
