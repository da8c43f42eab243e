// The socket calls of the simulator: each looks up the current world and its socket, and hands on to the
// network.
#include "backends/sim/backend.hpp"
#include "backends/sim/world.hpp"

#include <cerrno>
#include <new>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr int tcp = 6;
constexpr int udp = 17;

template <class Call>
std::int64_t with_socket(native_socket native, Call call) noexcept {
  const std::shared_ptr<World> world = World::existing();
  Socket* socket = world != nullptr ? world->network.find(native) : nullptr;
  if (socket == nullptr) {
    return -EBADF;
  }
  return socket->is_pipe() ? -ENOTSOCK : static_cast<std::int64_t>(call(world->network, *socket));
}

template <class Call>
std::int64_t with_world(Call call) noexcept {
  try {
    const std::shared_ptr<World> world = World::current();
    return call(world->network);
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

}  // namespace

std::int64_t SimBackend::Sockets::open(AddressFamily family, SocketType type, int protocol) noexcept {
  if (protocol != 0 && protocol != (type == SocketType::stream ? tcp : udp)) {
    return -EPROTONOSUPPORT;
  }
  return with_world([&](Network& network) { return network.open(family, type); });
}

std::int64_t SimBackend::Sockets::open_pair(native_socket (&pair)[2]) noexcept {
  return with_world([&](Network& network) { return network.open_pair(pair); });
}

// As close(2) does, without asking what it is.
std::int64_t SimBackend::Sockets::close(native_socket native) noexcept { return Files::close(native); }

std::int64_t SimBackend::Sockets::bind(native_socket native, const RawAddress& address) noexcept {
  return with_socket(native, [&](Network& network, Socket& socket) { return network.bind(socket, address); });
}

std::int64_t SimBackend::Sockets::listen(native_socket native, int backlog) noexcept {
  return with_socket(native,
                     [&](Network& network, Socket& socket) { return network.listen(socket, backlog); });
}

std::int64_t SimBackend::Sockets::local_address(native_socket native, RawAddress& out) noexcept {
  return with_socket(native, [&](Network&, Socket& socket) {
    out = Network::shown(socket, socket.local);
    return 0;
  });
}

std::int64_t SimBackend::Sockets::peer_address(native_socket native, RawAddress& out) noexcept {
  return with_socket(native, [&](Network&, Socket& socket) {
    if (socket.state != SocketState::connected) {
      return -ENOTCONN;
    }
    out = Network::shown(socket, socket.peer);
    return 0;
  });
}

std::int64_t SimBackend::Sockets::set_option(native_socket native, SocketOption option, int value) noexcept {
  return with_socket(
      native, [&](Network& network, Socket& socket) { return network.set_option(socket, option, value); });
}

std::int64_t SimBackend::Sockets::get_option(native_socket native, SocketOption option) noexcept {
  return with_socket(native,
                     [&](Network& network, Socket& socket) { return network.get_option(socket, option); });
}

std::int64_t SimBackend::Sockets::shutdown(native_socket native, ShutdownHow how) noexcept {
  return with_socket(native, [&](Network& network, Socket& socket) { return network.shutdown(socket, how); });
}

// A real descriptor cannot become one of this network.
std::int64_t SimBackend::Sockets::adopt(native_socket native) noexcept {
  if (static_cast<std::int64_t>(native) >= 0 && native < Network::first_number) {
    return -ENOTSUP;
  }
  return Files::adopt(native);
}

std::int64_t SimBackend::Sockets::is_blocking(native_socket native) noexcept {
  return with_socket(native, [](Network&, Socket&) { return 0; });
}

std::int64_t SimBackend::Sockets::type(native_socket native) noexcept {
  return with_socket(native, [](Network&, Socket& socket) { return static_cast<int>(socket.type); });
}

std::int64_t SimBackend::Sockets::family(native_socket native) noexcept {
  return with_socket(native, [](Network&, Socket& socket) { return static_cast<int>(socket.family); });
}

// Everybody in a world is the same process of the same user.
std::int64_t SimBackend::Sockets::peer_credentials(native_socket native, PeerCredentials& out) noexcept {
  return with_socket(native, [&](Network&, Socket& socket) {
    if (!socket.is_unix()) {
      return -EOPNOTSUPP;
    }
    if (socket.peer_id == 0) {
      return -ENOTCONN;
    }
    out = {1, 1000, 1000};
    return 0;
  });
}

std::int64_t SimBackend::Sockets::socket_file(const RawAddress& address, FileIdentity& out) noexcept {
  return with_world([&](Network& network) { return network.socket_file(address, out); });
}

std::int64_t SimBackend::Sockets::join_group(native_socket native, const RawAddress& group,
                                             std::uint32_t) noexcept {
  return with_socket(
      native, [&](Network& network, Socket& socket) { return network.change_group(socket, group, true); });
}

std::int64_t SimBackend::Sockets::leave_group(native_socket native, const RawAddress& group,
                                              std::uint32_t) noexcept {
  return with_socket(
      native, [&](Network& network, Socket& socket) { return network.change_group(socket, group, false); });
}

std::int64_t SimBackend::Sockets::remove_file(const RawAddress& address) noexcept {
  return with_world([&](Network& network) { return network.remove_file(address); });
}

}  // namespace weir::inline WEIR_ABI::detail
