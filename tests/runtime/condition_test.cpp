// SYNC-006 to SYNC-010: conditions.
#include "tests/runtime/sync_helpers.hpp"

#include <weir/condition.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace weir;
using namespace weir::testing;

namespace {

// Waits once; small letters for what a cancellation ended, with the lock held in either case.
Coro<void> wait_once(Condition& condition, std::string& log, char name) {
  const LockGuard guard = co_await condition.lock();
  try {
    co_await condition.wait();
    CHECK(condition.locked());
    log += name;
  } catch (const CancelledError&) {
    CHECK(condition.locked());
    log += 'x';
    throw;
  }
}

Coro<void> notify_later(Condition& condition, std::size_t count) {
  const LockGuard guard = co_await condition.lock();
  condition.notify(count);
}

std::vector<Task<void>> start(EventLoop& loop, Condition& condition, std::string& log,
                              const std::string& names) {
  std::vector<Task<void>> tasks;
  for (const char name : names) {
    tasks.push_back(loop.create_task(wait_once(condition, log, name)));
  }
  return tasks;
}

}  // namespace

WEIR_TEST("SYNC-006 wait releases the lock while it waits and holds it again when it returns") {
  Condition condition;
  std::string log;
  std::vector<Task<void>> tasks = start(loop, condition, log, "1");
  co_await sleep(yield);
  CHECK_FALSE(condition.locked());
  co_await condition.acquire();
  condition.notify();
  co_await settle();
  CHECK(log.empty());  // it was notified and waits for the lock
  condition.release();
  co_await tasks[0];
  CHECK(log == "1");
  CHECK_FALSE(condition.locked());
}

WEIR_TEST("SYNC-006 a cancelled wait holds the lock again before it throws") {
  Condition condition;
  std::string log;
  std::vector<Task<void>> tasks = start(loop, condition, log, "1");
  co_await sleep(yield);
  co_await condition.acquire();
  bool notified = false;
  SUBCASE("cancelled while it waits") {}
  SUBCASE("notified first") {
    condition.notify();
    notified = true;
  }
  SUBCASE("notified a turn before") {
    condition.notify();
    notified = true;
    co_await settle();
  }
  tasks[0].cancel("why");
  co_await settle();
  CHECK(state(tasks[0]) == "pending");
  tasks[0].cancel("again");  // it keeps trying
  co_await settle();
  CHECK(state(tasks[0]) == "pending");
  condition.release();
  co_await settle();
  CHECK(tasks[0].cancelled());
  CHECK(log == "x");
  CHECK_FALSE(condition.locked());
  static_cast<void>(notified);
}

WEIR_TEST("SYNC-006 a cancellation while it waits for the lock does not cost its place") {
  Condition condition;
  std::string log;
  std::vector<Task<void>> tasks = start(loop, condition, log, "1");
  co_await sleep(yield);
  co_await condition.acquire();
  condition.notify();
  co_await settle();
  Task<void> behind = loop.create_task(notify_later(condition, 0));
  co_await sleep(yield);
  tasks[0].cancel();
  co_await sleep(yield);
  condition.release();
  co_await sleep(yield);
  CHECK(log == "x");
  co_await behind;
}

WEIR_TEST("SYNC-006 wait may be made into a task, and acquire too") {
  Condition condition;
  Task<void> taking = ensure_future(condition.acquire());
  Task<LockGuard> guarding = ensure_future(condition.lock());
  co_await settle();
  CHECK(taking.done());
  CHECK_FALSE(guarding.done());
  Task<void> waiting = ensure_future(condition.wait());
  co_await settle();
  {
    const LockGuard guard = co_await std::move(guarding);
    CHECK(guard);
    condition.notify();
  }
  co_await waiting;
  CHECK(condition.locked());
  condition.release();
}

WEIR_TEST("SYNC-007 notify(n) wakes at most n waiters, notify_all all; both need the lock") {
  Condition condition;
  CHECK_THROWS_AS(condition.notify(), RuntimeError);
  CHECK_THROWS_AS(condition.notify_all(), RuntimeError);
  std::string log;
  std::vector<Task<void>> tasks = start(loop, condition, log, "123456");
  co_await sleep(yield);
  for (const std::string expected : {"1", "123", "123", "123456"}) {
    co_await condition.acquire();
    if (expected.size() == 6) {
      condition.notify_all();
      condition.notify_all();
    } else {
      condition.notify(expected.size() - log.size());
    }
    condition.release();
    co_await settle();
    CHECK(log == expected);
  }
  co_await condition.acquire();
  condition.notify(5);  // nobody is left
  condition.release();
}

