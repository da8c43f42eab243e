// Random walks by seed. WEIR_WALKS=n walks n times instead of a few hundred; WEIR_WALK=seed walks that one
// alone, to see again what failed.
#include "tests/drivers/walk.hpp"
#include "tests/drivers/calls.hpp"
#include "tests/drivers/scenarios.hpp"
#include "tests/drivers/world.hpp"
#include "tests/support/weir_test.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>

using namespace weir;
using namespace weir::testing;

extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace {

constexpr unsigned steps_of_a_walk = 500;

std::uint64_t current_seed = 0;

// A sanitizer or an assertion ends the program before the test can say anything.
void say_seed() {
  std::fprintf(stderr, "walk: seed %llu; replay it with WEIR_WALK=%llu\n",
               static_cast<unsigned long long>(current_seed), static_cast<unsigned long long>(current_seed));
}

void say_seed_and_abort(int signal) {
  say_seed();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* value = std::getenv(variable);
  return value != nullptr ? std::strtoull(value, nullptr, 10) : otherwise;
}

// Worlds from calm to wild.
sim::Options options_for(std::uint64_t seed) {
  Chance chance(seed ^ 0x77616c6b);
  sim::Options options;
  options.pending_chance = static_cast<double>(chance.draw(5)) / 4;
  options.late_chance = static_cast<double>(chance.draw(3)) / 4;
  options.short_read_chance = static_cast<double>(chance.draw(4)) / 4;
  options.short_write_chance = static_cast<double>(chance.draw(4)) / 4;
  options.split_chance = static_cast<double>(chance.draw(3)) / 2;
  options.cancel_loses_chance = static_cast<double>(chance.draw(3)) / 2;
  options.socket_buffer_bytes = chance.one_in(2) ? 2304 : 32 * 1024;
  if (chance.one_in(4)) {
    options.descriptor_limit = 8 + chance.draw(20);
  }
  return options;
}

void walk_once(std::uint64_t seed, Seen& seen) {
  current_seed = seed;
  INFO("replay it with WEIR_WALK=" << seed);
  const World world(options_for(seed), seed);
  const std::size_t descriptors = open_descriptors();
  Guards guards;
  {
    auto loop = std::make_unique<EventLoop>();
    Walk walk(*loop, guards, seed, steps_of_a_walk);
    {
      // On every fourth walk, calls into the network fail now and then.
      const CallFault fault{.one_in = 50, .seed = seed};
      const FaultyCalls faulty(seed % 4 == 0 ? fault : CallFault{});
      walk.go();
    }
    // Every third loop is closed as it stands.
    if (seed % 3 != 0) {
      walk.end();
      CHECK(loop->run_until_complete(is_alive(*loop)));
    }
    walk.add_to(seen);
    loop.reset();
  }
  expect(guards.alive() == 0, "something was not destroyed");
  expect(open_descriptors() == descriptors, "descriptors leaked or lost");
}

}  // namespace

TEST_CASE("LESSON-016 any legal method is called from any callback") {
  if (&__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(&say_seed);
  }
  std::signal(SIGABRT, &say_seed_and_abort);
  std::signal(SIGSEGV, &say_seed_and_abort);
  Seen seen;
  if (const std::uint64_t only = number_from("WEIR_WALK", 0); only != 0) {
    walk_once(only, seen);
    return;
  }
  const std::uint64_t walks = number_from("WEIR_WALKS", 200);
  for (std::uint64_t seed = 1; seed <= walks; ++seed) {
    walk_once(seed, seen);
  }
  // A walk that meets nobody finds nothing.
  CHECK(seen.connections > 5 * walks);
  CHECK(seen.ended > 5 * walks);
  CHECK(seen.bytes > 1000 * walks);
  CHECK(seen.tasks > 20 * walks);
  CHECK(seen.callbacks > 100 * walks);
}
