// wait and as_completed: for several futures and tasks, as they end.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/awaited.hpp>
#include <weir/detail/done_watch.hpp>
#include <weir/detail/duration.hpp>
#include <weir/exceptions.hpp>
#include <weir/future.hpp>
#include <weir/tasks.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

// When wait() returns (asyncio.FIRST_COMPLETED and its relatives). A future that was merely cancelled is
// done, and has not failed.
enum class ReturnWhen : std::uint8_t { all_completed, first_completed, first_exception };

// Trivially destructible.
struct WaitOptions {
  std::optional<Duration> timeout = {};  // from then on; none: as long as it takes
  ReturnWhen return_when = ReturnWhen::all_completed;
};

// What wait() found, each in the order in which they were given, and each once.
template <class F>
struct WaitResult {
  std::vector<F> done;
  std::vector<F> pending;
};

namespace detail {

// Leaves one of those that are the same future, the first.
WEIR_API void leave_one_of_each(std::vector<FutureBase*>& futures);

template <class F>
FutureBase* base_of(const F& future) noexcept {
  if constexpr (requires { future.base(); }) {
    return future.base().get();
  } else {
    return future.get();
  }
}

// Those of `futures` that are different, and their states.
template <class F>
std::vector<FutureBase*> make_unique_futures(std::vector<F>& futures) {
  std::vector<FutureBase*> states;
  for (const F& future : futures) {
    states.push_back(base_of(future));
  }
  leave_one_of_each(states);
  std::size_t kept = 0;
  for (std::size_t i = 0; i != futures.size() && kept != states.size(); ++i) {
    if (base_of(futures[i]) == states[kept]) {
      std::swap(futures[kept++], futures[i]);
    }
  }
  futures.erase(futures.begin() + static_cast<std::ptrdiff_t>(kept), futures.end());
  return states;
}

// How many must be done, and the deadline.
WEIR_API std::size_t count_to_wait_for(std::size_t count, const WaitOptions& options);
WEIR_API std::optional<TimePoint> deadline_of(std::optional<Duration> timeout, const char* call);

}  // namespace detail

// co_await waits for futures or tasks (Future<T>, Task<T>; Ref<FutureBase> for those of different types) and
// tells who is done (asyncio.wait). Cancels none of them, also when it is cancelled; throws nothing of
// theirs, and nothing when the time is up. A future given twice is waited for once. Throws
// std::invalid_argument when `futures` is empty, or has one of another loop.
template <class F>
Coro<WaitResult<F>> wait(std::vector<F> futures, WaitOptions options = {}) {
  const std::vector<FutureBase*> states = detail::make_unique_futures(futures);
  const std::size_t wanted = detail::count_to_wait_for(states.size(), options);
  detail::DoneWatch watch(states, "wait");
  co_await watch.enough(wanted, options.return_when == ReturnWhen::first_exception,
                        detail::deadline_of(options.timeout, "wait"));
  WaitResult<F> result;
  for (F& future : futures) {
    const bool done = detail::base_of(future)->done();
    (done ? result.done : result.pending).push_back(std::move(future));
  }
  co_return result;
}

// What as_completed() returns. Movable; may be dropped at any time, and leaves the futures alone. On their
// loop's thread.
template <class F>
class AsCompleted {
 public:
  AsCompleted(std::vector<F> futures, std::optional<Duration> timeout)
      : futures_(std::move(futures)),
        watch_(std::make_unique<detail::DoneWatch>(detail::make_unique_futures(futures_), "as_completed")),
        deadline_(detail::deadline_of(timeout, "as_completed")) {}

  // co_await waits for the next one that ends, and gives it, done; nothing when there was the last. Throws
  // TimeoutError when the time is up. Cancelled, it loses none. One coroutine at a time.
  Coro<std::optional<F>> next() {
    if (taken_ == watch_->size()) {
      co_return std::nullopt;
    }
    co_await watch_->enough(taken_ + 1, false, deadline_);
    if (watch_->done().size() == taken_) {
      throw TimeoutError("as_completed: timed out");
    }
    co_return futures_[watch_->done()[taken_++]];
  }

 private:
  std::vector<F> futures_;
  std::unique_ptr<detail::DoneWatch> watch_;
  std::optional<TimePoint> deadline_;
  std::size_t taken_ = 0;
};

// Futures and tasks in the order in which they end (asyncio.as_completed). Coroutines and other awaitables
// are started as tasks, at once. One given twice comes once. Throws std::invalid_argument for one of another
// loop than the running one.
//
//   auto ended = as_completed(std::move(tasks), 5s);
//   while (auto task = co_await ended.next()) { use(task->result()); }
template <class A>
AsCompleted<detail::FutureOf<A>> as_completed(std::vector<A> awaitables,
                                              std::optional<Duration> timeout = {}) {
  std::vector<detail::FutureOf<A>> futures;
  futures.reserve(awaitables.size());
  for (A& awaitable : awaitables) {
    futures.push_back(ensure_future(std::move(awaitable)));
  }
  return AsCompleted<detail::FutureOf<A>>(std::move(futures), timeout);
}

}  // namespace weir::inline WEIR_ABI
