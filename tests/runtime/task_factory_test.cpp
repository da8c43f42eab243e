// TASK-017, 018 and 020 to 023: task factories, eager tasks, ensure_future.
#include "tests/support/weir_test.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using namespace weir;
using namespace weir::testing;

namespace {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Coro<int> give(int value) { co_return value; }
Coro<int> get(Future<int> future) { co_return co_await future; }
Coro<int> hold(std::shared_ptr<int> argument) { co_return *argument; }

Ref<TaskBase> plain_factory(EventLoop&, AnyCoro coro, const TaskOptions& options) {
  return std::move(coro).create_task(options);
}

// What is no factory does not become one.
static_assert(std::is_constructible_v<TaskFactory, decltype(&plain_factory)>);
static_assert(std::is_constructible_v<TaskFactory, decltype(&eager_task_factory)>);
static_assert(!std::is_constructible_v<TaskFactory, int>);
static_assert(!std::is_constructible_v<TaskFactory, void (*)(EventLoop&, AnyCoro, const TaskOptions&)>);
static_assert(!std::is_constructible_v<TaskFactory, Ref<TaskBase> (*)(EventLoop&)>);
static_assert(!std::is_copy_constructible_v<AnyCoro>);

template <class Awaitable>
concept CanEnsureFuture =
    requires(Awaitable&& awaitable) { ensure_future(std::forward<Awaitable>(awaitable)); };
static_assert(CanEnsureFuture<Coro<int>>);
static_assert(!CanEnsureFuture<Coro<int>&>);
static_assert(CanEnsureFuture<Future<int>&>);
static_assert(CanEnsureFuture<Task<int>&>);
static_assert(CanEnsureFuture<detail::SleepAwaiter>);
static_assert(!CanEnsureFuture<int>);
static_assert(!CanEnsureFuture<std::suspend_always>);

}  // namespace

WEIR_TEST("TASK-017 create_task uses the factory, with name, context and eager flag") {
  static const ContextVar<int> variable("variable", 0);
  Context context;
  context.run([] { variable.set(9); });
  int calls = 0;
  TaskOptions seen;
  std::string name;
  loop.set_task_factory([&](EventLoop& made_for, AnyCoro coro, const TaskOptions& options) {
    ++calls;
    seen = options;
    name = options.name;
    CHECK(&made_for == &loop);
    CHECK(&coro.get_loop() == &loop);
    return std::move(coro).create_task(options);
  });
  CHECK(loop.get_task_factory());
  auto look = []() -> Coro<int> { co_return variable.get(); };
  Task<int> task = loop.create_task(look(), {.name = "made", .context = &context, .eager_start = false});
  CHECK(calls == 1);
  CHECK(name == "made");
  CHECK(seen.context == &context);
  CHECK(seen.eager_start == false);
  CHECK(co_await task == 9);
  CHECK(task.get_name() == "made");

  const Task<int> bare = create_task(give(1));
  CHECK(calls == 2);
  CHECK(name.empty());
  CHECK(seen.context == nullptr);
  CHECK_FALSE(seen.eager_start.has_value());
  CHECK(co_await bare == 1);
  co_await ensure_future(give(1));
  CHECK(calls == 3);

  loop.set_task_factory(&plain_factory);
  CHECK(co_await loop.create_task(give(2)) == 2);
  loop.set_task_factory(nullptr);
  CHECK_FALSE(loop.get_task_factory());
  CHECK(co_await loop.create_task(give(2)) == 2);
  CHECK(calls == 3);
}

WEIR_TEST("TASK-017 a factory may rename the task and tell the coroutine's place") {
  std::source_location place;
  loop.set_task_factory([&](EventLoop&, AnyCoro coro, TaskOptions options) {
    place = coro.where();
    options.name = "renamed";
    return std::move(coro).create_task(options);
  });
  const Task<int> task = loop.create_task(give(1), {.name = "given"});
  CHECK(task.get_name() == "renamed");
  CHECK(std::string(place.function_name()).find("give") != std::string::npos);
  co_await task;
}

