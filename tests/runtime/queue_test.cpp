// QUE-001 to QUE-006: queues.
#include "tests/runtime/sync_helpers.hpp"

#include <weir/queue.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace weir;
using namespace weir::testing;

namespace {

template <class Q>
Coro<void> get_one(Q& queue, std::string& log, char name) {
  const char item = co_await queue.get();
  log += name;
  log += item;
}

// One for each name, in this order.
std::vector<Task<void>> getters(EventLoop& loop, Queue<char>& queue, std::string& log,
                                std::string_view names) {
  std::vector<Task<void>> tasks;
  for (const char name : names) {
    tasks.push_back(loop.create_task(get_one(queue, log, name)));
  }
  return tasks;
}

Coro<void> put_one(Queue<char>& queue, char item) { co_await queue.put(item); }

template <class Q>
std::vector<typename Q::value_type> empty_out(Q& queue) {
  std::vector<typename Q::value_type> items;
  while (!queue.empty()) {
    items.push_back(queue.get_nowait());
  }
  return items;
}

std::string text_of(Queue<char>& queue) {
  const std::vector<char> items = empty_out(queue);
  return {items.begin(), items.end()};
}

using Box = std::unique_ptr<int>;
Coro<void> put_box(Queue<Box>& queue, Box& box) { co_await queue.put_from(box); }

}  // namespace

WEIR_TEST("QUE-001 FIFO order; a LIFO queue reverses it; a priority queue gives the smallest first") {
  Queue<int> fifo;
  LifoQueue<int> lifo;
  PriorityQueue<int> smallest;
  auto larger = [](int a, int b) { return a > b; };
  PriorityQueue<int, decltype(larger)> largest(0, larger);
  const std::vector<int> items = {5, 3, 9, 1, 7, 3, 8, 2, 6, 4, 0, 11, 10};
  for (const int item : items) {
    co_await fifo.put(item);
    co_await lifo.put(item);
    co_await smallest.put(item);
    co_await largest.put(item);
  }
  std::vector<int> sorted = items;
  std::sort(sorted.begin(), sorted.end());
  CHECK(empty_out(fifo) == items);
  CHECK(empty_out(lifo) == std::vector<int>(items.rbegin(), items.rend()));
  CHECK(empty_out(smallest) == sorted);
  CHECK(empty_out(largest) == std::vector<int>(sorted.rbegin(), sorted.rend()));
}

WEIR_TEST("QUE-001 the order holds while items come and go, for many items and for those that only move") {
  Queue<Box> boxes;
  LifoQueue<Box> stack;
  auto by_value = [](const Box& a, const Box& b) { return *a < *b; };
  PriorityQueue<Box, decltype(by_value)> heap(0, by_value);
  int next_in = 0;
  int next_out = 0;
  for (int round = 0; round != 50; ++round) {
    for (int i = 0; i != 5; ++i) {
      boxes.put_nowait(std::make_unique<int>(next_in));
      stack.put_nowait(std::make_unique<int>(next_in));
      heap.put_nowait(std::make_unique<int>((next_in * 37) % 251));
      ++next_in;
    }
    for (int i = 0; i != 3; ++i) {
      const Box box = co_await boxes.get();
      CHECK(*box == next_out++);
      const Box top = co_await stack.get();
      CHECK(*top == next_in - 1 - i);
    }
  }
  CHECK(boxes.qsize() == 100);
  int last = -1;
  while (!heap.empty()) {
    const Box box = heap.get_nowait();
    CHECK(*box >= last);
    last = *box;
  }
}

