// Cancelling tasks at awkward moments. Mirrored by cancellation.py.
#include "tests/asyncio_parity/trace.hpp"

#include <weir/exceptions.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

using namespace parity;
using namespace std::chrono_literals;
using weir::Coro;
using weir::Future;
using weir::sleep;
using weir::Task;

namespace {

constexpr const char* group = "cancellation";

// Tells how its sleep ends.
Coro<void> sleeper(std::string name) {
  trace(name, "begins");
  try {
    co_await sleep(60s);
  } catch (...) {
    trace(name, kind(std::current_exception()));
    throw;
  }
}

// A sleep to be given to outcome_of.
Coro<void> sleeping(weir::Duration delay) { co_await sleep(delay); }

template <class T>
std::string state(const Task<T>& task) {
  return "done=" + text(task.done()) + " cancelled=" + text(task.cancelled()) +
         " requests=" + text(task.cancelling());
}

Coro<std::string> await_future(Future<std::string> future) {
  const std::string value = co_await future;
  co_return value;
}

Coro<void> await_and_tell(std::string name, Future<std::string> future) {
  trace(name, co_await outcome_of(future));
}

Coro<void> await_and_go_on(const char* name, Future<std::string> future) {
  trace(name, co_await outcome_of(future));
  co_await sleep(0s);
  trace(name, "goes on");
}

}  // namespace

SCENARIO(before_the_first_step) {
  auto task = loop.create_task(sleeper("task"));
  task.add_done_callback([](const Future<void>& done) { trace("callback", done.cancelled()); });
  turns(loop, 3);
  const bool asked = task.cancel();
  trace(asked, state(task));
  trace(co_await outcome_of<void>(task));
  trace(state(task));
  co_await sleep(0s);
}

SCENARIO(while_it_sleeps) {
  auto task = loop.create_task(sleeper("task"));
  co_await sleep(0s);
  turns(loop, 3);
  const bool asked = task.cancel("why");
  trace(asked, state(task));
  trace(co_await outcome_of<void>(task));
  const std::string after = state(task);
  trace(after, task.cancel());
}

SCENARIO(when_its_future_is_done_already) {
  constexpr auto work = [](Future<std::string> future) -> Coro<void> {
    trace(co_await outcome_of(future));
    co_await sleep(0s);
    trace("goes on");
  };
  auto future = loop.create_future<std::string>();
  auto task = loop.create_task(work(future));
  co_await sleep(0s);
  future.set_result("value");
  const bool asked = task.cancel();
  trace(asked, future.cancelled(), future.result());
  const std::string end = co_await outcome_of<void>(task);
  trace(end, state(task));
}

SCENARIO(after_the_future_was_cancelled) {
  auto future = loop.create_future<std::string>();
  auto task = loop.create_task(await_future(future));
  co_await sleep(0s);
  trace(future.cancel("by hand"));
  const std::string end = co_await outcome_of<std::string>(task);
  trace(end, state(task));
}

SCENARIO(the_future_of_others) {
  auto future = loop.create_future<std::string>();
  auto first = loop.create_task(await_and_tell("first", future));
  auto second = loop.create_task(await_and_tell("second", future));
  co_await sleep(0s);
  const bool asked = first.cancel();
  trace(asked, future.cancelled());
  co_await first;
  co_await second;
  trace(state(first), state(second));
}

SCENARIO(twice_in_one_turn) {
  constexpr auto work = []() -> Coro<void> {
    trace(co_await outcome_of(sleeping(60s)));
    co_await sleep(0s);
    trace("only one arrived");
  };
  auto task = loop.create_task(work());
  co_await sleep(0s);
  const bool first = task.cancel();
  const bool second = task.cancel();
  const bool third = task.cancel();
  trace(first, second, third);
  const std::string end = co_await outcome_of<void>(task);
  trace(end, state(task));
}

SCENARIO(again_in_the_cleanup) {
  constexpr auto work = []() -> Coro<void> {
    std::exception_ptr error;
    try {
      co_await sleeper("body");
    } catch (...) {
      error = std::current_exception();
    }
    co_await sleeper("cleanup");
    trace("never");
    std::rethrow_exception(error);
  };
  auto task = loop.create_task(work());
  co_await sleep(0s);
  task.cancel("first");
  co_await sleep(0s);
  co_await sleep(0s);
  trace(state(task));
  task.cancel("second");
  const std::string end = co_await outcome_of<void>(task);
  trace(end, state(task));
}