WEIR_TEST("TASK-017 a factory may wrap the coroutine") {
  std::vector<std::string> steps;
  loop.set_task_factory([&](EventLoop&, AnyCoro coro, const TaskOptions& options) {
    auto wrapper = [](AnyCoro inner, std::vector<std::string>& log) -> Coro<void> {
      log.push_back("begin");
      try {
        co_await inner.run();
        log.push_back("value");
      } catch (const CancelledError&) {
        log.push_back("cancelled");
        throw;
      } catch (const std::exception& error) {
        log.push_back(error.what());
        throw;
      }
    };
    return std::move(coro).create_task_wrapped(
        [&steps, wrapper](AnyCoro inner) { return wrapper(std::move(inner), steps); }, options);
  });
  auto fail = []() -> Coro<int> {
    throw Failure("inner");
    co_return 1;
  };
  const Task<int> valued = loop.create_task(give(5));
  CHECK(steps.empty());
  CHECK(co_await valued == 5);
  const Task<int> failed = loop.create_task(fail());
  co_await until([&] { return failed.done(); });
  CHECK_THROWS_WITH_AS(failed.result(), "inner", Failure);
  Task<int> cancelled = loop.create_task(get(loop.create_future<int>()));
  co_await sleep(Duration::zero());
  cancelled.cancel("out");
  co_await until([&] { return cancelled.done(); });
  CHECK(cancelled.cancelled());
  loop.set_task_factory(nullptr);
  CHECK(steps == std::vector<std::string>{"begin", "value", "begin", "inner", "begin", "cancelled"});
}

WEIR_TEST("TASK-017 a wrapper that does not run the coroutine, or fails itself, makes the task fail") {
  auto argument = std::make_shared<int>(1);
  loop.set_task_factory([](EventLoop&, AnyCoro coro, const TaskOptions& options) {
    return std::move(coro).create_task_wrapped([](AnyCoro) -> Coro<void> { co_return; }, options);
  });
  const Task<int> ignored = loop.create_task(hold(argument));
  co_await until([&] { return ignored.done(); });
  CHECK_THROWS_AS(ignored.result(), RuntimeError);
  CHECK(argument.use_count() == 1);

  loop.set_task_factory([](EventLoop&, AnyCoro coro, const TaskOptions& options) {
    auto wrapper = [](AnyCoro inner) -> Coro<void> {
      co_await inner.run();
      throw Failure("after it");
    };
    return std::move(coro).create_task_wrapped(wrapper, options);
  });
  const Task<int> spoilt = loop.create_task(hold(argument));
  co_await until([&] { return spoilt.done(); });
  CHECK_THROWS_WITH_AS(spoilt.result(), "after it", Failure);
  loop.set_task_factory(nullptr);
  CHECK(argument.use_count() == 1);
}

WEIR_TEST("TASK-017 a factory that returns another task, or none, is refused") {
  const Task<int> other = loop.create_task(give(1));
  auto argument = std::make_shared<int>(1);
  loop.set_task_factory(
      [&](EventLoop&, AnyCoro, const TaskOptions&) { return Ref<TaskBase>(&other.task()); });
  CHECK_THROWS_AS(static_cast<void>(loop.create_task(hold(argument))), RuntimeError);
  CHECK(argument.use_count() == 1);
  loop.set_task_factory([](EventLoop&, AnyCoro, const TaskOptions&) { return Ref<TaskBase>(); });
  CHECK_THROWS_AS(static_cast<void>(loop.create_task(hold(argument))), RuntimeError);
  CHECK(argument.use_count() == 1);
  loop.set_task_factory(TaskFactory());
  co_await other;
}

WEIR_TEST("TASK-017 a coroutine makes one task only") {
  loop.set_task_factory([](EventLoop&, AnyCoro coro, const TaskOptions& options) {
    Ref<TaskBase> task = std::move(coro).create_task(options);
    // NOLINTNEXTLINE(bugprone-use-after-move)
    CHECK_THROWS_AS(static_cast<void>(std::move(coro).create_task(options)), RuntimeError);
    // NOLINTNEXTLINE(bugprone-use-after-move)
    CHECK_THROWS_AS(static_cast<void>(coro.run()), RuntimeError);
    return task;
  });
  const Task<int> task = loop.create_task(give(3));
  loop.set_task_factory(nullptr);
  CHECK(co_await task == 3);
}

