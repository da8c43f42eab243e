// The places in weir's own code where the simulator may choose a path that is legal and rarely taken. Under
// every other backend the questions are constants, and the compiler removes them.
#pragma once

#include <weir/config.hpp>

#include <cstddef>
#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

// Each names what happens when its rare path is taken. Append, with a name in sim/fault_points.cpp.
enum class FaultPoint : std::uint8_t {
  idle_turn,       // a turn that finds nothing, though the loop could have slept
  short_batch,     // only the first part of what is ready runs in this turn
  timers_apart,    // timers that are due with different deadlines run in different turns
  sort_due,        // few due timers are queued by the way that is made for many
  early_sweep,     // the timer heap is swept with hardly a stale entry
  await_yields,    // an await that is done at once suspends its task all the same
  late_inbox,      // a post waits for another turn
  needless_wake,   // a post wakes a loop that is not asleep
  write_later,     // a write is queued without trying
  new_chunk,       // a copy gets a chunk of its own though the last one has room
  few_pieces,      // the system is offered only the first pieces of the write queue
  early_check,     // a writer asks at once whether the connection still lives
  no_spare_queue,  // an empty write queue is not kept for the next transport
  port_taken,      // the port that the system chose is taken for the server's next address
  read_and_send,   // a file is read and sent though the system has a call for both
};
inline constexpr FaultPoint last_fault_point = FaultPoint::read_and_send;

#ifdef WEIR_BACKEND_SIM

// Whether to take the rare path here. Always false unless sim::Options::rare_path_chance says otherwise.
bool rare_path(FaultPoint point) noexcept;
// All of `whole`, or on the rare path at least 1 and less than all.
std::size_t rare_part(FaultPoint point, std::size_t whole) noexcept;

#else

constexpr bool rare_path(FaultPoint) noexcept { return false; }
constexpr std::size_t rare_part(FaultPoint, std::size_t whole) noexcept { return whole; }

#endif

}  // namespace weir::inline WEIR_ABI::detail
