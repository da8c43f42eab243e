// EXEC: run_in_executor, the default executor, to_thread. Under sim there are no worker threads: jobs run on
// the loop's, in a later turn, and that is what is tested there.
#include "tests/support/awaited.hpp"
#include "tests/support/weir_test.hpp"

#include "runtime/loop_access.hpp"
#include "runtime/timer_heap.hpp"

#include <weir/context.hpp>
#include <weir/executor.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#if defined(__linux__)
#include <dirent.h>
#include <pthread.h>
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

#if defined(WEIR_BACKEND_SIM)
constexpr bool has_threads = false;
#else
constexpr bool has_threads = true;
#endif

template <class T>
concept DefaultExecutor =
    requires(EventLoop& loop, T executor) { loop.set_default_executor(std::move(executor)); };
template <class T>
concept RunsJobs = requires(EventLoop& loop, T executor) { loop.run_in_executor(executor, [] {}); };
static_assert(DefaultExecutor<std::shared_ptr<ThreadPoolExecutor>>);
static_assert(!DefaultExecutor<std::shared_ptr<int>>);
static_assert(!DefaultExecutor<std::shared_ptr<EventLoop>>);
static_assert(!DefaultExecutor<int>);
static_assert(RunsJobs<ThreadPoolExecutor*> && !RunsJobs<EventLoop*>);

const ContextVar<std::string>& who() {
  static const ContextVar<std::string> variable("who", "nobody");
  return variable;
}

// Hands jobs to a pool and counts them.
class CountingExecutor final : public Executor {
 public:
  void submit(Job job) override {
    ++submitted;
    pool_.submit(std::move(job));
  }
  void shutdown(bool wait, bool cancel_queued) override { pool_.shutdown(wait, cancel_queued); }
  std::atomic<int> submitted = 0;

 private:
  ThreadPoolExecutor pool_{{.max_workers = 1}};
};

// Notes the thread that destroys it.
class NotesEnd {
 public:
  explicit NotesEnd(std::thread::id& end) : end_(&end) {}
  NotesEnd(NotesEnd&& other) noexcept : end_(std::exchange(other.end_, nullptr)) {}
  NotesEnd& operator=(NotesEnd&&) = delete;
  ~NotesEnd() {
    if (end_ != nullptr) {
      *end_ = std::this_thread::get_id();
    }
  }

 private:
  std::thread::id* end_;
};

#if defined(__linux__)
int threads_of_process() {
  DIR* directory = ::opendir("/proc/self/task");
  REQUIRE(directory != nullptr);
  int count = -2;  // "." and ".."
  while (::readdir(directory) != nullptr) {
    ++count;
  }
  ::closedir(directory);
  return count;
}
#endif

}  // namespace

WEIR_TEST("EXEC-001 a job runs on a thread of the default executor, made on first use") {
#if defined(__linux__)
  const int threads_before = threads_of_process();
#endif
  const std::thread::id own = std::this_thread::get_id();
  std::string name;
  std::thread::id ran_on;
  Future<void> future = loop.run_in_executor(nullptr, [&name, &ran_on] {
    ran_on = std::this_thread::get_id();
#if defined(__linux__)
    char buffer[16] = {};
    ::pthread_getname_np(::pthread_self(), buffer, sizeof buffer);
    name = buffer;
#endif
  });
  CHECK_FALSE(future.done());
  if (!has_threads) {
    CHECK(ran_on == std::thread::id());  // not inside the call
  }
  co_await future;
  CHECK((ran_on != own) == has_threads);
#if defined(__linux__)
  if (has_threads) {
    // The thread may be named after its first job has begun: look at one that runs later.
    Future<void> again = loop.run_in_executor(nullptr, [&name] {
      char buffer[16] = {};
      ::pthread_getname_np(::pthread_self(), buffer, sizeof buffer);
      name = buffer;
    });
    co_await again;
    CHECK(name.starts_with("weir_"));
    CHECK(threads_of_process() > threads_before);
  } else {
    CHECK(threads_of_process() == threads_before);
  }
#endif
}

WEIR_TEST("EXEC-001 any callable, with any result; an empty one is refused") {
  const std::function<int()> empty;
  CHECK_THROWS_AS(loop.run_in_executor(nullptr, empty), std::invalid_argument);
  const auto function = +[] { return 3; };
  Future<int> first = loop.run_in_executor(nullptr, function);
  CHECK(co_await first == 3);
  auto owned = std::make_unique<int>(4);
  auto job = [owned = std::move(owned)] { return std::make_unique<int>(*owned + 1); };
  auto second = loop.run_in_executor(nullptr, std::move(job));
  const std::unique_ptr<int> result = co_await std::move(second);
  CHECK(*result == 5);
}

