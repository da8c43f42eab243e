// A mixed workload through weir's public interface, by seed: servers and clients of every kind, timers, jobs,
// posts and cancellations, where any callback may close anything. What it finds wrong it says in words.
#pragma once

#include <weir/sim.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace mixed {

struct Outcome {
  std::uint64_t hash = 0;
  std::uint64_t text_hash = 0;        // of the last 256 lines of the trace, letter by letter
  std::vector<std::string> problems;  // nothing when all was well
  int connections = 0;                // that a protocol was told of
  int complete = 0;                   // clients that got all of their bytes back
};

// The faults of this seed, drawn from it. One seed in four is peaceful: no faults, and nobody misbehaves.
weir::sim::Options options_of(std::uint64_t seed);
bool is_peaceful(std::uint64_t seed);

Outcome run(std::uint64_t seed);

}  // namespace mixed
