// AsyncGenerator in use: iterating, aclose(), errors and cancellation.
#include "tests/runtime/generator_helpers.hpp"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

static_assert(!std::is_copy_constructible_v<AsyncGenerator<int>>);
static_assert(std::is_nothrow_move_constructible_v<AsyncGenerator<int>>);

AsyncGenerator<int> up_to(int end) {
  for (int i = 0; i != end; ++i) {
    if (i % 2 == 1) {
      co_await sleep(1ms);
    }
    co_yield i;
  }
}

AsyncGenerator<std::unique_ptr<int>> boxes() {
  co_yield std::make_unique<int>(1);
  co_yield std::make_unique<int>(2);
}

AsyncGenerator<int> squares(AsyncGenerator<int> source) {
  while (auto item = co_await source.next()) {
    co_yield *item** item;
  }
}

Coro<std::vector<int>> collect(AsyncGenerator<int> generator) {
  std::vector<int> items;
  while (auto item = co_await generator.next()) {
    items.push_back(*item);
  }
  co_return items;
}

}  // namespace

WEIR_TEST("AsyncGenerator gives its items in order, then nothing for ever") {
  const std::vector<int> five = co_await collect(up_to(5));
  CHECK(five == std::vector{0, 1, 2, 3, 4});
  const std::vector<int> none = co_await collect(up_to(0));
  CHECK(none.empty());
  AsyncGenerator<int> one = up_to(1);
  co_await expect_next(one, 0);
  co_await expect_next(one, std::nullopt);
  co_await expect_next(one, std::nullopt);
}

WEIR_TEST("AsyncGenerator does nothing before it is iterated") {
  bool began = false;
  AsyncGenerator<int> lazy = [](bool& flag) -> AsyncGenerator<int> {
    flag = true;
    co_yield 1;
  }(began);
  co_await sleep(0s);
  CHECK_FALSE(began);
  co_await expect_next(lazy, 1);
  CHECK(began);
}

WEIR_TEST("AsyncGenerator items may be move-only, generators nest") {
  AsyncGenerator<std::unique_ptr<int>> generator = boxes();
  auto first = co_await generator.next();
  REQUIRE(first.has_value());
  CHECK(**first == 1);
  auto second = co_await generator.next();
  REQUIRE(second.has_value());
  CHECK(**second == 2);
  const std::vector<int> squared = co_await collect(squares(up_to(4)));
  CHECK(squared == std::vector{0, 1, 4, 9});
}

