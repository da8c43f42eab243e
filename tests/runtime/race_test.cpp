// What eight threads do to a loop at once: posts that find it asleep, awake and closing, and cancellations
// through the public door. Made for the thread sanitizer.
#include "tests/support/awaited.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/concurrent_future.hpp>
#include <weir/remote.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

constexpr int thread_count = 8;

// What becomes of one thread's posts. Only `gone` and the two numbers of the poster are seen by two threads.
struct Poster {
  Awaited<long> gone{0};  // callbacks that were destroyed, run or not
  std::atomic<bool> refused = false;
  long accepted = 0;
  long ran = 0;
  bool in_order = true;
};

// A callback's capture: tells the poster when it is destroyed.
class Posted {
 public:
  Posted(Poster& poster, long number) : poster_(&poster), number_(number) {}
  Posted(Posted&& other) noexcept : poster_(std::exchange(other.poster_, nullptr)), number_(other.number_) {}
  Posted& operator=(Posted&&) = delete;
  ~Posted() {
    if (poster_ != nullptr) {
      poster_->gone.add(1);
    }
  }
  void run() const {
    poster_->in_order &= poster_->ran == number_;
    ++poster_->ran;
  }

 private:
  Poster* poster_;
  long number_;
};

// Posts in bursts until it has posted them all or the loop is closed. Between the bursts it waits as a rule
// until all its posts are gone: when the others do too, the loop goes to sleep.
void post_in_bursts(const LoopRemote& remote, Poster& poster, long posts, unsigned seed) {
  std::mt19937 random(seed);
  while (poster.accepted != posts) {
    for (unsigned burst = random() % 200 + 1; burst != 0 && poster.accepted != posts; --burst) {
      try {
        remote.post([posted = Posted(poster, poster.accepted)] { posted.run(); });
      } catch (const RuntimeError&) {
        poster.refused = true;
        return;
      }
      ++poster.accepted;
    }
    if (random() % 4 != 0) {
      for (long gone = poster.gone.load(); gone < poster.accepted; gone = poster.gone.load()) {
        poster.gone.wait(gone);
      }
    }
  }
}

}  // namespace

