// The chance of the simulator: xoshiro256**, seeded by splitmix64. Not <random>: its distributions differ
// between standard libraries, and a seed must mean the same run everywhere.
#pragma once

#include <weir/config.hpp>

#include <array>
#include <bit>
#include <chrono>
#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

class Random {
 public:
  // Each purpose has a stream of its own, so that one more draw for one of them leaves the others as they
  // were.
  enum class Stream : std::uint64_t { network, schedule, size, turn, user, fault, point, choice };

  Random(std::uint64_t seed, Stream stream) noexcept {
    std::uint64_t mix = seed ^ (0x9e3779b97f4a7c15U * (static_cast<std::uint64_t>(stream) + 1));
    for (std::uint64_t& word : state_) {
      mix += 0x9e3779b97f4a7c15U;
      std::uint64_t z = mix;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
      word = z ^ (z >> 31);
    }
  }

  std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // One of 0 … bound - 1; 0 for a bound of 0. The modulo's bias is of no account for bounds far below 2^64.
  std::uint64_t draw(std::uint64_t bound) noexcept { return bound == 0 ? 0 : next() % bound; }

  bool chance(double probability) noexcept {
    if (!(probability > 0)) {
      return false;
    }
    // Scaling by a power of two is exact, so every compiler compares with the same number.
    return probability >= 1 || (next() >> 32) < static_cast<std::uint64_t>(probability * 4294967296.0);
  }

  std::chrono::nanoseconds between(std::chrono::nanoseconds low, std::chrono::nanoseconds high) noexcept {
    const auto range = high > low ? static_cast<std::uint64_t>((high - low).count()) + 1 : 1;
    return low + std::chrono::nanoseconds(static_cast<std::int64_t>(draw(range)));
  }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace weir::inline WEIR_ABI::detail
