// The ends of connections that the scenarios of streams and sockets work with.
#include "tests/asyncio_parity/wire.hpp"

#include <system_error>

namespace parity {

std::string brief(std::string_view data) {
  return data.size() < 40 ? std::string(data) : std::to_string(data.size()) + " bytes";
}

weir::Socket listening_socket() {
  weir::Socket listener = weir::Socket::open(weir::AddressFamily::inet);
  listener.set_receive_buffer_size(buffer_size);
  listener.bind(weir::Address::loopback(weir::AddressFamily::inet, 0));
  listener.listen();
  return listener;
}

weir::Coro<Sockets> connected_sockets(weir::EventLoop& loop) {
  weir::Socket listener = listening_socket();
  weir::Socket near = weir::Socket::open(weir::AddressFamily::inet);
  near.set_send_buffer_size(buffer_size);
  auto connecting = weir::ensure_future(loop.sock_connect(near, listener.local_address()), &loop);
  auto [far, from] = co_await loop.sock_accept(listener);
  co_await connecting;
  co_return Sockets(std::move(near), std::move(far));
}

weir::Coro<std::string> read_all(weir::EventLoop& loop, weir::Socket& socket) {
  std::string pieces;
  try {
    for (weir::Bytes piece(1); !piece.empty();) {
      piece = co_await loop.sock_recv(socket, 65536);
      pieces += piece.view();
    }
  } catch (const std::system_error&) {
    pieces = kind(std::current_exception());
  }
  co_return brief(pieces);
}

void reset(weir::Socket& socket) {
  socket.set_linger_abort();
  socket.close();
}

}  // namespace parity
