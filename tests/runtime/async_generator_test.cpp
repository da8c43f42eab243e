// AGEN: what becomes of asynchronous generators that are not iterated to their end. Iterating, aclose() and
// errors: async_generator_use_test.cpp.
#include "tests/runtime/generator_helpers.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

using Lines = std::vector<std::string>;

// Notes when a frame's locals are destroyed.
struct Guard {
  Lines* lines;
  std::string name;
  Guard(Lines& to, std::string text) : lines(&to), name(std::move(text)) {}
  Guard(const Guard&) = delete;
  ~Guard() { lines->push_back(name + " destroyed"); }
};

// Yields 0, 1, 2, …; its cleanup awaits, which needs a running loop.
AsyncGenerator<int> counter(Lines& lines, std::string name) {
  const Guard guard(lines, name);
  bool closing = false;
  try {
    for (int i = 0;; ++i) {
      co_yield i;
    }
  } catch (const GeneratorExit&) {
    closing = true;
  }
  if (closing) {
    lines.push_back(name + " closing");
    co_await sleep(1ms);
    lines.push_back(name + " closed");
  }
}

AsyncGenerator<int> fails_in_cleanup(std::string what) {
  try {
    co_yield 1;
  } catch (const GeneratorExit&) {
    throw std::runtime_error(what);
  }
}

AsyncGenerator<int> ignores_exit() {
  for (int i = 0;; ++i) {
    try {
      co_yield i;
    } catch (const GeneratorExit&) {
      continue;
    }
  }
}

// Its cleanup is cancelled from within: what it awaits there was cancelled.
AsyncGenerator<int> cancelled_in_cleanup(Lines& lines) {
  bool closing = false;
  try {
    co_yield 1;
  } catch (const GeneratorExit&) {
    closing = true;
  }
  if (closing) {
    lines.push_back("awaits a cancelled future");
    Future<void> future;
    future.cancel();
    co_await future;
  }
}

}  // namespace

WEIR_TEST("AGEN-001 shutdown_asyncgens closes each generator that was iterated and not finished") {
  Lines lines;
  {
    AsyncGenerator<int> a = counter(lines, "a");
    AsyncGenerator<int> b = counter(lines, "b");
    AsyncGenerator<int> untouched = counter(lines, "untouched");
    co_await expect_next(a, 0);
    co_await expect_next(b, 0);
    co_await expect_next(b, 1);
    co_await loop.shutdown_asyncgens();
    // Cleanup ran to its end before shutdown_asyncgens returned, and on the loop, for it slept.
    CHECK(lines.size() == 6);
    std::sort(lines.begin(), lines.end());
    CHECK(lines == Lines{"a closed", "a closing", "a destroyed", "b closed", "b closing", "b destroyed"});
    co_await expect_next(a, std::nullopt);
    co_await expect_next(b, std::nullopt);
  }
  CHECK(lines.size() == 6);  // the one never begun had nothing to clean up
}

WEIR_TEST("AGEN-001 a finished, a closed and a failed generator are left alone") {
  Lines lines;
  AsyncGenerator<int> finished = []() -> AsyncGenerator<int> { co_yield 1; }();
  while (co_await finished.next()) {
  }
  AsyncGenerator<int> closed = counter(lines, "closed");
  co_await take_one(closed);
  co_await closed.aclose();
  AsyncGenerator<int> failed = []() -> AsyncGenerator<int> {
    co_yield 1;
    throw std::runtime_error("failed");
  }();
  co_await take_one(failed);
  const std::string what = co_await failure_of<std::runtime_error>(take_one(failed));
  CHECK(what == "failed");
  const Lines before = lines;
  co_await loop.shutdown_asyncgens();
  CHECK(lines == before);
}