SCENARIO(a_cleanup_that_awaits) {
  constexpr auto work = []() -> Coro<void> {
    std::exception_ptr error;
    try {
      co_await sleeper("body");
    } catch (...) {
      error = std::current_exception();
    }
    for (int step = 0; step != 3; ++step) {
      co_await sleep(0s);
      trace("cleanup", step);
    }
    std::rethrow_exception(error);
  };
  auto task = loop.create_task(work());
  co_await sleep(0s);
  turns(loop, 6);
  task.cancel();
  const std::string end = co_await outcome_of<void>(task);
  trace(end, state(task));
}

SCENARIO(swallowed) {
  constexpr auto work = []() -> Coro<std::string> {
    trace(co_await outcome_of(sleeper("work")));
    co_await sleep(0s);
    trace("goes on");
    co_return std::string("value");
  };
  auto task = loop.create_task(work());
  co_await sleep(0s);
  task.cancel();
  const std::string end = co_await outcome_of<std::string>(task);
  trace(end, state(task));
}

SCENARIO(turned_into_an_error) {
  constexpr auto work = []() -> Coro<void> {
    try {
      co_await sleeper("work");
    } catch (const weir::CancelledError&) {
      throw Oops("instead");
    }
  };
  auto task = loop.create_task(work());
  co_await sleep(0s);
  task.cancel();
  const std::string end = co_await outcome_of<void>(task);
  trace(end, state(task));
}

SCENARIO(taken_back) {
  constexpr auto work = []() -> Coro<std::string> {
    const auto task = weir::current_task();
    const std::string end = co_await outcome_of(sleeping(60s));
    trace(end, task->cancelling());
    const int first = task->uncancel();
    const int second = task->uncancel();
    const int third = task->uncancel();
    trace(first, second, third);
    co_await sleep(0s);
    co_return std::string("value");
  };
  auto task = loop.create_task(work());
  co_await sleep(0s);
  task.cancel();
  task.cancel();
  const std::string end = co_await outcome_of<std::string>(task);
  trace(end, state(task));
}

SCENARIO(itself_and_then_awaits) {
  constexpr auto work = []() -> Coro<void> {
    trace(weir::current_task()->cancel("self"));
    trace("until the next await");
    trace(co_await outcome_of(sleeping(0s)));
    co_await sleep(0s);
    trace("only one arrived");
  };
  auto task = loop.create_task(work());
  trace(co_await outcome_of<void>(task));
}

SCENARIO(itself_and_then_awaits_a_future) {
  constexpr auto work = [](Future<std::string> pending, Future<std::string> done) -> Coro<void> {
    weir::current_task()->cancel("self");
    trace("done", co_await outcome_of(done));
    const std::string end = co_await outcome_of(pending);
    trace("pending", end, pending.cancelled());
  };
  auto done = loop.create_future<std::string>();
  done.set_result("value");
  auto task = loop.create_task(work(loop.create_future<std::string>(), done));
  trace(co_await outcome_of<void>(task));
}

SCENARIO(itself_and_then_returns) {
  constexpr auto work = []() -> Coro<std::string> {
    weir::current_task()->cancel("self");
    co_return std::string("lost");
  };
  auto task = loop.create_task(work());
  const std::string end = co_await outcome_of<std::string>(task);
  trace(end, state(task));
}

SCENARIO(itself_and_then_throws) {
  constexpr auto work = []() -> Coro<void> {
    weir::current_task()->cancel("self");
    throw Oops("wins");
    co_return;
  };
  auto task = loop.create_task(work());
  const std::string end = co_await outcome_of<void>(task);
  trace(end, state(task));
}

SCENARIO(the_awaiter_of_a_task) {
  constexpr auto outer = [](Task<void> inner) -> Coro<void> {
    try {
      co_await inner;
    } catch (const weir::CancelledError&) {
      trace("outer", state(inner));
      throw;
    }
  };
  auto inner = loop.create_task(sleeper("inner"));
  auto task = loop.create_task(outer(inner));
  co_await sleep(0s);
  turns(loop, 4);
  const bool asked = task.cancel();
  trace(asked, state(task), state(inner));
  const std::string end = co_await outcome_of<void>(task);
  trace(end, state(task), state(inner));
}