WEIR_TEST("AsyncGenerator a million items that never suspend use no stack") {
  AsyncGenerator<int> generator = [](int end) -> AsyncGenerator<int> {
    for (int i = 0; i != end; ++i) {
      co_yield i;
    }
  }(1'000'000);
  std::int64_t sum = 0;
  while (auto item = co_await generator.next()) {
    sum += *item;
  }
  CHECK(sum == 499'999'500'000);
}

WEIR_TEST("AsyncGenerator what its body throws reaches the consumer, and ends it") {
  AsyncGenerator<int> generator = []() -> AsyncGenerator<int> {
    co_yield 1;
    throw std::runtime_error("broken");
  }();
  co_await expect_next(generator, 1);
  const std::string what = co_await failure_of<std::runtime_error>(take_one(generator));
  CHECK(what == "broken");
  co_await expect_next(generator, std::nullopt);
}

WEIR_TEST("AsyncGenerator aclose runs the cleanup, waits for it, and may be repeated") {
  std::vector<std::string> lines;
  AsyncGenerator<int> generator = [](std::vector<std::string>& to) -> AsyncGenerator<int> {
    bool closing = false;
    try {
      co_yield 1;
      to.emplace_back("went on");
    } catch (const GeneratorExit&) {
      closing = true;
    }
    if (closing) {
      co_await sleep(1ms);
      to.emplace_back("closed");
    }
  }(lines);
  co_await expect_next(generator, 1);
  co_await generator.aclose();
  CHECK(lines == std::vector<std::string>{"closed"});
  co_await generator.aclose();
  co_await expect_next(generator, std::nullopt);
  CHECK(lines.size() == 1);
}

WEIR_TEST("AsyncGenerator aclose of one that never began: its body never runs") {
  bool began = false;
  AsyncGenerator<int> generator = [](bool& flag) -> AsyncGenerator<int> {
    flag = true;
    co_yield 1;
  }(began);
  co_await generator.aclose();
  co_await expect_next(generator, std::nullopt);
  CHECK_FALSE(began);
}

WEIR_TEST("AsyncGenerator aclose rethrows what the cleanup throws, and refuses a further yield") {
  AsyncGenerator<int> failing = []() -> AsyncGenerator<int> {
    try {
      co_yield 1;
    } catch (const GeneratorExit&) {
      throw std::logic_error("in cleanup");
    }
  }();
  co_await take_one(failing);
  std::string what = co_await failure_of<std::logic_error>(close_of(failing));
  CHECK(what == "in cleanup");
  co_await expect_next(failing, std::nullopt);

  AsyncGenerator<int> stubborn = []() -> AsyncGenerator<int> {
    try {
      co_yield 1;
    } catch (const GeneratorExit&) {
    }
    co_yield 2;
    co_yield 3;
  }();
  co_await take_one(stubborn);
  what = co_await failure_of<RuntimeError>(close_of(stubborn));
  CHECK(what.find("ignored GeneratorExit") != std::string::npos);
  co_await expect_next(stubborn, 3);  // as in Python, it goes on
}

WEIR_TEST("AsyncGenerator a second consumer at the same time is refused, the first goes on") {
  Future<void> gate = loop.create_future<void>();
  AsyncGenerator<int> generator = [](Future<void> wait_for) -> AsyncGenerator<int> {
    co_await wait_for;
    co_yield 1;
  }(gate);
  Task<std::optional<int>> first = create_task([](AsyncGenerator<int>& iterated) -> Coro<std::optional<int>> {
    co_return co_await iterated.next();
  }(generator));
  co_await sleep(0s);
  const std::string refused_next = co_await failure_of<RuntimeError>(take_one(generator));
  const std::string refused_close = co_await failure_of<RuntimeError>(close_of(generator));
  CHECK(refused_next.find("already running") != std::string::npos);
  CHECK(refused_close.find("already running") != std::string::npos);
  gate.set_result();
  const std::optional<int> item = co_await first;
  CHECK(item == 1);
  co_await expect_next(generator, std::nullopt);
}

WEIR_TEST("AsyncGenerator two tasks may take items in turn") {
  AsyncGenerator<int> generator = up_to(4);
  const auto take = [](AsyncGenerator<int>& iterated) -> Coro<std::optional<int>> {
    co_return co_await iterated.next();
  };
  for (int i = 0; i != 4; ++i) {
    Task<std::optional<int>> task = create_task(take(generator));
    const std::optional<int> item = co_await task;
    CHECK(item == i);
  }
}

WEIR_TEST("AsyncGenerator cancelling the consumer cancels the body, which may clean up") {
  std::vector<std::string> lines;
  AsyncGenerator<int> generator = [](std::vector<std::string>& to) -> AsyncGenerator<int> {
    try {
      co_await sleep(1h);
    } catch (const CancelledError&) {
      to.emplace_back("cancelled");
      throw;
    }
    co_yield 1;
  }(lines);
  Task<void> consumer = create_task(
      [](AsyncGenerator<int>& iterated) -> Coro<void> { (void)co_await iterated.next(); }(generator));
  co_await sleep(0s);
  consumer.cancel();
  bool cancelled = false;
  try {
    co_await consumer;
  } catch (const CancelledError&) {
    cancelled = true;
  }
  CHECK(cancelled);
  CHECK(lines == std::vector<std::string>{"cancelled"});
  co_await expect_next(generator, std::nullopt);
}

WEIR_TEST("AsyncGenerator may be moved between items") {
  AsyncGenerator<int> generator = up_to(3);
  co_await expect_next(generator, 0);
  AsyncGenerator<int> moved = std::move(generator);
  co_await expect_next(moved, 1);
  auto on_heap = std::make_unique<AsyncGenerator<int>>(std::move(moved));
  co_await expect_next(*on_heap, 2);
  co_await expect_next(*on_heap, std::nullopt);
}

WEIR_TEST("AsyncGenerator a moved-from one has nothing to give") {
  AsyncGenerator<int> generator = up_to(3);
  const AsyncGenerator<int> moved = std::move(generator);
  co_await expect_next(generator, std::nullopt);  // NOLINT: that is the point
  co_await generator.aclose();
}

WEIR_TEST("AsyncGenerator its body runs in the consumer's context and task") {
  static ContextVar<int> var("var", 0);
  var.set(4);
  AsyncGenerator<int> generator = []() -> AsyncGenerator<int> {
    CHECK(current_task()->get_name() == "test body");
    co_yield var.get();
    var.set(5);
    co_yield 0;
  }();
  co_await expect_next(generator, 4);
  co_await expect_next(generator, 0);
  CHECK(var.get() == 5);
}
