// The operation layer of the readiness backends on a network that tells each change once: no edge may be
// lost.
#include "tests/backends/strict_edge.hpp"
#include "tests/sim/workload.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

using namespace sim_test;

namespace weir::inline WEIR_ABI::detail {

// What the simulator's own backend defines elsewhere.
void socket_changed(BackendHandle& handle) noexcept {
  strict::note(*static_cast<strict::Registration*>(handle.backend));
}

}  // namespace weir::inline WEIR_ABI::detail

namespace {

// A short read and a short write mean "drained" and "full" to an edge-triggered reader and writer, so sizes
// are not left to chance but to small buffers and to the pieces in which bytes arrive.
sim::Options seeded(std::uint64_t seed) {
  sim::Options options;
  options.seed = seed;
  options.short_read_chance = options.short_write_chance = 0;
  options.split_chance = 0.5;
  options.socket_buffer_bytes = 2400 + 1000 * (seed % 5);
  options.late_chance = seed % 2 == 0 ? 0.1 : 0.5;
  options.clog_chance = seed % 3 == 0 ? 0.01 : 0;
  options.clog_max = std::chrono::milliseconds(100);
  return options;
}

}  // namespace

TEST_CASE("LESSON-006 every edge is told once: no stream hangs, and no byte is lost") {
  const std::uint64_t seeds = std::getenv("WEIR_TEST_LONG") != nullptr ? 10'000 : 200;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const Outcome outcome = run_workload(seeded(seed));
    INFO("seed " << seed << "\n" << outcome.trace);
    REQUIRE(outcome.intact);
    REQUIRE(outcome.left_open == 0);
  }
}

TEST_CASE("sim: a strict poller runs a seed the same way again") {
  for (std::uint64_t seed = 1; seed != 11; ++seed) {
    CHECK(run_workload(seeded(seed)).hash == run_workload(seeded(seed)).hash);
  }
  CHECK(run_workload(seeded(1)).hash != run_workload(seeded(2)).hash);
}
