// The surroundings of one run: a simulated world with a seed of its own where there is one, and a log that
// says nothing, because runs that are meant to go wrong have a lot to say.
#pragma once

#include <weir/log.hpp>
#include <weir/sim.hpp>

#include <cstdint>
#include <string_view>

namespace weir::testing {

class World {
 public:
  explicit World(std::uint64_t seed) : World(sim::Options{}, seed) {}
  // Under other backends the options mean nothing.
  World(sim::Options options, std::uint64_t seed) {
    options.seed = seed;
#if defined(WEIR_BACKEND_SIM)
    before_ = sim::options();
    sim::configure(options);
#endif
    set_log_sink([](LogLevel, std::string_view) {});
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() {
    set_log_sink({});
#if defined(WEIR_BACKEND_SIM)
    sim::configure(before_);
#endif
  }

 private:
#if defined(WEIR_BACKEND_SIM)
  sim::Options before_;
#endif
};

}  // namespace weir::testing
