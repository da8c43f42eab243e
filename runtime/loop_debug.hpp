// What debug mode knows about the callback that runs now.
#pragma once

#include <weir/config.hpp>
#include <weir/handle.hpp>

#include <chrono>
#include <string>

namespace weir::inline WEIR_ABI::detail {

struct LoopDebug {
  Duration slow_callback_duration = std::chrono::milliseconds(100);
  std::string running;  // describes the item that runs; empty for an event of the backend
};

// "<what> at <file>:<line>", or just <what> when the place is unknown.
std::string describe_at(const std::string& what, const std::source_location& where);

}  // namespace weir::inline WEIR_ABI::detail
