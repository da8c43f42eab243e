// SYNC-005: events.
#include "tests/runtime/sync_helpers.hpp"

#include <weir/event.hpp>

#include <memory>
#include <string>
#include <vector>

using namespace weir;
using namespace weir::testing;

namespace {

Coro<void> wait_for(Event& event, std::string& log, char name) {
  co_await event.wait();
  log += name;
}

}  // namespace

WEIR_TEST("SYNC-005 an event wakes all waiters when set; waiting on a set one returns at once") {
  Event event;
  CHECK_FALSE(event.is_set());
  std::string log;
  std::vector<Task<void>> tasks;
  for (const char name : {'1', '2', '3'}) {
    tasks.push_back(loop.create_task(wait_for(event, log, name)));
  }
  co_await sleep(yield);
  CHECK(log.empty());
  loop.call_soon([&] { event.set(); });
  for (auto& task : tasks) {
    co_await task;
  }
  CHECK(log == "123");
  CHECK(event.is_set());
  bool ran = false;
  loop.call_soon([&] { ran = true; });
  co_await event.wait();
  CHECK_FALSE(ran);
  co_await sleep(yield);
}

WEIR_TEST("SYNC-005 clear affects later waiters only") {
  Event event;
  std::string log;
  Task<void> first = loop.create_task(wait_for(event, log, '1'));
  co_await sleep(yield);
  event.set();
  event.clear();
  Task<void> second = loop.create_task(wait_for(event, log, '2'));
  co_await settle();
  CHECK(log == "1");
  CHECK(state(second) == "pending");
  event.set();
  event.set();
  co_await second;
  CHECK(log == "12");
}

WEIR_TEST("SYNC-005 in every order of set, clear, two cancellations and an arrival, nobody is stranded") {
  co_await every_plan(5, 1, [](EventLoop& loop, const Plan& plan) -> Coro<void> {
    Event event;
    std::string log;
    std::vector<Task<void>> tasks;
    for (const char name : {'1', '2', '3'}) {
      tasks.push_back(loop.create_task(wait_for(event, log, name)));
    }
    co_await sleep(yield);
    const Plan::Steps steps = {
        [&] { event.set(); }, [&] { tasks[0].cancel(); }, [&] { tasks[1].cancel(); },
        [&] { tasks.push_back(loop.create_task(wait_for(event, log, '4'), {.eager_start = true})); },
        [&] { event.clear(); }};
    co_await plan.run(steps);
    CHECK_MESSAGE(state(tasks[2]) == "done", plan.text());
    for (const int at : {0, 1}) {
      CHECK_MESSAGE(tasks[static_cast<std::size_t>(at)].done(), plan.text());
    }
    event.set();
    co_await settle();
    CHECK_MESSAGE(state(tasks[3]) == "done", plan.text());
  });
}

TEST_CASE_FIXTURE(LoopFixture, "SYNC-018 an event used from two loops is an error at first contention") {
  Event event;
  std::string log;
  Task<void> waiter = loop.create_task(wait_for(event, log, 'w'));
  drain(loop);
  EventLoop other;
  CHECK_THROWS_AS(other.run_until_complete(wait_for(event, log, 'o')), RuntimeError);
  event.set();
  drain(loop);
  CHECK_NOTHROW(other.run_until_complete(wait_for(event, log, 'o')));
  CHECK(log == "wo");
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 a loop may close with tasks that wait for an event") {
  Event event;
  std::string log;
  static_cast<void>(loop.create_task(wait_for(event, log, '1')));
  static_cast<void>(loop.create_task(wait_for(event, log, '2')));
  drain(loop);
  SUBCASE("waiting") {}
  SUBCASE("woken") { event.set(); }
  loop_owner.reset();
  CHECK(env.take_reports().size() == 2);
  CHECK_NOTHROW(event.set());
  CHECK(log.empty());
}

WEIR_TEST("LIFE-008 an event that is destroyed wakes those who wait, with an error") {
  auto event = std::make_unique<Event>();
  std::string log;
  Task<void> waiter = loop.create_task(wait_for(*event, log, '1'));
  Task<void> cancelled = loop.create_task(wait_for(*event, log, '2'));
  co_await sleep(yield);
  cancelled.cancel();
  event.reset();
  co_await settle();
  CHECK(failed_with<RuntimeError>(waiter));
  CHECK(cancelled.cancelled());
}