WEIR_TEST("EXEC-002 value and exception arrive on the loop's thread") {
  const std::thread::id own = std::this_thread::get_id();
  std::vector<std::thread::id> delivered;
  const auto note = [&delivered] { delivered.push_back(std::this_thread::get_id()); };
  Future<std::string> value = loop.run_in_executor(nullptr, [] { return std::string(100, 'v'); });
  value.add_done_callback(note);
  Future<int> failure = loop.run_in_executor(nullptr, []() -> int { throw std::out_of_range("job"); });
  failure.add_done_callback(note);
  Future<void> odd = loop.run_in_executor(nullptr, [] { throw 7; });
  odd.add_done_callback(note);
  CHECK(co_await value == std::string(100, 'v'));
  std::string caught;
  try {
    co_await failure;
  } catch (const std::out_of_range& error) {
    caught = error.what();
  }
  CHECK(caught == "job");
  co_await until([&] { return delivered.size() == 3; });
  CHECK_THROWS_AS(odd.result(), int);
  CHECK(delivered == std::vector(3, own));
}

WEIR_TEST("EXEC-002 the closure is destroyed on the loop's thread, before the result is seen or soon after") {
  std::thread::id ended;
  auto job = [end = NotesEnd(ended)] {};
  Future<void> future = loop.run_in_executor(nullptr, std::move(job));
  co_await future;
  co_await until([&] { return ended != std::thread::id(); });
  CHECK(ended == std::this_thread::get_id());
}

WEIR_TEST("EXEC-002 a job whose future was cancelled does not begin, and is released") {
  ThreadPoolExecutor pool({.max_workers = 1});
  Latch gate(1);
  bool second_ran = false;
  auto probe = std::make_shared<int>(1);
  std::optional<Future<void>> first;
  if (has_threads) {
    first = loop.run_in_executor(&pool, [&gate] { gate.wait(); });
  }
  Future<void> second = loop.run_in_executor(&pool, [probe, &second_ran] { second_ran = true; });
  CHECK(second.cancel());
  co_await sleep(0s);
  co_await sleep(0s);
  gate.count_down();
  if (first) {
    co_await *first;
  }
  co_await until([&] { return probe.use_count() == 1; });
  CHECK_FALSE(second_ran);
  CHECK(second.cancelled());
}

WEIR_TEST("EXEC-002 a job that ends after its future was cancelled changes nothing") {
  std::atomic<bool> began = false;
  Latch gate(1);
  bool ended = false;
  Future<int> future = loop.run_in_executor(nullptr, [&]() -> int {
    began = true;
    if (has_threads) {
      gate.wait();
    }
    ended = true;
    throw std::logic_error("nobody listens");
  });
  if (has_threads) {
    co_await until([&] { return began.load(); });
  }
  future.cancel();
  co_await sleep(0s);
  gate.count_down();
  co_await loop.shutdown_default_executor();
  CHECK(ended == has_threads);
  CHECK(future.cancelled());
}

WEIR_TEST("EXEC-003 set_default_executor replaces what is used from then on; null is refused") {
  CHECK_THROWS_AS(loop.set_default_executor(nullptr), std::invalid_argument);
  auto first = std::make_shared<CountingExecutor>();
  auto second = std::make_shared<CountingExecutor>();
  loop.set_default_executor(first);
  Future<int> one = loop.run_in_executor(nullptr, [] { return 1; });
  loop.set_default_executor(second);
  CHECK_THROWS_AS(loop.set_default_executor(nullptr), std::invalid_argument);
  Future<int> two = loop.run_in_executor(nullptr, [] { return 2; });
  Future<int> three = loop.run_in_executor(first.get(), [] { return 3; });
  CHECK(co_await one == 1);
  CHECK(co_await two == 2);
  CHECK(co_await three == 3);
  CHECK(first->submitted == (has_threads ? 2 : 0));  // sim needs no executor
  CHECK(second->submitted == (has_threads ? 1 : 0));
}

