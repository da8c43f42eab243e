// Futures and tasks: outcomes, who is woken when, names, contexts. Mirrored by tasks.py.
#include "tests/asyncio_parity/trace.hpp"

#include <weir/context.hpp>
#include <weir/exceptions.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

using namespace parity;
using namespace std::chrono_literals;
using weir::Coro;
using weir::EventLoop;
using weir::Future;
using weir::sleep;
using weir::Task;

namespace {

constexpr const char* group = "tasks";

weir::ContextVar<std::string> variable("variable", "unset");

auto tell(std::string text) {
  return [text = std::move(text)] { trace(text); };
}

std::string name_of(const weir::Ref<weir::TaskBase>& task) {
  return task != nullptr ? task->get_name() : "none";
}
std::string names_of_all() {
  std::vector<std::string> all;
  for (const auto& task : weir::all_tasks()) {
    all.push_back(task->get_name());
  }
  std::sort(all.begin(), all.end());
  std::string line;
  for (const std::string& name : all) {
    line += (line.empty() ? "" : ",") + name;
  }
  return line;
}
Coro<std::string> own_name() { co_return weir::current_task()->get_name(); }

Coro<void> fail(const char* text) {
  throw Oops(text);
  co_return;
}
template <class T>
Coro<T> give(T value) {
  co_return value;
}

}  // namespace

// --- Futures

SCENARIO(callbacks_run_in_order_and_later) {
  auto future = loop.create_future<std::string>();
  for (int number = 0; number != 3; ++number) {
    future.add_done_callback(
        [number](const Future<std::string>& done) { trace("callback", number, done.result()); });
  }
  loop.call_soon(tell("soon"));
  future.set_result("value");
  trace("set", future.done());
  future.add_done_callback(tell("added late"));
  trace(co_await future);
  future.add_done_callback(tell("added later"));
  co_await sleep(0s);
  trace("end");
}

SCENARIO(callbacks_that_are_removed) {
  auto future = loop.create_future<void>();
  const auto first = future.add_done_callback(tell("first"));
  const auto second = future.add_done_callback(tell("second"));
  const bool once = future.remove_done_callback(first);
  trace(once, future.remove_done_callback(first));
  future.set_result();
  trace(future.remove_done_callback(second));
  co_await sleep(0s);
}

SCENARIO(callbacks_that_change_callbacks) {
  auto future = loop.create_future<void>();
  weir::DoneCallbackToken last{};
  future.add_done_callback([&] {
    trace("first", future.remove_done_callback(last));
    future.add_done_callback(tell("added"));
  });
  last = future.add_done_callback(tell("last"));
  turns(loop, 3);
  future.set_result();
  for (int i = 0; i != 3; ++i) {
    co_await sleep(0s);
  }
}

SCENARIO(a_callback_that_throws) {
  auto future = loop.create_future<int>();
  future.add_done_callback([] { throw Oops("callback"); });
  future.add_done_callback(tell("goes on"));
  future.set_result(1);
  trace(co_await future);
  co_await sleep(0s);
}

SCENARIO(wrong_states) {
  auto future = loop.create_future<int>();
  trace(outcome([&] { return future.result(); }), outcome([&] { return future.exception(); }));
  future.set_result(1);
  const std::string twice = outcome([&] { future.set_result(2); });
  trace(twice, outcome([&] { future.set_exception(Oops("late")); }));
  trace(future.cancel(), future.cancelled(), future.result(), future.exception());
  co_return;
}

SCENARIO(cancelled_future) {
  auto future = loop.create_future<int>();
  future.add_done_callback([](const Future<int>& done) { trace("callback", done.cancelled()); });
  const bool first = future.cancel("why");
  const bool second = future.cancel("again");
  trace(first, second, future.done(), future.cancelled());
  trace(outcome([&] { future.set_result(1); }));
  trace(co_await outcome_of(future));
  trace(outcome([&] { return future.exception(); }).starts_with("CancelledError"));
}

SCENARIO(failed_future) {
  auto future = loop.create_future<int>();
  future.set_exception(Oops("failed"));
  const std::string once = co_await outcome_of(future);
  trace(once, co_await outcome_of(future));
  trace(outcome([&] { return future.result(); }), future.exception(), future.cancelled());
}

SCENARIO(awaiting_what_is_done_gives_way_to_nobody) {
  auto future = loop.create_future<std::string>();
  future.set_result("value");
  loop.call_soon(tell("soon"));
  trace(co_await future);
  trace(co_await future);
  co_await sleep(0s);
}

