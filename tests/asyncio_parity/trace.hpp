// weir's side of the scenarios: the trace, and what all groups share. trace.py is its mirror.
#pragma once

#include <weir/event_loop.hpp>
#include <weir/tasks.hpp>

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace parity {

// What the scenarios throw themselves; its text is part of the trace, unlike those of the libraries.
class Oops : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The name of the exception's type in Python; the text too for an Oops and a CancelledError.
std::string kind(const std::exception_ptr& exception);

inline std::string text(bool value) { return value ? "true" : "false"; }
inline std::string text(std::string_view value) { return std::string(value); }
inline std::string text(const char* value) { return value; }
inline std::string text(const std::exception_ptr& value) { return kind(value); }
template <class T>
  requires std::is_arithmetic_v<T>
std::string text(T value) {
  return std::to_string(value);
}

template <class... Parts>
void trace(const Parts&... parts) {
  std::string line;
  ((line += (line.empty() ? "" : " ") + text(parts)), ...);
  std::puts(line.c_str());
}

// What the function gives, or what it throws, as text.
template <class F>
std::string outcome(F&& function) {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
      function();
      return "none";
    } else {
      return text(function());
    }
  } catch (...) {
    return kind(std::current_exception());
  }
}
// The same of an awaitable.
template <class T>
weir::Coro<std::string> outcome_of(weir::Future<T> future) {
  try {
    if constexpr (std::is_void_v<T>) {
      co_await future;
      co_return std::string("none");
    } else {
      co_return text(co_await future);
    }
  } catch (...) {
    co_return kind(std::current_exception());
  }
}
template <class T>
weir::Coro<std::string> outcome_of(weir::Coro<T> coro) {
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(coro);
      co_return std::string("none");
    } else {
      co_return text(co_await std::move(coro));
    }
  } catch (...) {
    co_return kind(std::current_exception());
  }
}

// Traces that many turns of the loop as they begin.
void turns(weir::EventLoop& loop, int count, int first = 1);
// Lets what is under way arrive, so that a scenario can show that nothing more came.
weir::Coro<void> settle();
// The exception handler of every scenario's loop.
void on_report(weir::EventLoop& loop, const weir::ExceptionContext& context);

// Made before main by the macros below.
class Scenario {
 public:
  Scenario(const char* group, const char* name, weir::Coro<void> (*body)(weir::EventLoop&));
  Scenario(const char* group, const char* name, void (*body)(weir::EventLoop&));
};

}  // namespace parity

// NOLINTBEGIN(bugprone-macro-parentheses): `name` is declared here
// A scenario of the file's group: a coroutine on a running loop, or a function that runs the loop itself.
#define SCENARIO(name)                                                      \
  static ::weir::Coro<void> name([[maybe_unused]] ::weir::EventLoop& loop); \
  static const ::parity::Scenario name##_scenario(group, #name, &name);     \
  static ::weir::Coro<void> name([[maybe_unused]] ::weir::EventLoop& loop)
#define LOOP_SCENARIO(name)                                             \
  static void name([[maybe_unused]] ::weir::EventLoop& loop);           \
  static const ::parity::Scenario name##_scenario(group, #name, &name); \
  static void name([[maybe_unused]] ::weir::EventLoop& loop)
// NOLINTEND(bugprone-macro-parentheses)
