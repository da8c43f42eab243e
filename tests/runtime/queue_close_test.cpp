// QUE-007 and QUE-008, and the ends of a queue, its loop and its tasks.
#include "tests/runtime/sync_helpers.hpp"

#include <weir/queue.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace weir;
using namespace weir::testing;

namespace {

Coro<int> get_one(Queue<int>& queue) { co_return co_await queue.get(); }
Coro<void> put_one(Queue<int>& queue, int item) { co_await queue.put(item); }
Coro<void> join(Queue<int>& queue) { co_await queue.join(); }

}  // namespace

WEIR_TEST("QUE-007 shutdown() makes put fail at once and get fail when the queue is empty") {
  Queue<int> queue;
  co_await queue.put(1);
  co_await queue.put(2);
  queue.shutdown();
  CHECK_THROWS_AS(queue.put_nowait(3), QueueShutDown);
  Task<void> put = loop.create_task(put_one(queue, 3));
  co_await sleep(yield);
  CHECK(failed_with<QueueShutDown>(put));
  CHECK(co_await queue.get() == 1);
  CHECK(queue.get_nowait() == 2);
  CHECK_THROWS_AS(queue.get_nowait(), QueueShutDown);
  Task<int> get = loop.create_task(get_one(queue));
  co_await sleep(yield);
  CHECK(failed_with<QueueShutDown>(get));
  Task<void> joining = loop.create_task(join(queue));
  co_await settle();
  CHECK(state(joining) == "pending");
  queue.task_done();
  queue.task_done();
  co_await joining;
}

WEIR_TEST("QUE-007 waiting getters and putters are woken with the error") {
  Queue<int> empty;
  Queue<int> full(1);
  full.put_nowait(0);
  std::vector<Task<int>> getters;
  std::vector<Task<void>> putters;
  for (int i = 0; i != 3; ++i) {
    getters.push_back(loop.create_task(get_one(empty)));
    putters.push_back(loop.create_task(put_one(full, i)));
  }
  co_await sleep(yield);
  loop.call_soon([&] {
    empty.shutdown();
    full.shutdown();
  });
  co_await settle();
  for (std::size_t at = 0; at != 3; ++at) {
    CHECK(failed_with<QueueShutDown>(getters[at]));
    CHECK(failed_with<QueueShutDown>(putters[at]));
  }
  CHECK(full.get_nowait() == 0);
}

WEIR_TEST("QUE-007 an item for which a getter was woken still reaches it") {
  Queue<int> queue;
  Task<int> first = loop.create_task(get_one(queue));
  Task<int> second = loop.create_task(get_one(queue));
  co_await sleep(yield);
  SUBCASE("the first in line") {}
  SUBCASE("the next, when that one is cancelled") { first.cancel(); }
  queue.put_nowait(7);
  const bool cancelled = first.cancelling() != 0;
  queue.shutdown();
  co_await settle();
  CHECK(first.cancelled() == cancelled);
  CHECK(failed_with<QueueShutDown>(cancelled ? first : second) == !cancelled);
  CHECK((cancelled ? second : first).result() == 7);
}

WEIR_TEST("QUE-007 in every order of put, shutdown, a cancellation and an arrival, nobody is stranded") {
  co_await every_plan(4, 2, [](EventLoop& loop, const Plan& plan) -> Coro<void> {
    Queue<int> queue;
    std::vector<Task<int>> tasks;
    tasks.push_back(loop.create_task(get_one(queue)));
    tasks.push_back(loop.create_task(get_one(queue)));
    co_await sleep(yield);
    bool refused = false;
    const Plan::Steps steps = {
        [&] {
          try {
            queue.put_nowait(7);
          } catch (const QueueShutDown&) {
            refused = true;
          }
        },
        [&] { queue.shutdown(); }, [&] { tasks[0].cancel(); },
        [&] { tasks.push_back(loop.create_task(get_one(queue), {.eager_start = true})); }};
    co_await plan.run(steps);
    int taken = 0;
    for (const auto& task : tasks) {
      CHECK_MESSAGE(task.done(), plan.text());
      taken += state(task) == "done" ? 1 : 0;
      CHECK_MESSAGE((state(task) != "failed" || failed_with<QueueShutDown>(task)), plan.text());
    }
    CHECK_MESSAGE(taken == (refused ? 0 : 1), plan.text());
  });
}

