// Asio's echo server by coroutines, as its own examples write it: a buffer for each connection.
//
// Usage: echo_asio_awaitables [BUFFER_SIZE | --discard]
#include "bench/echo/listening.hpp"

#include <asio.hpp>

#include <cstdlib>
#include <exception>
#include <utility>
#include <vector>

namespace {

using asio::awaitable;
using asio::use_awaitable;

bool discards = false;
using asio::ip::tcp;

awaitable<void> serve(tcp::socket socket, std::size_t size) {
  try {
    socket.set_option(tcp::no_delay(true));
    std::vector<char> buffer(size);
    for (;;) {
      const std::size_t count = co_await socket.async_read_some(asio::buffer(buffer), use_awaitable);
      if (!discards) {
        co_await asio::async_write(socket, asio::buffer(buffer, count), use_awaitable);
      }
    }
  } catch (const std::exception&) {
    // The connection is gone.
  }
}

awaitable<void> accept(tcp::acceptor acceptor, std::size_t size) {
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(use_awaitable);
    asio::co_spawn(acceptor.get_executor(), serve(std::move(socket), size), asio::detached);
  }
}

}  // namespace

int main(int argc, char** argv) {
  discards = bench::discards(argc, argv);
  const std::size_t size = argc > 1 && !discards ? std::strtoul(argv[1], nullptr, 10) : 64 * 1024;
  asio::io_context context{1};
  asio::co_spawn(context, accept(tcp::acceptor(context, tcp::v4(), bench::listen_anywhere()), size),
                 asio::detached);
  context.run();
}