TEST_CASE_FIXTURE(LoopFixture, "TASK-018 if the factory throws, the frame is destroyed and the caller told") {
  auto argument = std::make_shared<int>(1);
  SUBCASE("before it took the coroutine") {
    loop.set_task_factory(
        [](EventLoop&, AnyCoro, const TaskOptions&) -> Ref<TaskBase> { throw Failure("no"); });
  }
  SUBCASE("in making the wrapper") {
    loop.set_task_factory([](EventLoop&, AnyCoro coro, const TaskOptions& options) {
      return std::move(coro).create_task_wrapped([](AnyCoro) -> Coro<void> { throw Failure("no"); }, options);
    });
    auto thrower = [](AnyCoro) -> Coro<void>* { throw Failure("no"); };
    loop.set_task_factory([thrower](EventLoop&, AnyCoro coro, const TaskOptions& options) {
      return std::move(coro).create_task_wrapped(
          [thrower](AnyCoro inner) -> Coro<void> { return std::move(*thrower(std::move(inner))); }, options);
    });
  }
  CHECK_THROWS_WITH_AS(static_cast<void>(loop.create_task(hold(argument))), "no", Failure);
  CHECK(argument.use_count() == 1);
  CHECK(all_tasks(loop).empty());
  loop.set_task_factory(nullptr);
  CHECK(loop.run_until_complete(hold(argument)) == 1);
}

WEIR_TEST("TASK-020 an eager task runs inside create_task up to its first suspension") {
  std::vector<std::string> steps;
  auto body = [](Future<int> gate, std::vector<std::string>& steps) -> Coro<int> {
    steps.push_back("before");
    const int value = co_await gate;
    steps.push_back("after");
    co_return value;
  };
  auto gate = loop.create_future<int>();
  for (const bool by_factory : {false, true}) {
    steps.clear();
    gate = loop.create_future<int>();
    const TaskOptions options{.eager_start = by_factory ? std::optional<bool>() : true};
    if (by_factory) {
      loop.set_task_factory(&eager_task_factory);
    }
    Task<int> waiting = loop.create_task(body(gate, steps), options);
    CHECK(steps == std::vector<std::string>{"before"});
    CHECK_FALSE(waiting.done());
    const Task<int> done = loop.create_task(give(4), options);
    CHECK(done.done());
    CHECK(done.result() == 4);
    bool called = false;
    done.add_done_callback([&] { called = true; });
    CHECK_FALSE(called);
    gate.set_result(2);
    CHECK(co_await waiting == 2);
    CHECK(called);
    CHECK(steps.back() == "after");
    // A task may decline: the factory only fills in what the caller left open.
    Task<int> lazy = loop.create_task(give(1), {.eager_start = false});
    CHECK_FALSE(lazy.done());
    co_await lazy;
    loop.set_task_factory(nullptr);
  }
}

WEIR_TEST(
    "TASK-020 an eager task that fails, is done, listed while it waits, and cancelled at its suspension") {
  auto fail = []() -> Coro<int> {
    throw Failure("at once");
    co_return 1;
  };
  const TaskOptions eager{.eager_start = true};
  const Task<int> failed = loop.create_task(fail(), eager);
  CHECK(failed.done());
  CHECK_THROWS_AS(failed.result(), Failure);
  const std::size_t before = all_tasks().size();
  Task<int> waiting = loop.create_task(get(loop.create_future<int>()), eager);
  CHECK(all_tasks().size() == before + 1);
  CHECK(waiting.cancel("stop"));
  co_await until([&] { return waiting.done(); });
  CHECK(waiting.cancelled());
}

