// A mixed workload on the simulator: an echo server, and clients that send, cancel, end and abort by chance.
#pragma once

#include "driver.hpp"

#include <cerrno>
#include <memory>

namespace sim_test {

// Sends what it is given, in order, through one SendOp.
class Sender {
 public:
  Sender(Loop& loop, BackendHandle* handle) : loop_(loop) {
    op_.self = this;
    op_.handle = handle;
    op_.on_done = [](Op& op) noexcept {
      Sender& self = *static_cast<Sending&>(op).self;
      self.took(op.result);
      self.go_on();
    };
  }
  void add(std::string_view text) {
    waiting_ += text;
    go_on();
  }
  std::size_t size() const { return waiting_.size() + sending_.size() - sent_; }
  bool is_pending() const { return op_.state != OpState::idle; }
  void cancel() { loop_.backend.cancel(op_); }
  std::int64_t error() const { return error_; }
  void (*on_progress)(void*) noexcept = nullptr;
  void* progress_of = nullptr;

 private:
  struct Sending : SendOp {
    Sender* self = nullptr;
  };
  void took(std::int64_t result) {
    if (result >= 0) {
      sent_ += static_cast<std::size_t>(result);
    } else if (result != -ECANCELED) {
      error_ = result;
    }
  }
  void go_on() {
    while (!is_pending() && error_ == 0 && size() > 0) {
      if (sent_ == sending_.size()) {
        sending_ = std::exchange(waiting_, {});
        sent_ = 0;
      }
      // In up to three pieces, so that short writes end inside one, and between two.
      const auto rest = std::as_bytes(std::span(sending_)).subspan(sent_);
      const std::size_t third = rest.size() / 3;
      pieces_ = {rest.first(third), rest.subspan(third, third), rest.subspan(2 * third)};
      op_.buffers = pieces_;
      if (loop_.backend.start(op_) == Started::done) {
        took(op_.result);
      }
    }
    if (on_progress != nullptr) {
      on_progress(progress_of);
    }
  }

