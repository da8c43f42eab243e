// What befalls connections: resets, hosts that vanish, clogged ways, partitions. By chance and on demand.
#include "backends/sim/network.hpp"
#include "backends/sim/world.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

bool covers(const RawAddress& pattern, const RawAddress& address) noexcept {
  return (pattern.port == 0 || pattern.port == address.port) &&
         (pattern.family == AddressFamily::unspecified ||
          (pattern.family == address.family && pattern.ip == address.ip));
}

bool is_connection(const Socket& socket) noexcept {
  return socket.type == SocketType::stream && !socket.is_pipe() &&
         (socket.state == SocketState::connected || socket.state == SocketState::connecting);
}

RawAddress host_of(RawAddress address) noexcept {
  address.port = 0;
  return address;
}

}  // namespace

bool Network::is_short_of_descriptors() {
  if (numbers_taken_ >= descriptor_limit_) {
    return true;
  }
  if (!world_.fault_chance.chance(world_.options.descriptor_chance)) {
    return false;
  }
  world_.record(TraceKind::shortage);
  return true;
}

// --- On demand -----------------------------------------------------------------------------------

bool Network::reset(Socket& socket) {
  if (socket.state != SocketState::connected || socket.type != SocketType::stream || socket.is_pipe()) {
    return false;
  }
  const std::uint64_t id = socket.id;
  const std::uint64_t peer_id = socket.peer_id;
  arrive_reset(socket, peer_id);
  if (Socket* const peer = by_id(peer_id); peer != nullptr) {
    arrive_reset(*peer, id);
  }
  return true;
}

bool Network::vanish(Socket& socket, std::optional<std::chrono::nanoseconds> back_after) {
  if (!is_connection(socket)) {
    return false;
  }
  world_.record(TraceKind::vanish, socket.id, socket.peer_id, back_after ? back_after->count() : -1);
  can_be_stopped_ = true;
  socket.cut = true;
  if (Socket* const peer = by_id(socket.peer_id); peer != nullptr) {
    peer->cut = true;
  }
  if (back_after) {
    set_timer(Segment::come_back, *back_after, socket.id, socket.peer_id);
  }
  return true;
}

bool Network::clog(Socket& socket, std::chrono::nanoseconds duration) {
  if (!is_connection(socket)) {
    return false;
  }
  world_.record(TraceKind::clog, socket.id, 0, duration.count());
  can_be_stopped_ = true;
  socket.clogged_until = std::max(socket.clogged_until, after(duration));
  socket.quiet_from = std::max(socket.quiet_from, socket.clogged_until);
  return true;
}

void Network::part(const Partition& partition, std::optional<std::chrono::nanoseconds> heal_after) {
  world_.record(TraceKind::partition, partition.one.port, partition.other.port,
                heal_after ? heal_after->count() : -1);
  can_be_stopped_ = true;
  partitions_.push_back(partition);
  if (heal_after) {
    partitions_.back().id = ++last_partition_;
    set_timer(Segment::heal, *heal_after, last_partition_);
  }
}

void Network::heal(const Partition* partition) {
  std::erase_if(partitions_, [&](const Partition& one) {
    return partition == nullptr || (one.one == partition->one && one.other == partition->other) ||
           (one.one == partition->other && one.other == partition->one);
  });
  world_.record(TraceKind::heal, 0, 0, static_cast<std::int64_t>(partitions_.size()));
  release_held();
}

// --- By chance -----------------------------------------------------------------------------------

bool Network::survives_chance(const Event& event, Socket& receiver) {
  if (receiver.is_local()) {
    return true;  // both ends are on one host
  }
  const sim::Options& options = world_.options;
  Random& chance = world_.fault_chance;
  if (chance.chance(options.reset_chance) && reset(receiver)) {
    return false;
  }
  Socket* const sender = by_id(event.from);
  if (sender != nullptr && chance.chance(options.vanish_chance)) {
    std::optional<std::chrono::nanoseconds> back_after;
    if (chance.draw(2) == 0) {
      back_after = chance.between({}, options.retransmit_timeout);
    }
    vanish(*sender, back_after);
  }
  if (chance.chance(options.clog_chance)) {
    clog(receiver, chance.between({}, options.clog_max));
  }
  if (chance.chance(options.partition_chance)) {
    part({.one = host_of(receiver.local), .other = host_of(receiver.peer)},
         chance.between({}, options.partition_max));
  }
  return !can_be_stopped_ || !is_stopped(event);
}

// --- What cannot get through ---------------------------------------------------------------------

bool Network::is_parted(const Socket& socket) const noexcept {
  return !socket.is_local() && is_parted(socket.local, socket.peer);
}

