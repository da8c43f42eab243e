// Locks, events, semaphores, conditions, barriers, queues: who goes on when, and what a cancellation hands
// on. Mirrored by sync.py.
#include "tests/asyncio_parity/trace.hpp"

#include <weir/barrier.hpp>
#include <weir/condition.hpp>
#include <weir/event.hpp>
#include <weir/exceptions.hpp>
#include <weir/lock.hpp>
#include <weir/queue.hpp>
#include <weir/semaphore.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

using namespace parity;
using namespace std::chrono_literals;
using weir::Barrier;
using weir::Condition;
using weir::Coro;
using weir::EventLoop;
using weir::Lock;
using weir::LockGuard;
using weir::Queue;
using weir::Semaphore;
using weir::sleep;
using weir::Task;

namespace {

constexpr const char* group = "sync";
using Tasks = std::vector<Task<void>>;

// A task for each letter of `names`, which it is called.
template <class Work, class... Arguments>
void start(EventLoop& loop, Tasks& tasks, std::string_view names, Work work, Arguments&... arguments) {
  for (const char name : names) {
    const std::string text(1, name);
    tasks.push_back(loop.create_task(work(text, arguments...), {.name = text}));
  }
}

Coro<void> ends(Tasks& tasks) {
  co_await settle();
  for (auto& task : tasks) {
    trace(task.get_name(), co_await outcome_of<void>(task));
  }
  tasks.clear();
}

// The words of a scenario's order.
std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> all(1);
  for (const char c : text) {
    if (c == ' ') {
      all.emplace_back();
    } else {
      all.back() += c;
    }
  }
  return all;
}

template <class Held>
Coro<void> holds(std::string name, Held& held) {
  const auto guard = co_await held.lock();
  trace(name, "holds");
  co_await sleep(0s);
  trace(name, "leaves");
}

}  // namespace

// --- Locks

SCENARIO(a_lock_goes_round) {
  Lock lock;
  Tasks tasks;
  start(loop, tasks, "abc", &holds<Lock>, lock);
  turns(loop, 8);
  co_await sleep(0s);
  trace(lock.locked());
  co_await ends(tasks);
  trace(lock.locked());
}

SCENARIO(a_lock_whose_waiter_is_cancelled) {
  for (const char* order :
       {"release cancel", "cancel release", "release newcomer cancel", "cancel newcomer release"}) {
    trace(order);
    Lock lock;
    co_await lock.acquire();
    Tasks tasks;
    start(loop, tasks, "ab", &holds<Lock>, lock);
    co_await sleep(0s);
    for (const std::string& step : words(order)) {
      if (step == "release") {
        lock.release();
        trace(lock.locked());
      } else if (step == "cancel") {
        tasks[0].cancel(step);
      } else {
        start(loop, tasks, "c", &holds<Lock>, lock);
        co_await sleep(0s);
      }
    }
    co_await ends(tasks);
  }
}

SCENARIO(wrong_releases) {
  Lock lock;
  trace(outcome([&] { lock.release(); }));
  co_await lock.acquire();
  Tasks tasks;
  start(loop, tasks, "a", &holds<Lock>, lock);
  co_await sleep(0s);
  lock.release();
  trace(outcome([&] { lock.release(); }));
  co_await ends(tasks);
  trace(outcome([] { Semaphore(-1); }));
}

// --- Events

SCENARIO(an_event_that_is_cleared_again) {
  constexpr auto waits = [](std::string name, weir::Event& event) -> Coro<void> {
    co_await event.wait();
    trace(name, event.is_set());
  };
  weir::Event event;
  Tasks tasks;
  start(loop, tasks, "abc", waits, event);
  co_await sleep(0s);
  tasks[0].cancel();
  turns(loop, 3);
  event.set();
  tasks[1].cancel();
  event.clear();
  start(loop, tasks, "d", waits, event);
  co_await sleep(0s);
  trace("set again");
  event.set();
  co_await event.wait();
  co_await ends(tasks);
}

// --- Semaphores

SCENARIO(a_semaphore_in_turns) {
  Semaphore semaphore(2);
  Tasks tasks;
  start(loop, tasks, "abcde", &holds<Semaphore>, semaphore);
  turns(loop, 8);
  co_await ends(tasks);
  trace(semaphore.locked());
}

