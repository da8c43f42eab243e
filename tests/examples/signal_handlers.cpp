// add_signal_handler: SIGINT and SIGTERM end the loop in good order (asyncio's "Set signal handlers for
// SIGINT and SIGTERM").
#include <weir/weir.hpp>

#include <csignal>
#include <cstdio>
#include <memory>

int main() {
  const std::unique_ptr<weir::EventLoop> loop = weir::new_event_loop();
  const auto ask_exit = [&loop](const char* name) {
    std::printf("got signal %s: exit\n", name);
    loop->stop();
  };
  loop->add_signal_handler(SIGINT, [&ask_exit] { ask_exit("SIGINT"); });
  loop->add_signal_handler(SIGTERM, [&ask_exit] { ask_exit("SIGTERM"); });

  std::puts("Event loop running, press Ctrl+C to interrupt.");
  std::fflush(stdout);
  loop->run_forever();
}
