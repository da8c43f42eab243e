// SOCK: the coroutine form of socket operations.
#include "tests/net/net_test.hpp"
#include "tests/support/raw_sockets.hpp"
#include "tests/support/system.hpp"

#include <array>

#if defined(WEIR_TEST_POSIX)
#include <fcntl.h>
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// Runs the awaiter in a task, and tells how it ended.
template <class A>
auto start(EventLoop& loop, A awaiter) {
  return ensure_future(std::move(awaiter), &loop);
}

template <class T>
bool failed_with(const Future<T>& future, std::errc code) {
  try {
    std::rethrow_exception(future.exception());
  } catch (const std::system_error& e) {
    return e.code() == code;
  }
}

Coro<void> answer_once(EventLoop& loop, Socket& listener) {
  auto [socket, from] = co_await loop.sock_accept(listener);
  const std::string request = co_await read_exactly(loop, socket, 7);
  CHECK(request == "request");
  co_await loop.sock_sendall(socket, "the answer");
}

}  // namespace

WEIR_TEST("SOCK-001 connect, sendall, recv and accept carry a request and its answer") {
  Socket listener = listening_socket();
  auto answering = loop.create_task(answer_once(loop, listener));
  Socket client = Socket::open(AddressFamily::inet);
  co_await loop.sock_connect(client, listener.local_address());
  co_await loop.sock_sendall(client, "request");
  std::string answer;
  for (;;) {
    const Bytes part = co_await loop.sock_recv(client, 4);
    CHECK(part.size() <= 4);
    if (part.empty()) {
      break;
    }
    answer += part.str();
  }
  CHECK(answer == "the answer");
  co_await answering;
}

WEIR_TEST("SOCK-002 sock_recv returns at most n bytes, and nothing at the end of file") {
  auto s = co_await connected_sockets(loop);
  co_await loop.sock_sendall(s.far, "0123456789");
  s.far.shutdown_write();
  std::string read;
  Bytes part(1);
  while (!part.empty()) {
    part = co_await loop.sock_recv(s.near, 3);
    CHECK(part.size() <= 3);
    read += part.str();
  }
  CHECK(read == "0123456789");
  part = co_await loop.sock_recv(s.near, 3);
  CHECK(part.empty());
  part = co_await loop.sock_recv(s.near, 0);
  CHECK(part.empty());
}

WEIR_TEST("SOCK-003 sock_recv_into fills the caller's memory and returns the number of bytes") {
  auto s = co_await connected_sockets(loop);
  std::array<std::byte, 8> memory{};
  memory.fill(std::byte{'#'});
  co_await loop.sock_sendall(s.far, "abc");
  std::size_t filled = 0;
  while (filled != 3) {
    const std::size_t count =
        co_await loop.sock_recv_into(s.near, std::span(memory).subspan(filled, 6 - filled));
    REQUIRE(count > 0);
    filled += count;
  }
  CHECK(as_text(memory) == "abc#####");
  s.far.shutdown_write();
  CHECK(co_await loop.sock_recv_into(s.near, memory) == 0);
}

WEIR_TEST("SOCK-004 sock_sendall returns only when every byte has been taken") {
  auto s = co_await connected_sockets(loop, true);
  const std::string text = pattern(clogging);
  auto sending = start(loop, loop.sock_sendall(s.near, text));
  co_await settle(loop);
  CHECK(!sending.done());
  std::string read = co_await read_exactly(loop, s.far, text.size() / 2);
  CHECK(!sending.done());
  read += co_await read_exactly(loop, s.far, text.size() - read.size());
  co_await sending;
  CHECK(read == text);
}

WEIR_TEST("SOCK-005 sock_connect to a closed port fails, and the socket stays the caller's") {
  Socket socket = Socket::open(AddressFamily::inet);
  const Address nobody = Address::loopback(AddressFamily::inet, closed_port());
  std::string what;
  try {
    co_await loop.sock_connect(socket, nobody);
    FAIL("connected");
  } catch (const std::system_error& e) {
    CHECK(e.code() == std::errc::connection_refused);
    what = e.what();
  }
  CHECK(what.find("sock_connect " + nobody.to_string()) != std::string::npos);
  CHECK(socket.is_open());
  socket.close();
  CHECK(!socket.is_open());
}

WEIR_TEST("SOCK-007 sock_accept returns a non-blocking, close-on-exec socket and the peer's address") {
  Socket listener = listening_socket();
  Socket client = Socket::open(AddressFamily::inet);
  auto connecting = start(loop, loop.sock_connect(client, listener.local_address()));
  auto [accepted, from] = co_await loop.sock_accept(listener);
  co_await connecting;
  CHECK(from == client.local_address());
  CHECK(from == accepted.peer_address());
#if !defined(WEIR_BACKEND_SIM)
  CHECK(is_non_blocking(accepted.native_handle()));
  CHECK_FALSE(is_inheritable(accepted.native_handle()));
#endif
}

