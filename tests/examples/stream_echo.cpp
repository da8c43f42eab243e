// The echo client and the echo server with streams of asyncio's documentation, on one loop.
#include <weir/weir.hpp>

#include <cstdio>

namespace {

weir::Coro<void> handle_echo(weir::Ref<weir::StreamReader> reader, weir::Ref<weir::StreamWriter> writer) {
  while (auto line = co_await reader->next()) {
    std::printf("Received %s", line->str().c_str());
    writer->write(std::move(*line));
    co_await writer->drain();
  }
  std::puts("Close the connection");
  writer->close();
  co_await writer->wait_closed();
}

weir::Coro<void> echo_client(weir::Address server) {
  const std::string host = server.host();
  auto [reader, writer] = co_await weir::open_connection({.host = host, .port = server.port()});
  writer->write("Hello World!\nand good bye\n");
  writer->write_eof();
  const weir::Bytes answer = co_await reader->read();
  std::printf("Answer: %s", answer.str().c_str());
  writer->close();
  co_await writer->wait_closed();
}

weir::Coro<void> both() {
  auto server = co_await weir::start_server(&handle_echo, {.host = "127.0.0.1"});
  co_await echo_client(server->sockets().front().local_address());
  co_await server->aclose();
}

}  // namespace

int main() { weir::run(both()); }
