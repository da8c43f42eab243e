// Worlds: virtual time, wake-ups, lifetimes, options, and which world a call means.
#include "driver.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <csignal>
#include <thread>

using namespace sim_test;
using namespace std::chrono_literals;

TEST_CASE("sim: waiting jumps to the deadline and not beyond, and never fires early") {
  Loop loop;
  const TimePoint start = loop.backend.now();
  CHECK(start.time_since_epoch() > 0ns);
  for (const std::chrono::nanoseconds wait : {1ns, 1000ns, 50000ns}) {
    const TimePoint deadline = loop.backend.now() + wait;
    loop.turn(deadline);
    CHECK(loop.backend.now() >= deadline);
    CHECK(loop.backend.now() <= deadline + 3us);
  }
  loop.turn(start + 24h * 365 * 100);
  CHECK(loop.backend.now() == start + 24h * 365 * 100);
  loop.turn(TimePoint::max() - 1ns);
  CHECK(loop.backend.now() == TimePoint::max() - 1ns);
  loop.turn();
  loop.turn();
  CHECK(loop.backend.now() == TimePoint::max());  // and no overflow
}

TEST_CASE("sim: time passes, and bytes arrive, while callbacks keep the loop busy") {
  Loop loop;
  Connection connection(loop);
  REQUIRE(connection.client.send_all("x") == 0);
  const TimePoint start = loop.backend.now();
  std::byte memory[1];
  Waited<RecvOp> op;
  op.into = memory;
  loop.start(op, connection.server->handle);
  int turns = 0;
  while (!op.answered() && turns < 1000) {
    loop.turn();  // never waits
    ++turns;
  }
  CHECK(op.answered());
  while (loop.backend.now() < start + 1ms && turns < 2000) {
    loop.turn();
    ++turns;
  }
  CHECK(turns < 2000);
}

TEST_CASE("sim: with nothing to come the loop sleeps for real until it is woken") {
  Loop loop;
  const TimePoint before = loop.backend.now();
  std::thread other([&] { loop.backend.wake(); });
  loop.backend.poll(TimePoint::max());
  other.join();
  CHECK(loop.backend.now() < before + 1s);
  CHECK(loop.queue.empty());
}

TEST_CASE("sim: a signal handler wakes the loop") {
  static SimBackend* woken = nullptr;
  Loop loop;
  woken = &loop.backend;
  const auto old = std::signal(SIGUSR1, [](int) { woken->wake(); });
  const auto target = pthread_self();
  std::thread other([&] { pthread_kill(target, SIGUSR1); });
  loop.backend.poll(TimePoint::max());
  other.join();
  std::signal(SIGUSR1, old);
  woken = nullptr;
}

TEST_CASE("sim: a wake-up holds the clock, and many before one poll count once") {
  Loop loop;
  const TimePoint before = loop.backend.now();
  for (int i = 0; i != 10; ++i) {
    loop.backend.wake();
  }
  loop.backend.poll(before + 1h);
  CHECK(loop.backend.now() < before + 1s);
  loop.backend.poll(before + 1h);
  CHECK(loop.backend.now() == before + 1h);
}

TEST_CASE(
    "sim: whether a wake-up comes before or after the loop sleeps makes no difference to virtual time and "
    "trace") {
  const auto run = [](bool early) {
    {
      Loop loop;
      loop.turn(loop.backend.now() + 5ms);
      std::thread other;
      if (early) {
        loop.backend.wake();
      } else {
        other = std::thread([&] { loop.backend.wake(); });
      }
      loop.backend.poll(TimePoint::max());
      if (other.joinable()) {
        other.join();
      }
      loop.turn();
      loop.turn(loop.backend.now() + 5ms);
    }
    return sim::trace_hash();
  };
  CHECK(run(true) == run(false));
}

