// The UDP echo client and server in one process and on one loop, for the simulator.
#include "tests/examples/udp_echo.hpp"

namespace {

constexpr std::uint16_t port = 9999;

weir::Coro<void> run_both() {
  weir::Task<void> serving = weir::create_task(run_udp_echo_server(port));
  co_await weir::sleep(std::chrono::milliseconds(1));  // the server opens its socket
  co_await run_udp_echo_client(port);
  serving.cancel();
  try {
    co_await serving;
  } catch (const weir::CancelledError&) {
    std::puts("The server is closed");
  }
}

}  // namespace

int main() { weir::run(run_both()); }
