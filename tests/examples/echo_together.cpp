// The echo client and the echo server in one process and on one loop: the way to run them under the
// simulator, whose sockets exist inside the process only.
#include "tests/examples/echo_client.hpp"
#include "tests/examples/echo_server.hpp"

namespace {

constexpr std::uint16_t port = 8888;

weir::Coro<void> run_both() {
  weir::Task<void> serving = weir::create_task(run_echo_server(port));
  co_await weir::sleep(std::chrono::seconds(0));  // the server begins to listen
  co_await run_echo_client(port);
  serving.cancel();
  try {
    co_await serving;
  } catch (const weir::CancelledError&) {
    std::puts("The server is closed");
  }
}

}  // namespace

int main() {
  // Like asyncio's, this example takes the first bytes that arrive for the whole message.
  weir::sim::configure({.short_read_chance = 0, .short_write_chance = 0, .split_chance = 0});
  weir::run(run_both());
}