WEIR_TEST("SOCK-010 cancelling a pending operation: nothing is read or written on its behalf afterwards") {
  auto s = co_await connected_sockets(loop, true);
  std::array<std::byte, 16> memory{};
  auto receiving = start(loop, loop.sock_recv_into(s.near, memory));
  co_await settle(loop);
  receiving.cancel();
  co_await loop.sock_sendall(s.far, "not for it");
  co_await settle(loop);
  CHECK(receiving.cancelled());
  CHECK(memory[0] == std::byte{0});
  CHECK(co_await read_exactly(loop, s.near, 10) == "not for it");

  const std::string text = pattern(clogging);
  auto sending = start(loop, loop.sock_sendall(s.near, text));
  co_await settle(loop);
  sending.cancel();
  co_await settle(loop);
  CHECK(sending.cancelled());
  s.near.shutdown_write();
  const std::string read = co_await read_all(loop, s.far);
  CHECK(read.size() < text.size());
  CHECK(text.starts_with(read));
}

WEIR_TEST("SOCK-011 after a cancelled sock_recv the next one gets all the data") {
  auto s = co_await connected_sockets(loop);
  for (int turns = 0; turns != 8; ++turns) {
    auto receiving = start(loop, loop.sock_recv(s.near, 100));
    co_await sleep(0s);
    co_await loop.sock_sendall(s.far, "x");
    for (int i = 0; i != turns; ++i) {
      co_await sleep(0s);
    }
    receiving.cancel();
    co_await until([&] { return receiving.done(); });
    if (receiving.cancelled()) {
      CHECK(co_await read_exactly(loop, s.near, 1) == "x");
    } else {
      CHECK(receiving.result() == "x");
    }
  }
}

namespace {

// What a task that is cancelled while its result is there must do: return the result, and learn of the
// cancellation at its next await.
Coro<void> receive_then_wait(EventLoop& loop, Socket& socket, std::string& received, bool& waited) {
  const Bytes data = co_await loop.sock_recv(socket, 100);
  received = data.str();
  co_await sleep(3600s);
  waited = true;
}

}  // namespace

WEIR_TEST("SOCK-011 a result that is there wins over a cancellation, which comes at the next await") {
  auto s = co_await connected_sockets(loop);
  int won = 0;
  for (int turns = 0; turns != 60; ++turns) {
    std::string received;
    bool waited = false;
    auto task = loop.create_task(receive_then_wait(loop, s.near, received, waited));
    co_await sleep(0s);
    co_await loop.sock_sendall(s.far, "x");
    for (int i = 0; i != turns; ++i) {
      co_await sleep(0s);
    }
    task.cancel();
    CHECK_THROWS_AS(co_await task, CancelledError);
    CHECK(!waited);
    won += received == "x" ? 1 : 0;
    if (received.empty()) {
      CHECK(co_await read_exactly(loop, s.near, 1) == "x");
    }
  }
  CHECK(won > 0);
}

#if defined(WEIR_BACKEND_SIM)
namespace {

Coro<void> send_then_wait(EventLoop& loop, Socket& socket, const std::string& text, bool& sent) {
  co_await loop.sock_sendall(socket, text);
  sent = true;
  co_await sleep(3600s);
}

Coro<void> accept_then_wait(EventLoop& loop, Socket& listener, Socket& accepted, bool& waited) {
  auto [socket, from] = co_await loop.sock_accept(listener);
  accepted = std::move(socket);
  co_await sleep(3600s);
  waited = true;
}

}  // namespace

