// Which fault points of weir's own code a world uses, and how often they were asked and taken.
#pragma once

#include "backends/fault_point.hpp"

#include <weir/sim.hpp>

#include <array>
#include <atomic>
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

  // Does any world in the process use some? So that a program without them pays for one load at each.
  static bool any_used() noexcept { return used_count_.load(std::memory_order_relaxed) != 0; }
  // The counts of all worlds on this thread, with their names.
  static std::array<sim::FaultPointCount, fault_point_count>& totals() noexcept;

  bool is_used() const noexcept { return used_; }
  // Counts the question; true when this world uses the point.
  bool asked(FaultPoint point) noexcept;
  void taken(FaultPoint point) noexcept;

 private:
  struct Count {
    std::uint64_t asked = 0;
    std::uint64_t taken = 0;
  };
  static inline std::atomic<int> used_count_ = 0;
  bool used_;
  std::uint64_t mask_;
  std::array<Count, fault_point_count> counts_{};
};

}  // namespace weir::inline WEIR_ABI::detail