TEST_CASE("sim: waits alone make a trace, and another seed another one") {
  const auto run = [](std::uint64_t seed) {
    sim::Options options;
    options.seed = seed;
    const Configured configured(options);
    {
      Loop loop;
      for (int i = 0; i != 10; ++i) {
        loop.turn(loop.backend.now() + 10us);
        loop.turn();
      }
    }
    return sim::trace_hash();
  };
  CHECK(run(1) == run(1));
  CHECK(run(1) != run(2));
}

TEST_CASE("sim: only advance lets blocking work take time") {
  Loop loop;
  const TimePoint before = loop.backend.now();
  sim::advance(3s);
  CHECK(loop.backend.now() == before + 3s);
  sim::advance(-1s);
  CHECK(loop.backend.now() == before + 3s);
  CHECK(sim::now() == before + 3s);
}

TEST_CASE("sim: a world ends with its last loop and its last socket; the next one is fresh") {
  TimePoint begin;
  native_socket socket = weir::invalid_socket;
  {
    Loop loop;
    begin = loop.backend.now();
    loop.pass(1s);
    socket = open();
  }
  std::uint64_t hash = 0;
  {
    Loop loop;  // the socket kept the world alive
    CHECK(loop.backend.now() > begin);
    CHECK(Sockets::close(socket) == 0);
    hash = sim::trace_hash();
  }
  CHECK(sim::trace_hash() == hash);  // of the one that ended
  CHECK(sim::trace().find("close") != std::string::npos);
  Loop loop;
  CHECK(loop.backend.now() == begin);
  CHECK(sim::open_sockets() == 0);
  CHECK(sim::trace_hash() != hash);
}

TEST_CASE("sim: loops of one thread share a world, and a connection") {
  const Configured configured(calm());
  Loop one;
  Loop two;
  End listener(one);
  REQUIRE(listener.listen_on(v4(0)) == 0);
  End client(two);
  REQUIRE(client.connect(listener.address()) == 0);
  const std::int64_t accepted = listener.accept();
  REQUIRE(accepted >= 0);
  End server(one, static_cast<native_socket>(accepted));
  REQUIRE(server.send_all("across") == 0);
  std::string got;
  CHECK(client.receive(got) == 6);
  CHECK(got == "across");
}

TEST_CASE("sim: a loop takes its world along to the thread that runs it") {
  Loop loop;
  const native_socket outside = open();
  std::thread runner([&] {
    CHECK(Sockets::close(outside) == -EBADF);  // this thread has no world yet
    loop.turn();
    Connection connection(loop);
    CHECK(connection.connected == 0);
    CHECK(Sockets::close(outside) == 0);
  });
  runner.join();
  std::thread stranger([] {
    Loop own;
    CHECK(sim::open_sockets() == 0);
    CHECK(open() >= 0);
    CHECK(Sockets::close(Network::first_number) == 0);
  });
  stranger.join();
  CHECK(sim::open_sockets() == 0);
}

TEST_CASE("sim: options belong to the worlds made after them; the seed may come from the environment") {
  sim::Options options;
  options.seed = 42;
  {
    const Configured configured(options);
    Loop loop;
    CHECK(sim::seed() == 42);
    sim::configure({});
    CHECK(*sim::options().seed == 42);
  }
  setenv("WEIR_SIM_SEED", "77", 1);
  {
    Loop loop;
    CHECK(sim::seed() == 77);
  }
  {
    const Configured configured(options);
    Loop loop;
    CHECK(sim::seed() == 42);
  }
  unsetenv("WEIR_SIM_SEED");
  Loop loop;
  CHECK(sim::seed() == 1);
}

TEST_CASE("sim: draw stays within its bound and reaches all of it") {
  Loop loop;
  std::array<int, 5> seen{};
  for (int i = 0; i != 200; ++i) {
    const std::uint64_t drawn = loop.backend.draw(5);
    REQUIRE(drawn < 5);
    ++seen[drawn];
  }
  CHECK(std::all_of(seen.begin(), seen.end(), [](int count) { return count > 10; }));
  CHECK(loop.backend.draw(0) == 0);
  CHECK(loop.backend.draw(1) == 0);
}
