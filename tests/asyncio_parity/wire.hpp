// Connections to test with: a transport whose other end is a plain socket. Mirrored by wire.py.
#pragma once

#include "tests/asyncio_parity/trace.hpp"

#include <weir/bytes.hpp>
#include <weir/net/connect.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/server.hpp>
#include <weir/net/sock_ops.hpp>
#include <weir/net/socket.hpp>
#include <weir/net/transport.hpp>

#include <functional>
#include <map>
#include <vector>

namespace parity {

// More than the system takes between two ends with buffers of buffer_size bytes.
inline constexpr std::size_t large = std::size_t{1} << 20;
inline constexpr std::size_t buffer_size = std::size_t{1} << 16;

std::string brief(std::string_view data);

// Traces what happens to a protocol, or keeps it in `kept` where the order with others is chance; then calls
// the hook.
template <class Base>
class Events : public Base {
 public:
  explicit Events(const char* name = "protocol", bool keep = false) : name_(name), keep_(keep) {}

  void connection_made(weir::Ref<weir::Transport> made) override {
    transport = std::move(made);
    happened("made", "");
  }
  bool eof_received() override {
    happened("eof", " after " + brief(received));
    return keep_open;
  }
  void connection_lost(std::exception_ptr error) override {
    lost.set_result();
    const weir::Ref<weir::Transport> last = std::move(transport);
    happened("lost", " " + kind(error));
  }
  void pause_writing() override { happened("pause_writing", ""); }
  void resume_writing() override { happened("resume_writing", ""); }

  weir::Ref<weir::Transport> transport;
  std::string received;
  bool keep_open = false;
  std::vector<std::string> kept;
  weir::Future<void> lost;
  std::map<std::string, std::function<void()>> hooks;

 protected:
  void call(const char* hook) {
    if (hooks.contains(hook)) {
      hooks[hook]();
    }
  }
  void took(std::string_view data) {
    received += data;
    call("data");
  }

 private:
  void happened(const std::string& event, const std::string& details) {
    const std::string line = name_ + ' ' + event + details;
    if (keep_) {
      kept.push_back(line);
    } else {
      trace(line);
    }
    call(event.c_str());
  }

  std::string name_;
  bool keep_;
};

class Recorder final : public Events<weir::Protocol> {
 public:
  using Events::Events;
  void data_received(std::span<const std::byte> data) override { took(weir::as_text(data)); }
};

class BufferedRecorder final : public Events<weir::BufferedProtocol> {
 public:
  using Events::Events;
  std::span<std::byte> get_buffer(std::size_t) override {
    call("get_buffer");
    return memory;
  }
  void buffer_updated(std::size_t count) override { took(weir::as_text(std::span(memory).first(count))); }

  std::vector<std::byte> memory = std::vector<std::byte>(100);
};

weir::Socket listening_socket();

struct Sockets {
  Sockets(weir::Socket a, weir::Socket b) : near(std::move(a)), far(std::move(b)) {}
  weir::Socket near, far;
};
weir::Coro<Sockets> connected_sockets(weir::EventLoop& loop);

// Gives the protocol a transport: the socket at its other end.
template <class P>
weir::Coro<weir::Socket> wire(weir::EventLoop& loop, weir::Ref<P> protocol) {
  Sockets sockets = co_await connected_sockets(loop);
  const auto factory = [&protocol] { return protocol; };
  co_await loop.create_connection(factory, {.sock = &sockets.near});
  co_return std::move(sockets.far);
}

// What comes until the end, in brief; or the error.
weir::Coro<std::string> read_all(weir::EventLoop& loop, weir::Socket& socket);

template <class P>
weir::Coro<void> arrived(const weir::Ref<P>& protocol, std::size_t size) {
  while (protocol->received.size() < size) {
    co_await weir::sleep(std::chrono::seconds(0));
  }
}

// Closes the socket so that the other side gets a reset.
void reset(weir::Socket& socket);

}  // namespace parity
