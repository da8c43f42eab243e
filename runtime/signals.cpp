// The process-wide signal table and the SIGINT plumbing of run().
#include "runtime/signals.hpp"
#include "runtime/loop_access.hpp"

#include <weir/event_loop.hpp>

#include <array>
#include <csignal>
#include <thread>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

// The process-wide table. The handler may run on any thread at any time, so it only reads atomics; who leaves
// the table waits until no handler is inside.
constinit std::array<std::atomic<SignalState*>, 64> watching_loops{};
constinit std::atomic<int> handlers_inside{0};

}  // namespace

void tell_loops_of_signal(int number) noexcept {
  handlers_inside.fetch_add(1, std::memory_order_seq_cst);
  for (std::atomic<SignalState*>& slot : watching_loops) {
    if (SignalState* state = slot.load(std::memory_order_seq_cst)) {
      state->pending.fetch_or(std::uint64_t{1} << number, std::memory_order_relaxed);
      state->backend.wake();
    }
  }
  handlers_inside.fetch_sub(1, std::memory_order_seq_cst);
}

bool SignalState::enter() noexcept {
  for (std::atomic<SignalState*>& slot : watching_loops) {
    SignalState* expected = nullptr;
    if (slot.compare_exchange_strong(expected, this)) {
      return true;
    }
  }
  return false;
}

void SignalState::leave() noexcept {
  for (std::atomic<SignalState*>& slot : watching_loops) {
    SignalState* expected = this;
    slot.compare_exchange_strong(expected, nullptr);
  }
  while (handlers_inside.load(std::memory_order_seq_cst) != 0) {
    std::this_thread::yield();
  }
}

void SignalState::queue_slowly(ReadyQueue& ready) {
  const std::uint64_t signals = pending.exchange(0, std::memory_order_relaxed);
  if ((signals >> SIGINT & 1) != 0) {
    ready.push(
        [](void* object, std::uintptr_t, std::uintptr_t, ReadyAction action) {
          auto* loop_signals = static_cast<SignalState*>(object);
          if (action == ReadyAction::run && loop_signals->on_interrupt) {
            loop_signals->on_interrupt();
          }
        },
        this);
  }
}

InterruptWatch::InterruptWatch(EventLoop& loop, Callback on_interrupt) : loop_(loop) {
  if (!on_main_thread()) {
    return;
  }
  std::unique_ptr<SignalState>& state = LoopAccess::signals(loop);
  if (state == nullptr) {
    state = std::make_unique<SignalState>(LoopAccess::backend(loop));
  }
  state->pending.store(0, std::memory_order_relaxed);
  if (!state->enter()) {
    return;
  }
  installed_ = install_interrupt_handler();
  if (installed_) {
    state->on_interrupt = std::move(on_interrupt);
  } else {
    state->leave();
  }
}

// The state itself stays until the loop closes: an item of its may still be queued.
bool InterruptWatch::end() noexcept {
  if (!std::exchange(installed_, false)) {
    return false;
  }
  restore_interrupt_handler();
  SignalState& state = *LoopAccess::signals(loop_);
  state.leave();
  state.on_interrupt.reset();
  return (state.pending.exchange(0, std::memory_order_relaxed) >> SIGINT & 1) != 0;
}

}  // namespace weir::inline WEIR_ABI::detail
