// Names of the simulated Unix sockets: files of a world that has no other files and no directories, and
// abstract ones. The rules are Linux's.
#include "backends/sim/network.hpp"
#include "backends/sim/world.hpp"

#include <cerrno>
#include <string_view>

namespace weir::inline WEIR_ABI::detail {

namespace {

// What Linux makes of a bind without a name.
RawAddress abstract_name(std::uint64_t number) {
  constexpr std::string_view digits = "0123456789abcdef";
  RawAddress address;
  address.family = AddressFamily::unix_domain;
  address.path_size = 6;
  for (std::size_t i = 5; i != 0; --i) {
    address.path[i] = digits[number % digits.size()];
    number /= digits.size();
  }
  return address;
}

}  // namespace

std::int64_t Network::bind_to_name(Socket& socket, const RawAddress& address) {
  if (address.family != AddressFamily::unix_domain || socket.is_bound()) {
    return -EINVAL;
  }
  const RawAddress wanted = address.path_size != 0 ? address : abstract_name(last_file_ + 1);
  const auto [name, is_new] = names_.try_emplace(std::string(wanted.path_view()), Name{socket.id, 0});
  if (!is_new) {
    return -EADDRINUSE;
  }
  name->second.file = ++last_file_;
  socket.local = wanted;
  world_.record(TraceKind::bind, socket.id, name->second.file);
  return 0;
}

// A Unix socket connects at once or not at all.
std::int64_t Network::connect_to_name(Socket& socket, const RawAddress& address) {
  if (address.family != AddressFamily::unix_domain) {
    return -EINVAL;
  }
  const auto name = names_.find(address.path_view());
  if (name == names_.end()) {
    return address.is_file() ? -ENOENT : -ECONNREFUSED;
  }
  world_.record(TraceKind::connect, socket.id, name->second.file, 1);
  Socket* const listener = by_id(name->second.socket_id);
  if (listener == nullptr || listener->state != SocketState::listening ||
      world_.fault_chance.chance(world_.options.refuse_chance)) {
    return -ECONNREFUSED;
  }
  if (listener->accept_queue.size() > listener->backlog) {
    return -EAGAIN;
  }
  socket.peer = address;
  Socket& server = make_server_side(*listener, socket);
  socket.state = SocketState::connected;
  socket.peer_id = server.id;
  queue_accepted(*listener, server);
  return 0;
}

void Network::leave_name(const Socket& socket) noexcept {
  const auto name = names_.find(socket.local.path_view());
  if (name == names_.end() || name->second.socket_id != socket.id) {
    return;  // the server's side of a connection has its listener's name
  }
  if (socket.local.is_file()) {
    name->second.socket_id = 0;
  } else {
    names_.erase(name);
  }
}

std::int64_t Network::socket_file(const RawAddress& address, FileIdentity& out) const noexcept {
  const auto name = names_.find(address.path_view());
  if (name == names_.end()) {
    return -ENOENT;
  }
  out = {0, name->second.file};
  return 0;
}

std::int64_t Network::remove_file(const RawAddress& address) noexcept {
  const auto name = names_.find(address.path_view());
  if (name == names_.end()) {
    return -ENOENT;
  }
  names_.erase(name);
  return 0;
}

}  // namespace weir::inline WEIR_ABI::detail