SCENARIO(the_task_that_is_awaited) {
  constexpr auto outer = [](Task<void> inner) -> Coro<std::string> {
    trace("outer", co_await outcome_of<void>(inner));
    co_return std::string("value");
  };
  auto inner = loop.create_task(sleeper("inner"));
  auto task = loop.create_task(outer(inner));
  co_await sleep(0s);
  trace(inner.cancel("why"));
  const std::string end = co_await outcome_of<std::string>(task);
  trace(end, state(task), state(inner));
}

SCENARIO(an_inner_task_that_refuses) {
  constexpr auto stubborn = []() -> Coro<std::string> {
    trace(co_await outcome_of(sleeper("inner")));
    co_await sleep(0s);
    co_return std::string("value of the inner");
  };
  auto inner = loop.create_task(stubborn());
  auto task = loop.create_task(await_future(inner));
  co_await sleep(0s);
  task.cancel();
  const std::string end = co_await outcome_of<std::string>(task);
  trace(end, state(task), state(inner));
}

namespace {

Coro<void> level(int depth) {
  struct Leaving {
    int depth;
    ~Leaving() { trace("leaves", depth); }
  } const leaving{depth};
  if (depth != 0) {
    co_await level(depth - 1);
  } else {
    co_await sleep(60s);
  }
}

}  // namespace

SCENARIO(through_nested_coroutines) {
  auto task = loop.create_task(level(3));
  co_await sleep(0s);
  task.cancel();
  trace(co_await outcome_of<void>(task));
}

SCENARIO(in_the_turn_of_its_completion) {
  constexpr auto work = []() -> Coro<std::string> {
    trace("work ends");
    co_return std::string("value");
  };
  auto task = loop.create_task(work());
  loop.call_soon([&] {
    const bool asked = task.cancel();
    trace("cancel", asked, task.done());
  });
  const std::string end = co_await outcome_of<std::string>(task);
  trace(end, state(task));
  auto other = loop.create_task(work());
  loop.call_soon([] { trace("soon"); });
  trace(other.cancel());
  const std::string other_end = co_await outcome_of<std::string>(other);
  trace(other_end, state(other));
}

SCENARIO(by_a_callback_of_what_it_awaits) {
  for (const bool early : {true, false}) {
    auto inner = loop.create_future<std::string>();
    auto task = loop.create_task(await_and_go_on(early ? "early" : "late", inner));
    const auto cancels = [&task] { trace("cancels", task.cancel()); };
    if (early) {
      inner.add_done_callback(cancels);
    }
    co_await sleep(0s);
    if (!early) {
      inner.add_done_callback(cancels);
    }
    inner.set_result("value");
    const std::string end = co_await outcome_of<void>(task);
    trace(end, state(task));
  }
}

SCENARIO(by_a_timer) {
  auto task = loop.create_task(sleeper("task"));
  loop.call_later(2ms, [&] { task.cancel(); });
  trace(co_await outcome_of<void>(task));
}

SCENARIO(many_at_once) {
  std::vector<Task<void>> tasks;
  for (const char* name : {"a", "b", "c", "d"}) {
    tasks.push_back(loop.create_task(sleeper(name)));
  }
  co_await sleep(0s);
  for (auto task = tasks.rbegin(); task != tasks.rend(); ++task) {
    task->cancel();
  }
  turns(loop, 2);
  for (auto& task : tasks) {
    trace(co_await outcome_of<void>(task));
  }
}

SCENARIO(one_cancels_its_neighbour) {
  constexpr auto killer = [](Task<void> victim) -> Coro<void> {
    trace("killer", victim.cancel());
    co_return;
  };
  constexpr auto work = [](Future<void> future) -> Coro<void> {
    co_await future;
    trace("never");
  };
  auto future = loop.create_future<void>();
  auto victim = loop.create_task(work(future));
  co_await sleep(0s);
  future.add_done_callback([] { trace("callback"); });
  // The killer's step lies before the victim's.
  auto task = loop.create_task(killer(victim));
  future.set_result();
  co_await task;
  trace(co_await outcome_of<void>(victim));
}