SCENARIO(a_semaphore_whose_waiters_are_cancelled) {
  for (const char* order : {"release cancel", "cancel release", "release cancel newcomer release",
                            "release release cancel newcomer"}) {
    trace(order);
    Semaphore semaphore(0);
    Tasks tasks;
    start(loop, tasks, "ab", &holds<Semaphore>, semaphore);
    co_await sleep(0s);
    for (const std::string& step : words(order)) {
      if (step == "release") {
        semaphore.release();
      } else if (step == "cancel") {
        tasks[0].cancel(step);
      } else {
        start(loop, tasks, "c", &holds<Semaphore>, semaphore);
      }
    }
    co_await ends(tasks);
    trace(semaphore.locked());
  }
}

// --- Conditions

namespace {

Coro<void> waits_once(std::string name, Condition& condition) {
  const LockGuard guard = co_await condition.lock();
  try {
    co_await condition.wait();
    trace(name, "notified", condition.locked());
  } catch (const weir::CancelledError&) {
    trace(name, kind(std::current_exception()), condition.locked());
    throw;
  }
}

Coro<void> wait_now(Condition& condition) { co_await condition.wait(); }

Coro<void> checks(Condition& condition, const int& value) {
  const LockGuard guard = co_await condition.lock();
  auto is_two = [&value] { return value == 2 ? value : 0; };
  const int found = co_await condition.wait_for(is_two);
  trace(found);
}

}  // namespace

SCENARIO(notified_in_order) {
  Condition condition;
  Tasks tasks;
  start(loop, tasks, "abcd", &waits_once, condition);
  co_await sleep(0s);
  for (const std::size_t count : {1, 2, 0, 5}) {
    trace("notify", count);
    turns(loop, 3);
    {
      const LockGuard guard = co_await condition.lock();
      condition.notify(count);
      co_await sleep(0s);
    }
    co_await settle();
  }
  co_await ends(tasks);
  const std::string refused = co_await outcome_of(wait_now(condition));
  trace(outcome([&] { condition.notify(); }), outcome([&] { condition.notify_all(); }), refused);
}

SCENARIO(a_wait_that_is_cancelled_holds_the_lock) {
  for (const bool notified : {false, true}) {
    Condition condition;
    Tasks tasks;
    start(loop, tasks, "a", &waits_once, condition);
    co_await sleep(0s);
    {
      const LockGuard guard = co_await condition.lock();
      if (notified) {
        condition.notify();
      }
      tasks[0].cancel("why");
      co_await settle();
      trace(tasks[0].done());
    }
    co_await ends(tasks);
  }
}

SCENARIO(a_notification_that_is_handed_on) {
  Condition condition;
  Tasks tasks;
  start(loop, tasks, "ab", &waits_once, condition);
  co_await sleep(0s);
  int value = 0;
  tasks.push_back(loop.create_task(checks(condition, value), {.name = "checking"}));
  co_await settle();
  for (value = 1; value != 3; ++value) {
    {
      const LockGuard guard = co_await condition.lock();
      condition.notify_all();
    }
    co_await settle();
  }
  co_await ends(tasks);
}

// --- Barriers

SCENARIO(a_barrier_in_rounds) {
  constexpr auto comes = [](std::string name, Barrier& barrier) -> Coro<void> {
    const std::size_t number = co_await barrier.wait();
    trace(name, "has number", number);
  };
  Barrier barrier(3);
  for (const std::string_view names : {"abc", "def"}) {
    Tasks tasks;
    start(loop, tasks, names.substr(0, 2), comes, barrier);
    co_await settle();
    trace(barrier.n_waiting(), barrier.broken(), barrier.parties());
    turns(loop, 3);
    start(loop, tasks, names.substr(2), comes, barrier);
    co_await ends(tasks);
  }
}

