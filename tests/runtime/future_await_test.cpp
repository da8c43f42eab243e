// FUT-012 to FUT-019: awaiting futures, exceptions nobody retrieved, thread futures, and whose loop it is.
#include "tests/support/weir_test.hpp"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::testing;

namespace {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Coro<void> collect(Future<int> future, std::vector<std::string>& seen) {
  try {
    const int value = co_await future;
    seen.push_back("value " + std::to_string(value));
  } catch (const Failure& failure) {
    seen.push_back(std::string("failure ") + failure.what());
  } catch (const CancelledError& order) {
    seen.push_back(std::string("cancelled ") + order.what());
  }
}

Coro<int> get(Future<int> future) { co_return co_await future; }

}  // namespace

WEIR_TEST("FUT-012 all tasks that await a future get the same outcome") {
  for (int how = 0; how != 3; ++how) {
    Future<int> future = loop.create_future<int>();
    std::vector<std::string> seen;
    std::vector<Task<void>> tasks;
    for (int i = 0; i != 3; ++i) {
      tasks.push_back(loop.create_task(collect(future, seen)));
    }
    co_await sleep(Duration::zero());
    CHECK(seen.empty());
    std::string expected;
    if (how == 0) {
      future.set_result(5);
      expected = "value 5";
    } else if (how == 1) {
      future.set_exception(Failure("both"));
      expected = "failure both";
    } else {
      future.cancel("off");
      expected = "cancelled off";
    }
    CHECK(seen.empty());
    for (Task<void>& task : tasks) {
      co_await task;
    }
    CHECK(seen == std::vector<std::string>(3, expected));
  }
}

WEIR_TEST("FUT-012 awaiting copies the value, awaiting an rvalue moves it out") {
  const auto text = loop.create_future<std::string>();
  text.set_result("a text that is too long for the small string optimisation");
  const std::string first = co_await text;
  CHECK(text.result() == first);
  auto owner = loop.create_future<std::unique_ptr<int>>();
  const Future<std::unique_ptr<int>> other_handle = owner;
  loop.call_soon([other_handle] { other_handle.set_result(std::make_unique<int>(9)); });
  const std::unique_ptr<int> moved = co_await std::move(owner);
  REQUIRE(moved);
  CHECK(*moved == 9);
  CHECK(other_handle.result() == nullptr);
}

WEIR_TEST("FUT-012 awaiting a done future goes on at once, a long row of them lets others run") {
  const auto done = loop.create_future<int>();
  done.set_result(1);
  bool others_ran = false;
  loop.call_soon([&] { others_ran = true; });
  co_await done;
  CHECK_FALSE(others_ran);
  int sum = 0;
  for (int i = 0; i != 1000 && !others_ran; ++i) {
    sum += co_await done;
  }
  CHECK(others_ran);
  CHECK(sum > 10);
}

