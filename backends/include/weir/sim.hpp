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
#include <weir/detail/raw_address.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

  // Faults by chance; all are off unless asked for. They befall TCP connections, not the two ends of a pair,
  // and each can be demanded by a function below.
  //
  // Of a connect that somebody would answer: that it is refused.
  double refuse_chance = 0;
  // Of a segment that carries bytes or an end, each: that the connection is reset when it arrives; that its
  // sender vanishes, in half of the cases for ever, else for up to retransmit_timeout; that its way is
  // clogged for up to clog_max; that the hosts at its two ends are parted for up to partition_max.
  double reset_chance = 0;
  double vanish_chance = 0;
  double clog_chance = 0;
  std::chrono::nanoseconds clog_max = std::chrono::seconds(1);
  double partition_chance = 0;
  std::chrono::nanoseconds partition_max = std::chrono::seconds(60);
  // How long a sender waits for what it sent to get through before it gives up with ETIMEDOUT. The default is
  // about Linux's.
  std::chrono::nanoseconds retransmit_timeout = std::chrono::minutes(15);
  // Of a UDP datagram: that it is lost; that it arrives twice; that one sent later may overtake it. Without
  // these one gets lost only where the receiver's buffer is full.
  double datagram_loss_chance = 0;
  double datagram_duplicate_chance = 0;
  double datagram_reorder_chance = 0;
  // Of a socket opened or accepted: that it fails with EMFILE.
  double descriptor_chance = 0;
  // Of a turn: that time jumps ahead by up to clock_jump_max, as it does for a program that was suspended.
  double clock_jump_chance = 0;
  std::chrono::nanoseconds clock_jump_max = std::chrono::hours(1);
  // Of a fault point in weir's own code (fault_points() lists them): that it takes the rare path. A seed uses
  // about half of the points.
  double rare_path_chance = 0;
};

// One side of a partition: a numeric host, or one port of it. An empty host means every host, port 0 every
// port.
struct Endpoint {
  std::string_view host = {};
  std::uint16_t port = 0;
};

// A place in weir's own code where the simulator may choose a rare but legal path, such as a wake-up for
// nothing: how often it was asked, and how often it took that path.
struct FaultPointCount {
  std::string_view name;
  std::uint64_t asked = 0;
  std::uint64_t taken = 0;
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

// Lets virtual time pass as work that blocks would, or a suspended machine: the loop finds it has passed when
// it next looks.
// Negative: nothing.
WEIR_API void advance(std::chrono::nanoseconds duration) noexcept;

// The virtual time of the thread's world. Makes the world when there is none.
WEIR_API std::chrono::steady_clock::time_point now();

// How many sockets of the thread's world are open; 0 without a world. The counter for leak checks.
WEIR_API std::size_t open_sockets() noexcept;

// Changes the limit of the descriptor table of the thread's world at once; open sockets stay. Makes the world
// when there is none.
WEIR_API void set_descriptor_limit(std::size_t limit);

// A number of 0 … bound - 1 by the seed; 0 for a bound of 0. For the choices of a test: what it draws does
// not change what the network and the schedule draw. Makes the world when there is none.
WEIR_API std::uint64_t draw(std::uint64_t bound);

// What getaddrinfo finds for a name in the thread's world, in this order: numeric addresses, after `delay`.
// No address: the name does not exist. A name that was never set cannot be looked up: the world has no
// servers. Throws std::invalid_argument for an address that is not numeric. Makes the world when there is
// none.
WEIR_API void set_host(std::string_view name, std::initializer_list<std::string_view> addresses,
                       std::chrono::nanoseconds delay = {});

// --- Faults on demand. `socket` is a number, such as Socket::native_handle() gives, of the thread's world.
// --- The first three throw std::invalid_argument when it names no TCP connection or pair that is open.

// Resets the connection: both sides find ECONNRESET at once, and what was under way is lost.
WEIR_API void reset(native_socket socket);

// The host of this socket vanishes without a word: nothing that is under way or sent later arrives, either
// way. The other side is left half-open: it notices nothing until it sends, and then gets ETIMEDOUT after
// Options::retransmit_timeout. With `back_after`, the host is there again after that time and knows nothing
// of the connection: this socket is reset, and the other side gets ECONNRESET as soon as something that it
// sent meets the host.
WEIR_API void vanish(native_socket socket, std::optional<std::chrono::nanoseconds> back_after = {});

// Whatever is on its way to this socket, now or later, does not arrive before `duration` is over. Nobody is
// told, and nothing times out for it.
WEIR_API void clog(native_socket socket, std::chrono::nanoseconds duration);

// Parts two endpoints until heal(): datagrams between them are lost, connects hang, and are given up after
// 127 seconds; segments are held back, and a side with unanswered ones gives up with ETIMEDOUT after
// Options::retransmit_timeout. Every host of a world is one of 127.0.0.0/8 or ::1; a client that is not bound
// comes from 127.0.0.1 or ::1. Throws std::invalid_argument for a host that is no numeric address. Makes the
// world when there is none.
WEIR_API void partition(Endpoint one, Endpoint other);

// Heals every partition between exactly these two endpoints, or with no argument all of them, those by chance
// included. What was held arrives at once.
WEIR_API void heal(Endpoint one, Endpoint other);
WEIR_API void heal();

// --- What was reached.

// The fault points of weir's code with their counts on this thread since the last reset_fault_points(), over
// all worlds. With WEIR_SIM_POINTS=1 in the environment, each world whose rare_path_chance is not 0 writes
// its own counts to stderr when it ends, a line `weir-sim-point: NAME ASKED TAKEN` each; tools/sim_sweep adds
// them up.
WEIR_API std::vector<FaultPointCount> fault_points();
WEIR_API void reset_fault_points() noexcept;

#endif

}  // namespace weir::inline WEIR_ABI::sim