WEIR_TEST("SYNC-007 in every order of notify, two cancellations and an arrival, no notification is lost") {
  co_await every_plan(4, 2, [](EventLoop& loop, const Plan& plan) -> Coro<void> {
    Condition condition;
    std::string log;
    std::vector<Task<void>> tasks = start(loop, condition, log, "123");
    co_await sleep(yield);
    const Plan::Steps steps = {
        [&] { tasks.push_back(loop.create_task(notify_later(condition, 1), {.eager_start = true})); },
        [&] { tasks[0].cancel(); }, [&] { tasks[1].cancel(); },
        [&] { tasks.push_back(loop.create_task(wait_once(condition, log, '4'), {.eager_start = true})); }};
    co_await plan.run(steps);
    // One waiter got the one notification, unless it had got it before its cancellation.
    const auto got = std::count_if(log.begin(), log.end(), [](char c) { return c != 'x'; });
    CHECK_MESSAGE(got == 1, plan.text(), ": ", log);
    const auto pending = std::count_if(tasks.begin(), tasks.end(), [](auto& task) { return !task.done(); });
    CHECK_MESSAGE(log.size() + static_cast<std::size_t>(pending) == 4, plan.text(), ": ", log);
    CHECK_MESSAGE(!condition.locked(), plan.text());
    co_await condition.acquire();
    condition.notify_all();
    condition.release();
    co_await settle();
    check_all_done(tasks, plan);
  });
}

WEIR_TEST("SYNC-008 wait_for(predicate) returns only when the predicate holds") {
  Condition condition;
  int value = 0;
  int calls = 0;
  auto work = [](Condition& changed, int& current, int& asked) -> Coro<int> {
    const LockGuard guard = co_await changed.lock();
    auto predicate = [&] {
      ++asked;
      CHECK(changed.locked());
      return current >= 3 ? current : 0;
    };
    co_return co_await changed.wait_for(predicate);
  };
  Task<int> task = loop.create_task(work(condition, value, calls));
  for (value = 0; value != 3;) {
    co_await settle();
    CHECK_FALSE(task.done());
    co_await condition.acquire();
    ++value;
    condition.notify_all();
    condition.release();
  }
  CHECK(co_await task == 3);
  CHECK(calls == 4);
  Task<int> at_once = loop.create_task(work(condition, value, calls));
  co_await sleep(yield);
  CHECK(at_once.done());
}

WEIR_TEST("SYNC-008 what the predicate throws goes to the caller, who holds the lock") {
  Condition condition;
  co_await condition.acquire();
  bool thrown = false;
  auto predicate = []() -> bool { throw std::runtime_error("predicate"); };
  try {
    co_await condition.wait_for(predicate);
  } catch (const std::runtime_error&) {
    thrown = true;
  }
  CHECK(thrown);
  CHECK(condition.locked());
}

WEIR_TEST("SYNC-009 wait without holding the lock is a usage error") {
  Condition condition;
  bool refused = false;
  try {
    co_await condition.wait();
  } catch (const RuntimeError&) {
    refused = true;
  }
  CHECK(refused);
  CHECK_FALSE(condition.locked());
}

WEIR_TEST("SYNC-010 a condition can share an explicit lock") {
  Lock lock;
  Condition filled(lock);
  Condition drained(lock);
  std::string log;
  std::vector<Task<void>> tasks = start(loop, filled, log, "1");
  tasks.push_back(loop.create_task(wait_once(drained, log, '2')));
  co_await sleep(yield);
  co_await lock.acquire();
  CHECK(filled.locked());
  drained.notify_all();
  lock.release();
  co_await settle();
  CHECK(log == "2");
  co_await filled.acquire();
  filled.notify_all();
  filled.release();
  co_await settle();
  CHECK(log == "21");
}

