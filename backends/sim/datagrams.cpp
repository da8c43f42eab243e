// Datagrams of the simulated network: UDP between the addresses of its one host, multicast groups, and Unix
// datagrams. UDP datagrams may be lost; those of Unix sockets wait at the sender when the receiver is full.
#include "backends/sim/call_hook.hpp"
#include "backends/sim/network.hpp"
#include "backends/sim/world.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

// The largest payloads of IPv4 and IPv6, and about the one that Linux's default buffer allows a Unix socket.
std::size_t most_bytes(AddressFamily family) noexcept {
  constexpr std::size_t inet = 65507;
  constexpr std::size_t inet6 = 65527;
  constexpr std::size_t unix_domain = 212'000;
  return family == AddressFamily::inet ? inet : family == AddressFamily::inet6 ? inet6 : unix_domain;
}

// What a datagram takes of a buffer: an empty one takes room as well.
std::size_t cost(std::size_t bytes) noexcept {
  constexpr std::size_t of_each = 64;
  return bytes + of_each;
}

// Has a buffer of this size room for one more? An empty one has room for any datagram.
bool has_room(std::size_t used, std::size_t bytes, int limit) noexcept {
  return used == 0 || used + cost(bytes) <= static_cast<std::size_t>(limit);
}

bool is_broadcast(const RawAddress& address) noexcept {
  return address.family == AddressFamily::inet && std::all_of(address.ip.begin(), address.ip.begin() + 4,
                                                              [](std::uint8_t byte) { return byte == 255; });
}

bool is_same(const RawAddress& one, const RawAddress& other) noexcept {
  return one.family == other.family && one.port == other.port && one.ip == other.ip;
}

}  // namespace

// --- Readiness

bool Network::is_datagram_readable(const Socket& socket) noexcept {
  return !socket.datagrams.empty() || socket.error != 0 || socket.read_shut;
}

bool Network::is_datagram_writable(const Socket& socket) const noexcept {
  if (socket.error != 0 || socket.write_shut) {
    return true;
  }
  if (socket.is_unix()) {
    const Socket* const peer = by_id(socket.peer_id);
    return peer == nullptr || has_room(peer->datagram_cost, 0, peer->option(SocketOption::receive_buffer));
  }
  return has_room(socket.sending_cost, 0, socket.option(SocketOption::send_buffer));
}

// --- Connecting: only the address is remembered, and only its datagrams are received

std::int64_t Network::connect_datagrams(Socket& socket, const RawAddress& address) {
  if (socket.is_unix()) {
    std::int64_t error = 0;
    Socket* const peer = named_datagram_socket(address, error);
    if (peer == nullptr) {
      return error;
    }
    socket.peer = address;
    socket.peer_id = peer->id;
    socket.state = SocketState::connected;
    return 0;
  }
  RawAddress to = address;
  if (const int error = take_address(socket, to); error != 0) {
    return -error;
  }
  if (is_any(to)) {
    to.ip = loopback(to.family).ip;
  }
  if (reach(to) == Reach::unreachable && !is_multicast(to)) {
    return is_broadcast(to) ? -EACCES : -ENETUNREACH;
  }
  if (const std::int64_t result = bind_for_sending(socket, to.family); result != 0) {
    return result;
  }
  if (is_any(socket.local)) {
    const std::uint16_t port = socket.local.port;
    socket.local = loopback(to.family);
    socket.local.port = port;
  }
  socket.peer = to;
  socket.error = 0;
  socket.state = SocketState::connected;
  world_.record(TraceKind::connect, socket.id, to.port, 1);
  return 0;
}

std::int64_t Network::bind_for_sending(Socket& socket, AddressFamily family) {
  if (socket.is_bound()) {
    return socket.local.family != family && !is_any(socket.local) ? -ENETUNREACH : 0;
  }
  RawAddress any;
  any.family = socket.family;
  return bind_to(socket, any, 0) != 0 ? -EAGAIN : 0;
}

// --- Sending

std::int64_t Network::send_as_datagram(Socket& socket, std::span<const ConstBuffer> buffers) {
  std::vector<std::byte> data;
  for (const ConstBuffer& buffer : buffers) {
    data.insert(data.end(), buffer.begin(), buffer.end());
  }
  const std::int64_t result = send_to(socket, {data, nullptr});
  return result < 0 ? result : static_cast<std::int64_t>(data.size());
}

std::int64_t Network::send_to(Socket& socket, const Datagram& datagram) {
  if (const CallVerdict verdict = ask_call_hook(NetworkCall::send); verdict.error != 0) {
    return -verdict.error;
  }
  if (socket.type != SocketType::datagram) {
    return -EOPNOTSUPP;
  }
  if (socket.error != 0) {
    return -std::exchange(socket.error, 0);
  }
  if (socket.write_shut) {
    return -EPIPE;
  }
  if (datagram.to == nullptr && socket.state != SocketState::connected) {
    return socket.is_unix() ? -ENOTCONN : -EDESTADDRREQ;
  }
  return socket.is_unix() ? send_to_name(socket, datagram) : send_udp(socket, datagram);
}

