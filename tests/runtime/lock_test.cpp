// SYNC-001 to SYNC-004: locks, and what holds for every primitive (SYNC-018, the end of a loop).
#include "tests/runtime/sync_helpers.hpp"

#include <weir/lock.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace weir;
using namespace weir::testing;

namespace {

// Holds the lock over a turn and writes its name down; nobody else may hold it meanwhile.
Coro<void> hold(Lock& lock, std::string& log, char name) {
  co_await lock.acquire();
  CHECK(lock.locked());
  log += name;
  const std::size_t length = log.size();
  co_await sleep(yield);
  CHECK(log.size() == length);
  lock.release();
}

// The same by a guard, so that a cancellation while it holds the lock releases it.
Coro<void> hold_guarded(Lock& lock, std::string& log, char name) {
  const LockGuard guard = co_await lock.lock();
  log += name;
  co_await sleep(yield);
}

Coro<void> hold_for_ever(Lock& lock) {
  const LockGuard guard = co_await lock.lock();
  co_await get_running_loop().create_future<void>();
}

}  // namespace

WEIR_TEST("SYNC-001 a lock is held by one task at a time and handed on in FIFO order") {
  Lock lock;
  CHECK_FALSE(lock.locked());
  std::string log;
  std::vector<Task<void>> tasks;
  for (char name = 'a'; name != 'h'; ++name) {
    tasks.push_back(loop.create_task(hold(lock, log, name)));
  }
  for (auto& task : tasks) {
    co_await task;
  }
  CHECK(log == "abcdefg");
  CHECK_FALSE(lock.locked());
}

WEIR_TEST("SYNC-001 a free lock is taken without a turn of the loop") {
  Lock lock;
  bool ran = false;
  loop.call_soon([&] { ran = true; });
  for (int i = 0; i != 1000; ++i) {
    co_await lock.acquire();
    lock.release();
  }
  CHECK_FALSE(ran);
  co_await sleep(yield);
}

WEIR_TEST("SYNC-001 who comes after a release does not overtake the one that was woken by it") {
  Lock lock;
  co_await lock.acquire();
  std::string log;
  Task<void> first = loop.create_task(hold(lock, log, '1'));
  co_await sleep(yield);
  lock.release();
  CHECK_FALSE(lock.locked());
  Task<void> newcomer = loop.create_task(hold(lock, log, '2'), {.eager_start = true});
  CHECK(log.empty());
  co_await lock.acquire();
  CHECK(log == "12");
  lock.release();
}

TEST_CASE_FIXTURE(LoopFixture, "SYNC-001 a plain callback may release") {
  Lock lock;
  std::string log;
  auto take = [](Lock& taken) -> Coro<void> { co_await taken.acquire(); };
  loop.run_until_complete(take(lock));
  Task<void> waiter = loop.create_task(hold(lock, log, 'w'));
  drain(loop);
  loop.call_soon([&] { lock.release(); });
  drain(loop);
  CHECK(state(waiter) == "done");
}

WEIR_TEST("SYNC-002 releasing a lock that is not held is a usage error") {
  Lock lock;
  CHECK_THROWS_AS(lock.release(), RuntimeError);
  co_await lock.acquire();
  std::string log;
  Task<void> waiter = loop.create_task(hold(lock, log, 'w'));
  co_await sleep(yield);
  lock.release();
  CHECK_THROWS_AS(lock.release(), RuntimeError);  // the waiter has been woken and does not hold it yet
  co_await waiter;
  CHECK_THROWS_AS(lock.release(), RuntimeError);
}

WEIR_TEST("SYNC-003 cancelling a waiter removes it; the lock goes to the next one") {
  Lock lock;
  co_await lock.acquire();
  std::string log;
  Task<void> first = loop.create_task(hold(lock, log, '1'));
  Task<void> second = loop.create_task(hold(lock, log, '2'));
  co_await sleep(yield);
  SUBCASE("before the release") {
    first.cancel();
    lock.release();
  }
  SUBCASE("after it, in the same turn") {
    lock.release();
    first.cancel();
  }
  co_await settle();
  CHECK(state(first) == "cancelled");
  CHECK(state(second) == "done");
  CHECK(log == "2");
}

WEIR_TEST("SYNC-003 in every order of release, two cancellations and an arrival, nobody is stranded") {
  co_await every_plan(4, 2, [](EventLoop& loop, const Plan& plan) -> Coro<void> {
    Lock lock;
    co_await lock.acquire();
    std::string log;
    std::vector<Task<void>> tasks;
    for (const char name : {'1', '2', '3'}) {
      tasks.push_back(loop.create_task(hold_guarded(lock, log, name)));
    }
    co_await sleep(yield);
    const Plan::Steps steps = {
        [&] { lock.release(); }, [&] { tasks[0].cancel(); }, [&] { tasks[1].cancel(); },
        [&] { tasks.push_back(loop.create_task(hold_guarded(lock, log, '4'), {.eager_start = true})); }};
    co_await plan.run(steps);
    // Those who were not cancelled had it, and all in their order; a cancelled one may have had it before.
    CHECK_MESSAGE(log.ends_with("34"), plan.text(), ": ", log);
    CHECK_MESSAGE(std::is_sorted(log.begin(), log.end()), plan.text(), ": ", log);
    check_all_done(tasks, plan);
    CHECK_MESSAGE(!lock.locked(), plan.text());
  });
}

