// What debug mode knows about the callback that runs now.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/callback.hpp>
#include <weir/handle.hpp>

#include <chrono>
#include <source_location>
#include <string>

namespace weir::inline WEIR_ABI::detail {

struct LoopDebug {
  Duration slow_callback_duration = std::chrono::milliseconds(100);
  std::string running;  // describes the item that runs; empty for an event of the backend
};

// The type of a callback, and the place where it was scheduled when that is known.
std::string describe_callback(const Callback& callback, const std::source_location& where);

// "<what> at <file>:<line>", or just <what> when the place is unknown.
std::string describe_at(const std::string& what, const std::source_location& where);

}  // namespace weir::inline WEIR_ABI::detail
