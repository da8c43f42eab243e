// The TCP echo client of asyncio's documentation: it sends a message and waits until the server closes the
// connection.
#pragma once

#include <weir/weir.hpp>

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

class EchoClientProtocol : public weir::Protocol {
 public:
  EchoClientProtocol(std::string message, weir::Future<bool> on_con_lost)
      : message_(std::move(message)), on_con_lost_(std::move(on_con_lost)) {}

  void connection_made(weir::Ref<weir::Transport> transport) override {
    transport->write(message_);
    std::printf("Data sent: '%s'\n", message_.c_str());
  }

  void data_received(std::span<const std::byte> data) override {
    const std::string message(weir::as_text(data));
    std::printf("Data received: '%s'\n", message.c_str());
  }

  void connection_lost(std::exception_ptr) override {
    std::puts("The server closed the connection");
    on_con_lost_.set_result(true);
  }

 private:
  std::string message_;
  weir::Future<bool> on_con_lost_;
};

inline weir::Coro<void> run_echo_client(std::uint16_t port) {
  weir::EventLoop& loop = weir::get_running_loop();
  const auto on_con_lost = loop.create_future<bool>();
  const std::string message = "Hello World!";

  auto [transport, protocol] = co_await loop.create_connection(
      [&] { return weir::make_ref<EchoClientProtocol>(message, on_con_lost); },
      {.host = "127.0.0.1", .port = port});

  // Wait until the protocol signals that the connection is lost.
  co_await on_con_lost;
  transport->close();
}