TEST_CASE("LESSON-003 a million posts to a loop that sleeps in between and is closed in the middle") {
  constexpr int rounds = 20;
  constexpr long posts_each = 1'000'000 / thread_count / rounds;
  Env env;
  std::mt19937 random(3);
  for (int round = 0; round != rounds; ++round) {
    std::array<Poster, thread_count> posters;
    auto loop = std::make_unique<EventLoop>();
    env.watch(*loop);
    std::vector<std::thread> threads;
    std::atomic<int> unfinished = thread_count;
    for (unsigned index = 0; index != thread_count; ++index) {
      threads.emplace_back([&, index, remote = loop->remote(), seed = static_cast<unsigned>(random())] {
        post_in_bursts(remote, posters[index], posts_each, seed);
        if (unfinished.fetch_sub(1) == 1 && !posters[index].refused) {
          try {
            remote.post([] { get_running_loop().stop(); });
          } catch (const RuntimeError&) {
          }
        }
      });
    }
    // Every second one is closed while they are at it.
    const bool in_the_middle = round % 2 == 1;
    const long enough = static_cast<long>(random() % (posts_each / 2));
    std::function<void()> watch = [&] {
      if (posters[0].ran < enough) {
        loop->call_later(50us, std::ref(watch));
      } else {
        loop->stop();
      }
    };
    if (in_the_middle) {
      loop->call_soon(std::ref(watch));
    }
    loop->run_forever();
    if (in_the_middle) {
      loop.reset();
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    if (!in_the_middle) {
      drain(*loop);
      loop.reset();
    }
    for (const Poster& poster : posters) {
      CHECK(poster.in_order);
      // A post that was refused destroyed its callback as well.
      CHECK(poster.gone.load() == poster.accepted + (poster.refused ? 1 : 0));
      CHECK(poster.ran <= poster.accepted);
      CHECK((in_the_middle || poster.ran == posts_each));
    }
  }
}

namespace {

Coro<int> gives(int value) {
  co_await sleep(std::chrono::microseconds(value % 3 * 100));
  co_return value;
}

}  // namespace

TEST_CASE("LESSON-003 run_coroutine_threadsafe that races with close() always gives its thread an answer") {
  Env env;
  int answered = 0;
  for (int round = 0; round != 30; ++round) {
    std::array<int, thread_count> values{};
    EventLoop loop;
    env.watch(loop);
    std::atomic<int> begun = 0;
    std::vector<std::thread> threads;
    for (std::size_t index = 0; index != thread_count; ++index) {
      threads.emplace_back([&, index] {
        begun.fetch_add(1);
        for (;;) {
          try {
            const int sent = values[index];
            if (run_coroutine_threadsafe(gives(sent), loop).get() != sent) {
              values[index] = -1;
              return;
            }
            ++values[index];
          } catch (const CancelledError&) {  // it was on its way
            return;
          } catch (const RuntimeError&) {  // the loop is closed
            return;
          }
        }
      });
    }
    while (begun.load() != thread_count) {
      std::this_thread::yield();
    }
    loop.call_later(std::chrono::microseconds(round * 100), [&] { loop.stop(); });
    loop.run_forever();
    loop.close();
    for (std::thread& thread : threads) {
      thread.join();
    }
    for (const int value : values) {
      CHECK(value >= 0);
      answered += value;
    }
    for (const Report& report : env.take_reports()) {
      CHECK(report.message.find("Task was destroyed but it is pending") == 0);
    }
  }
  CHECK(answered > 0);
}

namespace {

Coro<void> wait_for(Future<void> future) { co_await future; }
Coro<void> sleep_long() { co_await sleep(1h); }
Coro<void> wait_behind(Task<void> other) { co_await other; }

}  // namespace

TEST_CASE_FIXTURE(LoopFixture,
                  "LESSON-020 eight threads cancel what they like through call_soon_threadsafe") {
  constexpr std::size_t count = 400;
  std::vector<Task<void>> tasks;
  std::vector<TimerHandle> timers;
  std::vector<Future<void>> futures;
  std::size_t fired = 0;
  for (std::size_t i = 0; i != count; ++i) {
    futures.push_back(loop.create_future<void>());
    timers.push_back(loop.call_later(std::chrono::microseconds(i * 20), [&] { ++fired; }));
    tasks.push_back(loop.create_task(i % 3 == 0   ? sleep_long()
                                     : i % 3 == 1 ? wait_for(futures.back())
                                                  : wait_behind(tasks.back())));
  }
  std::size_t finished = 0;
  std::vector<std::thread> threads;
  for (unsigned index = 0; index != thread_count; ++index) {
    threads.emplace_back([&, index] {
      std::mt19937 random(index);
      for (int i = 0; i != 1000; ++i) {
        const std::size_t which = random() % count;
        switch (random() % 4) {
          case 0:
            loop.call_soon_threadsafe([&, which] { timers[which].cancel(); });
            break;
          case 1:
            loop.call_soon_threadsafe([&, which] {
              if (!futures[which].done()) {
                futures[which].set_result();
              }
            });
            break;
          default:
            loop.call_soon_threadsafe([&, which] { tasks[which].cancel(); });
            break;
        }
      }
      // All of them get to see a cancellation from somebody.
      for (std::size_t which = index; which < count; which += thread_count) {
        loop.call_soon_threadsafe([&, which] { tasks[which].cancel(); });
      }
      loop.call_soon_threadsafe([&] { ++finished; });
    });
  }
  run_until(loop, [&] {
    return finished == thread_count &&
           std::all_of(tasks.begin(), tasks.end(), [](const Task<void>& task) { return task.done(); });
  });
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (std::size_t i = 0; i != count; ++i) {
    CHECK((i % 3 != 0 || tasks[i].cancelled()));
    CHECK((tasks[i].cancelled() || tasks[i].exception() == nullptr));
    timers[i].cancel();
  }
  CHECK(fired <= count);
}