WEIR_TEST("QUE-002 get waits while empty, put while full; the _nowait forms raise empty and full errors") {
  Queue<char> queue(2);
  CHECK(queue.maxsize() == 2);
  CHECK(queue.empty());
  CHECK_THROWS_AS(queue.get_nowait(), QueueEmpty);
  std::string log;
  Task<void> getter = loop.create_task(get_one(queue, log, 'g'));
  co_await settle();
  CHECK(state(getter) == "pending");
  loop.call_soon([&] { queue.put_nowait('a'); });
  co_await getter;
  CHECK(log == "ga");
  queue.put_nowait('b');
  queue.put_nowait('c');
  CHECK(queue.full());
  CHECK_THROWS_AS(queue.put_nowait('d'), QueueFull);
  Task<void> putter = loop.create_task(put_one(queue, 'd'));
  co_await settle();
  CHECK(state(putter) == "pending");
  CHECK(queue.qsize() == 2);
  CHECK(queue.get_nowait() == 'b');
  co_await putter;
  CHECK(text_of(queue) == "cd");
}

WEIR_TEST("QUE-002 what need not wait takes no turn of the loop") {
  Queue<int> queue(1);
  bool ran = false;
  loop.call_soon([&] { ran = true; });
  for (int i = 0; i != 1000; ++i) {
    co_await queue.put(i);
    CHECK(co_await queue.get() == i);
  }
  CHECK_FALSE(ran);
  co_await sleep(yield);
}

WEIR_TEST("QUE-002 get, put and join may be made into tasks before they are awaited") {
  Queue<Box> queue(1);
  Task<Box> getting = ensure_future(queue.get());
  Task<void> first = ensure_future(queue.put(std::make_unique<int>(1)));
  Task<void> second = ensure_future(queue.put(std::make_unique<int>(2)));
  Task<void> third = ensure_future(queue.put(std::make_unique<int>(3)));
  co_await settle();
  const Box box = co_await std::move(getting);
  CHECK(*box == 1);
  CHECK(first.done());
  CHECK(second.done());
  CHECK_FALSE(third.done());
  const Box next = co_await queue.get();
  CHECK(*next == 2);
  co_await third;
  Task<void> joining = ensure_future(queue.join());
  co_await settle();
  for (int i = 0; i != 3; ++i) {
    CHECK_FALSE(joining.done());
    queue.task_done();
  }
  co_await joining;
}

WEIR_TEST("QUE-003 a maximum size of zero or less means no limit") {
  for (const std::ptrdiff_t size : {std::ptrdiff_t{0}, std::ptrdiff_t{-1}}) {
    Queue<int> queue(size);
    for (int i = 0; i != 1000; ++i) {
      queue.put_nowait(i);
    }
    CHECK_FALSE(queue.full());
    CHECK(queue.qsize() == 1000);
    CHECK(queue.maxsize() == size);
  }
  co_return;
}

WEIR_TEST("QUE-004 waiting getters are served in FIFO order; a newcomer does not overtake") {
  Queue<char> queue;
  std::string log;
  std::vector<Task<void>> tasks = getters(loop, queue, log, "123");
  co_await sleep(yield);
  for (const char item : {'a', 'b', 'c', 'd'}) {
    queue.put_nowait(item);
  }
  tasks.push_back(loop.create_task(get_one(queue, log, '4'), {.eager_start = true}));
  CHECK(log.empty());
  co_await settle();
  CHECK(log == "1a2b3c4d");
}

WEIR_TEST("QUE-004 waiting putters are served in FIFO order; a newcomer does not overtake") {
  Queue<char> queue(1);
  queue.put_nowait('a');
  std::vector<Task<void>> tasks;
  for (const char item : {'b', 'c'}) {
    tasks.push_back(loop.create_task(put_one(queue, item)));
  }
  co_await sleep(yield);
  std::string items(1, queue.get_nowait());
  tasks.push_back(loop.create_task(put_one(queue, 'd'), {.eager_start = true}));
  CHECK(queue.empty());
  for (int i = 0; i != 3; ++i) {
    items += co_await queue.get();
  }
  CHECK(items == "abcd");
  co_await settle();
}

