// add_reader: a callback when a socket has something to read (asyncio's "Watch a file descriptor for read
// events").
#include <weir/weir.hpp>

#include <cstdio>
#include <memory>

namespace {

weir::Coro<void> send(weir::EventLoop& loop, weir::Socket& socket) {
  co_await loop.sock_sendall(socket, "abc");
}

weir::Coro<void> receive(weir::EventLoop& loop, weir::Socket& socket) {
  const weir::Bytes data = co_await loop.sock_recv(socket, 100);
  std::printf("Received: %s\n", data.str().c_str());
  loop.stop();
}

}  // namespace

int main() {
  const std::unique_ptr<weir::EventLoop> loop = weir::new_event_loop();
  // Two connected sockets
  auto [reading, writing] = weir::Socket::pair();

  // Register the socket for read events
  loop->add_reader(reading, [&loop, &socket = reading] {
    // Once is enough: unregister it, and take what is there
    loop->remove_reader(socket);
    loop->create_task(receive(*loop, socket));
  });

  // Simulate the reception of data from the network
  loop->call_soon([&loop, &socket = writing] { loop->create_task(send(*loop, socket)); });

  loop->run_forever();
}
