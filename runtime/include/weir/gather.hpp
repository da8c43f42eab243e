// gather: several awaitables at once, and their results in order.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/awaited.hpp>
#include <weir/future.hpp>
#include <weir/tasks.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <source_location>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

// Given first, it makes gather() and its like wait for all, and give the futures themselves.
struct ReturnExceptions {};
inline constexpr ReturnExceptions return_exceptions;

namespace detail {

// The future of a gather, as far as it does not depend on the results: its children, and what their ends mean
// for it.
class WEIR_API Gathering {
 public:
  // Puts the results of the children together.
  using Collect = void (*)(FutureBase& outer);

  Gathering(FutureBase& outer, Collect collect, std::size_t count, bool wants_all);
  Gathering(const Gathering&) = delete;
  Gathering& operator=(const Gathering&) = delete;

  // The child at this place, which it keeps alive. All of them are watched before anybody else sees it.
  void watch(std::size_t place, Ref<FutureBase> child) noexcept;
  // No more children are to come. `outer` may be done after it.
  void watched_all() noexcept;
  bool cancel(std::string_view message) noexcept;

 protected:
  ~Gathering();

 private:
  struct Child : WaitNode {
    Child() noexcept : WaitNode(&ended) {}
    Gathering* gathering = nullptr;
    Ref<FutureBase> state;
  };
  static void ended(WaitNode& node) noexcept;
  void child_ended(FutureBase& child) noexcept;
  void complete() noexcept;
  void fail(std::exception_ptr exception) noexcept;

  FutureBase* outer_;
  Collect collect_;
  std::size_t count_;
  std::size_t pending_;
  std::unique_ptr<Child[]> children_;
  std::exception_ptr failure_;  // the first, while a cancellation waits for the others
  bool wants_all_;
  bool watching_ = false;
  bool cancel_requested_ = false;
  RareText cancel_message_;
};

// `Take` puts the result together from the children's futures, which it owns.
template <class R, class Take>
class GatherState final : public ResultState<FutureBase, R>, public Gathering {
 public:
  GatherState(EventLoop& loop, Take take, std::size_t count, bool wants_all, std::source_location where)
      : ResultState<FutureBase, R>(loop, kind, where),
        Gathering(*this, &collect, count, wants_all),
        take_(std::move(take)) {}

 private:
  static void destroy(FutureBase& self) noexcept { delete_block(static_cast<GatherState*>(&self)); }
  static bool cancel_children(FutureBase& self, std::string_view message) noexcept {
    return static_cast<GatherState&>(self).Gathering::cancel(message);
  }
  static constexpr FutureKind kind{.destroy = &destroy, .cancel = &cancel_children};

  static void collect(FutureBase& outer) {
    auto& self = static_cast<GatherState&>(outer);
    if constexpr (std::is_void_v<R>) {
      self.value.emplace();
    } else {
      self.value.emplace(self.take_());
    }
  }

  Take take_;
};

struct FutureAccess {
  template <class T>
  static Future<T> make(Ref<FutureBase> state) noexcept {
    return Future<T>(std::move(state));
  }
};

// The loop of those that belong to one, or null. Throws std::invalid_argument when there are two.
template <class A>
EventLoop* common_loop(EventLoop* loop, const A& awaitable) {
  if constexpr (requires { awaitable.base(); }) {
    if (loop == nullptr) {
      return &awaitable.get_loop();
    }
    check_same_loop(*awaitable.base(), loop, "gather");
  }
  return loop;
}

template <class R, class Take, class... F>
Future<R> start_gathering(EventLoop& loop, Take take, std::span<FutureBase* const> children, bool wants_all,
                          std::source_location where) {
  auto* gathering = new_block<GatherState<R, Take>>(loop, std::move(take), children.size(), wants_all, where);
  Future<R> future = FutureAccess::make<R>(Ref<FutureBase>(gathering));
  for (std::size_t i = 0; i != children.size(); ++i) {
    gathering->watch(i, Ref<FutureBase>(children[i]));
  }
  gathering->watched_all();
  return future;
}

// The value of a child. One that was handed over, or that cannot be copied, is moved out.
template <class F, bool handed_over>
auto take_result(const F& future) {
  using T = typename F::value_type;
  if constexpr (std::is_void_v<T>) {
    future.result();
    return Unit{};
  } else {
    return get_result < T, handed_over || !std::is_copy_constructible_v < T >> (*future.base());
  }
}

template <class A>
using Gathered = StoredResult<Awaited<A>>;

}  // namespace detail