SCENARIO(several_wait_for_one_future) {
  auto future = loop.create_future<std::string>();
  const auto wait = [](const char* name, Future<std::string> on) -> Coro<void> {
    trace(name, co_await outcome_of(on));
  };
  std::vector<Task<void>> tasks;
  for (const char* name : {"a", "b", "c"}) {
    tasks.push_back(loop.create_task(wait(name, future)));
  }
  co_await sleep(0s);
  future.add_done_callback(tell("callback"));
  turns(loop, 2);
  future.set_result("woke");
  for (auto& task : tasks) {
    co_await task;
  }
}

SCENARIO(nobody_takes_the_exception) {
  std::optional<Future<int>> future(loop.create_future<int>());
  future->set_exception(Oops("never taken"));
  trace("dropped");
  future.reset();
  std::optional<Future<int>> taken(loop.create_future<int>());
  taken->set_exception(Oops("taken"));
  trace(taken->exception());
  taken.reset();
  std::optional<Task<void>> task(loop.create_task(fail("task")));
  co_await sleep(0s);
  trace("the task is done", task->done());
  task.reset();
  trace("end");
}

SCENARIO(contexts_of_done_callbacks) {
  auto future = loop.create_future<void>();
  weir::Context context = weir::copy_context();
  context.run([] { variable.set("given"); });
  variable.set("at the call");
  future.add_done_callback([] { trace(variable.get()); });
  future.add_done_callback([] { trace(variable.get()); }, {.context = &context});
  variable.set("later");
  future.set_result();
  co_await sleep(0s);
}

// --- Tasks

SCENARIO(a_task_starts_in_the_next_turn) {
  loop.call_soon(tell("before"));
  auto task = loop.create_task([]() -> Coro<void> {
    trace("work");
    co_return;
  }());
  loop.call_soon(tell("behind"));
  trace("made");
  co_await task;
  trace("end");
}

SCENARIO(names) {
  auto task = loop.create_task(own_name(), {.name = "given"});
  auto other = loop.create_task(own_name());
  trace(task.get_name(), other.get_name().starts_with("Task-"));
  other.set_name("set");
  const std::string first = co_await task;
  trace(first, co_await other);
}

SCENARIO(the_current_task) {
  const auto outer = [](EventLoop& on) -> Coro<void> {
    const std::string first = co_await own_name();
    auto inner = on.create_task(own_name(), {.name = "inner"});
    const std::string second = co_await inner;
    trace(first, second, co_await own_name());
  };
  loop.call_soon([] { trace("callback", name_of(weir::current_task())); });
  auto task = loop.create_task(outer(loop), {.name = "outer"});
  task.add_done_callback([] { trace("done callback", name_of(weir::current_task())); });
  co_await task;
  co_await sleep(0s);
}

SCENARIO(all_that_run) {
  const auto work = [](const char* name, Future<void> future) -> Coro<void> {
    trace(name, "sees", names_of_all());
    co_await future;
  };
  weir::current_task()->set_name("main");
  Future<void> futures[] = {loop.create_future<void>(), loop.create_future<void>()};
  auto a = loop.create_task(work("a", futures[0]), {.name = "a"});
  auto b = loop.create_task(work("b", futures[1]), {.name = "b"});
  trace(names_of_all());
  co_await sleep(0s);
  futures[0].set_result();
  trace(names_of_all());
  co_await a;
  trace(names_of_all());
  futures[1].cancel();
  co_await outcome_of<void>(b);
  trace(names_of_all());
}

SCENARIO(outcomes_of_tasks) {
  auto good = loop.create_task(give(5));
  auto bad = loop.create_task(fail("task"));
  trace(outcome([&] { return good.result(); }), outcome([&] { return bad.exception(); }));
  const std::string set = outcome([&] { good.set_result(6); });
  trace(set, outcome([&] { bad.set_exception(Oops("set")); }));
  const std::string first = co_await outcome_of<int>(good);
  const std::string second = co_await outcome_of<void>(bad);
  trace(first, second, co_await outcome_of<void>(bad));
  trace(good.cancelled(), bad.cancelled(), good.exception(), outcome([&] { bad.result(); }));
}

SCENARIO(contexts_of_tasks) {
  constexpr auto child = []() -> Coro<void> {
    trace("child", variable.get());
    variable.set("of the child");
    co_await sleep(0s);
    trace("child", variable.get());
  };
  constexpr auto called = []() -> Coro<void> {
    variable.set("of what was called");
    co_return;
  };
  variable.set("at create_task");
  auto task = loop.create_task(child());
  variable.set("later");
  co_await task;
  trace(variable.get());
  co_await called();
  trace(variable.get());
  weir::Context context = weir::copy_context();
  auto in_context = loop.create_task(called(), {.context = &context});
  co_await in_context;
  variable.set("mine");
  const std::string theirs = context.run([] { return variable.get(); });
  trace(theirs, variable.get());
}

