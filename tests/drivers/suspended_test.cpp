// LESSON 17, LIFE-008, LIFE-009: very many suspended tasks of every kind of waiting, and very long chains on
// a stack that is too small for anything that grows with their length.
#include "tests/drivers/drivers.hpp"
#include "tests/drivers/process.hpp"
#include "tests/drivers/world.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/weir.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t task_count = 100'000;
// Of the kinds that differ little from others, unless WEIR_DRIVERS=whole asks for everything.
constexpr std::size_t short_count = 10'000;

// How often each of many was destroyed.
class Destroyed {
 public:
  explicit Destroyed(std::size_t count) : times_(count) {}
  void add(std::size_t which) { ++times_[which]; }
  bool each_once() const {
    return std::all_of(times_.begin(), times_.end(), [](std::uint8_t times) { return times == 1; });
  }
  bool none() const {
    return std::all_of(times_.begin(), times_.end(), [](std::uint8_t times) { return times == 0; });
  }

 private:
  std::vector<std::uint8_t> times_;
};

class Counted {
 public:
  Counted(Destroyed& destroyed, std::size_t which) : destroyed_(destroyed), which_(which) {}
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { destroyed_.add(which_); }

 private:
  Destroyed& destroyed_;
  std::size_t which_;
};

// Takes jobs and never runs them: what waits for one waits until the end.
class Idle final : public Executor {
 public:
  void submit(Job job) override { jobs_.push_back(std::move(job)); }
  void shutdown(bool, bool) override {}

 private:
  std::vector<Job> jobs_;
};

class Nothing final : public Protocol {};

// What the tasks wait for; lives longer than the loop.
struct Surroundings {
  explicit Surroundings(EventLoop& on) : loop(on) {}
  EventLoop& loop;
  std::optional<Future<void>> gate;
  std::optional<Task<void>> task;
  Idle executor;
  std::vector<std::pair<Socket, Socket>> pairs;
  std::vector<Socket> listeners;
  Ref<Server> server;
  Lock lock;
  Event event;
  Semaphore semaphore{0};
  Condition condition{lock};
  Queue<int> queue;
};

using Body = Coro<void> (*)(Surroundings& around, Destroyed& destroyed, std::size_t which);

Coro<void> on_future(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  co_await *around.gate;
}

Coro<void> on_task(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  co_await *around.task;
}

Coro<void> on_sleep(Surroundings&, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  co_await sleep(1h);
}

Coro<void> on_coroutine(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  co_await on_future(around, destroyed, which);
}

Coro<void> on_job(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  Future<int> job = around.loop.run_in_executor(&around.executor, [] { return 1; });
  co_await job;
}

AsyncGenerator<int> waiting(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  co_await *around.gate;
  co_yield 1;
}

Coro<void> on_generator(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  AsyncGenerator<int> generator = waiting(around, destroyed, which);
  co_await generator.next();
}

Coro<void> on_yielded(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  auto yields = [](Destroyed& of, std::size_t number) -> AsyncGenerator<int> {
    const Counted counted(of, number);
    co_yield 1;
  };
  AsyncGenerator<int> generator = yields(destroyed, which);
  co_await generator.next();
  co_await *around.gate;  // the generator stands at its co_yield
}

Coro<void> on_recv(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  co_await around.loop.sock_recv(around.pairs.at(which).first, 10);
}

Coro<void> on_recv_into(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  std::byte memory[16];
  co_await around.loop.sock_recv_into(around.pairs.at(which).first, memory);
}

Coro<void> on_sendall(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  // More than there is room for, and nobody reads.
  static const std::string text(has("real_clock") ? 600'000 : 10'000, 'x');
  const Counted counted(destroyed, which);
  co_await around.loop.sock_sendall(around.pairs.at(which).first, text);
}

Coro<void> on_accept(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  co_await around.loop.sock_accept(around.listeners.at(which));
}

Coro<void> on_transport(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  auto factory = [] { return make_ref<Nothing>(); };
  const auto made = co_await around.loop.create_connection(factory, {.sock = &around.pairs.at(which).first});
  co_await *around.gate;
}

Coro<void> on_server(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  co_await around.server->wait_closed();
}

Coro<void> on_nothing_yet(Surroundings&, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  for (;;) {
    co_await sleep(0s);  // ready again, at any moment
  }
}

// The first task holds the lock.
Coro<void> on_lock(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  const LockGuard guard = co_await around.lock.lock();
  co_await *around.gate;
}

