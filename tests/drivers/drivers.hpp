// Systematic drivers: each runs a scenario again and again, every time with one thing different, until there
// is nothing left to vary. After every run no frame, callback, protocol or descriptor is left, and everything
// was destroyed once. WEIR_DRIVERS=whole in the environment leaves nothing out.
#pragma once

#include "tests/drivers/scenarios.hpp"

#include <weir/config.hpp>

#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace weir::testing {

// What a driver did, for those who want to know that it did something.
struct Driven {
  std::uint64_t runs = 0;
  std::uint64_t undisturbed = 0;  // runs that gave the scenario's own result
};

// Every call into the network fails once, with the errors of its manual: the scenario ends, with a result or
// an exception, and the loop goes on working.
Driven fail_every_call(const Scenario& scenario);
// Every call fails with all later ones of its name: nothing is left over once the scenario is cancelled, and
// the loop goes on working when the calls do.
Driven fail_for_ever_from_every_call(const Scenario& scenario);
// Every call that moves bytes moves 1, 2, 3, … of them: the result is the same. Does nothing where calls
// cannot be cut.
Driven cut_every_call(const Scenario& scenario);
// What is sent is split at every byte, and what is received goes into buffers of every size.
Driven split_everywhere(const Scenario& scenario);
// The loop is closed after every callback.
Driven abandon_at_every_step(const Scenario& scenario);
// Every task is cancelled after every callback: the scenario ends, and the loop goes on working.
Driven cancel_at_every_step(const Scenario& scenario);

// A persistent scenario's own task is cancelled after every callback, once or twice: nothing is missing in
// the end.
Driven nudge_at_every_step(const Scenario& scenario);

// Is it the long form that is wanted?
inline bool drivers_run_whole() {
  const char* value = std::getenv("WEIR_DRIVERS");
  return value != nullptr && std::string_view(value) == "whole";
}

}  // namespace weir::testing