WEIR_TEST("QUE-008 shutdown(immediate) drops the items, wakes all, and lets join return") {
  Queue<std::shared_ptr<int>> queue(2);
  const auto item = std::make_shared<int>(1);
  co_await queue.put(item);
  co_await queue.put(item);
  auto put = [](Queue<std::shared_ptr<int>>& into) -> Coro<void> { co_await into.put(nullptr); };
  auto wait = [](Queue<std::shared_ptr<int>>& joined) -> Coro<void> { co_await joined.join(); };
  Task<void> putter = loop.create_task(put(queue));
  Task<void> joining = loop.create_task(wait(queue));
  co_await sleep(yield);
  queue.shutdown(true);
  CHECK(queue.empty());
  CHECK(item.use_count() == 1);
  co_await settle();
  CHECK(failed_with<QueueShutDown>(putter));
  CHECK(state(joining) == "done");
  CHECK_THROWS_AS(queue.get_nowait(), QueueShutDown);
  CHECK_NOTHROW(queue.shutdown(true));
}

WEIR_TEST("QUE-008 what was taken before still has to be reported") {
  Queue<int> queue;
  for (int i = 0; i != 3; ++i) {
    queue.put_nowait(i);
  }
  co_await queue.get();
  Task<void> joining = loop.create_task(join(queue));
  co_await sleep(yield);
  queue.shutdown(true);
  co_await settle();
  CHECK(state(joining) == "pending");
  queue.task_done();
  co_await joining;
  CHECK_THROWS_AS(queue.task_done(), RuntimeError);
}

WEIR_TEST("QUE-008 a getter that was woken for an item that is dropped gets the error") {
  Queue<int> queue;
  Task<int> woken = loop.create_task(get_one(queue));
  Task<int> waiting = loop.create_task(get_one(queue));
  co_await sleep(yield);
  queue.put_nowait(1);
  queue.shutdown(true);
  co_await settle();
  CHECK(failed_with<QueueShutDown>(woken));
  CHECK(failed_with<QueueShutDown>(waiting));
}

WEIR_TEST("QUE-008 an item's destructor may use the queue that drops it") {
  struct Item {
    explicit Item(LifoQueue<Item>& owner) : queue(&owner) {}
    Item(Item&& other) noexcept : queue(std::exchange(other.queue, nullptr)) {}
    Item& operator=(Item&&) = default;
    ~Item() {
      if (queue != nullptr) {
        CHECK(queue->empty());
        queue->shutdown(true);
      }
    }
    LifoQueue<Item>* queue;
  };
  LifoQueue<Item> queue;
  queue.put_nowait(Item(queue));
  queue.put_nowait(Item(queue));
  queue.shutdown(true);
  CHECK(queue.empty());
  co_return;
}

TEST_CASE_FIXTURE(LoopFixture, "SYNC-018 a queue used from two loops is an error at first contention") {
  Queue<int> queue(1);
  Task<int> getter = loop.create_task(get_one(queue));
  drain(loop);
  EventLoop other;
  CHECK_THROWS_AS(other.run_until_complete(get_one(queue)), RuntimeError);
  queue.put_nowait(1);
  drain(loop);
  CHECK(getter.result() == 1);
  CHECK_NOTHROW(other.run_until_complete(put_one(queue, 2)));
  CHECK_THROWS_AS(other.run_until_complete(put_one(queue, 3)), RuntimeError);
  CHECK_THROWS_AS(other.run_until_complete(join(queue)), RuntimeError);
}

TEST_CASE_FIXTURE(LoopFixture, "LIFE-008 a loop may close with tasks that wait at a queue") {
  Queue<int> empty;
  Queue<int> full(1);
  full.put_nowait(0);
  for (int i = 0; i != 2; ++i) {
    static_cast<void>(loop.create_task(get_one(empty)));
    static_cast<void>(loop.create_task(put_one(full, i)));
    static_cast<void>(loop.create_task(join(full)));
  }
  drain(loop);
  SUBCASE("waiting") {}
  SUBCASE("woken") {
    empty.put_nowait(1);
    full.get_nowait();
    full.task_done();
  }
  SUBCASE("woken by a shutdown") {
    empty.shutdown();
    full.shutdown(true);
  }
  loop_owner.reset();
  CHECK(env.take_reports().size() == 6);
  const std::size_t left = empty.qsize() + full.qsize();
  CHECK(left <= 1);
  CHECK_NOTHROW(empty.shutdown(true));
  CHECK_NOTHROW(full.shutdown());
}

WEIR_TEST("LIFE-008 a queue that is destroyed wakes those who wait, with an error") {
  auto queue = std::make_unique<Queue<int>>(1);
  std::vector<Task<int>> getters;
  getters.push_back(loop.create_task(get_one(*queue)));
  getters.push_back(loop.create_task(get_one(*queue)));
  co_await sleep(yield);
  queue->put_nowait(1);
  Task<void> putter = loop.create_task(put_one(*queue, 2), {.eager_start = true});
  Task<void> joining = loop.create_task(join(*queue), {.eager_start = true});
  queue.reset();
  co_await settle();
  CHECK(failed_with<RuntimeError>(getters[0]));
  CHECK(failed_with<RuntimeError>(getters[1]));
  CHECK(failed_with<RuntimeError>(putter));
  CHECK(failed_with<RuntimeError>(joining));
}
