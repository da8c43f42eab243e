// What may be awaited, what that gives, and which future stands for it.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/future.hpp>
#include <weir/task.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

// What co_await gives of a Coro, a Future, a Task or an awaiter of weir.
template <class A>
struct AwaitedBy {};
template <class T>
struct AwaitedBy<Coro<T>> {
  using type = T;
};
template <class T>
struct AwaitedBy<Future<T>> {
  using type = T;
};
template <class T>
struct AwaitedBy<Task<T>> {
  using type = T;
};
template <std::derived_from<AwaiterBase> A>
struct AwaitedBy<A> {
  using type = std::remove_cvref_t<decltype(std::declval<A&>().await_resume())>;
};
template <class A>
using Awaited = typename AwaitedBy<std::remove_cvref_t<A>>::type;

// Itself, or the task that ensure_future() makes of it.
template <class A>
using FutureOf = std::conditional_t<std::derived_from<std::remove_cvref_t<A>, Future<Awaited<A>>>,
                                    std::remove_cvref_t<A>, Task<Awaited<A>>>;

}  // namespace weir::inline WEIR_ABI::detail