WEIR_TEST("AGEN-001 a generator may end, drop or make others while it is closed") {
  Lines lines;
  auto inner = std::make_unique<AsyncGenerator<int>>(counter(lines, "inner"));
  AsyncGenerator<int> outer = [](std::unique_ptr<AsyncGenerator<int>>& owned) -> AsyncGenerator<int> {
    bool closing = false;
    try {
      co_yield 1;
    } catch (const GeneratorExit&) {
      closing = true;
    }
    if (closing) {
      owned.reset();
      co_await sleep(0s);
    }
  }(inner);
  co_await take_one(*inner);
  co_await take_one(outer);
  co_await loop.shutdown_asyncgens();
  co_await until([&] { return lines.size() == 3; });
  CHECK(lines == Lines{"inner closing", "inner closed", "inner destroyed"});
}

WEIR_TEST("AGEN-001 shutdown_asyncgens may be called again, and without generators") {
  co_await loop.shutdown_asyncgens();
  co_await loop.shutdown_asyncgens();
}

WEIR_TEST("AGEN-001 a generator that is being iterated meanwhile is reported, the others are closed") {
  Lines lines;
  AsyncGenerator<int> idle = counter(lines, "idle");
  co_await take_one(idle);
  Future<void> gate = loop.create_future<void>();
  AsyncGenerator<int> busy = [](Future<void> wait_for) -> AsyncGenerator<int> {
    co_await wait_for;
    co_yield 1;
  }(gate);
  Task<void> consumer = create_task(take_one(busy));
  co_await sleep(0s);
  co_await loop.shutdown_asyncgens();
  CHECK(lines == Lines{"idle closing", "idle closed", "idle destroyed"});
  const Report report = env.expect_report("closing of an asynchronous generator");
  CHECK(describe_exception(report.exception).find("already running") != std::string::npos);
  gate.set_result();
  co_await consumer;
}

WEIR_TEST("AGEN-002 what a cleanup throws is reported, and the others are still closed") {
  Lines lines;
  AsyncGenerator<int> first = counter(lines, "first");
  AsyncGenerator<int> bad = fails_in_cleanup("one");
  AsyncGenerator<int> worse = fails_in_cleanup("two");
  AsyncGenerator<int> stubborn = ignores_exit();
  AsyncGenerator<int> last = counter(lines, "last");
  for (AsyncGenerator<int>* generator : {&first, &bad, &worse, &stubborn, &last}) {
    co_await take_one(*generator);
  }
  co_await loop.shutdown_asyncgens();
  CHECK(std::count(lines.begin(), lines.end(), "first closed") == 1);
  CHECK(std::count(lines.begin(), lines.end(), "last closed") == 1);
  std::vector<Report> reports = env.take_reports();
  REQUIRE(reports.size() == 3);
  std::string all;
  for (const Report& report : reports) {
    CHECK(report.message == "an error occurred during the closing of an asynchronous generator");
    all += describe_exception(report.exception) + "\n";
  }
  CHECK(all.find("one") != std::string::npos);
  CHECK(all.find("two") != std::string::npos);
  CHECK(all.find("ignored GeneratorExit") != std::string::npos);
  // When it is dropped it is asked once more, in vain.
  {
    const AsyncGenerator<int> gone = std::move(stubborn);
  }
  co_await until([&] { return all_tasks().size() == 2; });
  env.expect_report("Task exception was never retrieved");
}

WEIR_TEST("AGEN-002 a cancellation inside a cleanup does not keep the others from being closed") {
  Lines lines;
  AsyncGenerator<int> first = counter(lines, "first");
  AsyncGenerator<int> odd = cancelled_in_cleanup(lines);
  AsyncGenerator<int> last = counter(lines, "last");
  for (AsyncGenerator<int>* generator : {&first, &odd, &last}) {
    co_await take_one(*generator);
  }
  co_await loop.shutdown_asyncgens();
  CHECK(std::count(lines.begin(), lines.end(), "awaits a cancelled future") == 1);
  CHECK(std::count(lines.begin(), lines.end(), "first closed") == 1);
  CHECK(std::count(lines.begin(), lines.end(), "last closed") == 1);
}

