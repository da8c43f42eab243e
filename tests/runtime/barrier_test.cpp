// SYNC-014 to SYNC-017: barriers.
#include "tests/runtime/sync_helpers.hpp"

#include <weir/barrier.hpp>

#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using namespace weir;
using namespace weir::testing;

namespace {

Coro<std::size_t> come(Barrier& barrier) { co_return co_await barrier.wait(); }

std::vector<Task<std::size_t>> start(EventLoop& loop, Barrier& barrier, int count) {
  std::vector<Task<std::size_t>> tasks;
  for (int i = 0; i != count; ++i) {
    tasks.push_back(loop.create_task(come(barrier)));
  }
  return tasks;
}

int count(const std::vector<Task<std::size_t>>& tasks, const std::string& wanted) {
  return static_cast<int>(
      std::count_if(tasks.begin(), tasks.end(), [&](auto& task) { return state(task) == wanted; }));
}

}  // namespace

WEIR_TEST("SYNC-014 a barrier of n releases all n together, each with a distinct index") {
  CHECK_THROWS_AS(Barrier(0), std::invalid_argument);
  CHECK_THROWS_AS(Barrier(-3), std::invalid_argument);
  Barrier barrier(4);
  CHECK(barrier.parties() == 4);
  std::vector<Task<std::size_t>> tasks = start(loop, barrier, 3);
  co_await settle();
  CHECK(barrier.n_waiting() == 3);
  CHECK(count(tasks, "pending") == 3);
  tasks.push_back(loop.create_task(come(barrier)));
  co_await settle();
  CHECK(barrier.n_waiting() == 0);
  for (std::size_t at = 0; at != tasks.size(); ++at) {
    REQUIRE(tasks[at].done());
    CHECK(tasks[at].result() == at);
  }
  Barrier single(1);
  CHECK(co_await single.wait() == 0);
}

WEIR_TEST("SYNC-014 indices are distinct also when one that came early has left") {
  Barrier barrier(3);
  std::vector<Task<std::size_t>> tasks = start(loop, barrier, 2);
  co_await sleep(yield);
  tasks[0].cancel();
  tasks.push_back(loop.create_task(come(barrier)));
  tasks.push_back(loop.create_task(come(barrier)));
  co_await settle();
  for (std::size_t at = 1; at != 4; ++at) {
    REQUIRE(tasks[at].done());
    CHECK(tasks[at].result() == at - 1);
  }
}

WEIR_TEST("SYNC-015 a barrier can be used again; who arrives while it drains waits for the next round") {
  Barrier barrier(2);
  for (int round = 0; round != 3; ++round) {
    std::vector<Task<std::size_t>> tasks = start(loop, barrier, 2);
    co_await settle();
    CHECK(count(tasks, "done") == 2);
  }
  std::vector<Task<std::size_t>> tasks = start(loop, barrier, 1);
  co_await sleep(yield);
  CHECK(co_await barrier.wait() == 1);
  CHECK_FALSE(tasks[0].done());
  Task<std::size_t> early = loop.create_task(come(barrier), {.eager_start = true});
  co_await settle();
  CHECK(tasks[0].result() == 0);
  CHECK_FALSE(early.done());
  CHECK(co_await barrier.wait() == 1);
  CHECK(co_await early == 0);
}

WEIR_TEST("SYNC-016 abort breaks the barrier; reset makes it usable again and breaks out those who wait") {
  Barrier barrier(3);
  std::vector<Task<std::size_t>> tasks = start(loop, barrier, 2);
  co_await sleep(yield);
  barrier.abort();
  CHECK(barrier.broken());
  tasks.push_back(loop.create_task(come(barrier)));
  co_await settle();
  for (const auto& task : tasks) {
    CHECK(failed_with<BrokenBarrierError>(task));
  }
  barrier.reset();
  CHECK_FALSE(barrier.broken());
  tasks = start(loop, barrier, 2);
  co_await sleep(yield);
  loop.call_soon([&] { barrier.reset(); });
  co_await settle();
  for (const auto& task : tasks) {
    CHECK(failed_with<BrokenBarrierError>(task));
  }
  CHECK(barrier.n_waiting() == 0);
  tasks = start(loop, barrier, 3);
  co_await settle();
  CHECK(count(tasks, "done") == 3);
}

