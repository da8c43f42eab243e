// The mixed workload over a slice of seeds. Very many of them:
// tools/sim_sweep -n 10000 …/sim_mixed_sim_test -- '-tc=*one seed*'
#include "tests/sim/mixed.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace {

// The whole number of rounds is for WEIR_TEST_LONG=1; a plain run makes few.
int rounds(int few, int all) { return std::getenv("WEIR_TEST_LONG") != nullptr ? all : few; }

std::string text_of(const mixed::Outcome& outcome) {
  std::string text;
  for (const std::string& problem : outcome.problems) {
    text += problem + '\n';
  }
  return text;
}

}  // namespace

TEST_CASE("sim: one seed of the mixed workload, that of WEIR_SIM_SEED") {
  const std::uint64_t seed = *weir::sim::options().seed;
  const mixed::Outcome outcome = mixed::run(seed);
  std::printf("seed %llu: hash %016llx\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(outcome.hash));
  INFO(text_of(outcome));
  CHECK(outcome.problems.empty());
}

TEST_CASE("sim: the mixed workload is clean, under every fault and on every rare path") {
  weir::sim::reset_fault_points();
  int connections = 0;
  int complete = 0;
  const int seeds = rounds(300, 10'000);
  for (int seed = 1; seed <= seeds; ++seed) {
    const mixed::Outcome outcome = mixed::run(static_cast<std::uint64_t>(seed));
    INFO("seed " << seed << "\n" << text_of(outcome));
    REQUIRE(outcome.problems.empty());
    connections += outcome.connections;
    complete += outcome.complete;
  }
  CHECK(connections > 5 * seeds);
  CHECK(complete > 5 * seeds);
  CHECK(complete < 11 * seeds);  // the faults do something
  for (const weir::sim::FaultPointCount& point : weir::sim::fault_points()) {
    INFO(point.name);
    CHECK(point.taken > 0);
    CHECK(point.asked > point.taken);
  }
}

TEST_CASE("LESSON-039 the same seed gives the same trace, letter by letter") {
  const int runs = rounds(100, 1000);
  for (const std::uint64_t seed : {1, 4, 7}) {
    const mixed::Outcome first = mixed::run(seed);
    for (int run = 1; run != runs; ++run) {
      const mixed::Outcome again = mixed::run(seed);
      REQUIRE(again.hash == first.hash);
      REQUIRE(again.text_hash == first.text_hash);
    }
  }
  CHECK(mixed::run(1).hash != mixed::run(2).hash);
}

TEST_CASE("sim: without rare_path_chance nothing is asked at a fault point, and a seed's run is another") {
  std::uint64_t seed = 1;
  while (mixed::options_of(seed).rare_path_chance != 0) {
    ++seed;
  }
  weir::sim::reset_fault_points();
  CHECK(mixed::run(seed).problems.empty());
  const auto points = weir::sim::fault_points();
  CHECK(points.size() >= 8);
  CHECK(std::none_of(points.begin(), points.end(), [](const auto& point) { return point.asked != 0; }));
}
