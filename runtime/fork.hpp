// What fork() means for runtime/: which process this is, and who is told in a child. Private to
// weir's own sources.
#pragma once

#include <weir/config.hpp>

#include <mutex>

namespace weir::inline WEIR_ABI::detail {

// Counts the processes from the first one to this: what was made in an earlier one belongs to a parent, and
// its threads are not here.
unsigned this_process() noexcept;

// From now on a child of fork() is told. Again: nothing. Throws std::system_error when the system refuses.
void watch_forks();

// fork() waits for the mutexes of the process, so that a child does not have one that is held by a thread
// which it has not: Loops::mutex() and these.
std::mutex& policy_mutex() noexcept;
std::mutex& log_mutex() noexcept;

// This thread has no current loop any more.
void forget_current_loop() noexcept;

}  // namespace weir::inline WEIR_ABI::detail
