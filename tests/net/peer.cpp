// What a peer does whatever it speaks, and the one that speaks what it is told.
#include "tests/net/peer.hpp"

#include "tests/net/net_test.hpp"

namespace weir::testing {

Coro<void> Peer::send_quietly(Peer& self, std::string text) {
  try {
    co_await self.send(text);
  } catch (const std::system_error&) {
  }
}

Task<void> Peer::start_sending(std::string text) {
  return loop->create_task(send_quietly(*this, std::move(text)));
}

Coro<std::string> Peer::read_exactly(std::size_t size) {
  while (rest_.size() < size) {
    const std::string piece = co_await receive();
    if (piece.empty()) {
      break;
    }
    rest_ += piece;
  }
  std::string text = rest_.substr(0, size);
  rest_.erase(0, size);
  co_return text;
}

Coro<void> Peer::read_to_end(std::string& text) {
  text = std::exchange(rest_, {});
  for (;;) {
    const std::string piece = co_await receive();
    if (piece.empty()) {
      break;
    }
    text += piece;
  }
  co_await answer_end();
}

Coro<std::string> Peer::read_all() {
  std::string text;
  co_await read_to_end(text);
  co_return text;
}

Coro<std::string> Peer::read_rest() {
  std::string text;
  try {
    co_await read_to_end(text);
  } catch (const std::system_error&) {
  }
  co_return text;
}

void Peer::reset() {
  socket().set_linger_abort();
  socket().close();
}

namespace {

class PlainPeer final : public Peer {
 public:
  PlainPeer(EventLoop& on, Socket s) : Peer(on), socket_(std::move(s)) {}

  Coro<void> send(std::string_view text) override { co_await loop->sock_sendall(socket_, text); }
  Coro<void> shutdown_write() override {
    socket_.shutdown_write();
    co_return;
  }
  Coro<void> close() override {
    socket_.close();
    co_return;
  }
  std::size_t on_line(std::size_t size) const override { return size; }
  Socket& socket() override { return socket_; }

 protected:
  Coro<std::string> receive() override {
    const Bytes bytes = co_await loop->sock_recv(socket_, 65536);
    co_return bytes.str();
  }
  Coro<void> answer_end() override { co_return; }

 private:
  Socket socket_;
};

}  // namespace

std::unique_ptr<Peer> plain_peer(EventLoop& loop, Socket socket) {
  return std::make_unique<PlainPeer>(loop, std::move(socket));
}

ConnectionOptions near_end(Socket& socket) {
  ConnectionOptions options;
  options.sock = &socket;
  options.ssl = client_ssl();
  options.server_hostname = server_name();
  return options;
}

}  // namespace weir::testing
