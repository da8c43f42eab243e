// FUT-001 to FUT-011: the states of a future, its outcome and its done-callbacks.
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

// A value whose making can fail.
struct Fragile {
  explicit Fragile(int number) : number(number) {
    if (number < 0) {
      throw Failure("negative");
    }
  }
  int number;
};

template <class F, class Value>
concept CanSetResult = requires(F future, Value value) { future.set_result(value); };
template <class F>
concept CanSetNothing = requires(F future) { future.set_result(); };

// An implicit conversion is what `return value` would do; a vector of five elements is not the result 5.
static_assert(CanSetResult<Future<std::string>, const char*>);
static_assert(!CanSetResult<Future<std::vector<int>>, int>);
static_assert(!CanSetResult<Future<int>, std::string>);
static_assert(!CanSetResult<Future<void>, int>);
static_assert(!CanSetNothing<Future<int>>);
static_assert(CanSetNothing<Future<void>>);

template <class F, class Callback>
concept CanAddCallback = requires(F future, Callback callback) { future.add_done_callback(callback); };

static_assert(CanAddCallback<Future<int>, void (*)()>);
static_assert(CanAddCallback<Future<int>, void (*)(const Future<int>&)>);
static_assert(!CanAddCallback<Future<int>, void (*)(int)>);
static_assert(!CanAddCallback<Future<int>, Coro<void>>);
static_assert(!CanAddCallback<Future<int>, int>);

}  // namespace