WEIR_TEST("QUE-004 a getter whose item was taken by get_nowait keeps its place, and a putter its own") {
  Queue<char> queue(1);
  std::string log;
  std::vector<Task<void>> tasks = getters(loop, queue, log, "12");
  co_await sleep(yield);
  queue.put_nowait('a');
  CHECK(queue.get_nowait() == 'a');
  co_await settle();
  CHECK(log.empty());
  co_await queue.put('b');
  co_await settle();
  co_await queue.put('c');
  co_await settle();
  CHECK(log == "1b2c");
  queue.put_nowait('d');
  tasks.push_back(loop.create_task(put_one(queue, 'e')));
  tasks.push_back(loop.create_task(put_one(queue, 'f')));
  co_await sleep(yield);
  CHECK(queue.get_nowait() == 'd');
  queue.put_nowait('D');
  co_await settle();
  log.clear();
  for (int i = 0; i != 3; ++i) {
    log += co_await queue.get();
  }
  CHECK(log == "Def");
}

WEIR_TEST("QUE-004 an item that comes between two who were woken in vain goes to the first of them") {
  Queue<char> queue;
  std::string log;
  std::vector<Task<void>> tasks = getters(loop, queue, log, "12");
  co_await sleep(yield);
  queue.put_nowait('a');
  loop.call_soon([&] { queue.put_nowait('c'); });
  queue.put_nowait('b');
  CHECK(queue.get_nowait() == 'a');
  CHECK(queue.get_nowait() == 'b');
  co_await settle();
  CHECK(log == "1c");
  queue.put_nowait('d');
  co_await settle();
  CHECK(log == "1c2d");
}

WEIR_TEST("QUE-004 room that comes between two who were woken in vain goes to the first of them") {
  Queue<char> queue(2);
  queue.put_nowait('a');
  queue.put_nowait('b');
  std::vector<Task<void>> tasks;
  for (const char item : {'1', '2'}) {
    tasks.push_back(loop.create_task(put_one(queue, item)));
  }
  co_await sleep(yield);
  std::string out(1, queue.get_nowait());
  loop.call_soon([&] { out += queue.get_nowait(); });
  out += queue.get_nowait();
  queue.put_nowait('c');
  queue.put_nowait('d');
  co_await settle();
  CHECK(state(tasks[0]) == "done");
  CHECK(state(tasks[1]) == "pending");
  CHECK(out == "abc");
  CHECK(queue.get_nowait() == 'd');
  co_await settle();
  CHECK(text_of(queue) == "12");
}

WEIR_TEST("QUE-005 in every order of two puts, two cancelled getters and an arrival no item is lost") {
  co_await every_plan(5, 1, [](EventLoop& loop, const Plan& plan) -> Coro<void> {
    Queue<char> queue;
    std::string log;
    std::vector<Task<void>> tasks = getters(loop, queue, log, "123");
    co_await sleep(yield);
    char item = 'a';
    const auto put = [&] { queue.put_nowait(item++); };
    const Plan::Steps steps = {
        put, [&] { tasks[0].cancel(); }, [&] { tasks[1].cancel(); },
        [&] { tasks.push_back(loop.create_task(get_one(queue, log, '4'), {.eager_start = true})); }, put};
    co_await plan.run(steps);
    // Two items went to two getters, in both orders.
    CHECK_MESSAGE(log.size() == 4, plan.text(), ": ", log);
    CHECK_MESSAGE((log[1] == 'a' && log[3] == 'b' && log[0] < log[2]), plan.text(), ": ", log);
    CHECK_MESSAGE(queue.empty(), plan.text());
    put();
    put();
    co_await settle();
    check_all_done(tasks, plan);
  });
}

WEIR_TEST("QUE-005 get_nowait among puts, cancelled getters and an arrival strands nobody either") {
  co_await every_plan(5, 1, [](EventLoop& loop, const Plan& plan) -> Coro<void> {
    Queue<char> queue;
    std::string log;
    std::vector<Task<void>> tasks = getters(loop, queue, log, "12");
    co_await sleep(yield);
    char item = 'a';
    std::size_t stolen = 0;
    const auto put = [&] { queue.put_nowait(item++); };
    const auto steal = [&] {
      if (!queue.empty()) {
        queue.get_nowait();
        ++stolen;
      }
    };
    const Plan::Steps steps = {
        put, [&] { tasks[0].cancel(); }, steal,
        [&] { tasks.push_back(loop.create_task(get_one(queue, log, '3'), {.eager_start = true})); }, put};
    co_await plan.run(steps);
    CHECK_MESSAGE(log.size() / 2 + stolen == 2, plan.text(), ": ", log);
    CHECK_MESSAGE((log.size() < 4 || log[0] < log[2]), plan.text(), ": ", log);
    CHECK_MESSAGE(queue.empty(), plan.text());
    for (int i = 0; i != 3; ++i) {
      put();
    }
    co_await settle();
    check_all_done(tasks, plan);
  });
}

