// Signals of a loop. A handler sets a bit and wakes; what is to be done about it runs on the loop.
#pragma once

#include "backends/chosen.hpp"

#include <weir/config.hpp>
#include <weir/context.hpp>
#include <weir/detail/callback.hpp>
#include <weir/detail/ready_queue.hpp>
#include <weir/fwd.hpp>
#include <weir/ref.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <source_location>

namespace weir::inline WEIR_ABI::detail {

// Signals are numbered from 1.
inline constexpr int last_signal = 64;

// The callback of one signal on one loop. Counted, because it may be removed or replaced while it runs.
class SignalHandler final : public RefCounted {
 public:
  SignalHandler(EventLoop& loop, Callback callback, Context context, std::source_location where) noexcept;
  void call();

 private:
  ~SignalHandler() override = default;

  EventLoop& loop_;
  Callback callback_;
  Context context_;
  std::source_location where_;
};

// What one loop does about signals, and what the process's signal handler knows of it. Lives from the first
// use until the loop closes.
class SignalState {
 public:
  explicit SignalState(Backend& loop_backend) noexcept : backend_(loop_backend) {}
  SignalState(const SignalState&) = delete;
  SignalState& operator=(const SignalState&) = delete;
  ~SignalState();

  // Has `handler` called for the signal. Throws RuntimeError when that cannot be had.
  void add(int number, Ref<SignalHandler> handler);
  // False when there is none.
  bool remove(int number) noexcept;

  // Has SIGINT call `on_interrupt` as long as there is no handler for it. False when somebody else handles
  // it, or it is ignored.
  bool begin_interrupt(Callback on_interrupt);
  // True when a SIGINT came of which nobody was told.
  bool end_interrupt() noexcept;

  // On any thread, in a handler: this signal came.
  void tell(int number) noexcept;
  // Queues the callbacks of the signals that came since the last call.
  bool has_pending() const noexcept { return pending_.load(std::memory_order_relaxed) != 0; }
  void queue_pending(ReadyQueue& ready) {
    if (has_pending()) [[unlikely]] {
      queue_slowly(ready);
    }
  }

 private:
  static constexpr std::uint64_t bit_of(int number) noexcept { return std::uint64_t{1} << (number - 1); }

  // For one more user on this loop. 0 or a negated errno.
  int begin(int number, bool if_default) noexcept;
  void end(int number) noexcept;
  // Does anybody on this loop want it?
  bool wants(int number) const noexcept;
  void forget_unwanted(int number) noexcept;
  void queue_slowly(ReadyQueue& ready);
  static void run(void* self, std::uintptr_t number, std::uintptr_t, ReadyAction action);

  Backend& backend_;
  std::atomic<std::uint64_t> watched_{0};
  std::atomic<std::uint64_t> pending_{0};
  std::array<Ref<SignalHandler>, last_signal + 1> handlers_;
  Callback on_interrupt_;
  unsigned process_ = 0;  // which entered the table; a loop of an earlier one is not there
};

// Tells every loop that watches this signal. For handlers, which may run on any thread at any time.
void tell_loops_of_signal(int number) noexcept;

// A child of fork() watches nothing of its parent's: empties the table. In the child, before anything else.
void forget_loops_of_parent() noexcept;

// What each system has of its own, in signals_posix.cpp and signals_windows.cpp.
bool on_main_thread() noexcept;
// Has the signal told to the loops of the table, for each of several users, and remembers how it was handled.
// With `if_default` it must not be handled, or ignored, by anybody. 0 or a negated errno: EINVAL when it
// cannot be caught, EBUSY when it is handled.
int take_signal(int number, bool if_default) noexcept;
// The last user puts back what was there, unless somebody else handles it by now.
void give_signal_back(int number) noexcept;

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