WEIR_TEST("SYNC-003 a cancellation that is taken back leaves the lock with the task") {
  Lock lock;
  co_await lock.acquire();
  std::string log;
  Task<void> waiter = loop.create_task(hold(lock, log, 'w'));
  co_await sleep(yield);
  lock.release();
  waiter.cancel();
  CHECK(waiter.uncancel() == 0);
  co_await waiter;
  CHECK(log == "w");
}

WEIR_TEST("SYNC-004 a scope guard releases the lock on every way out") {
  Lock lock;
  {
    const LockGuard guard = co_await lock.lock();
    CHECK(guard);
    CHECK(lock.locked());
  }
  CHECK_FALSE(lock.locked());
  try {
    const LockGuard guard = co_await lock.lock();
    throw std::runtime_error("out");
  } catch (const std::runtime_error&) {
    CHECK_FALSE(lock.locked());
  }
  Task<void> task = loop.create_task(hold_for_ever(lock));
  co_await sleep(yield);
  CHECK(lock.locked());
  task.cancel();
  co_await settle();
  CHECK(task.cancelled());
  CHECK_FALSE(lock.locked());
}

WEIR_TEST("SYNC-004 a guard can be moved, emptied, and forgives a release behind its back") {
  static_assert(std::is_nothrow_destructible_v<LockGuard> && std::is_nothrow_move_constructible_v<LockGuard>);
  static_assert(!std::is_copy_constructible_v<LockGuard>);
  Lock lock;
  LockGuard first = co_await lock.lock();
  LockGuard second = std::move(first);
  CHECK_FALSE(first);  // NOLINT(bugprone-use-after-move): what is left is what is tested
  first.release();
  CHECK(lock.locked());
  second.release();
  CHECK_FALSE(lock.locked());
  second = co_await lock.lock();
  second = LockGuard();
  CHECK_FALSE(lock.locked());
  second = co_await lock.lock();
  lock.release();
  second.release();
  CHECK_FALSE(lock.locked());
}

TEST_CASE_FIXTURE(LoopFixture, "SYNC-018 a lock used from two loops is an error at first contention") {
  Lock lock;
  auto take = [](Lock& taken) -> Coro<void> { co_await taken.acquire(); };
  loop.run_until_complete(take(lock));
  lock.release();
  EventLoop other;
  other.run_until_complete(take(lock));  // no contention yet: it is nobody's
  std::string log;
  Task<void> waiter = loop.create_task(hold(lock, log, 'w'));
  drain(loop);
  std::string message;
  try {
    other.run_until_complete(take(lock));
  } catch (const RuntimeError& error) {
    message = error.what();
  }
  CHECK(message.find("Lock.acquire") != std::string::npos);
  lock.release();
  drain(loop);
  CHECK(log == "w");
  CHECK_NOTHROW(other.run_until_complete(take(lock)));
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 a loop that closes with tasks at a lock leaves a lock that works") {
  Lock lock;
  std::string log;
  static_cast<void>(loop.create_task(hold_for_ever(lock)));
  for (const char name : {'1', '2', '3'}) {
    static_cast<void>(loop.create_task(hold_guarded(lock, log, name)));
  }
  drain(loop);
  SUBCASE("waiting") {}
  SUBCASE("one of them woken") { lock.release(); }
  SUBCASE("one of them cancelled") { all_tasks(loop)[1]->cancel(); }
  loop_owner.reset();
  CHECK(env.take_reports().size() == 4);
  CHECK(log.empty());
  CHECK_FALSE(lock.locked());
  EventLoop other;
  other.run_until_complete(hold_guarded(lock, log, 'o'));
  CHECK(log == "o");
}

WEIR_TEST("LIFE-008 a lock that is destroyed wakes those who wait, with an error") {
  auto lock = std::make_unique<Lock>();
  co_await lock->acquire();
  std::string log;
  std::vector<Task<void>> tasks;
  for (const char name : {'1', '2', '3'}) {
    tasks.push_back(loop.create_task(hold(*lock, log, name)));
  }
  co_await sleep(yield);
  lock->release();
  tasks[1].cancel();
  lock.reset();
  co_await settle();
  CHECK(failed_with<RuntimeError>(tasks[0]));
  CHECK(tasks[1].cancelled());
  CHECK(failed_with<RuntimeError>(tasks[2]));
}
