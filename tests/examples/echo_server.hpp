// The TCP echo server of asyncio's documentation: it sends the first message back and closes the connection.
#pragma once

#include <weir/weir.hpp>

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

class EchoServerProtocol : public weir::Protocol {
 public:
  void connection_made(weir::Ref<weir::Transport> transport) override {
    const auto peername = transport->get_extra_info<weir::extra::peername>();
    std::printf("Connection from %s\n", peername->host().c_str());
    transport_ = std::move(transport);
  }

  void data_received(std::span<const std::byte> data) override {
    const std::string message(weir::as_text(data));
    std::printf("Data received: '%s'\n", message.c_str());

    std::printf("Send: '%s'\n", message.c_str());
    transport_->write(message);

    std::puts("Close the client socket");
    transport_->close();
  }

  void connection_lost(std::exception_ptr) override { transport_.reset(); }

 private:
  weir::Ref<weir::Transport> transport_;
};

// Serves until it is cancelled. Port 0: a free one.
inline weir::Coro<void> run_echo_server(std::uint16_t port) {
  weir::EventLoop& loop = weir::get_running_loop();

  weir::Ref<weir::Server> server = co_await loop.create_server(
      [] { return weir::make_ref<EchoServerProtocol>(); }, {.host = "127.0.0.1", .port = port});
  std::printf("Serving on %s\n", server->sockets().front().local_address().to_string().c_str());
  std::fflush(stdout);

  co_await weir::serve(server, [](weir::Server& serving) { return serving.serve_forever(); });
}