// --- Through chains of tasks

namespace {

Coro<std::string> follow(const char* name, Future<std::string> inner) {
  try {
    const std::string value = co_await inner;
    co_return value;
  } catch (const weir::CancelledError&) {
    trace(name, kind(std::current_exception()));
    throw;
  }
}

Coro<std::string> sleeping_text(const char* name) {
  co_await sleeper(name);
  co_return std::string();
}

}  // namespace

SCENARIO(a_chain_whose_end_is_done) {
  auto future = loop.create_future<std::string>();
  auto inner = loop.create_task(follow("inner", future));
  auto outer = loop.create_task(follow("outer", inner));
  co_await sleep(0s);
  turns(loop, 4);
  future.set_result("value");
  const bool asked = outer.cancel();
  trace(asked, state(inner), state(outer));
  const std::string end = co_await outcome_of<std::string>(outer);
  trace(end, state(inner), state(outer));
}

SCENARIO(a_chain_whose_inner_task_is_done) {
  auto future = loop.create_future<std::string>();
  auto inner = loop.create_task(follow("inner", future));
  auto outer = loop.create_task(follow("outer", inner));
  co_await sleep(0s);
  // Before the outer task's own wake-up, in the turn in which the inner one ends.
  inner.add_done_callback([] { trace("callback"); });
  future.add_done_callback([&] {
    const bool asked = outer.cancel();
    trace(asked, inner.done());
  });
  turns(loop, 4);
  future.set_result("value");
  const std::string end = co_await outcome_of<std::string>(outer);
  trace(end, state(inner), state(outer));
}

SCENARIO(a_chain_twice_in_one_turn) {
  constexpr auto stubborn = []() -> Coro<std::string> {
    for (int number = 0; number != 3; ++number) {
      trace(number, co_await outcome_of(sleeping(number == 0 ? 60s : 0s)));
    }
    co_return std::string("value");
  };
  auto inner = loop.create_task(stubborn());
  auto outer = loop.create_task(follow("outer", inner));
  co_await sleep(0s);
  const bool first = outer.cancel();
  const bool second = outer.cancel();
  trace(first, second, state(inner), state(outer));
  const std::string end = co_await outcome_of<std::string>(outer);
  trace(end, state(inner), state(outer));
}

SCENARIO(a_chain_again_in_the_cleanup) {
  constexpr auto cleaning = []() -> Coro<std::string> {
    std::exception_ptr error;
    try {
      co_await sleeper("inner");
    } catch (...) {
      error = std::current_exception();
    }
    co_await sleeper("cleanup");
    std::rethrow_exception(error);
  };
  auto inner = loop.create_task(cleaning());
  auto outer = loop.create_task(follow("outer", inner));
  co_await sleep(0s);
  outer.cancel();
  for (int i = 0; i != 3; ++i) {
    co_await sleep(0s);
  }
  const bool asked = outer.cancel();
  trace(asked, state(inner), state(outer));
  const std::string end = co_await outcome_of<std::string>(outer);
  trace(end, state(inner), state(outer));
}

SCENARIO(the_inner_task_of_two) {
  auto inner = loop.create_task(sleeping_text("inner"));
  std::vector<Task<std::string>> tasks;
  for (const char* name : {"first", "second"}) {
    tasks.push_back(loop.create_task(follow(name, inner)));
  }
  co_await sleep(0s);
  tasks[0].cancel();
  for (auto& task : tasks) {
    const std::string end = co_await outcome_of<std::string>(task);
    trace(end, state(task), state(inner));
  }
}

SCENARIO(requests_that_pile_up) {
  constexpr auto work = []() -> Coro<void> {
    for (int number = 0; number != 3; ++number) {
      trace(number, co_await outcome_of(sleeping(60s)));
    }
  };
  auto task = loop.create_task(work());
  for (int i = 0; i != 3; ++i) {
    co_await sleep(0s);
    task.cancel();
    co_await sleep(0s);
  }
  const std::string end = co_await outcome_of<void>(task);
  trace(end, state(task));
}
