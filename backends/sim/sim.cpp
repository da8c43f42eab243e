// The public functions of <weir/sim.hpp>.
#include <weir/sim.hpp>

#include "backends/host.hpp"
#include "backends/sim/world.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace weir::inline WEIR_ABI::sim {

static_assert(std::is_trivially_destructible_v<Options>);

using detail::TraceKind;
using detail::World;

namespace {

detail::RawAddress pattern_of(const Endpoint& endpoint, const char* call) {
  const std::string host(endpoint.host);
  std::optional<detail::RawAddress> address = detail::RawAddress();
  if (!host.empty() && !(address = detail::address_from_text(host))) {
    throw std::invalid_argument(std::string(call) + ": '" + host + "' is no numeric address");
  }
  address->port = endpoint.port;
  return *address;
}

// Calls `fault` with the network and the socket of this number, which it must befall.
template <class Fault>
void befall(native_socket number, const char* call, Fault fault) {
  const std::shared_ptr<World> world = World::existing();
  detail::Socket* const socket = world != nullptr ? world->network.find(number) : nullptr;
  if (socket == nullptr || !fault(world->network, *socket)) {
    throw std::invalid_argument(std::string(call) + ": no connection is open under this number");
  }
}

}  // namespace

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

std::uint64_t draw(std::uint64_t bound) {
  const std::shared_ptr<World> world = World::current();
  const std::uint64_t drawn = world->choice_chance.draw(bound);
  world->record(TraceKind::draw, 0, 1, static_cast<std::int64_t>(drawn));
  return drawn;
}

void set_host(std::string_view name, std::initializer_list<std::string_view> addresses,
              std::chrono::nanoseconds delay) {
  detail::KnownHost host{{}, delay};
  for (const std::string_view address : addresses) {
    if (address.empty()) {
      throw std::invalid_argument("sim::set_host: an address is empty");
    }
    host.addresses.push_back(pattern_of({address}, "sim::set_host"));
  }
  World::current()->hosts.insert_or_assign(std::string(name), std::move(host));
}

// --- Faults --------------------------------------------------------------------------------------

void reset(native_socket socket) {
  befall(socket, "sim::reset",
         [](detail::Network& network, detail::Socket& one) { return network.reset(one); });
}

void vanish(native_socket socket, std::optional<std::chrono::nanoseconds> back_after) {
  befall(socket, "sim::vanish",
         [&](detail::Network& network, detail::Socket& one) { return network.vanish(one, back_after); });
}

void clog(native_socket socket, std::chrono::nanoseconds duration) {
  befall(socket, "sim::clog",
         [&](detail::Network& network, detail::Socket& one) { return network.clog(one, duration); });
}

void partition(Endpoint one, Endpoint other) {
  const detail::Network::Partition wanted{pattern_of(one, "sim::partition"),
                                          pattern_of(other, "sim::partition")};
  World::current()->network.part(wanted);
}

void heal(Endpoint one, Endpoint other) {
  const detail::Network::Partition wanted{pattern_of(one, "sim::heal"), pattern_of(other, "sim::heal")};
  if (const std::shared_ptr<World> world = World::existing()) {
    world->network.heal(&wanted);
  }
}

void heal() {
  if (const std::shared_ptr<World> world = World::existing()) {
    world->network.heal(nullptr);
  }
}

}  // namespace weir::inline WEIR_ABI::sim
