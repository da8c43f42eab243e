// The test of the README that runs on virtual time.
#include <weir/weir.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

// Answers one line, whatever pieces it arrives in.
class Greeter : public weir::Protocol {
 public:
  void connection_made(weir::Ref<weir::Transport> transport) override { transport_ = std::move(transport); }
  void data_received(std::span<const std::byte> data) override {
    name_ += weir::as_text(data);
    if (name_.ends_with('\n')) {
      transport_->write("hello, " + name_);
      transport_->close();
    }
  }
  void connection_lost(std::exception_ptr) override { transport_.reset(); }

 private:
  std::string name_;
  weir::Ref<weir::Transport> transport_;
};

weir::Coro<std::string> greet(std::string name) {
  weir::EventLoop& loop = weir::get_running_loop();
  auto server = co_await loop.create_server([] { return weir::make_ref<Greeter>(); }, {.host = "127.0.0.1"});
  weir::Socket client = weir::Socket::open(weir::AddressFamily::inet);
  co_await loop.sock_connect(client, server->sockets().front().local_address());
  co_await weir::sleep(1s);  // costs no time
  co_await loop.sock_sendall(client, name);
  std::string answer;
  for (weir::Bytes piece(1); !piece.empty(); answer += piece.view()) {
    piece = co_await loop.sock_recv(client, 4096);
  }
  co_await server->aclose();
  co_return answer;
}

int main() {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    weir::sim::configure({.seed = seed});  // other delays, other pieces, another order
    if (weir::run(greet("weir\n")) != "hello, weir\n") {
      std::printf("seed %llu fails:\n%s", static_cast<unsigned long long>(seed), weir::sim::trace().c_str());
      return 1;
    }
  }
  std::puts("100 seeds, 100 seconds of virtual time");
}
