// Timeout: a deadline around a part of a task. timeout() and timeout_at() run that part, wait_for() awaits
// one thing.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/detail/awaited.hpp>
#include <weir/detail/duration.hpp>
#include <weir/event_loop.hpp>
#include <weir/exceptions.hpp>
#include <weir/handle.hpp>
#include <weir/tasks.hpp>

#include <chrono>
#include <concepts>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

// What the coroutine gives that a scope runs: body(scope), or body().
template <class F, class Scope>
auto call_body(F& body, Scope& scope) {
  if constexpr (std::invocable<F&, Scope&>) {
    return std::invoke(body, scope);
  } else {
    return std::invoke(body);
  }
}
template <class F, class Scope>
using BodyResult = Awaited<decltype(call_body(std::declval<F&>(), std::declval<Scope&>()))>;

}  // namespace detail

// A deadline that can be looked at and moved (asyncio.Timeout). It is run once, in the task that awaits
// run(); when the deadline passes, that task is cancelled, and the cancellation becomes a TimeoutError where
// run() ends. On its loop's thread; it must outlive its run().
class WEIR_API Timeout {
 public:
  // Without a deadline it never expires.
  explicit Timeout(std::optional<TimePoint> when = {}) noexcept : when_(when) {}
  Timeout(const Timeout&) = delete;
  Timeout& operator=(const Timeout&) = delete;
  ~Timeout() { leave(); }

  // The deadline, or nothing (Timeout.when).
  std::optional<TimePoint> when() const noexcept { return when_; }
  // Moves the deadline of a scope that is active, or takes it away (Timeout.reschedule). One that has passed
  // already cancels the task in the next turn. Throws RuntimeError before run(), and once it has expired or
  // ended.
  void reschedule(std::optional<TimePoint> when);
  // Has the deadline passed while the scope was active (Timeout.expired)? Also known after it.
  bool expired() const noexcept { return state_ == State::expiring || state_ == State::expired; }

  // co_await runs `body(*this)` or `body()`, which gives a Coro<T>, in this task, and gives its value
  // (async with). The body lives until its coroutine has ended. Throws what the body throws; TimeoutError in
  // place of the cancellation that the deadline caused, unless somebody else has cancelled the task, too; and
  // RuntimeError when it was run before. A body that ends in time, or with a value or another error in spite
  // of the cancellation, is not disturbed.
  template <class F>
  Coro<detail::BodyResult<F, Timeout>> run(F body) {
    enter();
    const Leaving leaving{*this};
    try {
      co_return co_await detail::call_body(body, *this);
    } catch (const CancelledError&) {
      if (leave()) {
        throw TimeoutError();
      }
      throw;
    }
  }

 private:
  enum class State : std::uint8_t { created, active, expiring, expired, ended };
  struct Leaving {
    Timeout& scope;
    ~Leaving() { scope.leave(); }
  };

  void enter();
  void expire() noexcept;
  // Ends it. True when a cancellation that comes out now is its own alone.
  bool leave() noexcept;
  void disarm() noexcept;

  std::optional<TimePoint> when_;
  State state_ = State::created;
  TaskBase* task_ = nullptr;
  int cancelling_ = 0;  // how often the task had been cancelled when it came in
  TimerHandle timer_;
  Handle soon_;  // in place of the timer, for a deadline that has passed
};

// co_await runs `body` with a deadline `delay` from then on; zero or less is one that has passed
// (asyncio.timeout). See Timeout::run.
//
//   co_await timeout(5s, [&](Timeout& scope) -> Coro<void> { … });
template <class Rep, class Period, class F>
Coro<detail::BodyResult<F, Timeout>> timeout(std::chrono::duration<Rep, Period> delay, F body) {
  const Duration limit = detail::to_duration(delay, "timeout");
  const TimePoint now = detail::running_loop_for("timeout").time();
  Timeout scope(detail::add_clamped(now, limit));
  co_return co_await scope.run(std::move(body));
}
// Without a deadline, until somebody gives it one (asyncio.timeout(None)).
template <class F>
Coro<detail::BodyResult<F, Timeout>> timeout(std::nullopt_t, F body) {
  Timeout scope;
  co_return co_await scope.run(std::move(body));
}
// The same with a point in time of the loop's clock (asyncio.timeout_at).
template <class F>
Coro<detail::BodyResult<F, Timeout>> timeout_at(std::optional<TimePoint> when, F body) {
  Timeout scope(when);
  co_return co_await scope.run(std::move(body));
}

namespace detail {

// Takes from `awaitable` what it has without waiting, or throws TimeoutError; nothing is started.
template <class A>
Awaited<A> take_at_once(A& awaitable) {
  using T = Awaited<A>;
  if constexpr (std::derived_from<A, Future<T>>) {
    return get_result<T, !std::is_copy_constructible_v<StoredResult<T>>>(*awaitable.base());
  } else {
    if constexpr (std::same_as<A, Coro<T>>) {
      awaitable.take().destroy();  // on purpose: not to be reported as one that was forgotten
    }
    throw TimeoutError();
  }
}

// Is it a future that may have something, or may be cancelled? Others have not begun.
template <class A>
bool has_begun(const A& awaitable) noexcept {
  if constexpr (requires { awaitable.base(); }) {
    return !awaitable.done();
  }
  return false;
}

template <class A>
Coro<Awaited<A>> await_moved(A& awaitable) {
  co_return co_await std::move(awaitable);
}

template <class A>
Coro<Awaited<A>> wait_for_until(A awaitable, Duration limit) {
  if (limit.count() <= 0 && !has_begun(awaitable)) {
    co_return take_at_once(awaitable);
  }
  Timeout scope(add_clamped(running_loop_for("wait_for").time(), limit));
  auto body = [&awaitable] { return await_moved(awaitable); };
  co_return co_await scope.run(body);
}

}  // namespace detail

// co_await awaits a coroutine, future, task or awaiter for at most `limit` from then on (asyncio.wait_for),
// in this task. When the time is up it is cancelled, and TimeoutError thrown once it has ended; a value, or
// another error, that it gives nevertheless is passed on. A limit of zero or less takes what a future has
// already; a coroutine is not even started then. Cancelling the task cancels it.
template <class A, class Rep, class Period>
Coro<detail::Awaited<A>> wait_for(A awaitable, std::chrono::duration<Rep, Period> limit) {
  return detail::wait_for_until(std::move(awaitable), detail::to_duration(limit, "wait_for"));
}
// Without a limit it just awaits.
template <class A>
Coro<detail::Awaited<A>> wait_for(A awaitable, std::nullopt_t) {
  co_return co_await std::move(awaitable);
}

}  // namespace weir::inline WEIR_ABI
