// Addresses and ports of the simulated network: who may bind what, and who answers a connect. The rules are
// Linux's.
#include "backends/sim/call_hook.hpp"
#include "backends/sim/network.hpp"
#include "backends/sim/world.hpp"

#include <algorithm>
#include <cerrno>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr std::uint16_t first_ephemeral = 32768;
constexpr std::uint16_t last_ephemeral = 60999;

// Whether a socket bound to `local` is reached through addresses of this family.
bool serves(const RawAddress& local, bool only_ipv6, AddressFamily family) noexcept {
  return local.family == family || (local.family == AddressFamily::inet6 && is_any(local) && !only_ipv6);
}

bool serves(const Socket& socket, AddressFamily family) noexcept {
  return serves(socket.local, socket.option(SocketOption::ipv6_only) != 0, family);
}

bool starts_with(const RawAddress& address, std::initializer_list<int> bytes) noexcept {
  return std::equal(bytes.begin(), bytes.end(), address.ip.begin());
}

}  // namespace

bool is_multicast(const RawAddress& address) noexcept {
  return address.family == AddressFamily::inet
             ? (address.ip[0] & 0xf0) == 0xe0
             : address.family == AddressFamily::inet6 && address.ip[0] == 0xff;
}

bool is_any(const RawAddress& address) noexcept {
  return std::all_of(address.ip.begin(), address.ip.end(), [](std::uint8_t byte) { return byte == 0; });
}

RawAddress unmapped(const RawAddress& address) noexcept {
  if (address.family != AddressFamily::inet6 ||
      !starts_with(address, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})) {
    return address;
  }
  RawAddress plain;
  plain.family = AddressFamily::inet;
  plain.port = address.port;
  std::copy_n(address.ip.begin() + 12, 4, plain.ip.begin());
  return plain;
}

RawAddress loopback(AddressFamily family) noexcept {
  RawAddress address;
  address.family = family;
  if (family == AddressFamily::inet) {
    address.ip = {127, 0, 0, 1};
  } else {
    address.ip[15] = 1;
  }
  return address;
}

Reach reach(const RawAddress& address) noexcept {
  if (is_any(address)) {
    return Reach::local;
  }
  if (address.family == AddressFamily::inet) {
    if (address.ip[0] == 127) {
      return Reach::local;
    }
    // The networks that RFC 5737 keeps for documentation swallow everything: the black hole for tests of
    // timeouts.
    const bool silent = starts_with(address, {192, 0, 2}) || starts_with(address, {198, 51, 100}) ||
                        starts_with(address, {203, 0, 113});
    return silent ? Reach::silent : Reach::unreachable;
  }
  if (std::equal(address.ip.begin(), address.ip.end(), loopback(AddressFamily::inet6).ip.begin())) {
    return Reach::local;
  }
  return starts_with(address, {0x20, 0x01, 0x0d, 0xb8}) ? Reach::silent : Reach::unreachable;  // RFC 3849
}

int take_address(const Socket& socket, RawAddress& address) noexcept {
  if (address.family != socket.family) {
    return socket.family == AddressFamily::inet6 && address.family == AddressFamily::inet ? EINVAL
                                                                                          : EAFNOSUPPORT;
  }
  const RawAddress plain = unmapped(address);
  if (plain.family != address.family && socket.option(SocketOption::ipv6_only) != 0) {
    return ENETUNREACH;
  }
  address = plain;
  return 0;
}

bool serves_address(const Socket& socket, const RawAddress& address) noexcept {
  RawAddress group;
  group.family = address.family;
  group.ip = address.ip;
  if (std::find(socket.groups.begin(), socket.groups.end(), group) != socket.groups.end()) {
    return is_any(socket.local) || socket.local.ip == address.ip;
  }
  const bool is_broadcast =
      address.family == AddressFamily::inet && starts_with(address, {255, 255, 255, 255});
  return serves(socket, address.family) && reach(address) != Reach::unreachable
             ? is_any(socket.local) || socket.local.ip == address.ip
             : is_broadcast && serves(socket, address.family) && is_any(socket.local);
}

struct Network::Claim {
  const Socket& socket;
  RawAddress address;
  bool reuse_address = socket.option(SocketOption::reuse_address) != 0;
  bool reuse_port = socket.option(SocketOption::reuse_port) != 0;
};

bool Network::conflicts(const Claim& claim, std::uint16_t port) const noexcept {
  const auto at_port = bound_.find(port);
  if (at_port == bound_.end()) {
    return false;
  }
  const bool only_ipv6 = claim.socket.option(SocketOption::ipv6_only) != 0;
  const auto in_the_way = [&](const Socket* other) {
    if (other == &claim.socket || other->type != claim.socket.type) {
      return false;
    }
    const auto both_serve = [&](AddressFamily family) {
      return serves(claim.address, only_ipv6, family) && serves(*other, family);
    };
    if (!both_serve(AddressFamily::inet) && !both_serve(AddressFamily::inet6)) {
      return false;
    }
    if (!is_any(claim.address) && !is_any(other->local) && claim.address.ip != other->local.ip) {
      return false;
    }
    const bool share_port = claim.reuse_port && other->option(SocketOption::reuse_port) != 0;
    const bool share_address = claim.reuse_address && other->option(SocketOption::reuse_address) != 0 &&
                               other->state != SocketState::listening;
    return !share_port && !share_address;
  };
  return std::any_of(at_port->second.begin(), at_port->second.end(), in_the_way);
}