WEIR_TEST("QUE-005 in every order of two gets, two cancelled putters and an arrival no item is lost") {
  co_await every_plan(5, 1, [](EventLoop& loop, const Plan& plan) -> Coro<void> {
    Queue<Box> queue(1);
    queue.put_nowait(std::make_unique<int>(0));
    std::vector<Box> boxes(4);
    std::vector<Task<void>> tasks;
    for (std::size_t at = 0; at != boxes.size(); ++at) {
      boxes[at] = std::make_unique<int>(static_cast<int>(at) + 1);
      if (at != 3) {
        tasks.push_back(loop.create_task(put_box(queue, boxes[at])));
      }
    }
    co_await sleep(yield);
    std::vector<int> out;
    const auto get = [&] {
      if (!queue.empty()) {
        out.push_back(*queue.get_nowait());
      }
    };
    const Plan::Steps steps = {
        get, [&] { tasks[0].cancel(); }, [&] { tasks[1].cancel(); },
        [&] { tasks.push_back(loop.create_task(put_box(queue, boxes[3]), {.eager_start = true})); }, get};
    co_await plan.run(steps);
    for (int i = 0; i != 5; ++i) {
      get();
      co_await settle();
    }
    CHECK_MESSAGE(std::is_sorted(out.begin(), out.end()), plan.text());
    for (std::size_t at = 0; at != boxes.size(); ++at) {
      // It came out, or the task was cancelled and the item is still where it was.
      const bool came_out = std::find(out.begin(), out.end(), static_cast<int>(at) + 1) != out.end();
      CHECK_MESSAGE(came_out == (state(tasks[at]) == "done"), plan.text(), " ", at);
      CHECK_MESSAGE(came_out == (boxes[at] == nullptr), plan.text(), " ", at);
      CHECK_MESSAGE(tasks[at].done(), plan.text(), " ", at);
    }
  });
}

WEIR_TEST("QUE-005 an item that put_nowait refuses stays with the caller") {
  Queue<Box> queue(1);
  queue.put_nowait(std::make_unique<int>(1));
  Box box = std::make_unique<int>(2);
  CHECK_THROWS_AS(queue.put_nowait(std::move(box)), QueueFull);
  CHECK(box != nullptr);  // NOLINT(bugprone-use-after-move): that it was not moved is what is tested
  queue.shutdown();
  CHECK_THROWS_AS(queue.put_nowait(std::move(box)), QueueShutDown);
  bool refused = false;
  try {
    co_await queue.put_from(box);
  } catch (const QueueShutDown&) {
    refused = true;
  }
  CHECK(refused);
  CHECK(box != nullptr);
}

WEIR_TEST("QUE-006 join returns when every item put has been reported by task_done") {
  Queue<int> queue;
  co_await queue.join();
  CHECK_THROWS_AS(queue.task_done(), RuntimeError);
  auto join = [](Queue<int>& joined) -> Coro<void> { co_await joined.join(); };
  for (int i = 0; i != 3; ++i) {
    queue.put_nowait(i);
  }
  Task<void> first = loop.create_task(join(queue));
  Task<void> second = loop.create_task(join(queue));
  Task<void> cancelled = loop.create_task(join(queue));
  for (int i = 0; i != 3; ++i) {
    co_await queue.get();
    co_await settle();
    CHECK_FALSE(first.done());
    queue.task_done();
  }
  cancelled.cancel();
  co_await settle();
  CHECK(state(first) == "done");
  CHECK(state(second) == "done");
  CHECK(state(cancelled) == "cancelled");
  CHECK_THROWS_AS(queue.task_done(), RuntimeError);
}