WEIR_TEST("AGEN-002 cancelling shutdown_asyncgens itself ends it") {
  Lines lines;
  AsyncGenerator<int> slow = counter(lines, "slow");
  co_await take_one(slow);
  Task<void> shutdown = create_task(loop.shutdown_asyncgens());
  co_await until([&] { return !lines.empty(); });
  shutdown.cancel();
  bool cancelled = false;
  try {
    co_await shutdown;
  } catch (const CancelledError&) {
    cancelled = true;
  }
  CHECK(cancelled);
  CHECK(lines == Lines{"slow closing", "slow destroyed"});
}

WEIR_TEST("AGEN-003 a generator dropped half-way is cleaned up on the loop") {
  Lines lines;
  {
    AsyncGenerator<int> generator = counter(lines, "dropped");
    co_await take_one(generator);
  }
  CHECK(lines.empty());  // not here and now
  co_await until([&] { return lines.size() == 3; });
  CHECK(lines == Lines{"dropped closing", "dropped closed", "dropped destroyed"});
}

WEIR_TEST("AGEN-003 one that never began or has ended is destroyed at once, without its cleanup") {
  Lines lines;
  {
    const AsyncGenerator<int> never = counter(lines, "never");
  }
  {
    AsyncGenerator<int> ended = [](Lines& to) -> AsyncGenerator<int> {
      const Guard guard(to, "ended");
      co_yield 1;
    }(lines);
    while (co_await ended.next()) {
    }
  }
  CHECK(lines == Lines{"ended destroyed"});
  CHECK(all_tasks().size() == 2);  // this test and its limit: nothing was scheduled
}

WEIR_TEST("AGEN-003 assigning over one drops it") {
  Lines lines;
  AsyncGenerator<int> generator = counter(lines, "old");
  co_await take_one(generator);
  generator = counter(lines, "new");
  co_await until([&] { return lines.size() == 3; });
  CHECK(lines == Lines{"old closing", "old closed", "old destroyed"});
  co_await expect_next(generator, 0);
  co_await generator.aclose();
}

WEIR_TEST("AGEN-003 what the cleanup of a dropped one throws is reported") {
  {
    AsyncGenerator<int> bad = fails_in_cleanup("nobody listens");
    co_await take_one(bad);
  }
  std::vector<Report> reports;
  co_await until([&] {
    for (Report& report : env.take_reports()) {
      reports.push_back(std::move(report));
    }
    return !reports.empty();
  });
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].message == "Task exception was never retrieved");
  CHECK(describe_exception(reports[0].exception).find("nobody listens") != std::string::npos);
}

WEIR_TEST("AGEN-003 one dropped while its body is suspended is closed when it yields again") {
  Lines lines;
  Future<void> gate = loop.create_future<void>();
  auto generator =
      std::make_unique<AsyncGenerator<int>>([](Future<void> wait_for, Lines& to) -> AsyncGenerator<int> {
        const Guard guard(to, "frame");
        co_await wait_for;
        try {
          co_yield 5;
        } catch (const GeneratorExit&) {
          to.emplace_back("exit");
          throw;
        }
      }(gate, lines));
  Task<std::optional<int>> consumer =
      create_task([](AsyncGenerator<int>& iterated) -> Coro<std::optional<int>> {
        co_return co_await iterated.next();
      }(*generator));
  co_await sleep(0s);
  generator.reset();
  CHECK(lines.empty());
  gate.set_result();
  const std::optional<int> item = co_await consumer;
  CHECK(item == 5);
  co_await until([&] { return lines.size() == 2; });
  CHECK(lines == Lines{"exit", "frame destroyed"});
}

