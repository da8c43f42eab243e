// Socket and SocketView: the socket calls of the backend with exceptions.
#include <weir/net/socket.hpp>

#include "net/os_error.hpp"
#include "net/socket_access.hpp"

#include <weir/exceptions.hpp>

#include <cerrno>
#include <climits>
#include <stdexcept>

namespace weir::inline WEIR_ABI {

namespace {

using Api = detail::Backend::Sockets;
using detail::SocketOption;

constexpr int system_maximum_backlog = INT_MAX;  // the system takes its own limit where that is less

void set(native_socket native, SocketOption option, int value, const char* call) {
  detail::check(Api::set_option(native, option, value), call);
}

std::int64_t get(native_socket native, SocketOption option, const char* call) {
  return detail::check(Api::get_option(native, option), call);
}

void set_size(native_socket native, SocketOption option, std::size_t bytes, const char* call) {
  if (bytes > static_cast<std::size_t>(INT_MAX)) {
    throw std::invalid_argument(std::string(call) + ": the size is too large");
  }
  set(native, option, static_cast<int>(bytes), call);
}

using GroupCall = std::int64_t (*)(native_socket, const detail::RawAddress&, std::uint32_t) noexcept;

void change_group(GroupCall change, native_socket native, const Address& group, std::uint32_t interface,
                  const char* call) {
  if (group.family() != AddressFamily::inet && group.family() != AddressFamily::inet6) {
    throw std::invalid_argument(std::string(call) + ": " + group.to_string() + " is no IP address");
  }
  if (const std::int64_t result = change(native, group.raw(), interface); result < 0) {
    throw detail::os_error(result, call, group);
  }
}

}  // namespace

Address SocketView::local_address() const {
  detail::RawAddress raw;
  detail::check(Api::local_address(native_, raw), "local_address");
  return Address(raw);
}

Address SocketView::peer_address() const {
  detail::RawAddress raw;
  detail::check(Api::peer_address(native_, raw), "peer_address");
  return Address(raw);
}

SocketType SocketView::type() const {
  return static_cast<SocketType>(detail::check(Api::type(native_), "socket type"));
}

AddressFamily SocketView::family() const {
  return static_cast<AddressFamily>(detail::check(Api::family(native_), "socket family"));
}

PeerCredentials SocketView::peer_credentials() const {
  if (!detail::Backend::has(detail::Capability::peer_credentials)) {
    throw NotSupportedError("peer_credentials", "peer_credentials");
  }
  PeerCredentials credentials;
  detail::check(Api::peer_credentials(native_, credentials), "peer_credentials");
  return credentials;
}

void SocketView::set_reuse_address(bool on) const {
  set(native_, SocketOption::reuse_address, on, "set_reuse_address");
}
void SocketView::set_reuse_port(bool on) const {
  set(native_, SocketOption::reuse_port, on, "set_reuse_port");
}
void SocketView::set_no_delay(bool on) const { set(native_, SocketOption::no_delay, on, "set_no_delay"); }
void SocketView::set_keep_alive(bool on) const {
  set(native_, SocketOption::keep_alive, on, "set_keep_alive");
}
void SocketView::set_keep_alive(const KeepAliveTiming& timing) const {
  constexpr const char* call = "set_keep_alive";
  constexpr std::int64_t most_seconds = 32767, most_probes = 127;  // what every system takes
  const auto checked = [&](std::int64_t value, std::int64_t most) {
    if (value < 1 || value > most) {
      throw std::invalid_argument(std::string(call) + ": " + std::to_string(value) +
                                  " is not between 1 and " + std::to_string(most));
    }
    return static_cast<int>(value);
  };
  const int idle = checked(timing.idle.count(), most_seconds);
  const int interval = checked(timing.interval.count(), most_seconds);
  const int count = checked(timing.count, most_probes);
  set(native_, SocketOption::keep_alive_idle, idle, call);
  set(native_, SocketOption::keep_alive_interval, interval, call);
  set(native_, SocketOption::keep_alive_count, count, call);
  set_keep_alive();
}
KeepAliveTiming SocketView::keep_alive_timing() const {
  constexpr const char* call = "keep_alive_timing";
  return {std::chrono::seconds(get(native_, SocketOption::keep_alive_idle, call)),
          std::chrono::seconds(get(native_, SocketOption::keep_alive_interval, call)),
          static_cast<int>(get(native_, SocketOption::keep_alive_count, call))};
}
void SocketView::set_ipv6_only(bool on) const { set(native_, SocketOption::ipv6_only, on, "set_ipv6_only"); }
bool SocketView::reuse_address() const {
  return get(native_, SocketOption::reuse_address, "reuse_address") != 0;
}
bool SocketView::reuse_port() const { return get(native_, SocketOption::reuse_port, "reuse_port") != 0; }
bool SocketView::no_delay() const { return get(native_, SocketOption::no_delay, "no_delay") != 0; }
bool SocketView::keep_alive() const { return get(native_, SocketOption::keep_alive, "keep_alive") != 0; }
bool SocketView::ipv6_only() const { return get(native_, SocketOption::ipv6_only, "ipv6_only") != 0; }

void SocketView::set_send_buffer_size(std::size_t bytes) const {
  set_size(native_, SocketOption::send_buffer, bytes, "set_send_buffer_size");
}
void SocketView::set_receive_buffer_size(std::size_t bytes) const {
  set_size(native_, SocketOption::receive_buffer, bytes, "set_receive_buffer_size");
}
std::size_t SocketView::send_buffer_size() const {
  return static_cast<std::size_t>(get(native_, SocketOption::send_buffer, "send_buffer_size"));
}
std::size_t SocketView::receive_buffer_size() const {
  return static_cast<std::size_t>(get(native_, SocketOption::receive_buffer, "receive_buffer_size"));
}
void SocketView::set_linger_abort(bool on) const {
  set(native_, SocketOption::linger_abort, on, "set_linger_abort");
}

void SocketView::set_broadcast(bool on) const { set(native_, SocketOption::broadcast, on, "set_broadcast"); }
bool SocketView::broadcast() const { return get(native_, SocketOption::broadcast, "broadcast") != 0; }

void SocketView::join_multicast_group(const Address& group, std::uint32_t interface) const {
  change_group(&Api::join_group, native_, group, interface, "join_multicast_group");
}
void SocketView::leave_multicast_group(const Address& group, std::uint32_t interface) const {
  change_group(&Api::leave_group, native_, group, interface, "leave_multicast_group");
}
void SocketView::set_multicast_ttl(unsigned hops) const {
  if (hops > 255) {
    throw std::invalid_argument("set_multicast_ttl: more than 255");
  }
  set(native_, SocketOption::multicast_ttl, static_cast<int>(hops), "set_multicast_ttl");
}
unsigned SocketView::multicast_ttl() const {
  return static_cast<unsigned>(get(native_, SocketOption::multicast_ttl, "multicast_ttl"));
}
void SocketView::set_multicast_loop(bool on) const {
  set(native_, SocketOption::multicast_loop, on, "set_multicast_loop");
}
bool SocketView::multicast_loop() const {
  return get(native_, SocketOption::multicast_loop, "multicast_loop") != 0;
}
void SocketView::set_multicast_interface(std::uint32_t interface) const {
  set(native_, SocketOption::multicast_interface, static_cast<int>(interface), "set_multicast_interface");
}

std::error_code SocketView::get_error() const {
  return detail::os_code(-get(native_, SocketOption::error, "get_error"));
}

Socket Socket::open(AddressFamily family, SocketType type, int protocol) {
  return Socket(static_cast<native_socket>(detail::check(Api::open(family, type, protocol), "socket")));
}

std::pair<Socket, Socket> Socket::pair() {
  native_socket pair[2] = {invalid_socket, invalid_socket};
  detail::check(Api::open_pair(pair), "socketpair");
  return {Socket(pair[0]), Socket(pair[1])};
}

Socket Socket::adopt(native_socket native) {
  detail::check(Api::adopt(native), "Socket::adopt");
  return Socket(native);
}

void Socket::bind(const Address& address) const {
  if (const std::int64_t result = Api::bind(native_, address.raw()); result < 0) {
    throw detail::os_error(result, "bind", address);
  }
}

void Socket::listen(int backlog) const {
  if (backlog < 0) {
    throw std::invalid_argument("listen: the backlog is negative");
  }
  detail::check(Api::listen(native_, backlog == 0 ? system_maximum_backlog : backlog), "listen");
}

void Socket::shutdown_read() const {
  detail::check(Api::shutdown(native_, detail::ShutdownHow::read), "shutdown_read");
}
void Socket::shutdown_write() const {
  detail::check(Api::shutdown(native_, detail::ShutdownHow::write), "shutdown_write");
}
void Socket::shutdown() const {
  detail::check(Api::shutdown(native_, detail::ShutdownHow::both), "shutdown");
}

void Socket::close() noexcept {
  const native_socket native = std::exchange(native_, invalid_socket);
  if (handle_ != nullptr) {
    detail::LoopAccess::backend(*loop_).close(std::exchange(handle_, nullptr));
  } else if (native != invalid_socket) {
    Api::close(native);
  }
}

native_socket Socket::release() noexcept {
  if (handle_ != nullptr) {
    detail::LoopAccess::backend(*loop_).detach(std::exchange(handle_, nullptr));
  }
  return std::exchange(native_, invalid_socket);
}

void Socket::take_handle(Socket& other) noexcept {
  handle_ = std::exchange(other.handle_, nullptr);
  loop_ = other.loop_;
  detail::LoopAccess::backend(*loop_).set_owner(handle_, &handle_);
}

namespace detail {

BackendHandle* SocketAccess::attach_first(weir::Socket& socket, EventLoop& loop, const char* call) {
  if (socket.handle_ == nullptr) {
    LoopAccess::check_open(loop, call);
    if (!socket.is_open()) {
      throw os_error(-EBADF, std::string(call) + ": the socket is closed");
    }
    socket.handle_ = LoopAccess::backend(loop).attach(socket.native_, &socket.handle_);
    socket.loop_ = &loop;
  } else {
    throw RuntimeError(std::string(call) + ": the socket is used by another loop");
  }
  return socket.handle_;
}

BackendHandle* SocketAccess::take_over(weir::Socket& socket, EventLoop& loop, const char* call) {
  BackendHandle* const handle = attach(socket, loop, call);
  const Backend& backend = LoopAccess::backend(loop);
  if (backend.pending(handle, Direction::read) != nullptr ||
      backend.pending(handle, Direction::write) != nullptr) {
    throw RuntimeError(std::string(call) + ": an operation is pending on the socket");
  }
  return handle;
}

native_socket SocketAccess::give(weir::Socket& socket, BackendHandle*& owner) noexcept {
  owner = std::exchange(socket.handle_, nullptr);
  LoopAccess::backend(*socket.loop_).set_owner(owner, &owner);
  return std::exchange(socket.native_, invalid_socket);
}

}  // namespace detail

}  // namespace weir::inline WEIR_ABI
