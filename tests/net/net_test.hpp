// What the tests of net/ share: protocols that write down what happens to them, and ends of connections to
// test against.
#pragma once

#include "tests/net/peer.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/weir.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace weir::testing {

// Writes down every call, and calls the hook of its name if there is one.
template <class Base>
class RecorderOf : public Base {
 public:
  void connection_made(Ref<Transport> made) override {
    transport = std::move(made);
    events.push_back("made");
    if (on_made) {
      on_made();
    }
  }
  void connection_lost(std::exception_ptr why) override {
    events.push_back("lost");
    error = std::move(why);
    ++lost;
    if (on_lost) {
      on_lost();
    }
    transport.reset();
  }
  void pause_writing() override {
    events.push_back("pause");
    if (on_pause) {
      on_pause();
    }
  }
  void resume_writing() override {
    events.push_back("resume");
    if (on_resume) {
      on_resume();
    }
  }
  bool eof_received() override {
    events.push_back("eof");
    return on_eof ? on_eof() : false;
  }

  // How often an event came.
  int count(std::string_view event) const {
    return static_cast<int>(std::count(events.begin(), events.end(), event));
  }
  // The code of the error that connection_lost got; none when it got none or another kind.
  std::error_code code() const {
    try {
      if (error) {
        std::rethrow_exception(error);
      }
    } catch (const std::system_error& e) {
      return e.code();
    } catch (...) {
    }
    return {};
  }

  Ref<Transport> transport;
  std::vector<std::string> events;
  std::string received;
  std::exception_ptr error;
  int lost = 0;
  std::function<void()> on_made, on_lost, on_pause, on_resume;
  std::function<bool()> on_eof;
};

class Recorder final : public RecorderOf<Protocol> {
 public:
  void data_received(std::span<const std::byte> data) override {
    events.push_back("data");
    received += as_text(data);
    if (on_data) {
      on_data();
    }
  }
  std::function<void()> on_data;
};

class BufferedRecorder final : public RecorderOf<BufferedProtocol> {
 public:
  std::span<std::byte> get_buffer(std::size_t hint) override {
    hints.push_back(hint);
    return on_get_buffer ? on_get_buffer() : std::span<std::byte>(memory);
  }
  void buffer_updated(std::size_t count) override {
    events.push_back("data");
    counts.push_back(count);
    received.append(reinterpret_cast<const char*>(memory.data()), count);
    if (on_data) {
      on_data();
    }
  }
  std::vector<std::byte> memory = std::vector<std::byte>(1000);
  std::vector<std::size_t> hints, counts;
  std::function<std::span<std::byte>()> on_get_buffer;
  std::function<void()> on_data;
};

// A protocol that sends back what it gets.
class Echo final : public Protocol {
 public:
  void connection_made(Ref<Transport> made) override { transport_ = std::move(made); }
  void data_received(std::span<const std::byte> data) override { transport_->write(data); }
  void connection_lost(std::exception_ptr) override { transport_.reset(); }

 private:
  Ref<Transport> transport_;
};

// The protocols that a server made.
class Made {
 public:
  auto factory() {
    return [this] { return all.emplace_back(make_ref<Recorder>()); };
  }
  int lost() const {
    return static_cast<int>(
        std::count_if(all.begin(), all.end(), [](const auto& one) { return one->lost == 1; }));
  }
  std::vector<Ref<Recorder>> all;
};

// The address of a server's first socket.
inline Address address_of(const Ref<Server>& server) { return server->sockets().at(0).local_address(); }
// A connected socket.
Coro<Socket> connect_to(EventLoop& loop, Address address);
// The error that connecting gives; none when it succeeds.
Coro<std::error_code> connect_error(EventLoop& loop, Address address);
// Closes the server and its connections, and waits for the end of both.
Coro<void> stop_server(Ref<Server> server);

// Bytes in which every place can be told from its neighbours.
std::string pattern(std::size_t size);

// A listening socket on 127.0.0.1 and a port of the system's choice. Buffers as small as they get when
// `small`.
Socket listening_socket(bool small = false);

// Two ends of a TCP connection.
class SocketPair {
 public:
  SocketPair(Socket a, Socket b) : near(std::move(a)), far(std::move(b)) {}
  Socket near, far;
};
Coro<SocketPair> connected_sockets(EventLoop& loop, bool small = false);

// A transport with its protocol, and the peer at the other end.
template <class P>
class Wire {
 public:
  Wire(Ref<Transport> t, Ref<P> p, std::unique_ptr<Peer> far)
      : transport(std::move(t)), protocol(std::move(p)), peer(std::move(far)) {}
  Ref<Transport> transport;
  Ref<P> protocol;
  std::unique_ptr<Peer> peer;
};

// `small`: little data is enough to fill the system's buffers.
template <class P>
Coro<Wire<P>> wire(EventLoop& loop, Ref<P> protocol, bool small = false) {
  SocketPair sockets = co_await connected_sockets(loop, small);
  FarEnd far = far_end(loop, std::move(sockets.far));
  const ConnectionOptions options = near_end(sockets.near);
  auto [transport, same] = co_await loop.create_connection([&protocol] { return protocol; }, options);
  if (far.handshake) {
    co_await *far.handshake;
  }
  co_return Wire<P>(std::move(transport), std::move(same), std::move(far.peer));
}
inline Coro<Wire<Recorder>> wire(EventLoop& loop, bool small = false) {
  auto protocol = make_ref<Recorder>();
  co_return co_await wire(loop, std::move(protocol), small);
}

// More than the system's buffers hold between two ends that are `small`.
inline constexpr std::size_t clogging = 4 * 1024 * 1024;
// Writes until the system takes no more, and gives what was written.
std::string clog(Transport& transport);

// All of what comes until there is no more, or exactly `size` bytes.
Coro<std::string> read_all(EventLoop& loop, Socket& socket);
// The same of a connection that may be reset.
Coro<std::string> read_rest(EventLoop& loop, Socket& socket);
Coro<std::string> read_exactly(EventLoop& loop, Socket& socket, std::size_t size);

// Sends it all in a task of its own; a connection that is gone ends it quietly.
Task<void> start_sending(EventLoop& loop, Socket& socket, std::string text);

// Gives everything that is under way the time to arrive: turns of the loop where the kernel delivers at once,
// virtual time under sim. The way to claim "and then nothing more came".
Coro<void> settle(EventLoop& loop);

// Closes the transport's end and waits for connection_lost.
template <class P>
Coro<void> finish(Wire<P>& wire) {
  wire.transport->abort();
  P& protocol = *wire.protocol;
  co_await until([&protocol] { return protocol.lost != 0; });
}

// A closed port: nobody listens there.
std::uint16_t closed_port();

// what() of a std::exception, and nothing for null.
std::string message_of(const std::exception_ptr& exception);

// The code of the std::system_error that the call throws.
template <class F>
std::error_code error_of(F&& f) {
  try {
    f();
  } catch (const std::system_error& e) {
    return e.code();
  }
  return {};
}

}  // namespace weir::testing
