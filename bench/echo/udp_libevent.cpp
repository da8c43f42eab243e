// libevent's echo server of datagrams, on a plain event.
#include "bench/echo/datagrams.hpp"

#include <event2/event.h>
#include <event2/event_struct.h>

namespace {

void readable(evutil_socket_t socket, short, void*) { bench::echo_datagrams(socket); }

}  // namespace

int main() {
  event_config* config = event_config_new();
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  event_base* base = event_base_new_with_config(config);
  event receiving;
  event_assign(&receiving, base, bench::receive_datagrams_anywhere(), EV_READ | EV_PERSIST, &readable,
               nullptr);
  event_add(&receiving, nullptr);
  return event_base_dispatch(base);
}
