// Asio's echo server of datagrams by a coroutine, as its own examples write it.
#include "bench/echo/listening.hpp"

#include <asio.hpp>

#include <utility>
#include <vector>

namespace {

using asio::use_awaitable;
using asio::ip::udp;

asio::awaitable<void> serve(udp::socket socket) {
  std::vector<char> buffer(64 * 1024);
  for (;;) {
    udp::endpoint sender;
    const std::size_t count = co_await socket.async_receive_from(asio::buffer(buffer), sender, use_awaitable);
    co_await socket.async_send_to(asio::buffer(buffer, count), sender, use_awaitable);
  }
}

}  // namespace

int main() {
  asio::io_context context{1};
  asio::co_spawn(context, serve(udp::socket(context, udp::v4(), bench::receive_datagrams_anywhere())),
                 asio::detached);
  context.run();
}
