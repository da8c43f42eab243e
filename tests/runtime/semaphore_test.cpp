// SYNC-011 to SYNC-013: semaphores.
#include "tests/runtime/sync_helpers.hpp"

#include <weir/semaphore.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace weir;
using namespace weir::testing;

namespace {

// Takes a permit, holds it over a turn and gives it back.
Coro<void> use(Semaphore& semaphore, std::string& log, char name) {
  const SemaphoreGuard guard = co_await semaphore.lock();
  log += name;
  co_await sleep(yield);
}

Coro<void> take(Semaphore& semaphore, std::string& log, char name) {
  co_await semaphore.acquire();
  log += name;
}

// How many permits can be had at once; gives them back.
Coro<int> count_permits(Semaphore& semaphore) {
  int count = 0;
  while (!semaphore.locked()) {
    co_await semaphore.acquire();
    ++count;
  }
  for (int i = 0; i != count; ++i) {
    semaphore.release();
  }
  co_return count;
}

}  // namespace

WEIR_TEST("SYNC-011 a semaphore lets n tasks in; a negative value is refused; zero blocks the first") {
  CHECK_THROWS_AS(Semaphore(-1), std::invalid_argument);
  CHECK_THROWS_AS(BoundedSemaphore(-1), std::invalid_argument);
  Semaphore semaphore(2);
  int inside = 0;
  int most = 0;
  auto work = [](Semaphore& limit, int& now, int& record) -> Coro<void> {
    const SemaphoreGuard guard = co_await limit.lock();
    record = std::max(record, ++now);
    co_await sleep(yield);
    --now;
  };
  std::vector<Task<void>> tasks;
  for (int i = 0; i != 7; ++i) {
    tasks.push_back(loop.create_task(work(semaphore, inside, most)));
  }
  for (auto& task : tasks) {
    co_await task;
  }
  CHECK(most == 2);
  CHECK(co_await count_permits(semaphore) == 2);

  Semaphore empty(0);
  CHECK(empty.locked());
  std::string log;
  Task<void> first = loop.create_task(take(empty, log, '1'));
  co_await settle();
  CHECK(state(first) == "pending");
  loop.call_soon([&] { empty.release(); });
  co_await first;
  Semaphore one;
  CHECK(co_await count_permits(one) == 1);
}

WEIR_TEST("SYNC-012 waiters are served in FIFO order; a newcomer does not overtake a woken waiter") {
  Semaphore semaphore(0);
  std::string log;
  std::vector<Task<void>> tasks;
  for (const char name : {'1', '2', '3'}) {
    tasks.push_back(loop.create_task(take(semaphore, log, name)));
  }
  co_await sleep(yield);
  for (int i = 0; i != 4; ++i) {
    semaphore.release();
  }
  CHECK(semaphore.locked());
  // There is a permit for it, but those who were woken come first.
  tasks.push_back(loop.create_task(take(semaphore, log, '4'), {.eager_start = true}));
  CHECK(log.empty());
  for (auto& task : tasks) {
    co_await task;
  }
  CHECK(log == "1234");
  CHECK(semaphore.locked());
}

WEIR_TEST("SYNC-012 in every order of two releases, two cancellations and an arrival no permit is lost") {
  co_await every_plan(5, 1, [](EventLoop& loop, const Plan& plan) -> Coro<void> {
    Semaphore semaphore(0);
    std::string log;
    std::vector<Task<void>> tasks;
    for (const char name : {'1', '2', '3'}) {
      tasks.push_back(loop.create_task(use(semaphore, log, name)));
    }
    co_await sleep(yield);
    const Plan::Steps steps = {
        [&] { semaphore.release(); }, [&] { tasks[0].cancel(); }, [&] { tasks[1].cancel(); },
        [&] { tasks.push_back(loop.create_task(use(semaphore, log, '4'), {.eager_start = true})); },
        [&] { semaphore.release(); }};
    co_await plan.run(steps);
    CHECK_MESSAGE(log.ends_with("34"), plan.text(), ": ", log);
    CHECK_MESSAGE(std::is_sorted(log.begin(), log.end()), plan.text(), ": ", log);
    check_all_done(tasks, plan);
    const int permits = co_await count_permits(semaphore);
    CHECK_MESSAGE(permits == 2, plan.text());
  });
}

WEIR_TEST("SYNC-013 a bounded semaphore refuses to be released above its initial value") {
  BoundedSemaphore semaphore(2);
  CHECK_THROWS_AS(semaphore.release(), RuntimeError);
  co_await semaphore.acquire();
  semaphore.release();
  CHECK_THROWS_AS(semaphore.release(), RuntimeError);
  CHECK(co_await count_permits(semaphore) == 2);
  // A guard forgives it.
  {
    const SemaphoreGuard guard = co_await semaphore.lock();
    semaphore.release();
  }
  CHECK(co_await count_permits(semaphore) == 2);
  Semaphore unbounded(2);
  unbounded.release();
  CHECK(co_await count_permits(unbounded) == 3);
}

TEST_CASE_FIXTURE(LoopFixture, "SYNC-018 a semaphore used from two loops is an error at first contention") {
  Semaphore semaphore(0);
  std::string log;
  Task<void> waiter = loop.create_task(take(semaphore, log, 'w'));
  drain(loop);
  EventLoop other;
  CHECK_THROWS_AS(other.run_until_complete(take(semaphore, log, 'o')), RuntimeError);
  semaphore.release();
  drain(loop);
  semaphore.release();
  CHECK_NOTHROW(other.run_until_complete(take(semaphore, log, 'o')));
  CHECK(log == "wo");
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 a loop that closes with tasks at a semaphore loses no permit") {
  Semaphore semaphore(1);
  std::string log;
  auto hold_for_ever = [](Semaphore& held) -> Coro<void> {
    const SemaphoreGuard guard = co_await held.lock();
    co_await get_running_loop().create_future<void>();
  };
  static_cast<void>(loop.create_task(hold_for_ever(semaphore)));
  static_cast<void>(loop.create_task(use(semaphore, log, '1')));
  static_cast<void>(loop.create_task(use(semaphore, log, '2')));
  drain(loop);
  int permits = 1;
  SUBCASE("waiting") {}
  SUBCASE("woken") {
    semaphore.release();
    permits = 2;
  }
  loop_owner.reset();
  CHECK(env.take_reports().size() == 3);
  EventLoop other;
  CHECK(other.run_until_complete(count_permits(semaphore)) == permits);
}

WEIR_TEST("LIFE-008 a semaphore that is destroyed wakes those who wait, with an error") {
  auto semaphore = std::make_unique<Semaphore>(0);
  std::string log;
  Task<void> woken = loop.create_task(take(*semaphore, log, '1'));
  Task<void> waiter = loop.create_task(take(*semaphore, log, '2'));
  co_await sleep(yield);
  semaphore->release();
  semaphore.reset();
  co_await settle();
  CHECK(failed_with<RuntimeError>(woken));
  CHECK(failed_with<RuntimeError>(waiter));
}
