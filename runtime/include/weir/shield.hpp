// shield: a wait that can be cancelled without cancelling what is waited for.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/awaited.hpp>
#include <weir/future.hpp>
#include <weir/tasks.hpp>

#include <exception>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

// `to` ends as `from` did.
template <class T>
void copy_outcome(const Future<T>& from, const Future<T>& to) {
  if (from.cancelled()) {
    Future<T>(to).cancel();
    return;
  }
  std::exception_ptr exception = from.exception();
  if (!exception) {
    try {
      if constexpr (std::is_void_v<T>) {
        to.set_result();
      } else {
        to.set_result(get_result<T, !std::is_copy_constructible_v<T>>(*from.base()));
      }
      return;
    } catch (...) {  // a copy that throws
      exception = std::current_exception();
    }
  }
  to.set_exception(std::move(exception));
}

}  // namespace detail

// A future that ends as `awaitable` does, and whose cancellation does not reach it (asyncio.shield).
// Coroutines and other awaitables are started as tasks, at once; the loop keeps those alive, but hold on to a
// plain future. A move-only value moves out of the inner one. An exception of the inner one that comes after
// the outer was cancelled is reported, unless somebody else retrieves it. Throws RuntimeError when there is a
// coroutine and no loop runs.
template <class A>
Future<detail::Awaited<A>> shield(A awaitable) {
  using T = detail::Awaited<A>;
  const Future<T> inner = ensure_future(std::move(awaitable));
  Future<T> outer(inner.get_loop());
  inner.add_done_callback([outer](const Future<T>& ended) {
    if (!outer.done()) {
      detail::copy_outcome(ended, outer);
    }
  });
  return outer;
}

}  // namespace weir::inline WEIR_ABI
