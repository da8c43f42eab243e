// How futures, tasks and coroutines end, as a text to compare, and coroutines that end in all the ways.
#pragma once

#include <weir/coro.hpp>
#include <weir/detail/awaited.hpp>
#include <weir/exceptions.hpp>
#include <weir/tasks.hpp>

#include <stdexcept>
#include <string>
#include <type_traits>

namespace weir::testing {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// "value 3", "value", "Failure text", "cancelled text", "TimeoutError text", "group [Failure a, …]", …
inline std::string describe_end(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Failure& failure) {
    return std::string("Failure ") + failure.what();
  } catch (const CancelledError& order) {
    const std::string message = order.what();
    return message.empty() ? "cancelled" : "cancelled " + message;
  } catch (const TimeoutError&) {
    return "TimeoutError";
  } catch (const KeyboardInterrupt&) {
    return "KeyboardInterrupt";
  } catch (const ExceptionGroup& group) {
    std::string text;
    for (const std::exception_ptr& each : group.exceptions()) {
      text += (text.empty() ? "" : ", ") + describe_end(each);
    }
    return "group [" + text + "]";
  } catch (const RuntimeError& error) {
    return std::string("RuntimeError ") + error.what();
  } catch (const std::invalid_argument& error) {
    return std::string("invalid_argument ") + error.what();
  } catch (const std::exception& error) {
    return std::string("other ") + error.what();
  }
}

inline std::string value_text(int value) { return "value " + std::to_string(value); }

// What has become of one that is done; "pending" when it is not.
template <class T>
std::string end_of(const Future<T>& future) {
  if (!future.done()) {
    return "pending";
  }
  try {
    if constexpr (std::is_same_v<T, int>) {
      return value_text(future.result());
    } else {
      future.result();
      return "value";
    }
  } catch (...) {
    return describe_end(std::current_exception());
  }
}

// Awaits it and tells.
template <class A>
Coro<std::string> outcome_of(A awaitable) {
  std::string text;
  try {
    if constexpr (std::is_same_v<detail::Awaited<A>, int>) {
      text = value_text(co_await std::move(awaitable));
    } else {
      co_await std::move(awaitable);
      text = "value";
    }
  } catch (...) {
    text = describe_end(std::current_exception());
  }
  co_return text;
}

inline Coro<int> give(int value) { co_return value; }
inline Coro<int> fail(std::string text) {
  throw Failure(text);
  co_return 0;
}
inline Coro<int> get(Future<int> future) { co_return co_await future; }
// Gives its value, or fails, when the gate opens.
inline Coro<int> fail_after(Future<int> gate, std::string text) {
  co_await gate;
  throw Failure(text);
}
// Catches the first cancellation and gives its value.
inline Coro<int> stubborn(Future<int> gate, int value) {
  try {
    co_await gate;
  } catch (const CancelledError&) {
  }
  co_return value;
}
// Needs the second gate to end, also when it is cancelled.
inline Coro<int> slow_to_end(Future<int> gate, Future<int> end) {
  std::exception_ptr order;
  try {
    co_await gate;
  } catch (const CancelledError&) {
    order = std::current_exception();
  }
  co_await end;
  if (order) {
    std::rethrow_exception(order);
  }
  co_return 0;
}
// Fails when it is cancelled.
inline Coro<int> fail_when_cancelled(Future<int> gate, std::string text) {
  try {
    co_await gate;
  } catch (const CancelledError&) {
    throw Failure(text);
  }
  co_return 0;
}

}  // namespace weir::testing
