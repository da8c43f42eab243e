// Time, chance and other calls a loop must not make: random_device and dup() in a comment are fine.
#include <chrono>
#include <format>                 // expect: format
#include <iostream>               // expect: iostream
#include <sys/socket.h>           // expect: platform-header
#include <unistd.h>               // expect: platform-header
#include <weir/net/transport.hpp> // expect: room
#include <weir/weir.hpp>          // expect: umbrella
#include "backends/backend.hpp"
#include "backends/epoll/poller.hpp" // expect: room
#include "net/server.hpp"            // expect: room
#include "tests/support/fixture.hpp" // expect: room

using namespace std; // expect: using-namespace
using namespace std::chrono_literals;

void bad() {
  auto now = steady_clock::now();                    // expect: clock
  clock_gettime(0, nullptr);                         // expect: clock
  std::this_thread::sleep_for(1s);                   // expect: sleep
  usleep(1);                                         // expect: sleep
  std::random_device chance;                         // expect: chance
  int x = rand();                                    // expect: chance
  int y = ::dup(1);                                  // expect: dup
  int z = dup3(1, 2, 0);                             // expect: dup
  fcntl(1, F_DUPFD, 0);                              // expect: dup
  buffer.dup();
  say("steady_clock::now() and sleep_for in a literal, dup(1)");
  int digits = 1'000'000;
  // TODO(now): expect: todo
  // TODO: name a kind; expect: todo
  // FIXME expect: todo
  // TODO(perf): a kind and a text are fine.
#if WEIR_BACKEND_SIM // expect: config
#endif
}

struct Shape {
  virtual ~Shape(); // expect: virtual
};