std::uint16_t Network::free_port(const Claim& claim) noexcept {
  constexpr int range = last_ephemeral - first_ephemeral + 1;
  for (int tried = 0; tried != range; ++tried) {
    const std::uint16_t port = next_port_;
    next_port_ = port == last_ephemeral ? first_ephemeral : static_cast<std::uint16_t>(port + 1);
    if (!conflicts(claim, port)) {
      return port;
    }
  }
  return 0;
}

std::int64_t Network::bind_to(Socket& socket, const RawAddress& address, std::uint16_t port) {
  if (port == 0) {
    // Even with the reuse options, an ephemeral port is nobody else's.
    port = free_port({.socket = socket, .address = address, .reuse_address = false, .reuse_port = false});
    if (port == 0) {
      return -EADDRINUSE;
    }
  } else if (conflicts({.socket = socket, .address = address}, port)) {
    return -EADDRINUSE;
  }
  socket.local = address;
  socket.local.port = port;
  bound_[port].push_back(&socket);
  return 0;
}

std::int64_t Network::bind(Socket& socket, const RawAddress& address) {
  if (const int error = ask_call_hook(NetworkCall::bind).error; error != 0) {
    return -error;
  }
  if (socket.is_unix()) {
    return bind_to_name(socket, address);
  }
  RawAddress wanted = address;
  if (const int error = take_address(socket, wanted); error != 0) {
    return error == ENETUNREACH ? -EINVAL : -error;
  }
  if (socket.is_bound()) {
    return -EINVAL;
  }
  if (reach(wanted) != Reach::local && !(socket.type == SocketType::datagram && is_multicast(wanted))) {
    return -EADDRNOTAVAIL;
  }
  const std::int64_t result = bind_to(socket, wanted, wanted.port);
  world_.record(TraceKind::bind, socket.id, socket.local.port, result);
  return result;
}

std::int64_t Network::listen(Socket& socket, int backlog) {
  if (const int error = ask_call_hook(NetworkCall::listen).error; error != 0) {
    return -error;
  }
  constexpr std::size_t most = 4096;
  if (socket.type != SocketType::stream) {
    return -EOPNOTSUPP;
  }
  const std::size_t wanted = backlog < 0 ? most : std::min(static_cast<std::size_t>(backlog), most);
  if (socket.state == SocketState::listening) {
    socket.backlog = wanted;
    return 0;
  }
  if (socket.state != SocketState::fresh) {
    return -EINVAL;
  }
  if (socket.is_unix()) {
    if (!socket.is_bound()) {
      return -EINVAL;
    }
  } else if (!socket.is_bound()) {
    RawAddress any;
    any.family = socket.family;
    if (const std::int64_t result = bind_to(socket, any, 0); result != 0) {
      return result;
    }
  } else if (conflicts({.socket = socket, .address = socket.local}, socket.local.port)) {
    // Two sockets may be bound with SO_REUSEADDR, but only one of them may listen.
    return -EADDRINUSE;
  }
  socket.state = SocketState::listening;
  socket.backlog = wanted;
  if (!socket.is_unix()) {
    listening_[socket.local.port].push_back(&socket);
  }
  world_.record(TraceKind::listen, socket.id, 0, static_cast<std::int64_t>(wanted));
  changed(socket);
  return 0;
}

Socket* Network::find_listener(const RawAddress& address) {
  const auto at_port = listening_.find(address.port);
  if (at_port == listening_.end()) {
    return nullptr;
  }
  std::vector<Socket*> exact;
  std::vector<Socket*> wildcard;
  for (Socket* socket : at_port->second) {
    if (!serves(*socket, address.family)) {
      continue;
    }
    if (is_any(socket->local)) {
      wildcard.push_back(socket);
    } else if (socket->local.ip == address.ip) {
      exact.push_back(socket);
    }
  }
  const std::vector<Socket*>& best = exact.empty() ? wildcard : exact;
  return best.empty() ? nullptr : best[best.size() == 1 ? 0 : world_.network_chance.draw(best.size())];
}

void Network::unbind(Socket& socket) noexcept {
  for (Ports* ports : {&bound_, &listening_}) {
    const auto at_port = ports->find(socket.local.port);
    if (at_port != ports->end()) {
      std::erase(at_port->second, &socket);
      if (at_port->second.empty()) {
        ports->erase(at_port);
      }
    }
  }
}

RawAddress Network::shown(const Socket& socket, const RawAddress& address) noexcept {
  if (socket.family != AddressFamily::inet6 || address.family != AddressFamily::inet) {
    RawAddress plain = address;
    if (plain.family == AddressFamily::unspecified) {
      plain.family = socket.family;
    }
    return plain;
  }
  RawAddress mapped;
  mapped.family = AddressFamily::inet6;
  mapped.port = address.port;
  mapped.ip[10] = mapped.ip[11] = 0xff;
  std::copy_n(address.ip.begin(), 4, mapped.ip.begin() + 12);
  return mapped;
}

}  // namespace weir::inline WEIR_ABI::detail