  Loop& loop_;
  Sending op_;
  std::string waiting_;
  std::string sending_;
  std::size_t sent_ = 0;
  std::array<ConstBuffer, 3> pieces_;
  std::int64_t error_ = 0;
};

// The server's side of a connection: sends back what it reads, and reads only while little waits to be sent.
struct Echo {
  struct Reading : ReadStream {
    Echo* self = nullptr;
  };
  Echo(Loop& a_loop, native_socket socket) : loop(a_loop), end(a_loop, socket), sender(a_loop, end.handle) {
    reading.self = this;
    reading.handle = end.handle;
    reading.on_data = [](ReadStream& op, std::span<std::byte> data) noexcept {
      Echo& self = *static_cast<Reading&>(op).self;
      self.sender.add({reinterpret_cast<const char*>(data.data()), data.size()});
    };
    if (loop.draw(2) == 0) {
      reading.get_buffer = [](ReadStream& op) noexcept {
        return std::span<std::byte>(static_cast<Reading&>(op).self->memory);
      };
    }
    reading.on_done = [](Op& op) noexcept {
      Echo& self = *static_cast<Reading&>(op).self;
      self.ended = true;
      self.step();
    };
    sender.on_progress = [](void* self) noexcept { static_cast<Echo*>(self)->step(); };
    sender.progress_of = this;
    step();
  }
  void step() {
    const bool failed = sender.error() != 0;
    if (failed && !ended) {
      loop.backend.stop(reading);
      ended = true;
    }
    if (ended) {
      if (sender.size() == 0 || failed) {
        end.close();
      }
    } else if (sender.size() > 8192) {
      loop.backend.stop(reading);
    } else if (reading.state == OpState::idle) {
      resting = loop.draw(2) == 0;
      go_on();
    }
  }
  // Reads on, unless that is left to the next turn: then no event of this connection is under way.
  void go_on() {
    if (!resting && !ended && reading.state == OpState::idle) {
      loop.backend.start(reading);
    }
  }
  Loop& loop;
  End end;
  Sender sender;
  Reading reading;
  bool resting = false;
  std::array<std::byte, 700> memory{};  // small, so that a read often leaves something
  bool ended = false;
};

struct Client {
  struct Connecting : ConnectOp {
    Client* self = nullptr;
  };
  struct Receiving : RecvOp {
    Client* self = nullptr;
  };
  Client(Loop& a_loop, const RawAddress& to, unsigned number)
      : loop(a_loop), end(a_loop), sender(a_loop, end.handle) {
    text = pattern(loop.draw(60'000), number);
    aborts = loop.draw(6) == 0;
    connecting.self = this;
    connecting.handle = end.handle;
    connecting.address = to;
    connecting.on_done = [](Op& op) noexcept { static_cast<Connecting&>(op).self->connected(); };
    receiving.self = this;
    receiving.handle = end.handle;
    receiving.on_done = [](Op& op) noexcept {
      Client& self = *static_cast<Receiving&>(op).self;
      self.received();
      self.receive();
    };
    sender.on_progress = [](void* self) noexcept {
      auto& client = *static_cast<Client*>(self);
      if (client.sender.size() == 0 && client.end.handle != nullptr) {
        client.loop.backend.shutdown_write(client.end.handle);
      }
    };
    sender.progress_of = this;
    if (loop.backend.start(connecting) == Started::done) {
      connected();
    }
  }
  void connected() {
    result = connecting.result;
    if (result == 0) {
      sender.add(text);
      if (text.empty()) {
        loop.backend.shutdown_write(end.handle);
      }
      receive();
    } else {
      over = true;
    }
  }
  void receive() {
    while (!over && receiving.state == OpState::idle) {
      receiving.into = std::as_writable_bytes(std::span(memory));
      if (loop.backend.start(receiving) == Started::done) {
        received();
      } else if (loop.draw(4) == 0) {
        loop.backend.cancel(receiving);
      } else if (sender.is_pending() && loop.draw(4) == 0) {
        sender.cancel();
      }
    }
  }
  void received() {
    if (receiving.result > 0) {
      got.append(memory.data(), static_cast<std::size_t>(receiving.result));
    } else if (receiving.result != -ECANCELED) {
      result = receiving.result;
      over = true;
    }
    if (aborts && got.size() > text.size() / 2) {
      over = true;
      end.abort();
    }
  }
  Loop& loop;
  End end;
  Sender sender;
  Connecting connecting;
  Receiving receiving;
  std::array<char, 3000> memory{};
  std::string text;
  std::string got;
  bool aborts = false;
  bool over = false;
  std::int64_t result = 0;
};

struct Outcome {
  std::uint64_t hash = 0;
  std::vector<std::size_t> order;  // of the clients' ends
  bool intact = true;
  std::size_t left_open = 0;
  std::string trace;
};

inline Outcome run_workload(const sim::Options& options, unsigned clients = 8) {
  struct Accepting : AcceptStream {
    Loop* loop = nullptr;
    std::deque<Echo> echoes;
  };
  Outcome outcome;
  const Configured configured(options);
  {
    Loop loop;
    Accepting accepting;
    End listener(loop);
    listener.listen_on(v4(0), 4);
    accepting.loop = &loop;
    accepting.handle = listener.handle;
    accepting.on_accept = [](AcceptStream& op, native_socket socket, const RawAddress&) noexcept {
      auto& self = static_cast<Accepting&>(op);
      self.echoes.emplace_back(*self.loop, socket);
    };
    accepting.on_done = [](Op&) noexcept {};
    loop.backend.start(accepting);
    loop.before_turn = [&accepting] {
      for (Echo& echo : accepting.echoes) {
        if (std::exchange(echo.resting, false)) {
          echo.go_on();
        }
      }
    };
    std::deque<Client> all;
    for (unsigned i = 0; i != clients; ++i) {
      all.emplace_back(loop, listener.address(), i);
    }
    std::vector<bool> seen(clients);
    outcome.intact = loop.until([&] {
      for (std::size_t i = 0; i != clients; ++i) {
        if (all[i].over && !seen[i]) {
          seen[i] = true;
          outcome.order.push_back(i);
        }
      }
      return outcome.order.size() == clients;
    });
    for (const Client& client : all) {
      const bool prefix = client.text.starts_with(client.got);
      outcome.intact = outcome.intact && prefix && client.result == 0 &&
                       (client.aborts || client.got.size() == client.text.size());
    }
    for (Client& client : all) {
      client.end.close();
    }
    loop.pass(std::chrono::seconds(1));
    loop.backend.stop(accepting);
    outcome.intact = outcome.intact && accepting.echoes.size() == clients;
    for (const Echo& echo : accepting.echoes) {
      outcome.intact = outcome.intact && echo.end.handle == nullptr;
    }
    loop.before_turn = [] {};
    listener.close();
    outcome.left_open = World::current()->network.open_count();
  }
  outcome.hash = latest_trace()->hash();
  outcome.trace = latest_trace()->text(256);
  return outcome;
}

}  // namespace sim_test