TEST_CASE("EXEC-003 the wrong kind of executor does not compile") {
  CHECK(DefaultExecutor<std::shared_ptr<Executor>>);
  CHECK_FALSE(DefaultExecutor<std::shared_ptr<int>>);
  CHECK_FALSE(RunsJobs<EventLoop*>);
}

WEIR_TEST("EXEC-004 shutdown_default_executor() waits for its jobs while the loop serves others") {
  Latch gate(1);
  std::atomic<int> finished = 0;
  int ticks = 0;
  for (int i = 0; i != 3; ++i) {
    loop.run_in_executor(nullptr, [&] {
      if (has_threads) {
        gate.wait();  // opened by the loop, so it must go on
      }
      ++finished;
    });
  }
  loop.call_later(2ms, [&] {
    ++ticks;
    gate.count_down();
  });
  if (!has_threads) {
    gate.count_down();
  }
  co_await loop.shutdown_default_executor();
  CHECK(finished == 3);
  if (has_threads) {
    CHECK(ticks == 1);
  }
  co_await loop.shutdown_default_executor();  // once more, nothing to wait for
  co_await until([&] { return ticks == 1; });
}

WEIR_TEST("EXEC-004 without a default executor there is nothing to wait for") {
  co_await loop.shutdown_default_executor();
  CHECK_THROWS_AS(loop.run_in_executor(nullptr, [] {}), RuntimeError);
}

WEIR_TEST("EXEC-004 with a time-out it warns and leaves the threads to finish by themselves") {
  Latch gate(1);
  Latch ended(1);
  if (has_threads) {
    loop.run_in_executor(nullptr, [&] {
      gate.wait();
      ended.count_down();
    });
    const TimePoint begun = loop.time();
    co_await loop.shutdown_default_executor(3ms);
    CHECK(loop.time() - begun >= 3ms);
    env.expect_log("did not finish joining its threads within the timeout");
    gate.count_down();
    ended.wait();
  } else {
    // Jobs take a millisecond of virtual time at most.
    loop.run_in_executor(nullptr, [] {});
    co_await loop.shutdown_default_executor(1s);
    CHECK(env.take_logs().empty());
  }
}

TEST_CASE_FIXTURE(LoopFixture, "EXEC-004 one that is cancelled takes its timer along") {
  Latch gate(1);
  std::atomic<bool> ended = false;
  loop.run_in_executor(nullptr, [&] {
    if (has_threads) {
      gate.wait();
    }
    ended = true;
  });
  Task<void> waiting = loop.create_task(loop.shutdown_default_executor(10h));
  turn(loop);
  CHECK(detail::LoopAccess::timers(loop).next_deadline() < TimePoint::max());
  waiting.cancel();
  CHECK_THROWS_AS(loop.run_until_complete(waiting), CancelledError);
  gate.count_down();
  run_until(loop, [&] { return ended.load(); });
  loop.run_until_complete(loop.shutdown_default_executor());
  CHECK(detail::LoopAccess::timers(loop).next_deadline() == TimePoint::max());
}

WEIR_TEST("EXEC-005 after shutdown_default_executor() the default executor takes no jobs") {
  Future<int> before = loop.run_in_executor(nullptr, [] { return 1; });
  co_await loop.shutdown_default_executor();
  CHECK(co_await before == 1);
  auto probe = std::make_shared<int>(1);
  CHECK_THROWS_AS(loop.run_in_executor(nullptr, [probe] {}), RuntimeError);
  CHECK(probe.use_count() == 1);
  const auto to_a_thread = []() -> Coro<void> { co_await to_thread([] {}); };
  Task<void> refused = loop.create_task(to_a_thread());
  bool caught = false;
  try {
    co_await refused;
  } catch (const RuntimeError&) {
    caught = true;
  }
  CHECK(caught);
  // An explicit one is none of its business, also when it is given as the default afterwards.
  ThreadPoolExecutor pool;
  Future<int> explicit_job = loop.run_in_executor(&pool, [] { return 2; });
  CHECK(co_await explicit_job == 2);
  loop.set_default_executor(std::make_shared<ThreadPoolExecutor>());
  CHECK_THROWS_AS(loop.run_in_executor(nullptr, [] {}), RuntimeError);
}

