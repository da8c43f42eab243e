// What most sources of net/ read, compiled once for each backend (Meson's option b_pch). No source may need
// it: each includes what it uses.
#include <weir/event_loop.hpp>
#include <weir/exceptions.hpp>
#include <weir/net/connect.hpp>
#include <weir/net/datagram.hpp>
#include <weir/net/pipe.hpp>
#include <weir/net/streams.hpp>
#include <weir/net/unix.hpp>
#include <weir/tasks.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>
