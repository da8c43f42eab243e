// The first program of the README.
#include <weir/weir.hpp>

#include <cstdio>

class Echo : public weir::Protocol {
 public:
  void connection_made(weir::Ref<weir::Transport> transport) override { transport_ = std::move(transport); }
  void data_received(std::span<const std::byte> data) override { transport_->write(data); }
  void connection_lost(std::exception_ptr) override { transport_.reset(); }

 private:
  weir::Ref<weir::Transport> transport_;
};

weir::Coro<void> hello() {
  weir::EventLoop& loop = weir::get_running_loop();
  auto server = co_await loop.create_server([] { return weir::make_ref<Echo>(); }, {.host = "127.0.0.1"});

  weir::Socket client = weir::Socket::open(weir::AddressFamily::inet);
  co_await loop.sock_connect(client, server->sockets().front().local_address());
  co_await loop.sock_sendall(client, "hello, weir\n");
  client.shutdown_write();
  for (weir::Bytes piece(1); !piece.empty();) {
    piece = co_await loop.sock_recv(client, 4096);
    std::fwrite(piece.data(), 1, piece.size(), stdout);
  }
  co_await server->aclose();
}

int main() { weir::run(hello()); }
