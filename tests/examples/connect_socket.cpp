// create_connection on an open socket: a protocol that waits for data (asyncio's "Register an open socket to
// wait for data using a protocol").
#include <weir/weir.hpp>

#include <cstdio>
#include <utility>

namespace {

class MyProtocol final : public weir::Protocol {
 public:
  explicit MyProtocol(weir::Future<void> on_con_lost) : on_con_lost_(std::move(on_con_lost)) {}

  void connection_made(weir::Ref<weir::Transport> transport) override { transport_ = std::move(transport); }

  void data_received(std::span<const std::byte> data) override {
    std::printf("Received: %.*s\n", static_cast<int>(data.size()),
                reinterpret_cast<const char*>(data.data()));

    // We are done: close the transport;
    // connection_lost() will be called automatically.
    transport_->close();
  }

  void connection_lost(std::exception_ptr) override {
    // The socket has been closed
    transport_.reset();
    on_con_lost_.set_result();
  }

 private:
  weir::Ref<weir::Transport> transport_;
  weir::Future<void> on_con_lost_;
};

weir::Coro<void> send(weir::EventLoop& loop, weir::Socket& socket) {
  co_await loop.sock_sendall(socket, "abc");
}

weir::Coro<void> async_main() {
  // Get a reference to the event loop as we plan to use low-level APIs.
  weir::EventLoop& loop = weir::get_running_loop();
  const weir::Future<void> on_con_lost = loop.create_future<void>();

  // Create a pair of connected sockets
  auto [reading, writing] = weir::Socket::pair();

  // Register the socket to wait for data.
  auto [transport, protocol] = co_await loop.create_connection(
      [&on_con_lost] { return weir::make_ref<MyProtocol>(on_con_lost); }, {.sock = &reading});

  // Simulate the reception of data from the network.
  loop.call_soon([&loop, &socket = writing] { loop.create_task(send(loop, socket)); });

  co_await on_con_lost;
}

}  // namespace

int main() { weir::run(async_main()); }