WEIR_TEST("TASK-021 current_task() during an eager first step is the new task") {
  auto nested = [](TaskBase** inner) -> Coro<int> {
    *inner = current_task().get();
    co_return 1;
  };
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines)
  auto body = [nested](TaskBase** outer, TaskBase** inner) -> Coro<int> {
    *outer = current_task().get();
    const Task<int> task = create_task(nested(inner), {.eager_start = true});
    CHECK(*inner == &task.task());
    CHECK(current_task().get() == *outer);
    co_return 1;
  };
  TaskBase* outer = nullptr;
  TaskBase* inner = nullptr;
  const Ref<TaskBase> self = current_task();
  const Task<int> task = create_task(body(&outer, &inner), {.eager_start = true});
  CHECK(outer == &task.task());
  CHECK(inner != nullptr);
  CHECK(inner != outer);
  CHECK(current_task() == self);
  // From a plain callback: none again afterwards.
  bool called = false;
  loop.call_soon([&] {
    const Task<int> made = create_task(nested(&inner), {.eager_start = true});
    CHECK(inner == &made.task());
    CHECK(current_task() == nullptr);
    called = true;
  });
  co_await until([&] { return called; });
}

WEIR_TEST("TASK-021 the context of an eager step is the task's, and the outer one's afterwards") {
  static const ContextVar<int> variable("variable", 0);
  variable.set(1);
  auto body = [](int* seen) -> Coro<void> {
    *seen = variable.get();
    variable.set(5);
    co_return;
  };
  int seen = 0;
  const Task<void> task = create_task(body(&seen), {.eager_start = true});
  CHECK(seen == 1);
  CHECK(variable.get() == 1);
  CHECK(variable.get_in(task.get_context()) == 5);
  co_await task;
}

WEIR_TEST("TASK-022 ensure_future leaves futures and tasks, wraps coroutines and other awaitables") {
  const auto future = loop.create_future<int>();
  CHECK(ensure_future(future) == future);
  CHECK(ensure_future(future, &loop) == future);
  Task<int> task = loop.create_task(give(1));
  Task<int> same = ensure_future(task);
  static_assert(std::is_same_v<decltype(ensure_future(task)), Task<int>>);
  CHECK(same == task);
  Task<int> made = ensure_future(give(2));
  CHECK(made != task);
  CHECK_FALSE(made.done());
  CHECK(co_await made == 2);
  const Task<int> awaited = ensure_future(sleep(Duration::zero(), 3));
  CHECK(co_await awaited == 3);
  const Task<void> slept = ensure_future(sleep(std::chrono::milliseconds(1)));
  co_await slept;
  co_await task;
  Task<void> stopped = ensure_future(sleep(std::chrono::hours(1)));
  co_await sleep(Duration::zero());
  stopped.cancel();
  co_await until([&] { return stopped.done(); });
  CHECK(stopped.cancelled());
}

TEST_CASE_FIXTURE(LoopFixture, "TASK-022 without a running loop ensure_future needs one named") {
  auto argument = std::make_shared<int>(7);
  CHECK_THROWS_AS(static_cast<void>(ensure_future(hold(argument))), RuntimeError);
  CHECK(argument.use_count() == 1);
  CHECK(loop.run_until_complete(Future<int>(ensure_future(hold(argument), &loop))) == 7);
  const auto future = loop.create_future<int>();
  CHECK(ensure_future(future) == future);
}

WEIR_TEST("TASK-023 ensure_future with another loop than the future's is refused") {
  EventLoop other;
  const auto future = loop.create_future<int>();
  CHECK_THROWS_AS(static_cast<void>(ensure_future(future, &other)), std::invalid_argument);
  const Task<int> task = loop.create_task(give(1));
  CHECK_THROWS_AS(static_cast<void>(ensure_future(task, &other)), std::invalid_argument);
  CHECK_FALSE(future.done());
  co_await task;
}

TEST_CASE_FIXTURE(LoopFixture, "TASK-017 a factory may replace itself while it runs") {
  const std::string text(100, 'x');
  std::string seen;
  loop.set_task_factory([&seen, text](EventLoop& on, AnyCoro coro, const TaskOptions& options) {
    on.set_task_factory({});
    seen = text;
    return std::move(coro).create_task(options);
  });
  const auto body = []() -> Coro<int> { co_return 4; };
  CHECK(loop.run_until_complete(body()) == 4);
  CHECK(seen == text);
  CHECK(!loop.get_task_factory());
}