std::int64_t Network::send_udp(Socket& socket, const Datagram& datagram) {
  RawAddress to = socket.peer;
  if (datagram.to != nullptr) {
    to = *datagram.to;
    if (const int error = take_address(socket, to); error != 0) {
      return -error;
    }
  }
  if (to.port == 0) {
    return -EINVAL;
  }
  if (is_any(to)) {
    to.ip = loopback(to.family).ip;
  }
  if (is_broadcast(to) && socket.option(SocketOption::broadcast) == 0) {
    return -EACCES;
  }
  if (reach(to) == Reach::unreachable && !is_multicast(to) && !is_broadcast(to)) {
    return -ENETUNREACH;
  }
  if (datagram.data.size() > most_bytes(to.family)) {
    return -EMSGSIZE;
  }
  if (!has_room(socket.sending_cost, datagram.data.size(), socket.option(SocketOption::send_buffer))) {
    return -EAGAIN;
  }
  if (const std::int64_t error = bind_for_sending(socket, to.family); error != 0) {
    return error;
  }
  RawAddress from = is_any(socket.local) ? loopback(to.family) : socket.local;
  from.port = socket.local.port;
  world_.record(TraceKind::send_datagram, socket.id, to.port,
                static_cast<std::int64_t>(datagram.data.size()));
  Travelling travelling{{{datagram.data.begin(), datagram.data.end()}, from}, to};
  if (!(is_multicast(to) && socket.option(SocketOption::multicast_loop) == 0)) {
    send_off(socket, std::move(travelling));
  }
  return 1;
}

// On its way, by chance twice, or out of order.
void Network::send_off(Socket& socket, Travelling travelling) {
  const sim::Options& options = world_.options;
  const int copies = world_.fault_chance.chance(options.datagram_duplicate_chance) ? 2 : 1;
  for (int copy = 0; copy != copies; ++copy) {
    TimePoint at =
        world_.clock.now() + world_.network_chance.between(options.latency_min, options.latency_max);
    if (world_.fault_chance.chance(options.datagram_reorder_chance)) {
      at += options.latency_max;
    } else {
      at = std::max(at, socket.datagrams_until);
      socket.datagrams_until = at;
    }
    socket.sending_cost += cost(travelling.datagram.data.size());
    const std::uint64_t number = ++last_sequence_;
    events_.push({at, number, 0, socket.id, 0, Segment::datagram});
    travelling_.emplace(number, travelling);
  }
}

// A Unix datagram is there at once, or not at all.
std::int64_t Network::send_to_name(Socket& socket, const Datagram& datagram) {
  Socket* receiver = by_id(socket.peer_id);
  std::int64_t error = -ECONNREFUSED;  // the peer is gone
  if (datagram.to != nullptr) {
    receiver = named_datagram_socket(*datagram.to, error);
  }
  if (receiver == nullptr) {
    return error;
  }
  if (receiver->state == SocketState::connected && receiver->peer_id != socket.id) {
    return -EPERM;
  }
  if (datagram.data.size() > most_bytes(AddressFamily::unix_domain)) {
    return -EMSGSIZE;
  }
  if (!has_room(receiver->datagram_cost, datagram.data.size(),
                receiver->option(SocketOption::receive_buffer))) {
    receiver->waiting_senders.push_back(socket.id);
    return -EAGAIN;
  }
  RawAddress from;
  if (socket.is_bound()) {
    from = socket.local;
  }
  world_.record(TraceKind::send_datagram, socket.id, receiver->id,
                static_cast<std::int64_t>(datagram.data.size()));
  receive_later(*receiver, {{datagram.data.begin(), datagram.data.end()}, from});
  return 1;
}

// The datagram socket of this name, or null and why not.
Socket* Network::named_datagram_socket(const RawAddress& address, std::int64_t& error) const noexcept {
  if (address.family != AddressFamily::unix_domain) {
    error = -EINVAL;
    return nullptr;
  }
  const auto name = names_.find(address.path_view());
  Socket* const socket = name != names_.end() ? by_id(name->second.socket_id) : nullptr;
  if (socket == nullptr) {
    error = name == names_.end() && address.is_file() ? -ENOENT : -ECONNREFUSED;
    return nullptr;
  }
  error = -EPROTOTYPE;
  return socket->type == SocketType::datagram ? socket : nullptr;
}

// --- Arriving