WEIR_TEST("AGEN-003 one dropped while its body is suspended ends with its body") {
  Lines lines;
  Future<void> gate = loop.create_future<void>();
  auto generator =
      std::make_unique<AsyncGenerator<int>>([](Future<void> wait_for, Lines& to) -> AsyncGenerator<int> {
        const Guard guard(to, "frame");
        co_await wait_for;
        if (to.size() == 100) {
          co_yield 5;
        }
      }(gate, lines));
  Task<void> consumer = create_task(take_one(*generator));
  co_await sleep(0s);
  generator.reset();
  gate.set_result();
  co_await consumer;
  CHECK(lines == Lines{"frame destroyed"});
}

TEST_CASE_FIXTURE(LoopFixture,
                  "AGEN-003 one dropped between two runs of the loop is closed by the next run") {
  Lines lines;
  {
    AsyncGenerator<int> generator = counter(lines, "between");
    loop.run_until_complete(take_one(generator));
  }
  CHECK(lines.empty());
  run_until(loop, [&] { return lines.size() == 3; });
}

TEST_CASE_FIXTURE(LoopFixture,
                  "AGEN-003 one dropped just before the loop closes is destroyed with the loop") {
  Lines lines;
  {
    AsyncGenerator<int> generator = counter(lines, "late");
    loop.run_until_complete(take_one(generator));
  }
  loop.close();
  CHECK(lines == Lines{"late destroyed"});
  env.expect_report("Task was destroyed but it is pending");
}

TEST_CASE_FIXTURE(LoopFixture,
                  "AGEN-003 one whose closing task is cancelled before it began is closed by shutdown") {
  Lines lines;
  {
    AsyncGenerator<int> generator = counter(lines, "cancelled");
    loop.run_until_complete(take_one(generator));
  }
  for (const Ref<TaskBase>& task : all_tasks(loop)) {
    task->cancel();
  }
  drain(loop);
  CHECK(lines.empty());
  loop.run_until_complete(loop.shutdown_asyncgens());
  CHECK(lines == Lines{"cancelled closing", "cancelled closed", "cancelled destroyed"});
}

WEIR_TEST("AGEN-003 one dropped just before shutdown_asyncgens is closed once") {
  Lines lines;
  {
    AsyncGenerator<int> generator = counter(lines, "dropped");
    co_await take_one(generator);
  }
  co_await loop.shutdown_asyncgens();
  CHECK(lines == Lines{"dropped closing", "dropped closed", "dropped destroyed"});
  co_await until([&] { return all_tasks().size() == 2; });
  CHECK(lines.size() == 3);
}

WEIR_TEST("AGEN-003 one whose closing is under way is left to it by shutdown_asyncgens") {
  Lines lines;
  {
    AsyncGenerator<int> generator = counter(lines, "dropped");
    co_await take_one(generator);
  }
  co_await until([&] { return lines.size() == 1; });
  co_await loop.shutdown_asyncgens();
  co_await until([&] { return lines.size() == 3; });
  CHECK(lines == Lines{"dropped closing", "dropped closed", "dropped destroyed"});
}

TEST_CASE_FIXTURE(LoopFixture, "AGEN-003 a generator may outlive its loop") {
  Lines lines;
  {
    AsyncGenerator<int> generator = counter(lines, "survivor");
    loop.run_until_complete(take_one(generator));
    loop_owner.reset();
    CHECK(lines.empty());
  }
  CHECK(lines == Lines{"survivor destroyed"});
}

TEST_CASE_FIXTURE(LoopFixture, "AGEN-003 a generator that outlived its loop goes on in another") {
  Lines lines;
  EventLoop second;
  env.watch(second);
  {
    AsyncGenerator<int> generator = counter(lines, "moved");
    loop.run_until_complete(take_one(generator));
    loop_owner.reset();
    const auto next = [](AsyncGenerator<int>& iterated) -> Coro<std::optional<int>> {
      co_return co_await iterated.next();
    };
    CHECK(second.run_until_complete(next(generator)) == 1);
    second.run_until_complete(second.shutdown_asyncgens());
    CHECK(lines == Lines{"moved closing", "moved closed", "moved destroyed"});
  }
  CHECK(lines.size() == 3);
}