Coro<void> on_event(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  co_await around.event.wait();
}

Coro<void> on_semaphore(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  const SemaphoreGuard guard = co_await around.semaphore.lock();
}

Coro<void> on_condition(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  const LockGuard guard = co_await around.condition.lock();
  co_await around.condition.wait();
}

Coro<void> on_queue(Surroundings& around, Destroyed& destroyed, std::size_t which) {
  const Counted counted(destroyed, which);
  co_await around.queue.get();
}

struct Kind {
  const char* name;
  Body body;
  std::size_t sockets;  // that each task needs
  std::size_t most;
};

constexpr Kind kinds[] = {
    {"a future", &on_future, 0, task_count},
    {"a task", &on_task, 0, short_count},
    {"a sleep", &on_sleep, 0, task_count},
    {"a coroutine", &on_coroutine, 0, short_count},
    {"a job", &on_job, 0, short_count},
    {"a generator", &on_generator, 0, task_count},
    {"a generator that has yielded", &on_yielded, 0, short_count},
    {"its next turn", &on_nothing_yet, 0, short_count},
    {"a server's end", &on_server, 0, short_count},
    {"a lock", &on_lock, 0, short_count},
    {"an event", &on_event, 0, short_count},
    {"a semaphore", &on_semaphore, 0, short_count},
    {"a condition", &on_condition, 0, short_count},
    {"a queue", &on_queue, 0, short_count},
    {"sock_recv", &on_recv, 2, task_count},
    {"sock_recv_into", &on_recv_into, 2, short_count},
    {"sock_sendall", &on_sendall, 2, short_count},
    {"sock_accept", &on_accept, 1, 1000},  // ports are few
    {"a transport", &on_transport, 2, short_count},
};

// As many as the system gives descriptors for; the simulator has enough.
std::size_t count_for(const Kind& kind) {
  const std::size_t most = kind.most == short_count && drivers_run_whole() ? task_count : kind.most;
  if (kind.sockets == 0 || !has("real_clock")) {
    return most;
  }
  const std::size_t usable = std::min<std::size_t>(descriptor_limit(), 4096) - 100;
  return std::min(most, usable / kind.sockets);
}

void prepare(Surroundings& around, const Kind& kind, std::size_t count) {
  around.gate.emplace(around.loop.create_future<void>());
  auto wait = [](Future<void> gate) -> Coro<void> { co_await gate; };
  around.task.emplace(around.loop.create_task(wait(*around.gate)));
  for (std::size_t i = 0; kind.sockets == 2 && i != count; ++i) {
    around.pairs.push_back(Socket::pair());
    if (kind.body == &on_sendall && has("real_clock")) {
      around.pairs.back().first.set_send_buffer_size(4096);  // TCP's, which pairs are on Windows, grow
    }
  }
  for (std::size_t i = 0; kind.sockets == 1 && i != count; ++i) {
    around.listeners.push_back(Socket::open(AddressFamily::inet));
    around.listeners.back().bind(Address::loopback(AddressFamily::inet, 0));
    around.listeners.back().listen();
  }
  around.server = around.loop.run_until_complete(
      around.loop.create_server([] { return make_ref<Nothing>(); }, {.host = "127.0.0.1"}));
}

void check_kind(const Kind& kind) {
  INFO("waiting for " << std::string(kind.name));
  const std::size_t count = count_for(kind);
  Destroyed destroyed(count);
  std::size_t reports = 0;
  {
    auto loop = std::make_unique<EventLoop>();
    loop->set_exception_handler([&](EventLoop&, const ExceptionContext&) { ++reports; });
    Surroundings around(*loop);
    prepare(around, kind, count);
    for (std::size_t i = 0; i != count; ++i) {
      static_cast<void>(loop->create_task(kind.body(around, destroyed, i)));
    }
    for (int turns = 0; turns != 6; ++turns) {
      turn(*loop);
    }
    // Without threads a job may have been done by now.
    const std::size_t suspended = all_tasks(*loop).size();
    const bool some_ended = kind.body == &on_job && !has("real_clock");
    CHECK((some_ended ? suspended > count * 9 / 10 : suspended == count + 1 && destroyed.none()));
    loop->close();
    CHECK(destroyed.each_once());
    CHECK(reports == suspended);
    loop.reset();
    around.server.reset();
  }
  CHECK(destroyed.each_once());
}

// A stack has no room for even forty bytes a link.
constexpr int chain_length = 1'000'000;
constexpr int task_chain_length = 50'000;
constexpr int generator_chain_length = 30'000;

