// Every scenario through every driver.
#include "tests/drivers/drivers.hpp"
#include "tests/drivers/calls.hpp"
#include "tests/support/weir_test.hpp"

using namespace weir;
using namespace weir::testing;

namespace {

// What a driver varies is worth something only where an undisturbed run comes out right.
void check_all(Driven (*driver)(const Scenario&), std::uint64_t least_runs) {
  for (const Scenario& scenario : scenarios()) {
    INFO(std::string(scenario.name));
    const Driven driven = driver(scenario);
    CHECK(driven.runs >= least_runs);
    CHECK(driven.undisturbed > 0);
  }
}

void check_those_with_text(Driven (*driver)(const Scenario&), std::uint64_t least_runs) {
  for (const Scenario& scenario : scenarios()) {
    if (scenario.carries_text) {
      INFO(std::string(scenario.name));
      const Driven driven = driver(scenario);
      CHECK(driven.runs >= least_runs);
      CHECK(driven.undisturbed == driven.runs);
    }
  }
}

}  // namespace

TEST_CASE("LESSON-016 every call into the network fails once") { check_all(&fail_every_call, 1); }

TEST_CASE("LESSON-016 every call into the network fails from some moment on") {
  check_all(&fail_for_ever_from_every_call, 1);
}

TEST_CASE("LESSON-017 a loop is closed after every callback") { check_all(&abandon_at_every_step, 10); }

TEST_CASE("LESSON-016 every task is cancelled after every callback") { check_all(&cancel_at_every_step, 5); }

TEST_CASE("LESSON-016 what is sent and received is split at every byte") {
  check_those_with_text(&split_everywhere, 60);
}

TEST_CASE("LESSON-016 nothing is lost of what a cancelled task was doing") {
  for (const Scenario& scenario : persistent_scenarios()) {
    INFO(std::string(scenario.name));
    const Driven driven = nudge_at_every_step(scenario);
    CHECK(driven.runs >= 5);
    CHECK(driven.undisturbed == driven.runs);
  }
}

// A real kernel cannot be made to: see can_cut_calls().
#if defined(WEIR_BACKEND_SIM)
TEST_CASE("LESSON-016 every call that moves bytes moves fewer than it could") {
  check_those_with_text(&cut_every_call, 100);
}
#endif