bool Network::is_parted(const RawAddress& one, const RawAddress& other) const noexcept {
  return std::any_of(partitions_.begin(), partitions_.end(), [&](const Partition& partition) {
    return (covers(partition.one, one) && covers(partition.other, other)) ||
           (covers(partition.one, other) && covers(partition.other, one));
  });
}

bool Network::is_stopped(const Event& event) {
  Socket* const receiver = by_id(event.to);
  Socket* const sender = by_id(event.from);
  Socket* const end = receiver != nullptr ? receiver : sender;
  if (event.segment == Segment::syn || end == nullptr) {
    return false;  // a SYN is sent again until it gets through
  }
  if (receiver != nullptr && receiver->clogged_until > world_.clock.now()) {
    Event later = event;
    later.at = receiver->clogged_until;
    events_.push(later);
    return true;
  }
  if (!end->cut && !is_parted(*end)) {
    return false;
  }
  if (receiver != nullptr && receiver->state == SocketState::connecting) {
    // The answer to a SYN is lost, so the SYN is sent again.
    if (event.segment == Segment::syn_ack && sender != nullptr) {
      arrive_reset(*sender, event.to);
    }
    retry_syn(*receiver);
    return true;
  }
  if (!end->cut || sender != nullptr) {
    hold(event, sender);
  }
  return true;
}

void Network::hold(const Event& event, Socket* sender) {
  held_.push_back(event);
  world_.record(TraceKind::hold, event.from, event.to, static_cast<std::int64_t>(event.bytes));
  const bool wants_answer = event.segment == Segment::data || event.segment == Segment::fin;
  if (sender != nullptr && wants_answer && sender->stuck_since == TimePoint::max()) {
    sender->stuck_since = world_.clock.now();
    set_timer(Segment::give_up, world_.options.retransmit_timeout, sender->id);
  }
}

// In order, and what still cannot get through is held again.
void Network::release_held() {
  const std::vector<Event> held = std::exchange(held_, {});
  for (const Event& event : held) {
    if (is_stopped(event)) {
      continue;
    }
    if (Socket* const sender = by_id(event.from); sender != nullptr) {
      sender->stuck_since = TimePoint::max();
    }
    arrive(event);
  }
}

// --- Timers of the network's own -----------------------------------------------------------------

// Now and this much, but not beyond the end of time.
TimePoint Network::after(std::chrono::nanoseconds delay) const noexcept {
  const TimePoint now = world_.clock.now();
  return delay > TimePoint::max() - now ? TimePoint::max() : now + delay;
}

void Network::set_timer(Segment what, std::chrono::nanoseconds delay, std::uint64_t to, std::uint64_t from) {
  events_.push({after(delay), ++last_sequence_, to, from, 0, what});
}

void Network::run_timer(const Event& event) {
  switch (event.segment) {
    case Segment::give_up:
      if (Socket* const socket = by_id(event.to); socket != nullptr) {
        give_up(*socket);
      }
      return;
    case Segment::heal:
      if (std::erase_if(partitions_, [&](const Partition& one) { return one.id == event.to; }) != 0) {
        world_.record(TraceKind::heal, 0, 0, static_cast<std::int64_t>(partitions_.size()));
        release_held();
      }
      return;
    default:
      come_back(event);
  }
}

// When something got through meanwhile, the timer belongs to an earlier trouble.
void Network::give_up(Socket& socket) {
  if (socket.stuck_since == TimePoint::max() || socket.state != SocketState::connected ||
      world_.clock.now() - socket.stuck_since < world_.options.retransmit_timeout) {
    return;
  }
  world_.record(TraceKind::give_up, socket.id, socket.peer_id);
  socket.state = SocketState::reset;
  socket.error = ETIMEDOUT;
  const Passed lost = socket.in.lose();
  std::erase_if(held_, [&](const Event& event) { return event.from == socket.id; });
  if (Socket* const peer = by_id(socket.peer_id); peer != nullptr && peer->state == SocketState::half_open) {
    arrive_reset(*peer, socket.id);
  }
  changed(socket);
  let_go(lost);
}

// event.to is the socket whose host vanished, event.from its peer.
void Network::come_back(const Event& event) {
  world_.record(TraceKind::come_back, event.to, event.from);
  std::erase_if(held_, [&](const Event& held) { return held.from == event.to; });
  if (Socket* const survivor = by_id(event.from); survivor != nullptr) {
    survivor->cut = false;
  }
  if (Socket* const vanished = by_id(event.to); vanished != nullptr) {
    vanished->cut = false;
    arrive_reset(*vanished, event.from);
  }
  release_held();
}

}  // namespace weir::inline WEIR_ABI::detail
