// The knobs of the simulator, for programs and tests built with -Dloop_backend=sim. Options exist in every
// build; the functions exist in the sim build only, so guard their use with WEIR_BACKEND_SIM when one source
// serves several backends.
//
// A *world* is a virtual clock, a chance that follows a seed, and an in-memory network. A thread gets its
// world when it first opens a socket or makes a loop; loops made on one thread share it, one after another.
// When the last socket and the last loop of a world are gone, the next use makes a new one. The same program
// with the same seed runs the same way, event by event. A world is used by one thread at a time, and nothing
// here may be called from another thread.
#pragma once

#include <weir/config.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace weir::inline WEIR_ABI::sim {

// How a world behaves. Chances lie between 0 (never) and 1 (always). Trivially destructible.
struct Options {
  // Where all chance comes from. Unset: the number in the environment variable WEIR_SIM_SEED, and 1 without
  // it.
  std::optional<std::uint64_t> seed = {};
  // How long a segment travels; what one side sends keeps its order.
  std::chrono::nanoseconds latency_min = std::chrono::microseconds(10);
  std::chrono::nanoseconds latency_max = std::chrono::microseconds(60);
  // What one turn of a loop costs, so that time passes while callbacks keep a loop busy. With 0 it then
  // stands still.
  std::chrono::nanoseconds turn_min = std::chrono::microseconds(1);
  std::chrono::nanoseconds turn_max = std::chrono::microseconds(3);
  // Of an operation that could be answered at once: that it is answered in a later turn.
  double pending_chance = 0.5;
  // Of something ready: that the loop learns of it one turn later than it could.
  double late_chance = 0.1;
  // Of receiving fewer bytes than are there, and of taking fewer than there is room for.
  double short_read_chance = 0.25;
  double short_write_chance = 0.25;
  // Of a segment that arrives in two parts.
  double split_chance = 0.25;
  // Of a cancelled operation that could be answered: that the true result wins over the cancellation.
  double cancel_loses_chance = 0.0;
  // The default of the send buffer and of the receive buffer of each socket. Together they limit what one
  // side can send before the other reads.
  std::size_t socket_buffer_bytes = 32 * 1024;
  // How many sockets the world's descriptor table holds; one more fails with EMFILE.
  std::size_t descriptor_limit = 1U << 20;
};

#ifdef WEIR_BACKEND_SIM

// Sets the options of worlds that this thread makes from now on; a world that exists keeps its own.
WEIR_API void configure(const Options& options) noexcept;

// The options of the thread's world, or those of the next one when there is none. The seed is always set.
WEIR_API Options options() noexcept;

// The seed of the thread's world, else of the last one that ended here, else of the next one. Print it when a
// test fails.
WEIR_API std::uint64_t seed() noexcept;

// A hash over every event so far of the thread's world, or of the last one that ended on this thread; 0
// without one. Two runs of one program with one seed give the same hash. Real wake-ups from other threads are
// left out.
WEIR_API std::uint64_t trace_hash() noexcept;

// The last events of the same world as readable lines, oldest first; at most 256 are kept. With
// WEIR_SIM_TRACE=1 in the environment, every event is also written to stderr when it happens.
WEIR_API std::string trace(std::size_t last = 64);

// Lets virtual time pass as work that blocks would: the loop finds it has passed when it next looks.
// Negative: nothing.
WEIR_API void advance(std::chrono::nanoseconds duration) noexcept;

// The virtual time of the thread's world. Makes the world when there is none.
WEIR_API std::chrono::steady_clock::time_point now();

// How many sockets of the thread's world are open; 0 without a world. The counter for leak checks.
WEIR_API std::size_t open_sockets() noexcept;

// Changes the limit of the descriptor table of the thread's world at once; open sockets stay. Makes the world
// when there is none.
WEIR_API void set_descriptor_limit(std::size_t limit);

#endif

}  // namespace weir::inline WEIR_ABI::sim
