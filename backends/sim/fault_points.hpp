// Which fault points of weir's own code a world uses, and how often they were asked and taken.
#pragma once

#include "backends/fault_point.hpp"

#include <weir/sim.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

inline constexpr std::size_t fault_point_count = static_cast<std::size_t>(last_fault_point) + 1;

// The part of a world. A seed uses about half of the points, so that some are seen without the others.
class FaultPoints {
 public:
  FaultPoints(bool is_used, std::uint64_t mask) noexcept;
  FaultPoints(const FaultPoints&) = delete;
  FaultPoints& operator=(const FaultPoints&) = delete;
  // Writes the counts to stderr when WEIR_SIM_POINTS asks for it.
  ~FaultPoints();

  bool is_used() const noexcept { return used_; }
  // Counts the question; true when this world uses the point.
  bool asked(FaultPoint point) noexcept;
  void taken(FaultPoint point) noexcept;

 private:
  struct Count {
    std::uint64_t asked = 0;
    std::uint64_t taken = 0;
  };
  bool used_;
  std::uint64_t mask_;
  std::array<Count, fault_point_count> counts_{};
};

}  // namespace weir::inline WEIR_ABI::detail
