// What most sources of runtime/ and backends/ read, compiled once for each backend (Meson's option b_pch). No
// source may need it: each includes what it uses.
#include <weir/event_loop.hpp>
#include <weir/exceptions.hpp>
#include <weir/future.hpp>
#include <weir/log.hpp>
#include <weir/tasks.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>
