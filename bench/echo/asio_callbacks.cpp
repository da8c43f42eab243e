// Asio's echo server by callbacks, as its own examples write it: a session with a buffer for each connection.
//
// Usage: echo_asio [BUFFER_SIZE | --discard]
#include "bench/echo/listening.hpp"

#include <asio.hpp>

#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

namespace {

using asio::ip::tcp;

bool discards = false;

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, std::size_t size) : socket_(std::move(socket)), buffer_(size) {
    socket_.set_option(tcp::no_delay(true));
  }
  void read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](asio::error_code error, std::size_t count) {
                              if (error) {
                                return;
                              }
                              if (discards) {
                                self->read();
                              } else {
                                self->write(count);
                              }
                            });
  }

 private:
  void write(std::size_t count) {
    asio::async_write(socket_, asio::buffer(buffer_, count),
                      [self = shared_from_this()](asio::error_code error, std::size_t) {
                        if (!error) {
                          self->read();
                        }
                      });
  }

  tcp::socket socket_;
  std::vector<char> buffer_;
};

void accept(tcp::acceptor& acceptor, std::size_t size) {
  acceptor.async_accept([&acceptor, size](asio::error_code error, tcp::socket socket) {
    if (!error) {
      std::make_shared<Session>(std::move(socket), size)->read();
    }
    accept(acceptor, size);
  });
}

}  // namespace

int main(int argc, char** argv) {
  discards = bench::discards(argc, argv);
  asio::io_context context{1};
  tcp::acceptor acceptor(context, tcp::v4(), bench::listen_anywhere());
  accept(acceptor, argc > 1 && !discards ? std::strtoul(argv[1], nullptr, 10) : 64 * 1024);
  context.run();
}
