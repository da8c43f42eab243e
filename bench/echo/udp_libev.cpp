// libev's echo server of datagrams.
#include "bench/echo/datagrams.hpp"

// Watchers are structs that the application fills: its macros cast between them.
#pragma GCC diagnostic ignored "-Wstrict-aliasing"
#include <ev.h>

namespace {

void readable(struct ev_loop*, ev_io* watcher, int) { bench::echo_datagrams(watcher->fd); }

}  // namespace

int main() {
  struct ev_loop* loop = ev_default_loop(EVBACKEND_EPOLL);
  ev_io receiving;
  ev_io_init(&receiving, &readable, bench::receive_datagrams_anywhere(), EV_READ);
  ev_io_start(loop, &receiving);
  ev_run(loop, 0);
  return 0;
}
