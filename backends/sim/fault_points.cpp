// Deciding at a fault point, and counting.
#include "backends/sim/fault_points.hpp"

#include "backends/sim/world.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace weir::inline WEIR_ABI {

namespace detail {

namespace {

constexpr const char* point_names[] = {
    "idle_turn",    "short_batch", "timers_apart",   "sort_due",    "early_sweep",
    "await_yields", "late_inbox",  "needless_wake",  "write_later", "new_chunk",
    "few_pieces",   "early_check", "no_spare_queue", "port_taken",
};
static_assert(std::size(point_names) == fault_point_count);

// So that a program without fault points pays for one load at each.
std::atomic<int> worlds_with_points = 0;

thread_local sim::FaultPointCount totals[fault_point_count];

constexpr std::size_t index_of(FaultPoint point) noexcept { return static_cast<std::size_t>(point); }

}  // namespace

FaultPoints::FaultPoints(bool is_used, std::uint64_t mask) noexcept : used_(is_used), mask_(mask) {
  worlds_with_points.fetch_add(used_ ? 1 : 0, std::memory_order_relaxed);
}

FaultPoints::~FaultPoints() {
  if (!used_) {
    return;
  }
  worlds_with_points.fetch_sub(1, std::memory_order_relaxed);
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
  ++totals[index_of(point)].asked;
  return (mask_ >> index_of(point) & 1) != 0;
}

void FaultPoints::taken(FaultPoint point) noexcept {
  ++counts_[index_of(point)].taken;
  ++totals[index_of(point)].taken;
}

bool rare_path(FaultPoint point) noexcept {
  if (worlds_with_points.load(std::memory_order_relaxed) == 0) [[likely]] {
    return false;
  }
  const std::shared_ptr<World> world = World::existing();
  if (world == nullptr || !world->points.is_used() || !world->points.asked(point) ||
      !world->point_chance.chance(world->options.rare_path_chance)) {
    return false;
  }
  world->points.taken(point);
  world->record(TraceKind::rare_path, 0, 0, static_cast<std::int64_t>(point));
  return true;
}

std::size_t rare_part(FaultPoint point, std::size_t whole) noexcept {
  if (whole < 2 || !rare_path(point)) {
    return whole;
  }
  return 1 + World::existing()->point_chance.draw(whole - 1);
}

}  // namespace detail

namespace sim {

std::vector<FaultPointCount> fault_points() {
  std::vector<FaultPointCount> counts(std::begin(detail::totals), std::end(detail::totals));
  for (std::size_t i = 0; i != counts.size(); ++i) {
    counts[i].name = detail::point_names[i];
  }
  return counts;
}

void reset_fault_points() noexcept {
  for (FaultPointCount& count : detail::totals) {
    count = {};
  }
}

}  // namespace sim

}  // namespace weir::inline WEIR_ABI
