// A world of the simulator: clock, chance, trace and network, shared by the loops and sockets of a thread.
// Which world a call means is decided here.
#pragma once

#include "backends/sim/clock.hpp"
#include "backends/sim/fault_points.hpp"
#include "backends/sim/network.hpp"
#include "backends/sim/random.hpp"
#include "backends/sim/trace.hpp"

#include <weir/sim.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace weir::inline WEIR_ABI::detail {

struct World : std::enable_shared_from_this<World> {
  explicit World(const sim::Options& given);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // The world of the loop that runs on this thread, else the thread's own. current() makes one when there is
  // none and throws std::bad_alloc; existing() answers null instead.
  static std::shared_ptr<World> current();
  static std::shared_ptr<World> existing() noexcept;

  // From now on the calls of this thread mean this world, as long as it lives. A loop says so before it does
  // anything, because it may run on another thread than the one that made it.
  static void enter(const std::shared_ptr<World>& world) noexcept;

  void record(TraceKind kind, std::uint64_t subject = 0, std::uint64_t object = 0,
              std::int64_t size = 0) noexcept {
    trace.record(clock.now(), kind, subject, object, size);
  }

  // Open sockets keep the world alive: the first one opened holds it, the last one closed lets go. Whoever
  // calls into the network holds the world too, so that it does not end under the call.
  void hold() { held_ = shared_from_this(); }
  void let_go() noexcept { held_.reset(); }

  const std::uint64_t id;  // never used twice in a process
  const sim::Options options;
  Clock clock;
  Trace trace;
  Random network_chance;
  Random schedule_chance;
  Random size_chance;
  Random turn_chance;
  Random user_chance;
  Random fault_chance;
  Random point_chance;
  Random choice_chance;  // of sim::draw
  FaultPoints points;
  std::map<std::string, KnownHost, std::less<>> hosts;  // by name
  Network network;

 private:
  std::shared_ptr<World> held_;
};

// The thread's options with their seed set; for sim.cpp.
sim::Options configured_options() noexcept;
void set_configured_options(const sim::Options& options) noexcept;

// The trace of the thread's world or of the last one that ended on it, or null.
const Trace* latest_trace() noexcept;

}  // namespace weir::inline WEIR_ABI::detail
