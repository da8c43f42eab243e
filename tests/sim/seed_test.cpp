// What a seed promises: the same run again, another run for another seed, and correct bytes in all of them.
#include "workload.hpp"

#include "backends/sim/random.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace sim_test;

namespace {

sim::Options seeded(std::uint64_t seed) {
  sim::Options options;
  options.seed = seed;
  options.socket_buffer_bytes = 3000 + 1000 * (seed % 5);
  options.cancel_loses_chance = 0.3;
  return options;
}

}  // namespace

TEST_CASE("sim: every seed carries the bytes intact, through cancels, short counts and full buffers") {
  for (std::uint64_t seed = 1; seed != 101; ++seed) {
    const Outcome outcome = run_workload(seeded(seed));
    INFO("seed " << seed << "\n" << outcome.trace);
    REQUIRE(outcome.intact);
    REQUIRE(outcome.left_open == 0);
  }
}

TEST_CASE("sim: the same seed gives the same run, wherever memory lies") {
  for (std::uint64_t seed = 1; seed != 21; ++seed) {
    const Outcome first = run_workload(seeded(seed));
    std::vector<std::unique_ptr<char[]>> elsewhere;
    for (std::size_t i = 0; i != 64; ++i) {
      elsewhere.push_back(std::make_unique<char[]>(64 + i * 100));
    }
    const Outcome second = run_workload(seeded(seed));
    REQUIRE(first.hash == second.hash);
    REQUIRE(first.order == second.order);
    REQUIRE(first.trace == second.trace);
  }
}

TEST_CASE("sim: another seed gives another run") {
  std::set<std::uint64_t> hashes;
  std::set<std::vector<std::size_t>> orders;
  for (std::uint64_t seed = 1; seed != 41; ++seed) {
    sim::Options options;
    options.seed = seed;
    const Outcome outcome = run_workload(options);
    hashes.insert(outcome.hash);
    orders.insert(outcome.order);
  }
  CHECK(hashes.size() == 40);
  CHECK(orders.size() > 10);
}

TEST_CASE("sim: two schedules differ even where the network leaves no choice") {
  // Twenty pairs become readable at one time: only the order in which the loop tells is left to chance.
  const auto order_of = [](std::uint64_t seed) {
    sim::Options options = calm(seed);
    options.latency_min = options.latency_max = std::chrono::microseconds(10);
    const Configured configured(options);
    Loop loop;
    std::deque<End> ends;
    std::deque<Waited<RecvOp>> ops;
    std::byte memory[20];
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i != 20; ++i) {
      native_socket pair[2];
      REQUIRE(Sockets::open_pair(pair) == 0);
      ends.emplace_back(loop, pair[0]);
      ends.emplace_back(loop, pair[1]);
      ops.emplace_back().into = std::span(&memory[i], 1);
      REQUIRE(!loop.start(ops[i], ends[2 * i].handle));
    }
    for (std::size_t i = 0; i != 20; ++i) {
      REQUIRE(ends[2 * i + 1].send("x") == 1);
    }
    while (loop.queue.empty()) {
      loop.backend.poll(TimePoint::max());
    }
    while (!loop.queue.empty()) {
      ReadyItem item = loop.queue.pop();
      item(ReadyAction::run);
      for (std::size_t i = 0; i != 20; ++i) {
        if (ops[i].answers == 1) {
          ops[i].answers = 2;
          order.push_back(i);
        }
      }
    }
    loop.pass(std::chrono::seconds(1));
    return order;
  };
  CHECK(order_of(1) == order_of(1));
  CHECK(order_of(1) != order_of(2));
}

TEST_CASE("sim: done or pending is a matter of the seed") {
  int done = 0;
  for (std::uint64_t seed = 1; seed != 101; ++seed) {
    sim::Options options;
    options.seed = seed;
    const Configured configured(options);
    Loop loop;
    Connection connection(loop);
    Waited<SendOp> op;
    const ConstBuffer buffer = std::as_bytes(std::span("x", 1));
    op.buffers = std::span(&buffer, 1);
    done += loop.start(op, connection.client.handle) ? 1 : 0;
    REQUIRE(loop.until([&] { return op.answered(); }));
    REQUIRE(op.result == 1);
  }
  CHECK(done > 30);
  CHECK(done < 70);
}

TEST_CASE("sim: the numbers of a seed are the same with every compiler and library") {
  Random random(1, Random::Stream::network);
  const std::uint64_t first = random.next();
  for (int i = 0; i != 997; ++i) {
    random.next();
  }
  CHECK(first == 3986457179768683244U);
  CHECK(random.next() == 11838588441717748519U);
}