TEST_CASE_FIXTURE(LoopFixture, "FUT-001 a new future is pending") {
  const Future<int> number = loop.create_future<int>();
  const Future<void> nothing(loop);
  CHECK_FALSE(number.done());
  CHECK_FALSE(number.cancelled());
  CHECK_FALSE(nothing.done());
  CHECK_FALSE(nothing.cancelled());
  CHECK(&number.get_loop() == &loop);
  const Future<int> copy = number;
  CHECK(copy == number);
  CHECK_FALSE(loop.create_future<int>() == number);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-002 a future is completed once") {
  SUBCASE("with a value") {
    const Future<int> future = loop.create_future<int>();
    future.set_result(7);
    CHECK(future.done());
    CHECK_FALSE(future.cancelled());
    CHECK_THROWS_AS(future.set_result(8), InvalidStateError);
    CHECK_THROWS_AS(future.set_exception(Failure("late")), InvalidStateError);
    CHECK(future.result() == 7);
  }
  SUBCASE("with nothing") {
    const Future<void> future = loop.create_future<void>();
    future.set_result();
    CHECK_THROWS_AS(future.set_result(), InvalidStateError);
    CHECK_NOTHROW(future.result());
  }
  SUBCASE("with an exception") {
    const Future<int> future = loop.create_future<int>();
    future.set_exception(Failure("first"));
    CHECK(future.done());
    CHECK_FALSE(future.cancelled());
    CHECK_THROWS_AS(future.set_result(8), InvalidStateError);
    CHECK_THROWS_AS(future.set_exception(Failure("second")), InvalidStateError);
    CHECK_THROWS_WITH_AS(future.result(), "first", Failure);
  }
  SUBCASE("by cancelling") {
    Future<int> future = loop.create_future<int>();
    future.cancel();
    CHECK_THROWS_AS(future.set_result(8), InvalidStateError);
    CHECK_THROWS_AS(future.set_exception(Failure("late")), InvalidStateError);
    CHECK(future.cancelled());
  }
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-002 no exception is not an exception to complete with") {
  const Future<int> future = loop.create_future<int>();
  CHECK_THROWS_AS(future.set_exception(std::exception_ptr()), std::invalid_argument);
  CHECK_THROWS_AS(future.set_exception(nullptr), std::invalid_argument);
  CHECK_FALSE(future.done());
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-002 a value that cannot be made leaves the future pending") {
  const Future<Fragile> future = loop.create_future<Fragile>();
  CHECK_THROWS_AS(future.set_result(Fragile(-1)), Failure);
  CHECK_FALSE(future.done());
  future.set_result(Fragile(3));
  CHECK(future.result().number == 3);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-002 values of any kind") {
  const auto text = loop.create_future<std::string>();
  text.set_result("converted");
  CHECK(text.result() == "converted");
  const auto owner = loop.create_future<std::unique_ptr<int>>();
  owner.set_result(std::make_unique<int>(4));
  CHECK(*owner.result() == 4);
  // The reference that result() gives is to the one value all handles share.
  const auto copy = owner;
  CHECK(&copy.result() == &owner.result());
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-003 the outcome of a pending future is an invalid-state error") {
  const Future<int> future = loop.create_future<int>();
  CHECK_THROWS_AS(future.result(), InvalidStateError);
  CHECK_THROWS_AS(static_cast<void>(future.exception()), InvalidStateError);
  future.set_result(1);
  CHECK(future.result() == 1);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-004 result() rethrows the stored exception any number of times") {
  const Future<int> future = loop.create_future<int>();
  const std::exception_ptr stored = std::make_exception_ptr(Failure("again"));
  future.set_exception(stored);
  for (int i = 0; i != 3; ++i) {
    CHECK_THROWS_WITH_AS(future.result(), "again", Failure);
  }
  CHECK(future.exception() == stored);
  CHECK(future.exception() == stored);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-004 anything that can be thrown is an exception") {
  const Future<int> future = loop.create_future<int>();
  future.set_exception(42);
  CHECK_THROWS_AS(future.result(), int);
  // A cancellation that was set as an exception does not cancel the future, as in asyncio.
  const Future<int> order = loop.create_future<int>();
  order.set_exception(CancelledError("by hand"));
  CHECK_FALSE(order.cancelled());
  CHECK_THROWS_AS(order.result(), CancelledError);
  CHECK(order.exception() != nullptr);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-005 exception() of a future with a value is none") {
  const Future<int> future = loop.create_future<int>();
  future.set_result(1);
  CHECK(future.exception() == nullptr);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-006 cancel() on a pending future, and on a done one") {
  Future<int> future = loop.create_future<int>();
  int calls = 0;
  future.add_done_callback([&] { ++calls; });
  CHECK(future.cancel());
  CHECK(future.done());
  CHECK(future.cancelled());
  CHECK(calls == 0);
  CHECK_FALSE(future.cancel("again"));
  drain(loop);
  CHECK(calls == 1);

  Future<int> valued = loop.create_future<int>();
  valued.set_result(1);
  CHECK_FALSE(valued.cancel());
  CHECK_FALSE(valued.cancelled());
  CHECK(valued.result() == 1);

  Future<int> failed = loop.create_future<int>();
  failed.set_exception(Failure("stays"));
  CHECK_FALSE(failed.cancel());
  CHECK_THROWS_AS(failed.result(), Failure);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-006 after close() cancel() does nothing") {
  Future<int> future = loop.create_future<int>();
  loop.close();
  CHECK_FALSE(future.cancel());
  CHECK_FALSE(future.done());
  loop_owner.reset();
  CHECK_FALSE(future.cancel());
  CHECK_FALSE(future.cancelled());
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-007 a cancelled future throws the cancellation with its message") {
  Future<int> future = loop.create_future<int>();
  std::string message = "enough of it";
  future.cancel(message);
  message = "overwritten";
  future.cancel("too late to matter");
  for (int i = 0; i != 2; ++i) {
    CHECK_THROWS_WITH_AS(future.result(), "enough of it", CancelledError);
    CHECK_THROWS_WITH_AS(static_cast<void>(future.exception()), "enough of it", CancelledError);
  }
  Future<void> plain = loop.create_future<void>();
  plain.cancel();
  CHECK_THROWS_WITH_AS(plain.result(), "", CancelledError);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-008 done-callbacks never run inside the call that completes") {
  for (int how = 0; how != 3; ++how) {
    Future<int> future = loop.create_future<int>();
    bool called = false;
    bool returned = false;
    future.add_done_callback([&] {
      CHECK(returned);
      called = true;
    });
    loop.call_soon([&, how] {
      if (how == 0) {
        future.set_result(1);
      } else if (how == 1) {
        future.set_exception(Failure("x"));
      } else {
        future.cancel();
      }
      returned = true;
    });
    turn(loop);
    CHECK(returned);
    CHECK_FALSE(called);  // it was queued, behind the batch that completed the future
    turn(loop);
    CHECK(called);
    if (how == 1) {
      CHECK(future.exception() != nullptr);
    }
  }
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-008 add_done_callback on a done future only queues") {
  const Future<int> future = loop.create_future<int>();
  future.set_result(1);
  bool called = false;
  future.add_done_callback([&] { called = true; });
  CHECK_FALSE(called);
  drain(loop);
  CHECK(called);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-009 done-callbacks run in the order of adding, late ones later") {
  const Future<int> future = loop.create_future<int>();
  std::vector<int> order;
  for (int i = 0; i != 10; ++i) {
    future.add_done_callback([&, i](const Future<int>& done) {
      CHECK(done == future);
      order.push_back(i);
      if (i == 3) {
        done.add_done_callback([&] { order.push_back(100); });
      }
    });
  }
  future.set_result(1);
  future.add_done_callback([&] { order.push_back(10); });
  turn(loop);
  CHECK(order == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  turn(loop);
  REQUIRE(order.size() == 12);
  CHECK(order.back() == 100);
  future.add_done_callback([&] { order.push_back(200); });
  CHECK(order.size() == 12);
  drain(loop);
  CHECK(order.back() == 200);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-009 a done-callback that throws is reported and the others run") {
  const Future<int> future = loop.create_future<int>();
  int calls = 0;
  future.add_done_callback([&] { ++calls; });
  future.add_done_callback([] { throw Failure("in a callback"); });
  future.add_done_callback([&] { ++calls; });
  future.set_result(1);
  drain(loop);
  CHECK(calls == 2);
  CHECK(describe_exception(env.expect_report("callback").exception).find("in a callback") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-009 a future lives until its callbacks have run") {
  bool called = false;
  {
    const Future<std::string> future = loop.create_future<std::string>();
    future.add_done_callback([&](const Future<std::string>& done) {
      called = true;
      CHECK(done.result() == "kept");
    });
    future.set_result("kept");
  }
  CHECK_FALSE(called);
  drain(loop);
  CHECK(called);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-009 what a callback captured is released with it, once") {
  auto counted = std::make_shared<int>(0);
  SUBCASE("after it ran") {
    const Future<int> future = loop.create_future<int>();
    future.add_done_callback([counted] {});
    CHECK(counted.use_count() == 2);
    future.set_result(1);
    drain(loop);
    CHECK(counted.use_count() == 1);
  }
  SUBCASE("when it is removed") {
    const Future<int> future = loop.create_future<int>();
    const DoneCallbackToken token = future.add_done_callback([counted] {});
    CHECK(future.remove_done_callback(token));
    CHECK(counted.use_count() == 1);
  }
  SUBCASE("when the future dies pending") {
    {
      loop.create_future<int>().add_done_callback([counted] {});
    }
    CHECK(counted.use_count() == 1);
  }
  SUBCASE("when the loop closes before it ran") {
    const Future<int> future = loop.create_future<int>();
    future.add_done_callback([counted] {});
    future.set_result(1);
    loop.close();
    CHECK(counted.use_count() == 1);
  }
  SUBCASE("when the future is completed after the loop closed") {
    const Future<int> future = loop.create_future<int>();
    future.add_done_callback([counted] {});
    loop.close();
    future.set_result(1);
    CHECK(counted.use_count() == 1);
    CHECK(future.result() == 1);
    future.add_done_callback([counted] {});
    CHECK(counted.use_count() == 1);
  }
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-009 an empty callback is refused") {
  const Future<int> future = loop.create_future<int>();
  CHECK_THROWS_AS(future.add_done_callback(std::function<void()>()), std::invalid_argument);
  CHECK_THROWS_AS(future.add_done_callback(static_cast<void (*)()>(nullptr)), std::invalid_argument);
}

TEST_CASE_FIXTURE(LoopFixture,
                  "FUT-009 a done-callback runs in the context of its adding, or the one given") {
  static const ContextVar<int> variable("variable", 0);
  const Future<int> future = loop.create_future<int>();
  std::vector<int> seen;
  const auto look = [&] { seen.push_back(variable.get()); };
  Context one;
  one.run([&] {
    variable.set(1);
    future.add_done_callback(look);
    variable.set(2);
  });
  future.add_done_callback(look, {.context = &one});
  future.add_done_callback(look);
  one.run([&] { future.set_result(1); });
  drain(loop);
  CHECK(seen == std::vector{1, 2, 0});
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-010 the same callable may be added twice") {
  const Future<int> future = loop.create_future<int>();
  int calls = 0;
  const auto callback = [&] { ++calls; };
  const DoneCallbackToken first = future.add_done_callback(callback);
  const DoneCallbackToken second = future.add_done_callback(callback);
  const DoneCallbackToken third = future.add_done_callback(callback);
  CHECK(first != second);
  CHECK(second != third);
  CHECK(future.remove_done_callback(second));
  future.set_result(1);
  drain(loop);
  CHECK(calls == 2);
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-011 remove_done_callback removes that registration") {
  const Future<int> future = loop.create_future<int>();
  std::vector<int> order;
  std::vector<DoneCallbackToken> tokens;
  for (int i = 0; i != 4; ++i) {
    tokens.push_back(future.add_done_callback([&, i] { order.push_back(i); }));
  }
  CHECK(future.remove_done_callback(tokens[0]));
  CHECK(future.remove_done_callback(tokens[2]));
  CHECK_FALSE(future.remove_done_callback(tokens[2]));
  CHECK_FALSE(future.remove_done_callback(DoneCallbackToken{}));
  CHECK_FALSE(future.remove_done_callback(DoneCallbackToken{1000}));
  future.set_result(1);
  // Too late: it is queued on the loop.
  CHECK_FALSE(future.remove_done_callback(tokens[3]));
  drain(loop);
  CHECK(order == std::vector{1, 3});
}

TEST_CASE_FIXTURE(LoopFixture, "FUT-011 a removed callback may remove others from its destructor") {
  const Future<int> future = loop.create_future<int>();
  bool called = false;
  const DoneCallbackToken other = future.add_done_callback([&] { called = true; });
  const auto guard = [&](int*) { CHECK(future.remove_done_callback(other)); };
  int placeholder = 0;
  const DoneCallbackToken token =
      future.add_done_callback([owner = std::unique_ptr<int, decltype(guard)>(&placeholder, guard)] {});
  CHECK(future.remove_done_callback(token));
  future.set_result(1);
  drain(loop);
  CHECK_FALSE(called);
}
