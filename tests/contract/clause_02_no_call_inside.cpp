// Clause 2: nothing calls back inside a function of the backend, and completions run in the order reported.
// Every callback of the driver checks that it is not called inside.
#include "tests/contract/connected.hpp"

using namespace contract;

TEST_CASE("clause 2: start, stop, cancel and close with everything ready call nobody") {
  Loop loop;
  Pair pair(loop);
  pair.client.send_all("data");
  loop.pass();

  Reading reading;
  CHECK(loop.begin(reading, pair.server.handle) == Started::pending);  // the data are there
  CHECK(reading.deliveries == 0);
  inside([&] { loop.backend.stop(reading); });
  CHECK(loop.begin(reading, pair.server.handle) == Started::pending);
  inside([&] { loop.backend.cancel(reading); });
  CHECK(reading.ends == 0);
  REQUIRE(loop.until([&] { return reading.ends > 0; }));
  CHECK(reading.result == -ECANCELED);

  Watching watching(Direction::write);
  CHECK(inside([&] { return loop.backend.watch(pair.server.native, watching); }) == 0);
  inside([&] { loop.backend.unwatch(watching); });
  CHECK(watching.calls == 0);
  inside([&] { loop.backend.wake(); });

  std::array<std::byte, 8> memory;
  Waited<RecvOp> receiving;
  receiving.into = memory;
  CHECK(pair.server.receive_exactly(4) == "data");
  if (!loop.start(receiving, pair.server.handle)) {
    pair.server.close();
    CHECK(receiving.answers == 0);
    REQUIRE(loop.until([&] { return receiving.answers > 0; }));
  }
}

TEST_CASE("clause 2: poll collects and runs nothing") {
  Loop loop;
  Pair pair(loop);
  Reading reading;
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  Watching watching(Direction::write);
  REQUIRE(loop.backend.watch(pair.client.native, watching) == 0);
  pair.client.send_all("x");
  const int calls = watching.calls;
  REQUIRE(loop.until([&] { return reading.deliveries > 0; }));
  pair.client.send_all("y");
  const int before = reading.deliveries;
  const int calls_before = watching.calls;
  CHECK(calls_before >= calls);
  inside([&] {
    for (int i = 0; i < 10; ++i) {
      loop.backend.poll(TimePoint::min());
    }
  });
  CHECK(reading.deliveries == before);
  CHECK(watching.calls == calls_before);
  loop.backend.unwatch(watching);
}

TEST_CASE("clause 2: completions run in the order reported, among what others queued") {
  Loop loop;
  static std::vector<int> order;
  order.clear();
  struct Numbered : RecvOp {
    int number;
    std::array<std::byte, 8> memory;
  };
  std::vector<std::unique_ptr<Pair>> pairs;
  std::vector<std::unique_ptr<Numbered>> ops;
  for (int i = 0; i < 8; ++i) {
    pairs.push_back(std::make_unique<Pair>(loop));
    ops.push_back(std::make_unique<Numbered>());
    Numbered& op = *ops.back();
    op.number = i;
    op.into = op.memory;
    op.handle = pairs.back()->server.handle;
    op.on_done = [](Op& done) noexcept { order.push_back(static_cast<Numbered&>(done).number); };
    REQUIRE(loop.backend.start(op) == Started::pending);
  }
  loop.pass(1ms);
  std::vector<int> expected;
  const auto push_callback = [&](int number) {
    loop.queue.push([](void*, std::uintptr_t number, std::uintptr_t,
                       ReadyAction) { order.push_back(static_cast<int>(number)); },
                    nullptr, static_cast<std::uintptr_t>(number));
  };
  for (const int i : {3, 0, 7, 1, 6, 2, 5, 4}) {
    push_callback(100 + i);
    if (i % 2 == 0) {
      loop.backend.cancel(*ops[static_cast<std::size_t>(i)]);
    } else {
      loop.backend.close(pairs[static_cast<std::size_t>(i)]->server.handle);
    }
    expected.push_back(100 + i);
    expected.push_back(i);
  }
  REQUIRE(loop.until([&] { return order.size() >= expected.size(); }));
  CHECK(order == expected);
}
