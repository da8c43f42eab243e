// BUF: protocols that give the memory to read into.
#include "tests/net/net_test.hpp"

using namespace weir;
using namespace weir::testing;

WEIR_TEST("BUF-001 get_buffer is asked for memory, and buffer_updated is told how much was read") {
  auto w = co_await wire(loop, make_ref<BufferedRecorder>());
  const std::string sent = pattern(100'000);
  co_await w.peer->send(sent);
  co_await until([&] { return w.protocol->received.size() == sent.size(); });
  CHECK(w.protocol->received == sent);
  CHECK(w.protocol->hints.size() >= w.protocol->counts.size());
  for (const std::size_t hint : w.protocol->hints) {
    CHECK(hint > 0);
  }
  for (const std::size_t count : w.protocol->counts) {
    CHECK(count <= 1000);
  }
  co_await finish(w);
}

WEIR_TEST("BUF-002 eof_received and connection_lost behave as for plain protocols") {
  auto closes = co_await wire(loop, make_ref<BufferedRecorder>());
  co_await closes.peer->send("data");
  co_await closes.peer->shutdown_write();
  co_await until([&] { return closes.protocol->lost != 0; });
  CHECK(closes.protocol->received == "data");
  CHECK(closes.protocol->events[closes.protocol->events.size() - 2] == "eof");
  CHECK(!closes.protocol->error);

  auto stays = co_await wire(loop, make_ref<BufferedRecorder>());
  stays.protocol->on_eof = [] { return true; };
  co_await stays.peer->shutdown_write();
  co_await until([&] { return stays.protocol->count("eof") == 1; });
  if (!over_tls()) {  // whose connections do not stay half open
    stays.transport->write("answer");
    CHECK(co_await stays.peer->read_exactly(6) == "answer");
  }
  co_await finish(stays);

  auto reset = co_await wire(loop, make_ref<BufferedRecorder>());
  reset.peer->reset();
  co_await until([&] { return reset.protocol->lost != 0; });
  CHECK(reset.protocol->code() == std::errc::connection_reset);
}

WEIR_TEST("BUF-003 an exception of get_buffer or buffer_updated closes the connection with it") {
  auto get = co_await wire(loop, make_ref<BufferedRecorder>());
  get.protocol->on_get_buffer = []() -> std::span<std::byte> { throw std::domain_error("get"); };
  co_await get.peer->send("x");
  co_await until([&] { return get.protocol->lost != 0; });
  CHECK(message_of(get.protocol->error) == "get");
  CHECK(message_of(env.expect_report("get_buffer").exception) == "get");
  CHECK(get.protocol->received.empty());

  auto updated = co_await wire(loop, make_ref<BufferedRecorder>());
  updated.protocol->on_data = [] { throw std::domain_error("updated"); };
  co_await updated.peer->send("x");
  co_await until([&] { return updated.protocol->lost != 0; });
  CHECK(message_of(updated.protocol->error) == "updated");
  CHECK(message_of(env.expect_report("buffer_updated").exception) == "updated");

  auto eof = co_await wire(loop, make_ref<BufferedRecorder>());
  eof.protocol->on_eof = []() -> bool { throw std::domain_error("eof"); };
  co_await eof.peer->shutdown_write();
  co_await until([&] { return eof.protocol->lost != 0; });
  CHECK(message_of(env.expect_report("eof_received").exception) == "eof");
}

WEIR_TEST("BUF-004 an empty buffer is an error that closes the connection") {
  auto w = co_await wire(loop, make_ref<BufferedRecorder>());
  w.protocol->on_get_buffer = [] { return std::span<std::byte>(); };
  co_await w.peer->send("x");
  co_await until([&] { return w.protocol->lost != 0; });
  CHECK(message_of(w.protocol->error).find("empty buffer") != std::string::npos);
  env.expect_report("get_buffer");
}

WEIR_TEST("BUF-005 server connections can use buffered protocols") {
  std::vector<Ref<BufferedRecorder>> made;
  const auto factory = [&] { return made.emplace_back(make_ref<BufferedRecorder>()); };
  auto server = co_await loop.create_server(factory, {.host = "127.0.0.1"});
  Socket client = Socket::open(AddressFamily::inet);
  co_await loop.sock_connect(client, server->sockets()[0].local_address());
  co_await loop.sock_sendall(client, "to the server");
  co_await until([&] { return !made.empty() && made[0]->received == "to the server"; });
  server->close();
  server->abort_clients();
  co_await server->wait_closed();
  CHECK(made.size() == 1);
  CHECK(made[0]->lost == 1);
}

WEIR_TEST("BUF-006 buffer_updated is never called with zero bytes") {
  auto w = co_await wire(loop, make_ref<BufferedRecorder>());
  w.protocol->memory.resize(7);
  for (int i = 0; i != 20; ++i) {
    co_await w.peer->send(pattern(static_cast<std::size_t>(i)));
    co_await settle(loop);
  }
  co_await w.peer->shutdown_write();
  co_await until([&] { return w.protocol->lost != 0; });
  CHECK(w.protocol->received.size() == 190);
  for (const std::size_t count : w.protocol->counts) {
    CHECK(count > 0);
  }
}

WEIR_TEST("BUF: get_buffer may close, abort and pause") {
  for (const int what : {0, 1, 2}) {
    auto w = co_await wire(loop, make_ref<BufferedRecorder>());
    bool asked = false;
    w.protocol->on_get_buffer = [&]() -> std::span<std::byte> {
      if (!std::exchange(asked, true)) {
        what == 0 ? w.transport->close() : what == 1 ? w.transport->abort() : w.transport->pause_reading();
      }
      return w.protocol->memory;
    };
    co_await w.peer->send("x");
    co_await until([&] { return asked; });
    co_await settle(loop);
    CHECK(w.protocol->received.empty());
    if (what == 0) {
      CHECK(co_await w.peer->read_rest() == "");
      co_await until([&] { return w.protocol->lost != 0; });
    }
    if (what == 2) {
      w.transport->resume_reading();
      co_await until([&] { return w.protocol->received == "x"; });
      co_await finish(w);
    }
    CHECK(w.protocol->lost == 1);
  }
}