WEIR_TEST("FUT-012 a waiter that is cancelled alone leaves nothing behind") {
  auto inner = loop.create_future<int>();
  std::vector<std::string> seen;
  // The awaiting task is destroyed with its loop or ends; either way the future forgets it.
  {
    Task<void> task = loop.create_task(collect(inner, seen));
    co_await sleep(Duration::zero());
    task.cancel("me");
    co_await task;
  }
  CHECK(seen == std::vector<std::string>{"cancelled me"});
  CHECK(inner.cancelled());
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-013 an exception that nobody looked at is reported") {
  {
    const auto future = loop.create_future<int>();
    future.set_exception(Failure("overlooked"));
    drain(loop);
    CHECK(env.take_reports().empty());
  }
  const Report report = env.expect_report("Future exception was never retrieved");
  CHECK(report.has_future);
  CHECK_FALSE(report.has_task);
  CHECK_THROWS_WITH_AS(std::rethrow_exception(report.exception), "overlooked", Failure);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-013 a done-callback that does not look does not silence the report") {
  {
    const auto future = loop.create_future<int>();
    future.add_done_callback([](const Future<int>& done) { CHECK(done.done()); });
    future.set_exception(Failure("overlooked"));
    drain(loop);
  }
  env.expect_report("never retrieved");
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-013 the place of creation is told in debug mode") {
  loop.set_debug(true);
  const unsigned before = __LINE__;
  {
    const auto future = loop.create_future<int>();
    future.set_exception(Failure("overlooked"));
  }
  const Report report = env.expect_report("never retrieved");
  CHECK(report.source_location.line() == before + 2);
  CHECK(std::string(report.source_location.file_name()).ends_with("future_await_test.cpp"));
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-013 a handler may keep the future, and is not called again for it") {
  Ref<FutureBase> kept;
  int calls = 0;
  loop.set_exception_handler([&](EventLoop&, const ExceptionContext& context) {
    ++calls;
    kept = Ref<FutureBase>(context.future);
  });
  {
    loop.create_future<int>().set_exception(Failure("overlooked"));
  }
  REQUIRE(kept);
  CHECK(describe_exception(kept->exception()).find("overlooked") != std::string::npos);
  kept.reset();
  CHECK(calls == 1);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-013 after the loop closed the report goes to the log") {
  SUBCASE("the loop exists") {
    {
      const auto future = loop.create_future<int>();
      future.set_exception(Failure("overlooked"));
      loop.close();
    }
    CHECK(env.expect_log("never retrieved").find("overlooked") != std::string::npos);
  }
  SUBCASE("the loop is gone") {
    {
      const auto future = loop.create_future<int>();
      future.set_exception(Failure("overlooked"));
      loop_owner.reset();
    }
    CHECK(env.expect_log("never retrieved").find("overlooked") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-014 looking at the exception silences the report") {
  SUBCASE("by result()") {
    const auto future = loop.create_future<int>();
    future.set_exception(Failure("seen"));
    CHECK_THROWS_AS(future.result(), Failure);
  }
  SUBCASE("by exception()") {
    const auto future = loop.create_future<int>();
    future.set_exception(Failure("seen"));
    CHECK(future.exception() != nullptr);
  }
  SUBCASE("by awaiting") {
    const auto future = loop.create_future<int>();
    future.set_exception(Failure("seen"));
    CHECK_THROWS_AS(loop.run_until_complete(get(future)), Failure);
  }
  SUBCASE("by running until it is complete") {
    const auto future = loop.create_future<int>();
    loop.call_soon([&] { future.set_exception(Failure("seen")); });
    CHECK_THROWS_AS(loop.run_until_complete(future), Failure);
  }
}

TEST_CASE_FIXTURE(LoopFixture,
                  "FUT-015 a future destroyed pending, cancelled or with a value reports nothing") {
  {
    const auto pending = loop.create_future<int>();
  }
  {
    auto cancelled = loop.create_future<int>();
    cancelled.cancel("no");
  }
  {
    const auto valued = loop.create_future<int>();
    valued.set_result(1);
  }
  drain(loop);
  CHECK(env.take_reports().empty());
  CHECK(env.take_logs().empty());
}

WEIR_TEST("FUT-016 wrap_future: value and exception travel to the loop") {
  const ConcurrentFuture<int> valued;
  const Future<int> wrapped = wrap_future(valued);
  CHECK(&wrapped.get_loop() == &loop);
  CHECK_FALSE(wrapped.done());
  std::thread([valued] { valued.set_result(11); }).join();
  CHECK_FALSE(wrapped.done());  // it is completed on the loop's thread only
  CHECK(co_await wrapped == 11);

  const ConcurrentFuture<std::string> failed;
  const Future<std::string> failing = wrap_future(failed);
  std::thread([failed] { failed.set_exception(std::make_exception_ptr(Failure("over there"))); }).join();
  std::string text;
  try {
    co_await failing;
  } catch (const Failure& failure) {
    text = failure.what();
  }
  CHECK(text == "over there");
}

WEIR_TEST("FUT-016 wrap_future: one that is done already, nothing as a value, a move-only value") {
  const ConcurrentFuture<int> done;
  done.set_result(3);
  const Future<int> wrapped = wrap_future(done);
  CHECK(co_await wrapped == 3);
  const ConcurrentFuture<void> nothing;
  const Future<void> wrapped_nothing = wrap_future(nothing);
  nothing.set_result();
  co_await wrapped_nothing;
  const ConcurrentFuture<std::unique_ptr<int>> owner;
  Future<std::unique_ptr<int>> wrapped_owner = wrap_future(owner);
  owner.set_result(std::make_unique<int>(8));
  const std::unique_ptr<int> moved = co_await std::move(wrapped_owner);
  REQUIRE(moved);
  CHECK(*moved == 8);
}

WEIR_TEST("FUT-016 wrap_future: cancellation travels both ways") {
  const ConcurrentFuture<int> from_thread;
  const Future<int> wrapped = wrap_future(from_thread);
  std::thread([from_thread] { CHECK(from_thread.cancel()); }).join();
  bool cancelled = false;
  try {
    co_await wrapped;
  } catch (const CancelledError&) {
    cancelled = true;
  }
  CHECK(cancelled);
  CHECK(wrapped.cancelled());

  const ConcurrentFuture<int> there;
  Future<int> here = wrap_future(there);
  here.cancel();
  co_await until([&] { return there.done(); });
  CHECK(there.cancelled());
  // And through a task that awaits it.
  const ConcurrentFuture<int> awaited;
  Task<int> task = loop.create_task(get(wrap_future(awaited)));
  co_await sleep(Duration::zero());
  task.cancel();
  co_await until([&] { return awaited.done(); });
  CHECK(awaited.cancelled());
  CHECK(task.cancelled());
}

WEIR_TEST("FUT-016 wrap_future: a completion that races with a cancellation loses quietly") {
  const ConcurrentFuture<int> source;
  Future<int> wrapped = wrap_future(source);
  wrapped.cancel();
  source.set_result(1);
  co_await sleep(Duration::zero());
  co_await sleep(Duration::zero());
  CHECK(wrapped.cancelled());
  CHECK(source.get() == 1);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-016 wrap_future: either side may be gone first") {
  const ConcurrentFuture<int> source;
  SUBCASE("the loop's future") {
    {
      const Future<int> wrapped = wrap_future(source, &loop);
    }
    source.set_result(1);
    drain(loop);
  }
  SUBCASE("the loop") {
    const Future<int> wrapped = wrap_future(source, &loop);
    loop_owner.reset();
    CHECK_NOTHROW(source.set_result(1));
    CHECK_FALSE(wrapped.done());
  }
  SUBCASE("the thread's future, which then never completes") {
    std::optional<ConcurrentFuture<int>> dropped(std::in_place);
    const Future<int> wrapped = wrap_future(*dropped, &loop);
    dropped.reset();
    drain(loop);
    CHECK_FALSE(wrapped.done());
  }
}

WEIR_TEST("FUT-017 wrapping a future of the loop returns that future") {
  const auto future = loop.create_future<int>();
  CHECK(wrap_future(future) == future);
  CHECK(wrap_future(future, &loop) == future);
  Task<int> task = loop.create_task(get(future));
  const Future<int> as_future = wrap_future<int>(task);
  CHECK(as_future == task);
  EventLoop other;
  CHECK_THROWS_AS(wrap_future(future, &other), std::invalid_argument);
  future.set_result(1);
  co_await task;
}

WEIR_TEST("FUT-018 awaiting a future of another loop is an error in the awaiting task") {
  EventLoop other;
  const auto pending = other.create_future<int>();
  const auto done = other.create_future<int>();
  done.set_result(1);
  for (const Future<int>& future : {pending, done}) {
    Task<int> task = loop.create_task(get(future));
    std::string text;
    try {
      co_await task;
    } catch (const RuntimeError& error) {
      text = error.what();
    }
    CHECK(text.find("different loop") != std::string::npos);
    CHECK(text.find(task.get_name()) != std::string::npos);
  }
  pending.set_result(2);  // the refused task is not among its waiters
}

TEST_CASE_FIXTURE(LoopFixture,
                  "FUT-018 a future outlives its loop, and the next loop at its address is another") {
  std::optional<EventLoop> first(std::in_place);
  const auto pending = first->create_future<int>();
  const auto done = first->create_future<int>();
  done.set_result(1);
  first.reset();
  first.emplace();
  env.watch(*first);
  CHECK_THROWS_AS(first->run_until_complete(get(pending)), RuntimeError);
  CHECK_THROWS_AS(first->run_until_complete(get(done)), RuntimeError);
  CHECK_THROWS_AS(first->run_until_complete(pending), std::invalid_argument);
  CHECK(done.result() == 1);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-019 a future made without a loop uses the running one") {
  CHECK_THROWS_AS(Future<int>(), RuntimeError);
  loop.call_soon([&] {
    const Future<int> future;
    CHECK(&future.get_loop() == &loop);
    CHECK_FALSE(future.done());
  });
  drain(loop);
  CHECK_THROWS_AS(Future<void>(), RuntimeError);
}
