// WAIT-001 to 006, 016 and 017: sleep, wait, as_completed.
#include "tests/runtime/outcome.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/wait.hpp>

#include <memory>
#include <string>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

std::vector<Future<int>> futures_of(EventLoop& loop, std::size_t count) {
  std::vector<Future<int>> futures;
  for (std::size_t i = 0; i != count; ++i) {
    futures.push_back(loop.create_future<int>());
  }
  return futures;
}

// The values of those that are done, in the order in which they come; what ends it.
Coro<std::string> in_order(AsCompleted<Future<int>>& ended) {
  std::string text;
  try {
    while (auto future = co_await ended.next()) {
      text += end_of(*future) + "; ";
    }
    text += "all";
  } catch (const TimeoutError&) {
    text += "TimeoutError";
  }
  co_return text;
}

}  // namespace

WEIR_TEST("WAIT-001 sleep(0) yields exactly once") {
  std::string order;
  loop.call_soon([&] {
    order += "a";
    loop.call_soon([&] { order += "c"; });
  });
  loop.call_soon([&] { order += "b"; });
  co_await sleep(0s);
  CHECK(order == "ab");
  co_await sleep(-1s);
  CHECK(order == "abc");
}

WEIR_TEST("WAIT-002 sleep gives its value, and cancelling it cancels its timer") {
  const std::string text = co_await sleep(1us, std::string("value"));
  CHECK(text == "value");
  const TimePoint before = loop.time();
  co_await sleep(1ms);
  CHECK(loop.time() - before >= 1ms);

  // The timer is gone with what it would have woken: nothing is left to happen.
  auto sleeper = create_task([]() -> Coro<void> { co_await sleep(1h); }());
  co_await sleep(0s);
  sleeper.cancel("enough");
  CHECK(co_await outcome_of(sleeper) == "cancelled enough");
}

WEIR_TEST("WAIT-003 wait gives who is done and who is pending, and cancels nobody") {
  auto futures = futures_of(loop, 4);
  futures[1].set_result(1);
  futures[3].cancel();
  const auto found = co_await weir::wait(futures, {.return_when = ReturnWhen::first_completed});
  CHECK(found.done == std::vector{futures[1], futures[3]});
  CHECK(found.pending == std::vector{futures[0], futures[2]});
  for (const auto& future : found.pending) {
    CHECK_FALSE(future.done());
  }

  // Nor when it is cancelled itself, or dropped.
  auto waiting = create_task(weir::wait(found.pending));
  co_await sleep(0s);
  waiting.cancel("enough");
  CHECK(co_await outcome_of(waiting) == "cancelled enough");
  CHECK_FALSE(futures[0].done());
  // A cancellation that is taken back comes too late, as for a future.
  waiting = create_task(weir::wait(found.pending));
  co_await sleep(0s);
  waiting.cancel("at once");
  CHECK(waiting.uncancel() == 0);
  CHECK(co_await outcome_of(waiting) == "cancelled at once");
  {
    auto never_run = weir::wait(found.pending);
    never_run.take().destroy();
  }
  futures[0].set_exception(Failure("not its business"));
  futures[2].set_result(2);
  const auto rest = co_await weir::wait(found.pending);
  CHECK(rest.done.size() == 2);
  CHECK(rest.pending.empty());
  CHECK(end_of(futures[0]) == "Failure not its business");
}

WEIR_TEST("WAIT-003 wait takes tasks, and futures of several types") {
  std::vector<Task<int>> tasks;
  tasks.push_back(create_task(give(1)));
  tasks.push_back(create_task(give(2)));
  const auto found = co_await weir::wait(tasks);
  CHECK(found.done.size() == 2);
  CHECK(found.done[1].get_name() == tasks[1].get_name());

  auto text = loop.create_future<std::string>();
  auto number = loop.create_future<int>();
  text.set_result("done");
  const std::vector<Ref<FutureBase>> mixed{text.base(), number.base()};
  const auto some = co_await weir::wait(mixed, {.return_when = ReturnWhen::first_completed});
  CHECK(some.done == std::vector{text.base()});
  CHECK(some.pending == std::vector{number.base()});
}

WEIR_TEST("WAIT-004 wait returns with the first, with the first failure, or with the last") {
  enum class End { value, failure, cancellation };
  struct Case {
    ReturnWhen when;
    End first;
    bool returns;
  };
  for (const Case& each : {
           Case{ReturnWhen::first_completed, End::value, true},
           Case{ReturnWhen::first_completed, End::failure, true},
           Case{ReturnWhen::first_completed, End::cancellation, true},
           Case{ReturnWhen::first_exception, End::value, false},
           Case{ReturnWhen::first_exception, End::failure, true},
           Case{ReturnWhen::first_exception, End::cancellation, false},
           Case{ReturnWhen::all_completed, End::value, false},
           Case{ReturnWhen::all_completed, End::failure, false},
           Case{ReturnWhen::all_completed, End::cancellation, false},
       }) {
    for (const bool before : {false, true}) {  // it is called
      CAPTURE(static_cast<int>(each.when));
      CAPTURE(static_cast<int>(each.first));
      CAPTURE(before);
      auto futures = futures_of(loop, 2);
      const auto end_first = [&] {
        if (each.first == End::value) {
          futures[0].set_result(1);
        } else if (each.first == End::failure) {
          futures[0].set_exception(Failure("first"));
        } else {
          futures[0].cancel();
        }
      };
      if (before) {
        end_first();
      }
      const auto waiting = create_task(weir::wait(futures, {.return_when = each.when}));
      co_await sleep(0s);
      if (!before) {
        CHECK_FALSE(waiting.done());
        end_first();
      }
      co_await sleep(0s);
      CHECK(waiting.done() == each.returns);
      futures[1].set_result(2);
      const auto found = co_await waiting;
      CHECK(found.done.size() == (each.returns ? 1 : 2));
      end_of(futures[0]);  // nobody else asks
    }
  }
}

