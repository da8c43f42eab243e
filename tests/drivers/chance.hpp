// Chance by a seed, for tests.
#pragma once

#include <weir/config.hpp>

#include <cstdint>

namespace weir::testing {

class Chance {
 public:
  constexpr explicit Chance(std::uint64_t seed) noexcept : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  // One of 0 … bound - 1.
  std::uint64_t draw(std::uint64_t bound) noexcept {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return (state_ * 0x2545f4914f6cdd1d >> 32) % bound;
  }
  bool one_in(std::uint64_t count) noexcept { return draw(count) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace weir::testing
