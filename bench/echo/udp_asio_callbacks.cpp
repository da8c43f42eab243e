// Asio's echo server of datagrams by callbacks, as its own examples write it.
#include "bench/echo/listening.hpp"

#include <asio.hpp>

#include <vector>

namespace {

using asio::ip::udp;

class Server {
 public:
  Server(asio::io_context& context, int socket) : socket_(context, udp::v4(), socket), buffer_(64 * 1024) {}
  void receive() {
    socket_.async_receive_from(asio::buffer(buffer_), sender_,
                               [this](asio::error_code error, std::size_t count) {
                                 if (error) {
                                   receive();
                                 } else {
                                   send(count);
                                 }
                               });
  }

 private:
  void send(std::size_t count) {
    socket_.async_send_to(asio::buffer(buffer_, count), sender_,
                          [this](asio::error_code, std::size_t) { receive(); });
  }

  udp::socket socket_;
  udp::endpoint sender_;
  std::vector<char> buffer_;
};

}  // namespace

int main() {
  asio::io_context context{1};
  Server server(context, bench::receive_datagrams_anywhere());
  server.receive();
  context.run();
}