WEIR_TEST("SYNC-016 who was released or broken out keeps that, whatever comes in the same turn") {
  Barrier barrier(2);
  std::vector<Task<std::size_t>> tasks = start(loop, barrier, 1);
  co_await sleep(yield);
  CHECK(co_await barrier.wait() == 1);
  barrier.abort();
  co_await settle();
  CHECK(state(tasks[0]) == "done");
  barrier.reset();
  tasks = start(loop, barrier, 1);
  co_await sleep(yield);
  barrier.abort();
  barrier.reset();
  tasks.push_back(loop.create_task(come(barrier), {.eager_start = true}));
  co_await settle();
  CHECK(failed_with<BrokenBarrierError>(tasks[0]));
  CHECK(state(tasks[1]) == "pending");
  tasks[1].cancel();
  co_await settle();
}

WEIR_TEST("SYNC-017 a cancelled barrier waiter leaves the others waiting for one more task") {
  Barrier barrier(3);
  std::vector<Task<std::size_t>> tasks = start(loop, barrier, 2);
  co_await sleep(yield);
  tasks[0].cancel();
  CHECK(barrier.n_waiting() == 1);
  tasks.push_back(loop.create_task(come(barrier)));
  co_await settle();
  CHECK(tasks[0].cancelled());
  CHECK(count(tasks, "pending") == 2);
  CHECK(co_await barrier.wait() == 2);
  co_await settle();
  CHECK(count(tasks, "done") == 2);
}

WEIR_TEST("SYNC-017 in every order of two arrivals and two cancellations, nobody is stranded") {
  co_await every_plan(4, 2, [](EventLoop& loop, const Plan& plan) -> Coro<void> {
    Barrier barrier(3);
    std::vector<Task<std::size_t>> tasks = start(loop, barrier, 2);
    co_await sleep(yield);
    const auto arrive = [&] { tasks.push_back(loop.create_task(come(barrier), {.eager_start = true})); };
    const Plan::Steps steps = {[&] { tasks[0].cancel(); }, [&] { tasks[1].cancel(); }, arrive, arrive};
    co_await plan.run(steps);
    // Who still waits is less than a round, and all the others are accounted for.
    CHECK_MESSAGE(static_cast<int>(barrier.n_waiting()) == count(tasks, "pending"), plan.text());
    CHECK_MESSAGE(barrier.n_waiting() < 3, plan.text());
    std::set<std::size_t> indices;
    for (const auto& task : tasks) {
      if (state(task) == "done") {
        CHECK_MESSAGE(indices.insert(task.result()).second, plan.text());
      }
    }
    CHECK_MESSAGE(count(tasks, "failed") == 0, plan.text());
    barrier.abort();
    co_await settle();
    CHECK_MESSAGE(count(tasks, "pending") == 0, plan.text());
    for (const auto& task : tasks) {
      static_cast<void>(task.cancelled() || task.exception());
    }
  });
}

TEST_CASE_FIXTURE(LoopFixture, "SYNC-018 a barrier used from two loops is an error at first contention") {
  Barrier barrier(3);
  std::vector<Task<std::size_t>> tasks = start(loop, barrier, 1);
  drain(loop);
  EventLoop other;
  CHECK_THROWS_AS(other.run_until_complete(come(barrier)), RuntimeError);
  CHECK(barrier.n_waiting() == 1);
  tasks[0].cancel();
  drain(loop);
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 a loop may close with tasks at a barrier") {
  Barrier barrier(3);
  std::vector<Task<std::size_t>> tasks = start(loop, barrier, 2);
  drain(loop);
  SUBCASE("waiting") {}
  SUBCASE("woken") { barrier.abort(); }
  tasks.clear();
  loop_owner.reset();
  CHECK(env.take_reports().size() == 2);
  CHECK(barrier.n_waiting() == 0);
  CHECK_NOTHROW(barrier.reset());
}

WEIR_TEST("LIFE-008 a barrier that is destroyed wakes those who wait, with an error") {
  auto barrier = std::make_unique<Barrier>(3);
  std::vector<Task<std::size_t>> tasks = start(loop, *barrier, 2);
  co_await sleep(yield);
  tasks[1].cancel();
  barrier.reset();
  co_await settle();
  CHECK(failed_with<RuntimeError>(tasks[0]));
  CHECK(tasks[1].cancelled());
}