TEST_CASE("SOCK-011 a backend whose true result wins over the cancellation loses nothing") {
  sim::Options options;
  options.cancel_loses_chance = 1;
  options.pending_chance = 1;
  sim::configure(options);
  run_test_body([](EventLoop& loop, Env&) -> Coro<void> {
    auto s = co_await connected_sockets(loop, true);
    co_await loop.sock_sendall(s.far, "x");
    co_await settle(loop);
    std::string received;
    bool waited = false;
    // The data is there, and the operation was told to wait for its turn; then comes the cancellation.
    auto receiving = loop.create_task(receive_then_wait(loop, s.near, received, waited));
    co_await sleep(0s);
    receiving.cancel();
    CHECK_THROWS_AS(co_await receiving, CancelledError);
    CHECK(received == "x");

    const std::string text = pattern(1000);
    bool sent = false;
    auto sending = loop.create_task(send_then_wait(loop, s.near, text, sent));
    co_await sleep(0s);
    sending.cancel();
    CHECK_THROWS_AS(co_await sending, CancelledError);
    s.near.shutdown_write();
    const std::string read = co_await read_all(loop, s.far);
    CHECK(!read.empty());
    CHECK(text.starts_with(read));
    CHECK(sent == (read == text));

    Socket listener = listening_socket();
    Socket client = Socket::open(AddressFamily::inet);
    co_await loop.sock_connect(client, listener.local_address());
    co_await settle(loop);
    Socket accepted;
    auto accepting = loop.create_task(accept_then_wait(loop, listener, accepted, waited));
    co_await sleep(0s);
    accepting.cancel();
    CHECK_THROWS_AS(co_await accepting, CancelledError);
    CHECK(accepted.is_open());
    CHECK(!waited);
  });
  sim::configure({});
}
#endif

WEIR_TEST("SOCK-012 cancelling sock_accept leaves the listening socket usable and loses no connection") {
  Socket listener = listening_socket();
  std::vector<Socket> clients;
  int accepted = 0;
  for (int i = 0; i != 10; ++i) {
    auto accepting = start(loop, loop.sock_accept(listener));
    co_await sleep(0s);
    Socket& client = clients.emplace_back(Socket::open(AddressFamily::inet));
    auto connecting = start(loop, loop.sock_connect(client, listener.local_address()));
    for (int turns = 0; turns != i; ++turns) {
      co_await sleep(0s);
    }
    accepting.cancel();
    try {
      co_await std::move(accepting);
      ++accepted;
    } catch (const CancelledError&) {
    }
    co_await connecting;
  }
  while (accepted != 10) {
    co_await loop.sock_accept(listener);
    ++accepted;
  }
  auto extra = start(loop, loop.sock_accept(listener));
  co_await settle(loop);
  CHECK(!extra.done());
  extra.cancel();
  co_await settle(loop);
}

WEIR_TEST("SOCK-014 a pending operation ends with an error when its socket is closed") {
  auto s = co_await connected_sockets(loop, true);
  Socket listener = listening_socket();
  const std::string text = pattern(clogging);
  auto receiving = start(loop, loop.sock_recv(s.near, 10));
  auto sending = start(loop, loop.sock_sendall(s.near, text));
  auto accepting = start(loop, loop.sock_accept(listener));
  co_await settle(loop);
  REQUIRE((!receiving.done() && !sending.done() && !accepting.done()));
  s.near.close();
  listener.close();
  co_await until([&] { return receiving.done() && sending.done() && accepting.done(); });
  CHECK(failed_with(receiving, std::errc::bad_file_descriptor));
  CHECK(failed_with(sending, std::errc::bad_file_descriptor));
  CHECK(failed_with(accepting, std::errc::bad_file_descriptor));
  CHECK(message_of(receiving.exception()).starts_with("sock_recv: the socket was closed"));
  // And what begins afterwards.
  auto late = start(loop, loop.sock_recv(s.near, 10));
  co_await until([&] { return late.done(); });
  CHECK(failed_with(late, std::errc::bad_file_descriptor));
}

WEIR_TEST("SOCK-014 release gives the socket away and ends the operations on it") {
  auto s = co_await connected_sockets(loop);
  auto receiving = start(loop, loop.sock_recv(s.near, 10));
  co_await settle(loop);
  const native_socket native = s.near.release();
  CHECK(!s.near.is_open());
  co_await until([&] { return receiving.done(); });
  CHECK(failed_with(receiving, std::errc::bad_file_descriptor));
  Socket again = Socket::adopt(native);
  co_await loop.sock_sendall(s.far, "x");
  CHECK(co_await read_exactly(loop, again, 1) == "x");
}

WEIR_TEST("SOCK-015 a second operation in the same direction is refused, and the first goes on") {
  auto s = co_await connected_sockets(loop, true);
  const std::string text = pattern(clogging);
  auto receiving = start(loop, loop.sock_recv(s.near, 10));
  auto sending = start(loop, loop.sock_sendall(s.near, text));
  co_await settle(loop);
  CHECK_THROWS_AS(co_await loop.sock_recv(s.near, 10), RuntimeError);
  std::array<std::byte, 4> memory{};
  CHECK_THROWS_AS(co_await loop.sock_recv_into(s.near, memory), RuntimeError);
  CHECK_THROWS_AS(co_await loop.sock_sendall(s.near, "x"), RuntimeError);
  CHECK(!receiving.done());
  CHECK(!sending.done());
  co_await loop.sock_sendall(s.far, "x");
  const Bytes received = co_await receiving;
  CHECK(received == "x");
  CHECK(co_await read_exactly(loop, s.far, text.size()) == text);
  co_await sending;
}

