// Asio's TLS echo server by callbacks, as its own examples write it: a session with a buffer for each
// connection.
//
// Usage: echo_tls_asio CERTIFICATE_AND_KEY
#include "bench/echo/listening.hpp"
#include "bench/echo/tls_context.hpp"

#include <asio.hpp>
#include <asio/ssl.hpp>

#include <memory>
#include <utility>
#include <vector>

namespace {

using asio::ip::tcp;

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, asio::ssl::context& context)
      : stream_(std::move(socket), context), buffer_(std::size_t{64} * 1024) {
    stream_.next_layer().set_option(tcp::no_delay(true));
  }
  void start() {
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [self = shared_from_this()](asio::error_code error) {
                              if (!error) {
                                self->read();
                              }
                            });
  }

 private:
  void read() {
    stream_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](asio::error_code error, std::size_t count) {
                              if (!error) {
                                self->write(count);
                              } else if (error == asio::error::eof) {
                                self->shut_down();
                              }
                            });
  }
  void write(std::size_t count) {
    asio::async_write(stream_, asio::buffer(buffer_, count),
                      [self = shared_from_this()](asio::error_code error, std::size_t) {
                        if (!error) {
                          self->read();
                        }
                      });
  }
  void shut_down() {
    stream_.async_shutdown([self = shared_from_this()](asio::error_code) {});
  }

  asio::ssl::stream<tcp::socket> stream_;
  std::vector<char> buffer_;
};

void accept(tcp::acceptor& acceptor, asio::ssl::context& context) {
  acceptor.async_accept([&](asio::error_code error, tcp::socket socket) {
    if (!error) {
      std::make_shared<Session>(std::move(socket), context)->start();
    }
    accept(acceptor, context);
  });
}

}  // namespace

int main(int argc, char** argv) {
  asio::ssl::context tls(bench::make_server_context(bench::certificate_file(argc, argv)));
  asio::io_context context{1};
  tcp::acceptor acceptor(context, tcp::v4(), bench::listen_anywhere());
  accept(acceptor, tls);
  context.run();
}