Coro<int> chain(int depth, Future<int> gate) {
  if (depth == 0) {
    co_return co_await gate;
  }
  co_return 1 + co_await chain(depth - 1, gate);
}

Coro<int> increment(Task<int> previous) { co_return 1 + co_await previous; }

AsyncGenerator<int> nest(int depth, Future<void> gate) {
  if (depth == 0) {
    co_yield 0;
    co_await gate;
    co_return;
  }
  AsyncGenerator<int> inner = nest(depth - 1, gate);
  while (const auto item = co_await inner.next()) {
    co_yield *item + 1;
  }
}

std::unique_ptr<EventLoop> quiet_loop() {
  auto loop = std::make_unique<EventLoop>();
  loop->set_exception_handler([](EventLoop&, const ExceptionContext&) {});
  return loop;
}

}  // namespace

TEST_CASE("LESSON-017 LIFE-008 very many suspended tasks of each kind of waiting are destroyed once") {
  sim::Options options;
  options.socket_buffer_bytes = 2304;
  const World world(options, 1);
  Env env;  // for the descriptors, and for the log of what was open
  for (const Kind& kind : kinds) {
    check_kind(kind);
  }
  env.take_logs();
}

TEST_CASE("LESSON-017 LIFE-009 a million nested coroutines end, and are destroyed, on a small stack") {
  on_small_stack([] {
    for (const bool completes : {true, false}) {
      const auto loop = quiet_loop();
      const Future<int> gate = loop->create_future<int>();
      const int length = completes ? chain_length : chain_length / 4;
      Task<int> task = loop->create_task(chain(length, gate));
      drain(*loop);
      if (completes) {
        gate.set_result(1);
        CHECK(loop->run_until_complete(task) == length + 1);
      }
      loop->close();
      CHECK(task.done() == completes);
    }
  });
}

TEST_CASE("LESSON-017 LIFE-009 a chain of tasks ends, is cancelled and is destroyed on a small stack") {
  on_small_stack([] {
    for (const int way : {0, 1, 2}) {
      const auto loop = quiet_loop();
      const Future<int> gate = loop->create_future<int>();
      Task<int> last = loop->create_task(chain(0, gate));
      for (int i = 0; i != task_chain_length; ++i) {
        last = loop->create_task(increment(last));
      }
      drain(*loop);
      if (way == 0) {
        gate.set_result(1);
        CHECK(loop->run_until_complete(last) == task_chain_length + 1);
      } else if (way == 1) {
        last.cancel();
        CHECK_THROWS_AS(loop->run_until_complete(last), CancelledError);
      }
      loop->close();
    }
  });
}

TEST_CASE("LESSON-017 LIFE-009 nested generators end, are dropped and are destroyed on a small stack") {
  on_small_stack([] {
    for (const int way : {0, 1, 2, 3}) {
      CAPTURE(way);
      const auto loop = quiet_loop();
      const Future<void> gate = loop->create_future<void>();
      auto iterate = [](int how, Future<void> until) -> Coro<int> {
        AsyncGenerator<int> outermost = nest(generator_chain_length, until);
        const std::optional<int> first = co_await outermost.next();
        if (how == 0) {
          co_await outermost.aclose();
        } else if (how != 1) {
          const std::optional<int> second = co_await outermost.next();
          co_return second.value_or(-1);
        }
        co_return first.value_or(-2);
      };
      Task<int> task = loop->create_task(iterate(way, gate));
      drain(*loop);
      if (way == 2) {
        gate.set_result();
      }
      if (way == 3) {
        CHECK(!task.done());
      } else {
        CHECK(loop->run_until_complete(task) == (way == 2 ? -1 : generator_chain_length));
        drain(*loop);  // what was dropped is closed by a task
        CHECK(all_tasks(*loop).empty());
      }
      loop->close();
    }
  });
}

TEST_CASE("LESSON-017 LIFE-009 a million callbacks, each scheduled by the one before, on a small stack") {
  on_small_stack([] {
    const auto loop = quiet_loop();
    struct Chain {
      EventLoop& loop;
      int left = chain_length;
      void next() {
        if (--left == 0) {
          loop.stop();
          return;
        }
        const Future<void> future = loop.create_future<void>();
        future.add_done_callback([this] { next(); });
        future.set_result();
      }
    } callbacks{*loop};
    loop->call_soon([&] { callbacks.next(); });
    loop->run_forever();
    CHECK(callbacks.left == 0);
  });
}