TEST_CASE_FIXTURE(LoopFixture, "SYNC-010 a lock of another loop is refused") {
  Lock lock;
  auto hold = [](Lock& held) -> Coro<void> {
    co_await held.acquire();
    co_await sleep(yield);
    held.release();
  };
  static_cast<void>(loop.create_task(hold(lock)));
  static_cast<void>(loop.create_task(hold(lock)));
  drain(loop);
  Condition condition(lock);
  std::string log;
  EventLoop other;
  CHECK_THROWS_AS(other.run_until_complete(wait_once(condition, log, 'o')), RuntimeError);
  CHECK_FALSE(lock.locked());
  std::vector<Task<void>> tasks = start(loop, condition, log, "1");
  drain(loop);
  loop.run_until_complete(notify_later(condition, 1));
  drain(loop);
  CHECK(log == "1");
}

TEST_CASE_FIXTURE(LoopFixture, "SYNC-018 a condition used from two loops is an error at first contention") {
  Condition condition;
  std::string log;
  std::vector<Task<void>> tasks = start(loop, condition, log, "1");
  drain(loop);
  EventLoop other;
  CHECK_THROWS_AS(other.run_until_complete(wait_once(condition, log, 'o')), RuntimeError);
  CHECK_FALSE(condition.locked());
  loop.run_until_complete(notify_later(condition, 1));
  drain(loop);
  CHECK(log == "1");
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 a loop may close with tasks that wait for a condition or its lock") {
  auto condition = std::make_unique<Condition>();
  std::string log;
  std::vector<Task<void>> tasks = start(loop, *condition, log, "1234");
  drain(loop);
  auto notify_and_keep = [](Condition& kept, bool turns) -> Coro<void> {
    const LockGuard guard = co_await kept.lock();
    kept.notify(2);
    if (turns) {
      co_await get_running_loop().create_future<void>();
    }
  };
  std::size_t pending = 4;
  SUBCASE("waiting") {}
  SUBCASE("notified") {
    tasks.push_back(loop.create_task(notify_and_keep(*condition, false), {.eager_start = true}));
    turn(loop);
    ++pending;
    pending = static_cast<std::size_t>(
        std::count_if(tasks.begin(), tasks.end(), [](auto& task) { return !task.done(); }));
  }
  SUBCASE("waiting for the lock, one of them cancelled") {
    tasks.push_back(loop.create_task(notify_and_keep(*condition, true)));
    drain(loop);
    tasks[1].cancel();
    drain(loop);
    tasks[2].cancel();
    ++pending;
  }
  tasks.clear();
  loop_owner.reset();
  CHECK(env.take_reports().size() == pending);
  CHECK_FALSE(condition->locked());
}

WEIR_TEST("LIFE-008 a condition that is destroyed wakes those who wait, with an error") {
  Lock lock;
  auto condition = std::make_unique<Condition>(lock);
  auto wait = [](Condition& waited, Lock& held) -> Coro<void> {
    const LockGuard guard = co_await held.lock();
    co_await waited.wait();
  };
  std::vector<Task<void>> tasks;
  for (int i = 0; i != 3; ++i) {
    tasks.push_back(loop.create_task(wait(*condition, lock)));
  }
  co_await sleep(yield);
  co_await lock.acquire();
  SUBCASE("at once") {}
  SUBCASE("when one waits for the lock") {
    condition->notify();
    co_await settle();
  }
  tasks[1].cancel();
  condition.reset();
  lock.release();
  co_await settle();
  CHECK(failed_with<RuntimeError>(tasks[0]));
  CHECK(tasks[1].cancelled());
  CHECK(failed_with<RuntimeError>(tasks[2]));
  CHECK_FALSE(lock.locked());
}

WEIR_TEST("LIFE-008 a condition that is destroyed with its own lock does the same") {
  auto condition = std::make_unique<Condition>();
  // Without guards, which must not outlive the lock.
  auto wait = [](Condition& waited) -> Coro<void> {
    co_await waited.acquire();
    co_await waited.wait();
  };
  std::vector<Task<void>> tasks;
  for (int i = 0; i != 3; ++i) {
    tasks.push_back(loop.create_task(wait(*condition)));
  }
  co_await sleep(yield);
  co_await condition->acquire();
  condition->notify();
  co_await settle();
  tasks[1].cancel();
  condition.reset();
  co_await settle();
  CHECK(failed_with<RuntimeError>(tasks[0]));
  CHECK(tasks[1].cancelled());
  CHECK(failed_with<RuntimeError>(tasks[2]));
}