WEIR_TEST("WAIT-005 wait for nothing is refused") {
  const std::vector<Future<int>> none;
  CHECK(co_await outcome_of(weir::wait(none)) == "invalid_argument wait: there is no future to wait for");
}

WEIR_TEST("WAIT-005 and so are futures of another loop") {
  EventLoop other;
  std::vector futures{loop.create_future<int>(), other.create_future<int>()};
  CHECK((co_await outcome_of(weir::wait(futures))).starts_with("invalid_argument wait: "));
  CHECK_FALSE(futures[0].done());
  futures.erase(futures.begin());
  CHECK((co_await outcome_of(weir::wait(futures))).starts_with("invalid_argument wait: "));
}

WEIR_TEST("WAIT-006 wait with a time-out gives what is done when the time is up") {
  auto futures = futures_of(loop, 2);
  const TimePoint before = loop.time();
  auto waiting = create_task(weir::wait(futures, {.timeout = 1ms}));
  co_await sleep(0s);
  futures[1].set_result(1);
  auto found = co_await waiting;
  CHECK(loop.time() - before >= 1ms);
  CHECK(found.done == std::vector{futures[1]});
  CHECK(found.pending == std::vector{futures[0]});

  // None at all: it looks, and lets the others go on.
  bool ran = false;
  loop.call_soon([&] { ran = true; });
  found = co_await weir::wait(futures, {.timeout = 0s});
  CHECK(ran);
  CHECK(found.done.size() == 1);
  // In time.
  waiting = create_task(weir::wait(futures, {.timeout = 1h}));
  co_await sleep(0s);
  futures[0].set_result(0);
  CHECK((co_await waiting).pending.empty());
}

WEIR_TEST("WAIT-016 as_completed gives them in the order of their ends") {
  auto futures = futures_of(loop, 4);
  futures[2].set_result(2);
  auto ended = as_completed(futures);
  const auto text = create_task(in_order(ended));
  co_await sleep(0s);
  futures[3].set_exception(Failure("3"));
  futures[0].cancel();
  co_await sleep(0s);
  futures[1].set_result(1);
  CHECK(co_await text == "value 2; Failure 3; cancelled; value 1; all");
  CHECK_FALSE((co_await ended.next()).has_value());
}

WEIR_TEST("WAIT-016 with a time-out, those still pending are a TimeoutError") {
  auto futures = futures_of(loop, 3);
  auto ended = as_completed(futures, 1ms);
  futures[1].set_result(1);
  CHECK(co_await in_order(ended) == "value 1; TimeoutError");
  CHECK_FALSE(futures[0].done());
  // What has ended since is not lost.
  futures[2].set_result(2);
  CHECK(co_await in_order(ended) == "value 2; TimeoutError");
}

WEIR_TEST(
    "WAIT-016 coroutines are started at once; a cancelled next() loses nothing; dropped early it is quiet") {
  bool ran = false;
  const auto run = [](bool& flag) -> Coro<int> {
    flag = true;
    co_return 7;
  };
  std::vector<Coro<int>> coroutines;
  coroutines.push_back(run(ran));
  auto ended = as_completed(std::move(coroutines));
  co_await sleep(0s);
  CHECK(ran);
  CHECK(end_of((co_await ended.next()).value()) == "value 7");

  auto futures = futures_of(loop, 2);
  auto others = std::make_unique<AsCompleted<Future<int>>>(as_completed(futures));
  auto next = create_task(others->next());
  co_await sleep(0s);
  CHECK((co_await outcome_of(others->next())).starts_with("RuntimeError as_completed: another coroutine"));
  futures[0].set_result(1);
  next.cancel();
  CHECK(co_await outcome_of(next) == "cancelled");
  CHECK(end_of((co_await others->next()).value()) == "value 1");
  others.reset();
  futures[1].set_result(2);
}

WEIR_TEST("WAIT-017 the same future given twice counts once") {
  auto futures = futures_of(loop, 2);
  const std::vector twice{futures[0], futures[1], futures[0]};
  futures[0].set_result(1);
  futures[1].set_result(2);
  CHECK((co_await weir::wait(twice)).done == futures);
  auto ended = as_completed(twice);
  CHECK(co_await in_order(ended) == "value 1; value 2; all");
}

TEST_CASE_FIXTURE(LoopFixture,
                  "LIFE-008 a loop that is closed while coroutines are in wait and as_completed") {
  auto future = loop.create_future<int>();
  const auto next = [](AsCompleted<Future<int>> ended) -> Coro<void> { co_await ended.next(); };
  const auto start = [&](Future<int> of) -> Coro<void> {
    const std::vector futures{of};
    create_task(weir::wait(futures, {.timeout = 1h}));
    create_task(next(as_completed(futures, 1h)));
    co_await sleep(0s);
  };
  loop.run_until_complete(start(future));
  drain(loop);
  loop.close();
  CHECK(env.take_reports().size() == 2);  // of tasks that were pending
  future.cancel();
}
