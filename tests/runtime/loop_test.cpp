// LOOP: running, stopping, closing, the ready queue.
#include "tests/support/weir_test.hpp"

#include <vector>

using namespace weir;
using namespace weir::testing;

TEST_CASE_FIXTURE(LoopFixture, "LOOP-001 call_soon runs in FIFO order, each callback once") {
  std::vector<int> order;
  for (int i = 0; i != 1000; ++i) {
    loop.call_soon([&order, i] { order.push_back(i); });
  }
  loop.call_soon([&] { loop.stop(); });
  loop.run_forever();
  REQUIRE(order.size() == 1000);
  for (int i = 0; i != 1000; ++i) {
    CHECK(order[static_cast<std::size_t>(i)] == i);
  }
}

WEIR_TEST("LOOP-002 a callback added by a callback runs in the next turn") {
  std::vector<int> order;
  loop.call_soon([&] {
    order.push_back(1);
    loop.call_soon([&] { order.push_back(3); });
  });
  loop.call_soon([&] { order.push_back(2); });
  co_await until([&] { return order.size() == 3; });
  CHECK(order == std::vector{1, 2, 3});
}