TEST_CASE_FIXTURE(LoopFixture,
                  "AGEN-003 closing the loop under a suspended body destroys it, and the object knows") {
  Lines lines;
  AsyncGenerator<int> generator = [](Lines& to) -> AsyncGenerator<int> {
    const Guard guard(to, "frame");
    co_await sleep(1h);
    co_yield 1;
  }(lines);
  Task<void> consumer = loop.create_task(take_one(generator));
  drain(loop);
  loop.close();
  CHECK(lines == Lines{"frame destroyed"});
  env.expect_report("Task was destroyed but it is pending");
}

WEIR_TEST("AGEN-004 a generator first iterated after shutdown_asyncgens is warned of, once") {
  Lines lines;
  AsyncGenerator<int> before = counter(lines, "before");
  co_await take_one(before);
  co_await loop.shutdown_asyncgens();
  CHECK(env.take_logs().empty());
  AsyncGenerator<int> late = counter(lines, "late");
  CHECK(env.take_logs().empty());  // making one is no crime
  co_await take_one(late);
  co_await take_one(late);
  const std::vector<LogLine> logs = env.take_logs();
  REQUIRE(logs.size() == 1);
  CHECK(logs[0].level == LogLevel::warning);
  CHECK(logs[0].text.find("counter") != std::string::npos);
  CHECK(logs[0].text.find("shutdown_asyncgens") != std::string::npos);
  CHECK(logs[0].text.find("async_generator_test.cpp") != std::string::npos);
  co_await late.aclose();
}

namespace {

// Where main of AGEN-005 leaves its generator, so that nothing but run() can close it.
struct Owned {
  std::optional<AsyncGenerator<int>> generator;
  Lines lines;
};

Coro<int> leaves_generator(Owned& owned, bool fail) {
  owned.generator.emplace(counter(owned.lines, "main's"));
  co_await take_one(*owned.generator);
  if (fail) {
    throw std::runtime_error("main failed");
  }
  co_return 3;
}

}  // namespace

TEST_CASE("AGEN-005 run closes the generators after main, also when main failed") {
  Env env;
  Owned owned;
  SUBCASE("returned") { CHECK(run(leaves_generator(owned, false)) == 3); }
  SUBCASE("failed") {
    CHECK_THROWS_WITH_AS(run(leaves_generator(owned, true)), "main failed", std::runtime_error);
  }
  CHECK(owned.lines == Lines{"main's closing", "main's closed", "main's destroyed"});
  owned.generator.reset();
  CHECK(owned.lines.size() == 3);
}

// The task that closes it is one of those that main leaves behind, and is cancelled with them.
TEST_CASE("AGEN-005 run closes a generator that main dropped at its end") {
  Env env;
  Lines lines;
  run([](Lines& to) -> Coro<void> {
    AsyncGenerator<int> generator = counter(to, "local");
    co_await take_one(generator);
  }(lines));
  CHECK(lines == Lines{"local closing", "local destroyed"});
}

TEST_CASE("AGEN-005 tasks are cancelled before generators are closed") {
  Env env;
  Owned owned;
  run([](Owned& shared) -> Coro<void> {
    Task<void> task = create_task([](Lines& to) -> Coro<void> {
      const Guard guard(to, "task");
      co_await sleep(1h);
    }(shared.lines));
    co_await sleep(0s);
    co_await leaves_generator(shared, false);
  }(owned));
  CHECK(owned.lines == Lines{"task destroyed", "main's closing", "main's closed", "main's destroyed"});
}

TEST_CASE("AGEN-001 a generator that has ended may outlive its loop") {
  const auto numbers = []() -> AsyncGenerator<int> { co_yield 1; };
  AsyncGenerator<int> kept = numbers();
  const auto drain_it = [](AsyncGenerator<int>& from) -> Coro<int> {
    int sum = 0;
    while (auto item = co_await from.next()) {
      sum += *item;
    }
    co_return sum;
  };
  CHECK(run(drain_it(kept)) == 1);
}
