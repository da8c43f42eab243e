// Counting what is asked at the fault points.
#include "backends/sim/fault_points.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr const char* point_names[] = {
    "idle_turn",    "short_batch", "timers_apart",   "sort_due",    "early_sweep",
    "await_yields", "late_inbox",  "needless_wake",  "write_later", "new_chunk",
    "few_pieces",   "early_check", "no_spare_queue", "port_taken",  "read_and_send",
};
static_assert(std::size(point_names) == fault_point_count);

constexpr std::size_t index_of(FaultPoint point) noexcept { return static_cast<std::size_t>(point); }

}  // namespace

std::array<sim::FaultPointCount, fault_point_count>& FaultPoints::totals() noexcept {
  thread_local std::array<sim::FaultPointCount, fault_point_count> counts = [] {
    std::array<sim::FaultPointCount, fault_point_count> fresh;
    for (std::size_t i = 0; i != fault_point_count; ++i) {
      fresh[i].name = point_names[i];
    }
    return fresh;
  }();
  return counts;
}

FaultPoints::FaultPoints(bool is_used, std::uint64_t mask) noexcept : used_(is_used), mask_(mask) {
  used_count_.fetch_add(used_ ? 1 : 0, std::memory_order_relaxed);
}

FaultPoints::~FaultPoints() {
  if (!used_) {
    return;
  }
  used_count_.fetch_sub(1, std::memory_order_relaxed);
  const char* wanted = std::getenv("WEIR_SIM_POINTS");
  if (wanted == nullptr || std::strcmp(wanted, "1") != 0) {
    return;
  }
  for (std::size_t i = 0; i != fault_point_count; ++i) {
    std::fprintf(stderr, "weir-sim-point: %s %llu %llu\n", point_names[i],
                 static_cast<unsigned long long>(counts_[i].asked),
                 static_cast<unsigned long long>(counts_[i].taken));
  }
}

bool FaultPoints::asked(FaultPoint point) noexcept {
  ++counts_[index_of(point)].asked;
  ++totals()[index_of(point)].asked;
  return (mask_ >> index_of(point) & 1) != 0;
}

void FaultPoints::taken(FaultPoint point) noexcept {
  ++counts_[index_of(point)].taken;
  ++totals()[index_of(point)].taken;
}

}  // namespace weir::inline WEIR_ABI::detail