SCENARIO(turns_of_a_chain_of_tasks) {
  static constexpr auto inner = []() -> Coro<int> {
    trace("inner begins");
    co_await sleep(0s);
    trace("inner ends");
    co_return 1;
  };
  static constexpr auto middle = [](EventLoop& on) -> Coro<int> {
    trace("middle begins");
    auto task = on.create_task(inner());
    const int value = co_await task;
    trace("middle ends");
    co_return value + 1;
  };
  constexpr auto outer = [](EventLoop& on) -> Coro<int> {
    trace("outer begins");
    auto task = on.create_task(middle(on));
    const int value = co_await task;
    trace("outer ends");
    co_return value + 1;
  };
  turns(loop, 8);
  auto task = loop.create_task(outer(loop));
  trace(co_await task);
}

SCENARIO(turns_of_a_chain_of_coroutines) {
  static constexpr auto inner = []() -> Coro<int> {
    co_await sleep(0s);
    co_return 1;
  };
  constexpr auto outer = []() -> Coro<int> {
    const int first = co_await inner();
    co_return first + co_await inner();
  };
  turns(loop, 4);
  trace(co_await outer());
  auto task = loop.create_task(outer());
  turns(loop, 4, 11);
  trace(co_await task);
}

SCENARIO(sleeps) {
  turns(loop, 3);
  co_await sleep(-1s);
  trace("a negative one gives way once");
  trace(co_await sleep(0s, "value"));
  trace(co_await sleep(1ms, "value"));
}

SCENARIO(callbacks_and_waiters_in_order) {
  const auto work = []() -> Coro<void> { co_await sleep(0s); };
  const auto wait = [](const char* name, Task<void> on) -> Coro<void> {
    co_await on;
    trace(name);
  };
  auto task = loop.create_task(work());
  task.add_done_callback(tell("first callback"));
  auto waiter = loop.create_task(wait("waiter", task));
  co_await sleep(0s);
  task.add_done_callback(tell("second callback"));
  co_await waiter;
}

SCENARIO(a_task_awaits_itself) {
  std::optional<Task<void>> self;
  const auto work = [](std::optional<Task<void>>& own) -> Coro<void> {
    trace(co_await outcome_of<void>(*own));
  };
  self = loop.create_task(work(self));
  co_await *self;
}

SCENARIO(a_task_factory) {
  loop.set_task_factory([](EventLoop&, weir::AnyCoro coro, const weir::TaskOptions& options) {
    trace("factory");
    return std::move(coro).create_task(options);
  });
  auto task = loop.create_task(own_name(), {.name = "made by the factory"});
  trace("made");
  trace(co_await task, static_cast<bool>(loop.get_task_factory()));
  loop.set_task_factory(nullptr);
  trace(loop.get_task_factory() ? "some" : "none");
  auto other = loop.create_task(own_name(), {.name = "made without"});
  trace(co_await other);
}

SCENARIO(ensure_future_keeps_what_is_one) {
  auto future = loop.create_future<int>();
  auto task = weir::ensure_future(give<std::string>("work"));
  const bool same_future = weir::ensure_future(future) == future;
  const bool same_task = weir::ensure_future(task) == task;
  trace(same_future, same_task, co_await task);
}

// --- Executors and other threads

SCENARIO(jobs_of_an_executor) {
  constexpr auto failing = []() -> int { throw Oops("job"); };
  auto future = loop.run_in_executor(nullptr, [] { return std::string("value"); });
  trace("submitted", future.done());
  trace(co_await future);
  auto bad = loop.run_in_executor(nullptr, failing);
  trace(co_await outcome_of(bad));
  trace(co_await weir::to_thread([] { return std::string("to_thread"); }));
  co_await loop.shutdown_default_executor();
  trace(outcome([&] { loop.run_in_executor(nullptr, failing); }));
}

SCENARIO(a_job_that_is_cancelled) {
  auto future = loop.run_in_executor(nullptr, [] { return std::string("ignored"); });
  future.add_done_callback([](const Future<std::string>& done) { trace("callback", done.cancelled()); });
  const bool asked = future.cancel();
  trace(asked, future.cancelled());
  trace(co_await outcome_of(future));
  co_await sleep(0s);
}

SCENARIO(a_coroutine_from_another_thread) {
  constexpr auto work = [](bool fails) -> Coro<std::string> {
    trace("work");
    co_await sleep(0s);
    if (fails) {
      throw Oops("work");
    }
    co_return std::string("value");
  };
  for (const bool fails : {false, true}) {
    const auto start = [&loop, fails, work] { return weir::run_coroutine_threadsafe(work(fails), loop); };
    auto of_thread = co_await weir::to_thread(start);
    auto future = weir::wrap_future(of_thread);
    trace(co_await outcome_of(future));
  }
}