WEIR_TEST("EXEC-006 to_thread returns the value of the function or rethrows its exception") {
  const int sum = co_await to_thread([](int a, int b) { return a + b; }, 2, 3);
  CHECK(sum == 5);
  auto owned = std::make_unique<int>(8);
  const auto take = [](const std::unique_ptr<int>& value) { return *value; };
  auto call = to_thread(take, std::move(owned));
  const int taken = co_await std::move(call);
  CHECK(taken == 8);
  std::string caught;
  try {
    co_await to_thread([] { throw std::out_of_range("in a thread"); });
  } catch (const std::out_of_range& error) {
    caught = error.what();
  }
  CHECK(caught == "in a thread");
}

WEIR_TEST("EXEC-006 to_thread runs beside other tasks") {
  Latch gate(1);
  int ticks = 0;
  const auto ticking = [](int& count, Latch& opens) -> Coro<void> {
    for (int i = 0; i != 5; ++i) {
      co_await sleep(1us);
      ++count;
    }
    opens.count_down();
  };
  Task<void> other = loop.create_task(ticking(ticks, gate));
  const auto blocking = [&gate] {
    if (has_threads) {
      gate.wait();  // for ever, unless the other task goes on
    }
    return std::this_thread::get_id();
  };
  const std::thread::id ran_on = co_await to_thread(blocking);
  CHECK((ran_on != std::this_thread::get_id()) == has_threads);
  if (has_threads) {
    CHECK(ticks == 5);
  }
  co_await other;
  CHECK(ticks == 5);
}

WEIR_TEST("EXEC-007 to_thread carries the context there, and no change back") {
  who().set("caller");
  std::string seen;
  const auto look = [&seen] {
    seen = who().get();
    who().set("worker");
    return who().get();
  };
  const std::string inside = co_await to_thread(look);
  CHECK(seen == "caller");
  CHECK(inside == "worker");
  CHECK(who().get() == "caller");
  // Nor is the next job of the same thread told of it; run_in_executor carries no context, as in asyncio.
  const std::string again = co_await to_thread([] { return who().get(); });
  CHECK(again == "caller");
  Future<std::string> plain = loop.run_in_executor(nullptr, [] { return who().get(); });
  const std::string without = co_await plain;
  CHECK(without == "nobody");
}

TEST_CASE("EXEC-008 several loops share an executor, and each gets its own results") {
  Env env;
  ThreadPoolExecutor pool({.max_workers = 3});
  constexpr std::size_t loops = 4;
  std::vector<int> wrong_thread(loops);
  std::vector<int> sums(loops);
  std::vector<std::thread> threads;
  const auto body = [](EventLoop& loop, Executor& shared, int index, int& sum, int& wrong) -> Coro<void> {
    const std::thread::id own = std::this_thread::get_id();
    std::vector<Future<int>> futures;
    for (int i = 0; i != 200; ++i) {
      futures.push_back(loop.run_in_executor(&shared, [i, index] { return i + index; }));
      futures.back().add_done_callback([&wrong, own] { wrong += std::this_thread::get_id() != own; });
    }
    for (Future<int>& future : futures) {
      sum += co_await future;
    }
    co_await sleep(0s);
  };
  for (std::size_t index = 0; index != loops; ++index) {
    threads.emplace_back([&, index] {
      EventLoop loop;
      loop.run_until_complete(body(loop, pool, static_cast<int>(index), sums[index], wrong_thread[index]));
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (std::size_t index = 0; index != loops; ++index) {
    CHECK(sums[index] == 199 * 100 + 200 * static_cast<int>(index));
    CHECK(wrong_thread[index] == 0);
  }
  CHECK(pool.worker_count() <= 3);
}

TEST_CASE("EXEC-008 a loop that closes before its job ends leaves the executor to the others") {
  Env env;
  ThreadPoolExecutor pool({.max_workers = 1});
  Latch gate(1);
  std::atomic<int> ran = 0;
  auto probe = std::make_shared<int>(1);
  auto first = std::make_unique<EventLoop>();
  EventLoop second;
  env.watch(*first);
  env.watch(second);
  first->run_in_executor(&pool, [&, probe] {
    if (has_threads) {
      gate.wait();
    }
    ++ran;
  });
  first->run_in_executor(&pool, [&, probe] { ++ran; });
  Future<int> other = second.run_in_executor(&pool, [] { return 9; });
  first->close();
  first.reset();
  gate.count_down();
  CHECK(second.run_until_complete(other) == 9);
  pool.shutdown(true);
  CHECK(probe.use_count() == 1);
  CHECK(ran == (has_threads ? 2 : 0));  // what was submitted runs, with nobody to tell
  second.close();
}
