// What other systems suffer from, many times over on virtual time: reused descriptors and early timers.
#include <doctest/doctest.h>

#include <weir/sim.hpp>
#include <weir/weir.hpp>

#include <cstdlib>
#include <optional>
#include <vector>

using namespace std::chrono_literals;
using weir::Coro;

namespace {

// The whole number of rounds is for WEIR_TEST_LONG=1; a plain run makes few.
int rounds(int few, int all) { return std::getenv("WEIR_TEST_LONG") != nullptr ? all : few; }

struct Pair {
  weir::Socket near, far;
  static Pair open() {
    auto [near, far] = weir::Socket::pair();
    return {std::move(near), std::move(far)};
  }
};

struct Counts {
  int first = 0, second = 0, stranger = 0, reused = 0;
};

// Two descriptors become readable in one batch. Whoever is called first closes the other one and opens a new
// one, which gets its number. Nobody has written to that one.
Coro<void> reuse_once(weir::EventLoop& loop, Counts& counts) {
  std::optional<Pair> pairs[2] = {Pair::open(), Pair::open()};
  std::optional<Pair> fresh;
  for (int i = 0; i != 2; ++i) {
    loop.add_reader(pairs[i]->near, [&, i] {
      loop.remove_reader(pairs[i]->near);
      ++(fresh ? counts.second : counts.first);
      if (fresh) {
        return;
      }
      Pair& other = *pairs[1 - i];
      const weir::native_socket number = other.near.native_handle();
      loop.remove_reader(other.near);
      other.near.close();
      fresh.emplace(Pair::open());
      counts.reused += fresh->near.native_handle() == number ? 1 : 0;
      loop.add_reader(fresh->near, [&] { ++counts.stranger; });
    });
  }
  co_await loop.sock_sendall(pairs[0]->far, "x");
  co_await loop.sock_sendall(pairs[1]->far, "x");
  co_await weir::sleep(1ms);
  loop.remove_reader(fresh->near);
}

}  // namespace

TEST_CASE("LESSON-001 a descriptor that takes the number of a closed one does not get its events") {
  weir::sim::configure({.seed = 1,
                        .latency_min = 10us,
                        .latency_max = 10us,
                        .turn_min = 0ns,
                        .turn_max = 0ns,
                        .late_chance = 0,
                        .split_chance = 0});
  const int all = rounds(10'000, 1'000'000);
  Counts counts;
  weir::Runner runner;
  weir::EventLoop& loop = runner.get_loop();
  const auto run = [](weir::EventLoop& own, Counts& into, int times) -> Coro<void> {
    for (int i = 0; i != times; ++i) {
      co_await reuse_once(own, into);
    }
  };
  loop.run_until_complete(run(loop, counts, all));
  CHECK(counts.first == all);
  CHECK(counts.reused == all);
  CHECK(counts.second == 0);
  CHECK(counts.stranger == 0);
  runner.close();
  weir::sim::configure({});
}

TEST_CASE("LESSON-024 a million random delays: no timer fires early, none late, and none out of order") {
  weir::sim::configure({.seed = 24});
  constexpr int batch = 1000;
  const int batches = rounds(50'000, 1'000'000) / batch;
  weir::EventLoop loop;
  int fired = 0;
  int wrong = 0;
  weir::TimePoint last;
  for (int i = 0; i != batches; ++i) {
    last = loop.time();
    for (int timer = 0; timer != batch; ++timer) {
      // From a nanosecond to a month, each order of magnitude as likely.
      const auto most = std::chrono::nanoseconds(std::int64_t{1} << weir::sim::draw(52));
      const auto delay = std::chrono::nanoseconds(
          static_cast<std::int64_t>(weir::sim::draw(static_cast<std::uint64_t>(most.count()))));
      const weir::TimePoint deadline = loop.time() + delay;
      loop.call_at(deadline, [&, deadline] {
        ++fired;
        wrong += loop.time() < deadline || loop.time() > deadline + 5us || deadline < last ? 1 : 0;
        last = deadline;
        if (fired % batch == 0) {
          loop.stop();
        }
      });
    }
    loop.run_forever();
  }
  CHECK(fired == batches * batch);
  CHECK(wrong == 0);
  loop.close();
  weir::sim::configure({});
}

namespace {

// What the work of each tick takes: some of it longer than the interval.
Coro<weir::TimePoint> tick_every(std::chrono::nanoseconds interval, int ticks) {
  weir::EventLoop& loop = weir::get_running_loop();
  weir::TimePoint due = loop.time();
  for (int i = 0; i != ticks; ++i) {
    due += interval;
    auto woken = loop.create_future<void>();
    loop.call_at(due, [&] { woken.set_result(); });
    co_await woken;
    weir::sim::advance(std::chrono::nanoseconds(static_cast<std::int64_t>(weir::sim::draw(15'000'000))));
  }
  co_return loop.time();
}

}  // namespace

TEST_CASE("LESSON-025 an interval of timers by call_at does not drift, whatever its callbacks take") {
  weir::sim::configure({.seed = 25});
  weir::Runner runner;
  const weir::TimePoint begun = runner.get_loop().time();
  const weir::TimePoint ended = runner.run(tick_every(10ms, 1'000));
  CHECK(ended - begun >= 10s);
  CHECK(ended - begun < 10s + 15ms + 10ms);  // the last callback, and a tick
  runner.close();
  weir::sim::configure({});
}