// Runs awaitables at once and gives their results in order, as a tuple (asyncio.gather); what has no result
// gives an empty struct. Coroutines and other awaitables are started as tasks now, not when the future is
// awaited. Values of futures given as lvalues are copied, all others moved. When one fails or is cancelled,
// the future fails with that at once; the others go on, and what happens to them is not reported. Cancelling
// the future cancels all that are not done, and it ends when they have ended. A future that nobody holds any
// more cancels nothing. Throws std::invalid_argument for futures of two loops, RuntimeError when there is
// none and no loop runs.
template <class... A>
  requires(sizeof...(A) != 0)
Future<std::tuple<detail::Gathered<A>...>> gather(A&&... awaitables) {
  using R = std::tuple<detail::Gathered<A>...>;
  EventLoop* loop = nullptr;
  ((loop = detail::common_loop(loop, awaitables)), ...);
  EventLoop& target = loop != nullptr ? *loop : detail::running_loop_for("gather");
  std::tuple<detail::FutureOf<A>...> futures{ensure_future(std::forward<A>(awaitables), &target)...};
  const auto children = std::apply(
      [](const auto&... each) { return std::array<FutureBase*, sizeof...(A)>{each.base().get()...}; },
      futures);
  auto take = [futures = std::move(futures)] {
    return std::apply(
        [](const auto&... each) {
          return R{detail::take_result<std::remove_cvref_t<decltype(each)>, !std::is_lvalue_reference_v<A>>(
              each)...};
        },
        futures);
  };
  return detail::start_gathering<R>(target, std::move(take), children, false,
                                    std::source_location::current());
}
// The same, and it waits for all whatever becomes of them: gives the futures themselves, all done, from which
// result() and exception() are taken (return_exceptions=True).
template <class... A>
Future<std::tuple<Future<detail::Awaited<A>>...>> gather(ReturnExceptions, A&&... awaitables) {
  using R = std::tuple<Future<detail::Awaited<A>>...>;
  EventLoop* loop = nullptr;
  ((loop = detail::common_loop(loop, awaitables)), ...);
  EventLoop& target = loop != nullptr ? *loop : detail::running_loop_for("gather");
  R futures{ensure_future(std::forward<A>(awaitables), &target)...};
  const auto children = std::apply(
      [](const auto&... each) { return std::array<FutureBase*, sizeof...(A)>{each.base().get()...}; },
      futures);
  return detail::start_gathering<R>(
      target, [futures = std::move(futures)] { return futures; }, children, true,
      std::source_location::current());
}
// Of nothing: done at once.
inline Future<std::tuple<>> gather() {
  Future<std::tuple<>> future(detail::running_loop_for("gather"));
  future.set_result(std::tuple<>());
  return future;
}

namespace detail {

template <class A>
using GatheredVector =
    std::conditional_t<std::is_void_v<Awaited<A>>, void, std::vector<StoredResult<Awaited<A>>>>;

template <class R, class A, class Take>
Future<R> gather_vector(std::vector<A> awaitables, bool wants_all, Take take, std::source_location where) {
  EventLoop* loop = nullptr;
  for (const A& awaitable : awaitables) {
    loop = common_loop(loop, awaitable);
  }
  EventLoop& target = loop != nullptr ? *loop : running_loop_for("gather");
  std::vector<FutureOf<A>> futures;
  std::vector<FutureBase*> children;
  futures.reserve(awaitables.size());
  children.reserve(awaitables.size());
  for (A& awaitable : awaitables) {
    futures.push_back(ensure_future(std::move(awaitable), &target));
    children.push_back(futures.back().base().get());
  }
  auto take_all = [futures = std::move(futures), take = std::move(take)]() mutable { return take(futures); };
  return start_gathering<R>(target, std::move(take_all), children, wants_all, where);
}

}  // namespace detail

// The same for any number of one kind: a vector of the results, or nothing when they have none. Values that
// can be copied are copied.
template <class A>
Future<detail::GatheredVector<A>> gather(std::vector<A> awaitables) {
  using R = detail::GatheredVector<A>;
  auto take = [](const std::vector<detail::FutureOf<A>>& futures) -> R {
    if constexpr (!std::is_void_v<R>) {
      R results;
      results.reserve(futures.size());
      for (const auto& future : futures) {
        results.push_back(detail::take_result<detail::FutureOf<A>, false>(future));
      }
      return results;
    }
  };
  return detail::gather_vector<R>(std::move(awaitables), false, take, std::source_location::current());
}
template <class A>
Future<std::vector<Future<detail::Awaited<A>>>> gather(ReturnExceptions, std::vector<A> awaitables) {
  using R = std::vector<Future<detail::Awaited<A>>>;
  auto take = [](const std::vector<detail::FutureOf<A>>& futures) {
    return R(futures.begin(), futures.end());
  };
  return detail::gather_vector<R>(std::move(awaitables), true, take, std::source_location::current());
}

}  // namespace weir::inline WEIR_ABI
