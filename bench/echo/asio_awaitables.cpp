// Asio's echo server by coroutines, as its own examples write it: a buffer in each connection's frame.
#include "bench/echo/listening.hpp"

#include <asio.hpp>

#include <exception>
#include <utility>
#include <vector>

namespace {

using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;

awaitable<void> serve(tcp::socket socket) {
  try {
    socket.set_option(tcp::no_delay(true));
    std::vector<char> buffer(64 * 1024);
    for (;;) {
      const std::size_t count = co_await socket.async_read_some(asio::buffer(buffer), use_awaitable);
      co_await asio::async_write(socket, asio::buffer(buffer, count), use_awaitable);
    }
  } catch (const std::exception&) {
    // The connection is gone.
  }
}

awaitable<void> accept(tcp::acceptor acceptor) {
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(use_awaitable);
    asio::co_spawn(acceptor.get_executor(), serve(std::move(socket)), asio::detached);
  }
}

}  // namespace

int main() {
  asio::io_context context{1};
  asio::co_spawn(context, accept(tcp::acceptor(context, tcp::v4(), bench::listen_anywhere())),
                 asio::detached);
  context.run();
}
