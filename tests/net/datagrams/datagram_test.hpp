// What the tests of datagrams share: a protocol that writes down what happens to it, and endpoints.
#pragma once

#include "tests/net/net_test.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace weir::testing {

class DatagramRecorder : public DatagramProtocol {
 public:
  void connection_made(Ref<DatagramTransport> made) override {
    events.push_back("made");
    transport = std::move(made);
  }
  void datagram_received(std::span<const std::byte> data, const Address& from) override {
    events.push_back("data");
    received.emplace_back(as_text(data));
    senders.push_back(from);
    if (on_datagram) {
      on_datagram();
    }
  }
  void error_received(const std::system_error& error) override {
    events.push_back("error");
    errors.push_back(error.code());
    messages.emplace_back(error.what());
    if (on_error) {
      on_error();
    }
  }
  void pause_writing() override { events.push_back("pause"); }
  void resume_writing() override { events.push_back("resume"); }
  void connection_lost(std::exception_ptr why) override {
    events.push_back("lost");
    error = std::move(why);
    ++lost;
    transport.reset();
  }
  int count(std::string_view event) const {
    return static_cast<int>(std::count(events.begin(), events.end(), event));
  }

  Ref<DatagramTransport> transport;
  std::vector<std::string> events;
  std::vector<std::string> received;
  std::vector<Address> senders;
  std::vector<std::error_code> errors;
  std::vector<std::string> messages;
  std::exception_ptr error;
  int lost = 0;
  std::function<void()> on_datagram, on_error;
};

// An endpoint with its protocol.
struct Endpoint {
  Endpoint(Ref<DatagramTransport> t, Ref<DatagramRecorder> p)
      : transport(std::move(t)), protocol(std::move(p)) {}
  Address address() const { return transport->get_extra_info<extra::sockname>().value(); }
  // Turns until so many datagrams were received.
  Coro<void> receives(std::size_t many) {
    DatagramRecorder* const recorder = protocol.get();
    co_await until([recorder, many] { return recorder->received.size() >= many; });
  }
  Coro<void> close() {
    transport->close();
    DatagramRecorder* const recorder = protocol.get();
    co_await until([recorder] { return recorder->lost == 1; });
  }
  Ref<DatagramTransport> transport;
  Ref<DatagramRecorder> protocol;
};

inline Coro<Endpoint> endpoint(EventLoop& loop, DatagramEndpointOptions options) {
  auto factory = [] { return make_ref<DatagramRecorder>(); };
  auto [transport, protocol] = co_await loop.create_datagram_endpoint(factory, options);
  co_return Endpoint(std::move(transport), std::move(protocol));
}

inline const Address any_port = Address::loopback(AddressFamily::inet, 0);

// Bound to this machine and a port of the system's choice.
inline Coro<Endpoint> bound_endpoint(EventLoop& loop) {
  const DatagramEndpointOptions options{.local_addr = any_port};
  co_return co_await endpoint(loop, options);
}
inline Coro<Endpoint> endpoint_to(EventLoop& loop, Address remote) {
  const DatagramEndpointOptions options{.remote_addr = remote};
  co_return co_await endpoint(loop, options);
}

// A datagram socket on this machine and a port of the system's choice.
inline Socket bound_socket() {
  Socket socket = Socket::open(AddressFamily::inet, SocketType::datagram);
  socket.bind(any_port);
  return socket;
}

// What the call or the coroutine refuses with std::invalid_argument; nothing when it does not.
template <class F>
std::string refusal_of(F&& call) {
  try {
    (void)call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

}  // namespace weir::testing
