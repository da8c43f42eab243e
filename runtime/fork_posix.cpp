// fork(), by pthread_atfork(): once for the process, whatever has been made in it.
#include "runtime/fork.hpp"

#include "runtime/loops.hpp"
#include "runtime/running.hpp"

#include <pthread.h>

#include <atomic>
#include <system_error>

namespace weir::inline WEIR_ABI::detail {

namespace {

constinit std::atomic<unsigned> process{1};

extern "C" void before_loops_fork() {
  all_loops().mutex().lock();
  policy_mutex().lock();
  log_mutex().lock();
}

void unlock_all() noexcept {
  log_mutex().unlock();
  policy_mutex().unlock();
  all_loops().mutex().unlock();
}

extern "C" void loops_in_parent() { unlock_all(); }

extern "C" void loops_in_child() {
  process.fetch_add(1, std::memory_order_relaxed);
  all_loops().leave_to_parent();
  running_loop_slot() = nullptr;
  forget_current_loop();
  unlock_all();
}

}  // namespace

unsigned this_process() noexcept { return process.load(std::memory_order_relaxed); }

void watch_forks() {
  static const int error = ::pthread_atfork(&before_loops_fork, &loops_in_parent, &loops_in_child);
  if (error != 0) {
    throw std::system_error(error, std::generic_category(), "pthread_atfork");
  }
}

}  // namespace weir::inline WEIR_ABI::detail
