// Deciding at a fault point; and what <weir/sim.hpp> tells of them.
#include "backends/fault_point.hpp"
#include "backends/sim/world.hpp"

#include <weir/sim.hpp>

namespace weir::inline WEIR_ABI {

namespace detail {

bool rare_path(FaultPoint point) noexcept {
  if (!FaultPoints::any_used()) [[likely]] {
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
  const auto& totals = detail::FaultPoints::totals();
  return {totals.begin(), totals.end()};
}

void reset_fault_points() noexcept {
  for (FaultPointCount& count : detail::FaultPoints::totals()) {
    count.asked = count.taken = 0;
  }
}

}  // namespace sim

}  // namespace weir::inline WEIR_ABI
