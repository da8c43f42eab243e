// The sock_… calls, and watching descriptors. Mirrored by sockets.py.
#include "tests/asyncio_parity/wire.hpp"

#include <array>
#include <chrono>

using namespace parity;
using namespace std::chrono_literals;
using weir::Coro;
using weir::EventLoop;
using weir::sleep;
using weir::Socket;

namespace {

constexpr const char* group = "sockets";

Coro<std::string> receive(EventLoop& loop, Socket& socket, std::size_t size) {
  const weir::Bytes bytes = co_await loop.sock_recv(socket, size);
  co_return brief(bytes.view());
}

}  // namespace

SCENARIO(a_conversation) {
  Sockets s = co_await connected_sockets(loop);
  co_await loop.sock_sendall(s.near, "?");
  trace(co_await receive(loop, s.far, 10));
  co_await loop.sock_sendall(s.far, "!");
  s.far.close();
  trace(co_await receive(loop, s.near, 10));
  const std::string first = co_await receive(loop, s.near, 10);
  const std::string second = co_await receive(loop, s.near, 10);
  trace(first.empty(), second.empty());
}

SCENARIO(receiving_into_memory) {
  Sockets s = co_await connected_sockets(loop);
  std::array<std::byte, 3> buffer{};
  co_await loop.sock_sendall(s.near, "abcd");
  s.near.close();
  std::string received;
  while (const std::size_t count = co_await loop.sock_recv_into(s.far, buffer)) {
    received += weir::as_text(std::span(buffer).first(count));
  }
  trace(received, co_await loop.sock_recv_into(s.far, buffer));
}

SCENARIO(sending_much) {
  Sockets s = co_await connected_sockets(loop);
  constexpr auto send = [](EventLoop& on, Socket& socket) -> Coro<void> {
    const std::string much(large, 'x');
    co_await on.sock_sendall(socket, much);
    trace("sent");
    socket.shutdown_write();
  };
  auto task = loop.create_task(send(loop, s.near));
  co_await settle();
  trace(task.done());
  trace(co_await read_all(loop, s.far));
  co_await task;
}

SCENARIO(nobody_listens) {
  Socket listener = listening_socket();
  Socket near = Socket::open(weir::AddressFamily::inet);
  const weir::Address address = listener.local_address();
  listener.close();
  auto connecting = weir::ensure_future(loop.sock_connect(near, address), &loop);
  trace(co_await outcome_of<void>(connecting));
}

SCENARIO(a_reset_ends_receiving) {
  Sockets s = co_await connected_sockets(loop);
  auto task = loop.create_task(receive(loop, s.near, 10));
  co_await sleep(0s);
  reset(s.far);
  trace(co_await outcome_of<std::string>(task));
}

SCENARIO(receiving_is_cancelled) {
  Sockets s = co_await connected_sockets(loop);
  auto task = loop.create_task(receive(loop, s.near, 10));
  co_await settle();
  const bool asked = task.cancel("why");
  trace(asked, task.done());
  trace(co_await outcome_of<std::string>(task));
  co_await loop.sock_sendall(s.far, "x");
  trace(co_await receive(loop, s.near, 10));
}

SCENARIO(accepting_is_cancelled) {
  Socket listener = listening_socket();
  constexpr auto accept = [](EventLoop& on, Socket& socket) -> Coro<void> {
    co_await on.sock_accept(socket);
  };
  auto task = loop.create_task(accept(loop, listener));
  co_await settle();
  task.cancel();
  trace(co_await outcome_of<void>(task));
  Socket near = Socket::open(weir::AddressFamily::inet);
  co_await loop.sock_connect(near, listener.local_address());
  auto [far, address] = co_await loop.sock_accept(listener);
  trace(address == near.local_address());
  co_await loop.sock_sendall(far, "welcome");
  far.close();
  trace(co_await read_all(loop, near));
}

SCENARIO(a_reader) {
  Sockets s = co_await connected_sockets(loop);
  auto done = loop.create_future<void>();
  int calls = 0;
  const auto readable = [&] {
    if (++calls == 3) {
      const bool first = loop.remove_reader(s.near);
      trace("called in every turn until it is read", first, loop.remove_reader(s.near));
      done.set_result();
    }
  };
  loop.add_reader(s.near, [] { trace("replaced"); });
  loop.add_reader(s.near, readable);
  co_await settle();
  trace(calls);
  co_await loop.sock_sendall(s.far, "x");
  co_await done;
  co_await settle();
  const std::string read = co_await receive(loop, s.near, 10);
  trace(calls, read);
}

SCENARIO(a_writer) {
  Sockets s = co_await connected_sockets(loop);
  auto done = loop.create_future<void>();
  loop.add_writer(s.near, [&] {
    trace("writable", loop.remove_writer(s.near));
    done.set_result();
  });
  co_await done;
  const bool writer = loop.remove_writer(s.near);
  trace(writer, loop.remove_reader(s.near));
}

SCENARIO(a_reader_that_throws) {
  Sockets s = co_await connected_sockets(loop);
  auto done = loop.create_future<void>();
  int calls = 0;
  loop.add_reader(s.near, [&] {
    if (++calls == 2) {
      loop.remove_reader(s.near);
      done.set_result();
    }
    throw Oops("reader");
  });
  co_await loop.sock_sendall(s.far, "x");
  co_await done;
  trace(calls);
}

SCENARIO(a_reader_sees_the_end) {
  Sockets s = co_await connected_sockets(loop);
  auto done = loop.create_future<void>();
  loop.add_reader(s.near, [&] {
    trace("readable");
    loop.remove_reader(s.near);
    done.set_result();
  });
  s.far.close();
  co_await done;
  const std::string read = co_await receive(loop, s.near, 10);
  trace(read.empty());
}

SCENARIO(two_readers_of_two_sockets) {
  Sockets first = co_await connected_sockets(loop);
  Sockets second = co_await connected_sockets(loop);
  auto done = loop.create_future<void>();
  loop.add_reader(first.near, [&] {
    const bool one = loop.remove_reader(first.near);
    trace("the first removes the second", one, loop.remove_reader(second.near));
    done.set_result();
  });
  loop.add_reader(second.near, [] { trace("never"); });
  co_await loop.sock_sendall(first.far, "x");
  co_await done;
  co_await loop.sock_sendall(second.far, "x");
  co_await settle();
}
