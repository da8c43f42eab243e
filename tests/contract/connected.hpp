// Sockets on the driver's loop: one end, a listener, two connected ends, and a clogged one.
#pragma once

#include "tests/contract/driver.hpp"

namespace contract {

// A socket with its handle, closed at the end of the scope.
struct End {
  End(Loop& a_loop, native_socket socket) : loop(a_loop), native(socket) {
    handle = loop.backend.attach(native, &handle);
  }
  explicit End(Loop& a_loop) : End(a_loop, open()) {}
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  ~End() { close(); }

  void close() {
    if (handle != nullptr) {
      inside([this] { loop.backend.close(handle); });
      CHECK(handle == nullptr);
    }
  }
  // The peer gets a reset.
  void abort() {
    Sockets::set_option(native, SocketOption::linger_abort, 1);
    close();
  }
  // One send: its result.
  std::int64_t send(std::string_view text) {
    const ConstBuffer buffer = std::as_bytes(std::span(text));
    Waited<SendOp> op;
    op.buffers = std::span(&buffer, 1);
    return loop.finish(op, handle);
  }
  void send_all(std::string_view text) {
    while (!text.empty()) {
      const std::int64_t sent = send(text);
      REQUIRE(sent > 0);
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // One receive, appended to `text`: its result.
  std::int64_t receive(std::string& text, std::size_t most = 1 << 16) {
    std::vector<std::byte> memory(most);
    Waited<RecvOp> op;
    op.into = memory;
    const std::int64_t result = loop.finish(op, handle);
    if (result > 0) {
      text.append(reinterpret_cast<const char*>(memory.data()), static_cast<std::size_t>(result));
    }
    return result;
  }
  std::string receive_exactly(std::size_t size) {
    std::string text;
    while (text.size() < size) {
      REQUIRE(receive(text, size - text.size()) > 0);
    }
    return text;
  }

  Loop& loop;
  native_socket native;
  BackendHandle* handle = nullptr;
};

struct Listener : End {
  explicit Listener(Loop& a_loop, int backlog = 128) : End(a_loop) {
    REQUIRE(Sockets::bind(native, loopback()) == 0);
    REQUIRE(Sockets::listen(native, backlog) == 0);
    REQUIRE(Sockets::local_address(native, address) == 0);
  }
  RawAddress address;
};

// Two connected sockets on one loop.
struct Pair {
  explicit Pair(Loop& loop) : Pair(loop, Listener(loop)) {}
  Pair(Loop& loop, Listener&& listener) : client(loop), server(loop, connect(loop, listener, client)) {}

  static native_socket connect(Loop& loop, Listener& listener, End& client) {
    Waited<ConnectOp> connecting;
    connecting.address = listener.address;
    Waited<AcceptOp> accepting;
    loop.start(accepting, listener.handle);
    loop.start(connecting, client.handle);
    REQUIRE(loop.until([&] { return connecting.is_answered() && accepting.is_answered(); }));
    REQUIRE(connecting.result == 0);
    REQUIRE(accepting.result >= 0);
    return static_cast<native_socket>(accepting.result);
  }

  End client;
  End server;
};

// Text in which a lost, doubled or moved byte shows.
inline std::string pattern(std::size_t size, unsigned salt = 0) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    text[i] = static_cast<char>((i * 131 + (i >> 8) * 17 + salt) & 0xff);
  }
  return text;
}

// Sends until nothing more is taken at once; says how many bytes were. Leaves `op` pending with `buffer`.
inline std::size_t clog(End& end, Waited<SendOp>& op, const ConstBuffer& buffer) {
  std::size_t taken = 0;
  op.buffers = std::span(&buffer, 1);
  for (;;) {
    if (!end.loop.start(op, end.handle)) {
      end.loop.pass();
      if (!op.is_answered()) {
        break;
      }
    }
    REQUIRE(op.result > 0);
    taken += static_cast<std::size_t>(op.result);
  }
  REQUIRE(op.state == OpState::pending);
  return taken;
}

}  // namespace contract
