// Where weir's own messages go (Python's logging): errors nobody handled, warnings, and debug mode's remarks.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/callback.hpp>

#include <cstdint>
#include <functional>
#include <string_view>

namespace weir::inline WEIR_ABI {

enum class LogLevel : std::uint8_t { debug, warning, error };

// Receives one message, without a newline at its end. Called on the thread that logs; may throw, which is
// contained.
using LogSink = std::function<void(LogLevel level, std::string_view message)>;

// Replaces the sink of the process; an empty one restores the default, which writes to stderr. Thread-safe.
WEIR_API void set_log_sink(LogSink sink);

namespace detail {

// Never throws: a sink that does is reported on stderr.
WEIR_API void log(LogLevel level, std::string_view message) noexcept;

}  // namespace detail
}  // namespace weir::inline WEIR_ABI
