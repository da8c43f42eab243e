// The scenarios of datagrams. One that gets lost is missed for ever, so that whoever fails ends the whole.
#include "tests/drivers/scenarios.hpp"

#include <weir/weir.hpp>

#include <exception>
#include <utility>

namespace weir::testing {

namespace {

const Address any_port = Address::loopback(AddressFamily::inet, 0);

// What both sides of the endpoints' echo share.
class Datagrams : public DatagramProtocol {
 public:
  Datagrams(Stage& stage, Future<void> over) : over_(std::move(over)), stage_(stage), guard_(stage.guards) {}
  void connection_made(Ref<DatagramTransport> made) override {
    order_.made();
    transport_ = std::move(made);
  }
  void error_received(const std::system_error& error) override {
    order_.data();
    fail(std::make_exception_ptr(error));
  }
  void pause_writing() override { order_.paused(); }
  void resume_writing() override { order_.resumed(); }
  void connection_lost(std::exception_ptr error) override {
    order_.lost();
    transport_.reset();
    fail(error != nullptr ? error : std::make_exception_ptr(RuntimeError("the endpoint was closed")));
  }

 protected:
  void fail(std::exception_ptr error) {
    if (!over_.done()) {
      over_.set_exception(std::move(error));
    }
  }

  Future<void> over_;
  Stage& stage_;
  Guard guard_;
  CallOrder order_;
  Ref<DatagramTransport> transport_;
};

class EchoDatagrams final : public Datagrams {
 public:
  using Datagrams::Datagrams;
  void datagram_received(std::span<const std::byte> data, const Address& from) override {
    order_.data();
    // In two datagrams, of which the second waits for the end of this call.
    transport_->sendto(data.first(data.size() / 2), from);
    transport_->sendto(data.subspan(data.size() / 2), from);
  }
};

// Sends the text and collects what comes back.
class DatagramTalker final : public Datagrams {
 public:
  using Datagrams::Datagrams;
  void connection_made(Ref<DatagramTransport> made) override {
    Datagrams::connection_made(std::move(made));
    const std::size_t first = stage_.split == 0 ? travelling_text.size() : stage_.split;
    rest_ = travelling_text.substr(first);
    transport_->sendto(travelling_text.substr(0, first));
  }
  void datagram_received(std::span<const std::byte> data, const Address&) override {
    order_.data();
    received += as_text(data);
    if (!rest_.empty() && received.size() >= stage_.split) {
      transport_->sendto(std::exchange(rest_, {}));
    }
    if (received.size() == travelling_text.size() && !over_.done()) {
      over_.set_result();
    }
  }

  std::string received;

 private:
  std::string_view rest_;
};

}  // namespace

Coro<std::string> echo_datagrams(Stage& stage) {
  const Guard guard(stage.guards);
  const Future<void> over = stage.loop.create_future<void>();
  auto echo = [&stage, &over] { return make_ref<EchoDatagrams>(stage, over); };
  auto talker = [&stage, &over] { return make_ref<DatagramTalker>(stage, over); };
  const DatagramEndpointOptions here{.local_addr = any_port};
  const std::pair<Ref<DatagramTransport>, Ref<EchoDatagrams>> server =
      co_await stage.loop.create_datagram_endpoint(echo, here);
  Ref<DatagramTransport> client;
  std::string result;
  std::exception_ptr error;
  try {
    const DatagramEndpointOptions there{.remote_addr = server.first->get_extra_info<extra::sockname>()};
    const std::pair<Ref<DatagramTransport>, Ref<DatagramTalker>> made =
        co_await stage.loop.create_datagram_endpoint(talker, there);
    client = made.first;
    co_await over;
    result = made.second->received;
  } catch (...) {
    error = std::current_exception();
  }
  if (client != nullptr) {
    client->close();
  }
  server.first->abort();
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
  co_return result;
}

namespace {

// The client waits for an answer, which none will give when this ends early.
Coro<void> echo_by_sock(Stage& stage, Socket& server, Socket& client) {
  const Guard guard(stage.guards);
  std::vector<std::byte> buffer(travelling_text.size());
  std::exception_ptr error;
  try {
    for (std::size_t echoed = 0; echoed != travelling_text.size();) {
      const auto received = co_await stage.loop.sock_recvfrom_into(server, buffer);
      const std::span<const std::byte> data = std::span(buffer).first(received.first);
      co_await stage.loop.sock_sendto(server, data, received.second);
      echoed += received.first;
    }
    co_return;
  } catch (...) {
    error = std::current_exception();
  }
  client.close();
  std::rethrow_exception(error);
}

Coro<std::string> talk_by_sock(Stage& stage, Socket& client, Address to) {
  const Guard guard(stage.guards);
  std::string answer;
  while (answer.size() < travelling_text.size()) {
    const std::size_t end = answer.size() < stage.split ? stage.split : travelling_text.size();
    co_await stage.loop.sock_sendto(client, travelling_text.substr(answer.size(), end - answer.size()), to);
    const auto received = co_await stage.loop.sock_recvfrom(client, 64);
    answer += received.first.view();
  }
  co_return answer;
}

}  // namespace

Coro<std::string> echo_sock_datagrams(Stage& stage) {
  Socket server = Socket::open(AddressFamily::inet, SocketType::datagram);
  server.bind(any_port);
  Socket client = Socket::open(AddressFamily::inet, SocketType::datagram);
  const Address to = server.local_address();
  // Eagerly: one that is cancelled before its first step would not close the client.
  Task<void> serving = stage.loop.create_task(echo_by_sock(stage, server, client), {.eager_start = true});
  std::string result;
  std::exception_ptr error;
  try {
    result = co_await talk_by_sock(stage, client, to);
  } catch (...) {
    error = std::current_exception();
  }
  serving.cancel();
  try {
    co_await serving;
  } catch (const std::exception&) {
  } catch (const CancelledError&) {
    if (!serving.done()) {
      throw;
    }
  }
  if (error != nullptr) {
    std::rethrow_exception(error);
  }
  co_return result;
}

}  // namespace weir::testing
