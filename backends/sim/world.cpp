// Making worlds, and finding the one that a call on this thread means. Worlds themselves are their members.
#include "backends/sim/world.hpp"

#include <atomic>
#include <cstdlib>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

struct ThreadState {
  std::weak_ptr<World> own;      // made on this thread
  std::weak_ptr<World> running;  // of the loop that ran here last
  std::unique_ptr<Trace> ended;  // of the last world that ended here
  ~ThreadState();
};

// Loops and sockets may outlive the thread's other variables: the flag and the id have no destructor, so they
// can be asked even then.
thread_local bool thread_is_over = false;
thread_local std::uint64_t running_id = 0;
thread_local sim::Options thread_options;
std::atomic<std::uint64_t> last_world_id = 0;

ThreadState::~ThreadState() { thread_is_over = true; }

ThreadState& thread_state() {
  thread_local ThreadState state;
  return state;
}

std::uint64_t default_seed() noexcept {
  const char* text = std::getenv("WEIR_SIM_SEED");
  if (text == nullptr || *text == '\0') {
    return 1;
  }
  char* end = nullptr;
  const unsigned long long value = std::strtoull(text, &end, 0);
  return *end == '\0' ? value : 1;
}

}  // namespace

World::World(const sim::Options& given)
    : id(++last_world_id),
      options(given),
      trace(*given.seed),
      network_chance(*given.seed, Random::Stream::network),
      schedule_chance(*given.seed, Random::Stream::schedule),
      size_chance(*given.seed, Random::Stream::size),
      turn_chance(*given.seed, Random::Stream::turn),
      user_chance(*given.seed, Random::Stream::user),
      fault_chance(*given.seed, Random::Stream::fault),
      point_chance(*given.seed, Random::Stream::point),
      choice_chance(*given.seed, Random::Stream::choice),
      points(given.rare_path_chance > 0, point_chance.next()),
      network(*this) {}

World::~World() {
  if (!thread_is_over) {
    std::unique_ptr<Trace>& ended = thread_state().ended;
    if (ended != nullptr) {
      *ended = trace;
    } else {
      ended = std::make_unique<Trace>(trace);
    }
  }
}

std::shared_ptr<World> World::existing() noexcept {
  if (thread_is_over) {
    return nullptr;
  }
  ThreadState& state = thread_state();
  if (std::shared_ptr<World> world = state.running.lock()) {
    return world;
  }
  return state.own.lock();
}

std::shared_ptr<World> World::current() {
  if (std::shared_ptr<World> world = existing()) {
    return world;
  }
  auto world = std::make_shared<World>(configured_options());
  if (!thread_is_over) {
    thread_state().own = world;
  }
  return world;
}

void World::enter(const std::shared_ptr<World>& world) noexcept {
  if (running_id != world->id && !thread_is_over) [[unlikely]] {
    running_id = world->id;
    thread_state().running = world;
  }
}

sim::Options configured_options() noexcept {
  sim::Options options = thread_options;
  if (!options.seed.has_value()) {
    options.seed = default_seed();
  }
  return options;
}

void set_configured_options(const sim::Options& options) noexcept { thread_options = options; }

const Trace* latest_trace() noexcept {
  if (const std::shared_ptr<World> world = World::existing()) {
    return &world->trace;  // alive: somebody else holds it, or it would not have been there
  }
  return thread_is_over ? nullptr : thread_state().ended.get();
}

}  // namespace weir::inline WEIR_ABI::detail
