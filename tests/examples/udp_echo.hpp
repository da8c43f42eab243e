// The UDP echo server and client of asyncio's documentation: the client sends one message and waits for it to
// come back.
#pragma once

#include <weir/weir.hpp>

#include <cstdio>
#include <string>
#include <utility>

class EchoServerProtocol : public weir::DatagramProtocol {
 public:
  void connection_made(weir::Ref<weir::DatagramTransport> transport) override {
    transport_ = std::move(transport);
  }

  void datagram_received(std::span<const std::byte> data, const weir::Address& from) override {
    const std::string message(weir::as_text(data));
    std::printf("Received '%s' from %s\n", message.c_str(), from.host().c_str());
    std::printf("Send '%s' to %s\n", message.c_str(), from.host().c_str());
    std::fflush(stdout);
    transport_->sendto(data, from);
  }

  void connection_lost(std::exception_ptr) override { transport_.reset(); }

 private:
  weir::Ref<weir::DatagramTransport> transport_;
};

// Serves until it is cancelled. Port 0: a free one.
inline weir::Coro<void> run_udp_echo_server(std::uint16_t port) {
  weir::EventLoop& loop = weir::get_running_loop();
  std::puts("Starting UDP server");

  // One protocol instance serves all clients.
  auto factory = [] { return weir::make_ref<EchoServerProtocol>(); };
  auto [transport, protocol] =
      co_await loop.create_datagram_endpoint(factory, {.local_addr = weir::Address::inet("127.0.0.1", port)});
  std::printf("Serving on %s\n", transport->get_extra_info<weir::extra::sockname>()->to_string().c_str());
  std::fflush(stdout);

  std::exception_ptr stopped_by;
  try {
    co_await weir::sleep(std::chrono::hours(1));  // serve for an hour
  } catch (...) {
    stopped_by = std::current_exception();
  }
  transport->close();
  if (stopped_by) {
    std::rethrow_exception(stopped_by);
  }
}

class EchoClientProtocol : public weir::DatagramProtocol {
 public:
  EchoClientProtocol(std::string message, weir::Future<bool> on_con_lost)
      : message_(std::move(message)), on_con_lost_(std::move(on_con_lost)) {}

  void connection_made(weir::Ref<weir::DatagramTransport> transport) override {
    transport_ = std::move(transport);
    std::printf("Send: '%s'\n", message_.c_str());
    transport_->sendto(message_);
  }

  void datagram_received(std::span<const std::byte> data, const weir::Address&) override {
    const std::string message(weir::as_text(data));
    std::printf("Received: '%s'\n", message.c_str());
    std::puts("Close the socket");
    transport_->close();
  }

  void error_received(const std::system_error& error) override {
    std::printf("Error received: %s\n", error.what());
  }

  void connection_lost(std::exception_ptr) override {
    std::puts("Connection closed");
    transport_.reset();
    on_con_lost_.set_result(true);
  }

 private:
  std::string message_;
  weir::Future<bool> on_con_lost_;
  weir::Ref<weir::DatagramTransport> transport_;
};

inline weir::Coro<void> run_udp_echo_client(std::uint16_t port) {
  weir::EventLoop& loop = weir::get_running_loop();
  const auto on_con_lost = loop.create_future<bool>();
  const std::string message = "Hello World!";

  auto factory = [&] { return weir::make_ref<EchoClientProtocol>(message, on_con_lost); };
  auto [transport, protocol] = co_await loop.create_datagram_endpoint(
      factory, {.remote_addr = weir::Address::inet("127.0.0.1", port)});

  co_await on_con_lost;
  transport->close();
}
