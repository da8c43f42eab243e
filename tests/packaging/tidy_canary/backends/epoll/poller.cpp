// A backend reads the clock and includes the operating system, and no room above it.
#include <sys/epoll.h>
#include <weir/config.hpp>
#include <weir/detail/op.hpp>
#include <weir/detail/ready_queue.hpp>
#include <weir/detail/timer_heap.hpp> // expect: room
#include <weir/event_loop.hpp> // expect: room
#include "backends/readiness/poller.hpp"
#include "runtime/timer_heap.hpp" // expect: room

long now() { return steady_clock::now(); }