void Network::arrive_datagram(const Event& event) {
  const auto found = travelling_.find(event.sequence);
  Travelling travelling = std::move(found->second);
  travelling_.erase(found);
  if (Socket* const sender = by_id(event.from); sender != nullptr) {
    sender->sending_cost -= cost(travelling.datagram.data.size());
    changed(*sender);
  }
  const bool is_lost = reach(travelling.to) == Reach::silent ||
                       is_parted(travelling.datagram.from, travelling.to) ||
                       world_.fault_chance.chance(world_.options.datagram_loss_chance);
  if (is_lost) {
    world_.record(TraceKind::lose_datagram, event.from, travelling.to.port);
    return;
  }
  const std::vector<Socket*> receivers = datagram_receivers(travelling);
  for (Socket* const receiver : receivers) {
    receive_later(*receiver, travelling.datagram);
  }
  if (receivers.empty() && reach(travelling.to) == Reach::local && by_id(event.from) != nullptr) {
    schedule(Segment::port_unreachable, *by_id(event.from), event.from);
  }
}

// Every member of a group; otherwise one socket, the one that knows the sender best.
std::vector<Socket*> Network::datagram_receivers(const Travelling& travelling) {
  std::vector<Socket*> best;
  const auto at_port = bound_.find(travelling.to.port);
  if (at_port == bound_.end()) {
    return best;
  }
  const bool to_many = is_multicast(travelling.to) || is_broadcast(travelling.to);
  int best_score = 0;
  for (Socket* const socket : at_port->second) {
    if (socket->type != SocketType::datagram || !serves_address(*socket, travelling.to)) {
      continue;
    }
    const bool is_connected = socket->state == SocketState::connected;
    if (is_connected && !is_same(socket->peer, travelling.datagram.from)) {
      continue;
    }
    const int score = to_many ? 1 : 1 + (is_any(socket->local) ? 0 : 1) + (is_connected ? 2 : 0);
    if (score > best_score) {
      best.clear();
      best_score = score;
    }
    if (score == best_score) {
      best.push_back(socket);
    }
  }
  if (!to_many && best.size() > 1) {
    best = {best[world_.network_chance.draw(best.size())]};  // they share the port
  }
  return best;
}

// Puts it into the receiver's buffer; without room there it is lost.
void Network::receive_later(Socket& receiver, Received datagram) {
  if (!has_room(receiver.datagram_cost, datagram.data.size(),
                receiver.option(SocketOption::receive_buffer))) {
    world_.record(TraceKind::lose_datagram, receiver.id, 0, 1);
    return;
  }
  world_.record(TraceKind::datagram, receiver.id, datagram.from.port,
                static_cast<std::int64_t>(datagram.data.size()));
  receiver.datagram_cost += cost(datagram.data.size());
  receiver.datagrams.push_back(std::move(datagram));
  changed(receiver);
}

// Only who is connected learns of it: others could not tell which datagram it was.
void Network::arrive_port_unreachable(Socket& sender) {
  if (sender.state == SocketState::connected) {
    sender.error = ECONNREFUSED;
    world_.record(TraceKind::refuse, sender.id, 0, ECONNREFUSED);
    changed(sender);
  }
}

// --- Receiving

std::int64_t Network::receive_from(Socket& socket, std::span<std::byte> into, RawAddress& from) {
  if (const CallVerdict verdict = ask_call_hook(NetworkCall::receive); verdict.error != 0) {
    return -verdict.error;
  }
  if (socket.type != SocketType::datagram) {
    return -EOPNOTSUPP;
  }
  if (socket.error != 0) {
    return -std::exchange(socket.error, 0);
  }
  if (socket.datagrams.empty()) {
    return socket.read_shut ? 0 : -EAGAIN;
  }
  const Received received = std::move(socket.datagrams.front());
  socket.datagrams.pop_front();
  socket.datagram_cost -= cost(received.data.size());
  const std::size_t size = std::min(received.data.size(), into.size());
  std::copy_n(received.data.begin(), size, into.begin());
  from = received.from.family != AddressFamily::unspecified ? shown(socket, received.from) : RawAddress();
  world_.record(TraceKind::receive, socket.id, from.port, static_cast<std::int64_t>(size));
  for (const std::uint64_t id : std::exchange(socket.waiting_senders, {})) {
    if (Socket* const sender = by_id(id); sender != nullptr) {
      changed(*sender);
    }
  }
  return static_cast<std::int64_t>(size);
}

// --- Groups

std::int64_t Network::change_group(Socket& socket, const RawAddress& group, bool joins) {
  if (const int error = ask_call_hook(NetworkCall::set_option).error; error != 0) {
    return -error;
  }
  RawAddress plain;
  plain.family = group.family;
  plain.ip = group.ip;
  if (socket.is_unix() || socket.type != SocketType::datagram || group.family != socket.family) {
    return -ENOPROTOOPT;
  }
  if (!is_multicast(plain)) {
    return -EINVAL;
  }
  const auto found = std::find(socket.groups.begin(), socket.groups.end(), plain);
  if (joins == (found != socket.groups.end())) {
    return joins ? -EADDRINUSE : -EADDRNOTAVAIL;
  }
  if (joins) {
    socket.groups.push_back(plain);
  } else {
    socket.groups.erase(found);
  }
  return 0;
}

}  // namespace weir::inline WEIR_ABI::detail