SCENARIO(a_barrier_that_breaks) {
  constexpr auto comes = [](std::string, Barrier& barrier) -> Coro<void> { co_await barrier.wait(); };
  Barrier barrier(3);
  Tasks tasks;
  start(loop, tasks, "ab", comes, barrier);
  co_await settle();
  barrier.abort();
  start(loop, tasks, "c", comes, barrier);
  co_await ends(tasks);
  trace(barrier.broken(), barrier.n_waiting());
  barrier.reset();
  start(loop, tasks, "de", comes, barrier);
  co_await settle();
  tasks[0].cancel();
  co_await settle();
  trace(barrier.n_waiting());
  barrier.reset();
  co_await ends(tasks);
  trace(barrier.broken(), barrier.n_waiting());
}

// --- Queues

namespace {

using Strings = Queue<std::string>;

Coro<void> takes(std::string name, Strings& queue) {
  const std::string item = co_await queue.get();
  trace(name, "got", item);
}

Coro<void> puts_name(std::string name, Strings& queue) {
  co_await queue.put(name);
  trace(name, "is in");
}

}  // namespace

SCENARIO(getters_in_order) {
  Strings queue;
  Tasks tasks;
  start(loop, tasks, "abc", &takes, queue);
  co_await sleep(0s);
  turns(loop, 4);
  for (const char* item : {"1", "2", "3"}) {
    queue.put_nowait(item);
  }
  trace(queue.qsize(), queue.empty());
  co_await ends(tasks);
}

SCENARIO(putters_in_order) {
  Strings queue(2);
  Tasks tasks;
  start(loop, tasks, "abcde", &puts_name, queue);
  co_await settle();
  while (!queue.empty()) {
    const std::string refused = queue.full() ? outcome([&] { queue.put_nowait("x"); }) : "";
    trace(queue.full(), queue.qsize(), refused);
    const std::string item = co_await queue.get();
    trace(item);
    co_await settle();
  }
  co_await ends(tasks);
  trace(outcome([&] { queue.get_nowait(); }), queue.maxsize());
}

SCENARIO(getters_that_are_cancelled) {
  for (const char* order : {"put cancel", "cancel put", "put cancel put", "put put cancel"}) {
    trace(order);
    Strings queue;
    Tasks tasks;
    start(loop, tasks, "ab", &takes, queue);
    co_await sleep(0s);
    for (const std::string& step : words(order)) {
      if (step == "put") {
        queue.put_nowait("item");
      } else {
        tasks[0].cancel(step);
      }
    }
    co_await settle();
    trace(queue.qsize(), tasks[0].done(), tasks[1].done());
    queue.put_nowait("last");
    co_await ends(tasks);
  }
}

SCENARIO(putters_that_are_cancelled) {
  for (const char* order : {"get cancel", "cancel get"}) {
    trace(order);
    Strings queue(1);
    queue.put_nowait("first");
    Tasks tasks;
    start(loop, tasks, "ab", &puts_name, queue);
    co_await sleep(0s);
    for (const std::string& step : words(order)) {
      if (step == "get") {
        trace(queue.get_nowait());
      } else {
        tasks[0].cancel(step);
      }
    }
    co_await ends(tasks);
    const std::size_t size = queue.qsize();
    trace(size, queue.get_nowait());
  }
}

namespace {

template <class Q>
Coro<void> order_of() {
  Q queue;
  for (const int item : {3, 1, 4, 1, 5, 9, 2, 6}) {
    queue.put_nowait(item);
  }
  std::string items;
  while (!queue.empty()) {
    items += (items.empty() ? "" : " ") + std::to_string(co_await queue.get());
  }
  trace(items);
}

}  // namespace

SCENARIO(orders_of_queues) {
  co_await order_of<Queue<int>>();
  co_await order_of<weir::LifoQueue<int>>();
  co_await order_of<weir::PriorityQueue<int>>();
}

SCENARIO(joining) {
  constexpr auto joins = [](std::string name, Queue<int>& queue) -> Coro<void> {
    co_await queue.join();
    trace(name, "joined");
  };
  Queue<int> queue;
  Tasks tasks;
  start(loop, tasks, "a", joins, queue);
  co_await sleep(0s);
  queue.put_nowait(1);
  queue.put_nowait(2);
  start(loop, tasks, "bc", joins, queue);
  co_await settle();
  turns(loop, 3);
  queue.task_done();
  tasks[1].cancel();
  queue.task_done();
  queue.put_nowait(3);
  co_await ends(tasks);
}
