// Barrier: asyncio.Barrier, where a number of tasks wait for each other. For the tasks of one loop.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/sync_awaiter.hpp>
#include <weir/detail/wait_queue.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>

namespace weir::inline WEIR_ABI {

namespace detail {
class BarrierAwaiter;
}

// Every function is called on the loop's thread. The barrier belongs to the loop of the first task that has
// to wait at it. Destroying it makes those who wait throw RuntimeError.
class WEIR_API Barrier {
 public:
  // For that many tasks. Throws std::invalid_argument for less than one.
  explicit Barrier(std::ptrdiff_t parties);
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  // co_await: waits until parties() tasks wait, which then go on together; gives each its number in the order
  // of coming, from 0 to parties() - 1 (Barrier.wait). The last to come goes on at once, the others in the
  // next turn, and who comes meanwhile belongs to the next round. A task that is cancelled leaves the round,
  // which then needs one more. Throws BrokenBarrierError when the barrier is or gets broken or is reset,
  // CancelledError, and RuntimeError in a task of another loop.
  [[nodiscard("nothing waits until it is awaited")]] detail::BarrierAwaiter wait() noexcept;
  // Makes the barrier usable again and empty; those who wait throw BrokenBarrierError (Barrier.reset, which
  // has to be awaited there).
  void reset() noexcept;
  // Breaks the barrier: those who wait, and those who come, throw BrokenBarrierError (Barrier.abort, which
  // has to be awaited there).
  void abort() noexcept;
  // How many tasks make a round (Barrier.parties).
  std::size_t parties() const noexcept { return parties_; }
  // How many wait now (Barrier.n_waiting).
  std::size_t n_waiting() const noexcept { return waiters_.waiting(); }
  // Was it aborted (Barrier.broken)?
  bool broken() const noexcept { return broken_; }

 private:
  friend class detail::BarrierAwaiter;
  void break_waiters() noexcept;

  detail::WaitQueue waiters_;  // who is woken has left the round
  detail::LoopBinding binding_;
  std::size_t parties_;
  bool broken_ = false;
};

namespace detail {

// What Barrier::wait() returns.
class WEIR_API BarrierAwaiter : public SyncAwaiter {
 public:
  explicit BarrierAwaiter(Barrier& barrier) noexcept : SyncAwaiter("Barrier.wait"), barrier_(&barrier) {}
  BarrierAwaiter(BarrierAwaiter&&) noexcept = default;

  bool await_ready();
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    wait_in(barrier_->waiters_, barrier_->binding_, coroutine);
  }
  std::size_t await_resume();

 private:
  friend class weir::Barrier;
  static constexpr std::size_t broken_index = SIZE_MAX;

  Barrier* barrier_;
  std::size_t index_ = broken_index;  // decided when it is woken: what happens later does not concern it
};

}  // namespace detail

inline detail::BarrierAwaiter Barrier::wait() noexcept { return detail::BarrierAwaiter(*this); }

}  // namespace weir::inline WEIR_ABI
