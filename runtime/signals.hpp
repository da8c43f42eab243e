// Signals of a loop. A handler sets a bit and wakes; what is to be done about it runs on the loop.
#pragma once

#include "backends/chosen.hpp"

#include <weir/config.hpp>
#include <weir/detail/callback.hpp>
#include <weir/detail/ready_queue.hpp>
#include <weir/fwd.hpp>

#include <atomic>
#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

// What the process's signal handler knows of one loop.
struct SignalState {
  explicit SignalState(Backend& loop_backend) noexcept : backend(loop_backend) {}
  SignalState(const SignalState&) = delete;
  SignalState& operator=(const SignalState&) = delete;
  ~SignalState() { leave(); }

  // Enters the process-wide table, whose loops the handler tells of signals. False when it is full.
  bool enter() noexcept;
  // Leaves it; no handler looks at this object afterwards. What came so far stays in `pending`.
  void leave() noexcept;

  // Queues the callbacks of the signals that came since the last call.
  bool has_pending() const noexcept { return pending.load(std::memory_order_relaxed) != 0; }
  void queue_pending(ReadyQueue& ready) {
    if (has_pending()) [[unlikely]] {
      queue_slowly(ready);
    }
  }
  void queue_slowly(ReadyQueue& ready);

  Backend& backend;
  std::atomic<std::uint64_t> pending{0};  // bit n: signal n
  Callback on_interrupt;
};

// Tells every loop in the table that this signal came. For handlers, which may run on any thread at any time.
void tell_loops_of_signal(int number) noexcept;

// What each system has of its own, in signals_posix.cpp and signals_windows.cpp.
bool on_main_thread() noexcept;
// Has SIGINT told to the loops in the table. False when it is handled or ignored already, or when the system
// refuses.
bool install_interrupt_handler() noexcept;
// Undoes that, unless somebody else handles it by now.
void restore_interrupt_handler() noexcept;

// While it exists, SIGINT calls `on_interrupt` on the loop instead of ending the process. It installs nothing
// when this is not the process's main thread, when SIGINT is handled or ignored already, or when the system
// refuses.
class InterruptWatch {
 public:
  InterruptWatch(EventLoop& loop, Callback on_interrupt);
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;
  ~InterruptWatch() { end(); }

  // Stops watching before the destructor does. True when a SIGINT came of which nobody was told.
  bool end() noexcept;

 private:
  EventLoop& loop_;
  bool installed_ = false;
};

}  // namespace weir::inline WEIR_ABI::detail
