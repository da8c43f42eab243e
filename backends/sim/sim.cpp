// The public functions of <weir/sim.hpp>.
#include <weir/sim.hpp>

#include "backends/sim/world.hpp"

#include <type_traits>

namespace weir::inline WEIR_ABI::sim {

static_assert(std::is_trivially_destructible_v<Options>);

using detail::TraceKind;
using detail::World;

void configure(const Options& options) noexcept { detail::set_configured_options(options); }

Options options() noexcept {
  const std::shared_ptr<World> world = World::existing();
  return world != nullptr ? world->options : detail::configured_options();
}

std::uint64_t seed() noexcept {
  const detail::Trace* trace = detail::latest_trace();
  return trace != nullptr ? trace->seed() : *detail::configured_options().seed;
}

std::uint64_t trace_hash() noexcept {
  const detail::Trace* trace = detail::latest_trace();
  return trace != nullptr ? trace->hash() : 0;
}

std::string trace(std::size_t last) {
  const detail::Trace* trace = detail::latest_trace();
  return trace != nullptr ? trace->text(last) : std::string();
}

void advance(std::chrono::nanoseconds duration) noexcept {
  if (const std::shared_ptr<World> world = World::existing()) {
    world->clock.advance(duration);
    world->record(TraceKind::advance, 0, 0, duration.count());
  }
}

std::chrono::steady_clock::time_point now() { return World::current()->clock.now(); }

std::size_t open_sockets() noexcept {
  const std::shared_ptr<World> world = World::existing();
  return world != nullptr ? world->network.open_count() : 0;
}

void set_descriptor_limit(std::size_t limit) { World::current()->network.set_descriptor_limit(limit); }

}  // namespace weir::inline WEIR_ABI::sim
