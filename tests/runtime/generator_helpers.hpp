// What the tests of asynchronous generators share. Awaiting inside a CHECK is left to nobody.
#pragma once

#include "tests/support/weir_test.hpp"

#include <weir/async_generator.hpp>

#include <optional>
#include <source_location>
#include <string>

namespace weir::testing {

// The next item is this one; nothing stands for the end.
inline Coro<void> expect_next(AsyncGenerator<int>& generator, std::optional<int> expected,
                              std::source_location where = std::source_location::current()) {
  const std::optional<int> item = co_await generator.next();
  INFO("called at line " << where.line());
  CHECK(item == expected);
}

inline Coro<void> take_one(AsyncGenerator<int>& generator) { (void)co_await generator.next(); }

// What E says that the awaited coroutine throws; empty when it throws none.
template <class E, class T>
Coro<std::string> failure_of(Coro<T> coro) {
  try {
    (void)co_await std::move(coro);
  } catch (const E& error) {
    const std::string what = error.what();
    co_return what.empty() ? "thrown" : what;
  }
  co_return {};
}
template <class E>
Coro<std::string> failure_of(Coro<void> coro) {
  try {
    co_await std::move(coro);
  } catch (const E& error) {
    const std::string what = error.what();
    co_return what.empty() ? "thrown" : what;
  }
  co_return {};
}

inline Coro<void> close_of(AsyncGenerator<int>& generator) { co_await generator.aclose(); }

}  // namespace weir::testing
