// LOOP: closing, and what a closed loop answers. The halves about descriptors are tested in net/.
#include "tests/support/weir_test.hpp"

#include <weir/executor.hpp>

#include <functional>
#include <memory>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

Coro<int> returns(int value) { co_return value; }

// Calls a function when the last copy is destroyed.
class OnDestruction {
 public:
  explicit OnDestruction(std::function<void()> f)
      : call_(new std::function<void()>(std::move(f)), [](std::function<void()>* function) {
          (*function)();
          delete function;
        }) {}

 private:
  std::shared_ptr<std::function<void()>> call_;
};

}  // namespace

TEST_CASE_FIXTURE(LoopFixture, "LOOP-014 the second close() does nothing") {
  CHECK_FALSE(loop.is_closed());
  loop.close();
  CHECK(loop.is_closed());
  CHECK_NOTHROW(loop.close());
  CHECK(loop.is_closed());
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-014 close() called by what close() destroys does nothing") {
  int destroyed = 0;
  const OnDestruction probe([&] {
    ++destroyed;
    loop.close();
  });
  {
    OnDestruction moved = probe;
    loop.call_soon([moved = std::move(moved)] {});
  }
  struct Holder {
    EventLoop& loop;
    int& count;
    ~Holder() {
      ++count;
      loop.close();
    }
  };
  loop.call_soon([held = std::make_unique<Holder>(loop, destroyed)] {});
  loop.call_later(1s, [held = std::make_unique<Holder>(loop, destroyed)] {});
  loop.close();
  CHECK(loop.is_closed());
  CHECK(destroyed == 2);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-015 close() on a running loop is refused, and the loop goes on") {
  bool ran = false;
  loop.call_soon([&] {
    CHECK_THROWS_AS(loop.close(), RuntimeError);
    CHECK_FALSE(loop.is_closed());
    loop.call_soon([&] { ran = true; });
  });
  drain(loop);
  CHECK(ran);
  loop.close();
  CHECK(loop.is_closed());
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-016 a closed loop refuses work") {
  auto future = loop.create_future<int>();
  const TimePoint before = loop.time();
  loop.close();
  const auto nothing = [] {};
  CHECK_THROWS_WITH_AS(loop.run_forever(), "run_forever: the loop is closed", RuntimeError);
  CHECK_THROWS_WITH_AS(loop.run_until_complete(future), "run_until_complete: the loop is closed",
                       RuntimeError);
  CHECK_THROWS_WITH_AS(loop.run_until_complete(returns(1)), "run_until_complete: the loop is closed",
                       RuntimeError);
  CHECK_THROWS_WITH_AS(loop.call_soon(nothing), "call_soon: the loop is closed", RuntimeError);
  CHECK_THROWS_AS(loop.call_soon([text = std::string(50, 'x')] {}), RuntimeError);
  CHECK_THROWS_AS(loop.call_soon_threadsafe(nothing), RuntimeError);
  CHECK_THROWS_AS(loop.remote().post(nothing), RuntimeError);
  CHECK_THROWS_AS(loop.call_later(1s, nothing), RuntimeError);
  CHECK_THROWS_AS(loop.call_at(before, nothing), RuntimeError);
  CHECK_THROWS_WITH_AS(loop.create_task(returns(1)), "create_task: the loop is closed", RuntimeError);
  CHECK_THROWS_WITH_AS(loop.run_in_executor(nullptr, nothing), "run_in_executor: the loop is closed",
                       RuntimeError);
  CHECK_THROWS_AS(loop.set_default_executor(std::make_shared<ThreadPoolExecutor>()), RuntimeError);
  CHECK_THROWS_AS(run_coroutine_threadsafe(returns(1), loop), RuntimeError);
  CHECK(loop.remote().closed());
  CHECK_FALSE(loop.is_running());
  loop.stop();  // harmless
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-016 what a closed loop refuses is destroyed at once") {
  loop.close();
  auto probe = std::make_shared<int>(1);
  const auto coroutine = [](std::shared_ptr<int>) -> Coro<void> { co_return; };
  CHECK_THROWS_AS(loop.call_soon([probe] {}), RuntimeError);
  CHECK_THROWS_AS(loop.call_later(1s, [probe] {}), RuntimeError);
  CHECK_THROWS_AS(loop.call_soon_threadsafe([probe] {}), RuntimeError);
  CHECK_THROWS_AS(loop.run_in_executor(nullptr, [probe] {}), RuntimeError);
  CHECK_THROWS_AS(loop.create_task(coroutine(probe)), RuntimeError);
  CHECK_THROWS_AS(loop.run_until_complete(coroutine(probe)), RuntimeError);
  CHECK(probe.use_count() == 1);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-017 cancelling on a closed loop, and after its end, does nothing") {
  int ran = 0;
  Handle queued = loop.call_soon([&] { ++ran; });
  TimerHandle timer = loop.call_later(1s, [&] { ++ran; });
  auto future = loop.create_future<int>();
  loop.close();
  queued.cancel();
  timer.cancel();
  CHECK(queued.cancelled());
  CHECK(timer.cancelled());
  CHECK_FALSE(timer.reschedule(TimePoint()));
  CHECK_FALSE(future.cancel());
  CHECK_FALSE(future.done());
  loop_owner.reset();
  queued.cancel();
  timer.cancel();
  CHECK_FALSE(timer.reschedule(TimePoint()));
  CHECK_FALSE(future.cancel());
  CHECK(queued.describe() == "<Handle cancelled>");
  CHECK(timer.describe() == "<TimerHandle cancelled>");
  // A new loop may stand in the same place: the old handles are not its own.
  EventLoop next;
  env.watch(next);
  Handle of_next = next.call_soon([&] { ran = 10; });
  TimerHandle timer_of_next = next.call_at(next.time(), [&] { ran += 20; });
  queued.cancel();
  timer.cancel();
  CHECK_FALSE(queued == of_next);
  CHECK_FALSE(timer == timer_of_next);
  drain(next);
  CHECK(ran == 30);
  next.close();
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-018 close() drops what is queued without running it") {
  bool ran = false;
  auto probe = std::make_shared<int>(1);
  const auto callback = [probe, &ran] { ran = true; };
  Context context;
  loop.call_soon(callback);
  loop.call_soon(callback, {.context = &context});
  loop.call_soon([callback, text = std::string(50, 'x')] { callback(); });
  loop.call_later(1h, callback);
  loop.call_at(loop.time() - 1h, callback);
  loop.call_soon_threadsafe(callback);
  loop.call_soon([&] {  // queues more in the stopping iteration
    loop.call_soon(callback);
    loop.call_soon_threadsafe(callback);
  });
  auto future = loop.create_future<int>();
  future.add_done_callback(callback);
  auto done = loop.create_future<int>();
  done.set_result(1);
  done.add_done_callback(callback);
  CHECK(probe.use_count() == 10);
  SUBCASE("before the first run") {}
  SUBCASE("with items of the last run, and posts that were taken over and not run") {
    ran = false;
    loop.call_soon([] { throw KeyboardInterrupt(); });
    CHECK_THROWS_AS(loop.run_forever(), KeyboardInterrupt);
    CHECK(ran);  // those before the interrupt
    ran = false;
  }
  loop.close();
  CHECK_FALSE(ran);
  future = loop.create_future<int>();  // drops the pending one with its callback
  CHECK(probe.use_count() == 2);       // here and in `callback`
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-018 what the dropped callbacks captured may use the loop as it goes") {
  int destroyed = 0;
  Handle other = loop.call_soon([] {});
  TimerHandle timer = loop.call_later(1h, [] {});
  auto future = loop.create_future<int>();
  const auto use = [&] {
    ++destroyed;
    other.cancel();
    timer.cancel();
    future.cancel();
    loop.stop();
    loop.time();
    CHECK_THROWS_AS(loop.call_soon([] {}), RuntimeError);
    CHECK_THROWS_AS(loop.call_soon_threadsafe([] {}), RuntimeError);
    CHECK_THROWS_AS(loop.call_later(1s, [] {}), RuntimeError);
    CHECK_THROWS_AS(loop.run_forever(), RuntimeError);
  };
  loop.call_soon([probe = OnDestruction(use)] {});
  loop.call_soon_threadsafe([probe = OnDestruction(use)] {});
  loop.call_later(1h, [probe = OnDestruction(use)] {});
  for (int i = 0; i != 200; ++i) {  // many timers that destroy each other
    auto next = std::make_shared<TimerHandle>(loop.call_later(1h, [] {}));
    loop.call_later(1h, [probe = OnDestruction([next] { next->cancel(); })] {});
  }
  loop.close();
  CHECK(destroyed == 3);
}

TEST_CASE_FIXTURE(LoopFixture, "LOOP-018 the destructor closes") {
  auto probe = std::make_shared<int>(1);
  loop.call_soon([probe] {});
  loop.call_later(1s, [probe] {});
  loop_owner.reset();
  CHECK(probe.use_count() == 1);
}