WEIR_TEST("SOCK: a socket may be moved while an operation is pending") {
  auto s = co_await connected_sockets(loop);
  auto receiving = start(loop, loop.sock_recv(s.near, 10));
  co_await settle(loop);
  Socket moved = std::move(s.near);
  CHECK(!s.near.is_open());
  co_await loop.sock_sendall(s.far, "x");
  const Bytes received = co_await receiving;
  CHECK(received == "x");
  co_await loop.sock_sendall(moved, "y");
  CHECK(co_await read_exactly(loop, s.far, 1) == "y");
}

TEST_CASE("SOCK: a socket outlives the loop it was used with, and serves another one") {
  const Env env;
  Socket near, far;
  {
    EventLoop loop;
    loop.run_until_complete([](EventLoop& l, Socket& a, Socket& b) -> Coro<void> {
      auto s = co_await connected_sockets(l);
      a = std::move(s.near);
      b = std::move(s.far);
    }(loop, near, far));
    EventLoop other;
    CHECK_THROWS_AS(other.run_until_complete([](EventLoop& l, Socket& a) -> Coro<void> {
      co_await l.sock_sendall(a, "x");
    }(other, near)),
                    RuntimeError);
  }
  EventLoop loop;
  loop.run_until_complete([](EventLoop& l, Socket& a, Socket& b) -> Coro<void> {
    co_await l.sock_sendall(a, "x");
    CHECK(co_await read_exactly(l, b, 1) == "x");
  }(loop, near, far));
}

WEIR_TEST("SOCK: reading what is always there lets others run") {
  // One byte at a time out of a full buffer: each read is done at once, and the task must yield all the same.
  auto s = co_await connected_sockets(loop);
  co_await loop.sock_sendall(s.far, pattern(5000));
  co_await settle(loop);
  int turns = 0;
  bool done = false;
  auto counting = loop.create_task([](int& count, const bool& end) -> Coro<void> {
    while (!end) {
      ++count;
      co_await sleep(0s);
    }
  }(turns, done));
  for (int i = 0; i != 5000; ++i) {
    std::array<std::byte, 1> one{};
    co_await loop.sock_recv_into(s.near, one);
  }
  done = true;
  co_await counting;
  CHECK(turns >= 20);
}

TEST_CASE("DBG-005 in debug mode a socket that was made blocking is refused") {
#if defined(WEIR_TEST_POSIX)
  run_test_body([](EventLoop& loop, Env&) -> Coro<void> {
    auto s = co_await connected_sockets(loop);
    Socket adopted = Socket::adopt(s.near.release());
    const int flags = ::fcntl(adopted.native_handle(), F_GETFL);
    CHECK((flags & O_NONBLOCK) != 0);
    ::fcntl(adopted.native_handle(), F_SETFL, flags & ~O_NONBLOCK);
    loop.set_debug(true);
    std::array<std::byte, 1> one{};
    CHECK_THROWS_AS(co_await loop.sock_recv(adopted, 1), std::invalid_argument);
    CHECK_THROWS_AS(co_await loop.sock_recv_into(adopted, one), std::invalid_argument);
    CHECK_THROWS_AS(co_await loop.sock_sendall(adopted, "x"), std::invalid_argument);
    CHECK_THROWS_AS(co_await loop.sock_connect(adopted, Address::loopback(AddressFamily::inet, 1)),
                    std::invalid_argument);
    CHECK_THROWS_AS(co_await loop.sock_accept(adopted), std::invalid_argument);
    ::fcntl(adopted.native_handle(), F_SETFL, flags);
    co_await loop.sock_sendall(adopted, "x");
    CHECK(co_await read_exactly(loop, s.far, 1) == "x");
    loop.set_debug(false);
  });
#else
  CHECK(lacks("DBG-005", Trait::blocking_flag));
#endif
}

WEIR_TEST("SOCK-010 a cancellation that stopped an operation cannot be taken back any more") {
  auto [reader, writer] = Socket::pair();
  bool was_cancelled = false;
  const auto read = [](EventLoop& on, Socket& from, bool& cancelled) -> Coro<void> {
    try {
      co_await on.sock_recv(from, 16);
    } catch (const CancelledError&) {
      cancelled = true;
    }
  };
  Task<void> task = loop.create_task(read(loop, reader, was_cancelled));
  co_await sleep(std::chrono::milliseconds(1));
  task.cancel();
  task.uncancel();
  co_await task;
  CHECK(was_cancelled);
}
