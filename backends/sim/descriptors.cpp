// The descriptor table of the simulated network, and what can be asked of a socket: options and readiness.
#include "backends/sim/call_hook.hpp"
#include "backends/sim/network.hpp"
#include "backends/sim/world.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr std::size_t index_of(SocketOption option) noexcept { return static_cast<std::size_t>(option); }

bool is_tcp(const Socket& socket) noexcept { return !socket.is_unix() && socket.type == SocketType::stream; }

}  // namespace

Socket& Network::make_socket(AddressFamily family, SocketType type) {
  auto made = std::make_unique<Socket>();
  Socket& socket = *made;
  socket.id = ++last_id_;
  socket.family = family;
  socket.type = type;
  const auto buffer = static_cast<int>(world_.options.socket_buffer_bytes);
  socket.options[index_of(SocketOption::send_buffer)] = buffer;
  socket.options[index_of(SocketOption::receive_buffer)] = buffer;
  socket.options[index_of(SocketOption::keep_alive_idle)] = 7200;
  socket.options[index_of(SocketOption::keep_alive_interval)] = 75;
  socket.options[index_of(SocketOption::keep_alive_count)] = 9;
  socket.options[index_of(SocketOption::multicast_ttl)] = 1;
  socket.options[index_of(SocketOption::multicast_loop)] = 1;
  sockets_.emplace(socket.id, std::move(made));
  return socket;
}

void Network::erase(Socket& socket) {
  if (socket.is_unix()) {
    leave_name(socket);
  } else if (socket.is_bound()) {
    unbind(socket);
  }
  const Passed unreceived = socket.in.take_all_passed();
  sockets_.erase(socket.id);
  let_go(unreceived);
}

std::int64_t Network::take_number(Socket& socket) {
  native_socket number = first_number + static_cast<native_socket>(numbers_.size());
  if (!free_numbers_.empty()) {
    number = free_numbers_.top();
    free_numbers_.pop();
    numbers_[static_cast<std::size_t>(number - first_number)] = socket.id;
  } else {
    numbers_.push_back(socket.id);
  }
  ++socket.references;
  if (numbers_taken_++ == 0) {
    world_.hold();
  }
  return number;
}

void Network::release_number(native_socket number) {
  numbers_[static_cast<std::size_t>(number - first_number)] = no_socket;
  free_numbers_.push(number);
  if (--numbers_taken_ == 0) {
    world_.let_go();
  }
}

Socket* Network::by_id(std::uint64_t id) const noexcept {
  const auto found = sockets_.find(id);
  return found == sockets_.end() ? nullptr : found->second.get();
}

Socket* Network::find(native_socket number) const noexcept {
  const auto index = static_cast<std::size_t>(number - first_number);
  if (number < first_number || index >= numbers_.size()) {
    return nullptr;
  }
  return by_id(numbers_[index]);
}

std::int64_t Network::open(AddressFamily family, SocketType type) {
  if (const int error = ask_call_hook(NetworkCall::open).error; error != 0) {
    return -error;
  }
  if (family == AddressFamily::unspecified) {
    return -EAFNOSUPPORT;
  }
  if (is_short_of_descriptors()) {
    return -EMFILE;
  }
  Socket& socket = make_socket(family, type);
  const std::int64_t number = take_number(socket);
  world_.record(TraceKind::open, socket.id, 0, number);
  return number;
}

std::int64_t Network::open_pair(native_socket (&pair)[2]) {
  if (const int error = ask_call_hook(NetworkCall::open_pair).error; error != 0) {
    return -error;
  }
  if (is_short_of_descriptors() || numbers_taken_ + 2 > descriptor_limit_) {
    return -EMFILE;
  }
  Socket& first = make_socket(AddressFamily::unix_domain, SocketType::stream);
  Socket& second = make_socket(AddressFamily::unix_domain, SocketType::stream);
  pair[0] = static_cast<native_socket>(take_number(first));
  pair[1] = static_cast<native_socket>(take_number(second));
  first.state = second.state = SocketState::connected;
  first.peer_id = second.id;
  second.peer_id = first.id;
  world_.record(TraceKind::open, first.id, second.id, pair[0]);
  return 0;
}

std::int64_t Network::open_pipe(native_socket (&ends)[2]) {
  if (const int error = ask_call_hook(NetworkCall::open_pipe).error; error != 0) {
    return -error;
  }
  if (is_short_of_descriptors() || numbers_taken_ + 2 > descriptor_limit_) {
    return -EMFILE;
  }
  Socket& reader = make_socket(AddressFamily::unspecified, SocketType::stream);
  Socket& writer = make_socket(AddressFamily::unspecified, SocketType::stream);
  ends[0] = static_cast<native_socket>(take_number(reader));
  ends[1] = static_cast<native_socket>(take_number(writer));
  reader.pipe_end = PipeEnd::read;
  writer.pipe_end = PipeEnd::write;
  reader.state = writer.state = SocketState::connected;
  reader.peer_id = writer.id;
  writer.peer_id = reader.id;
  world_.record(TraceKind::open, reader.id, writer.id, ends[0]);
  return 0;
}

std::int64_t Network::set_option(Socket& socket, SocketOption option, int value) {
  if (const int error = ask_call_hook(NetworkCall::set_option).error; error != 0) {
    return -error;
  }
  switch (option) {
    case SocketOption::error:
      return -ENOPROTOOPT;
    case SocketOption::ipv6_only:
      if (socket.family != AddressFamily::inet6) {
        return socket.is_unix() ? -EOPNOTSUPP : -ENOPROTOOPT;
      }
      if (socket.is_bound()) {
        return -EINVAL;
      }
      break;
    case SocketOption::no_delay:
      if (!is_tcp(socket)) {
        return -EOPNOTSUPP;
      }
      break;
    case SocketOption::keep_alive_idle:
    case SocketOption::keep_alive_interval:
    case SocketOption::keep_alive_count:
      if (!is_tcp(socket)) {
        return -EOPNOTSUPP;
      }
      socket.options[index_of(option)] = value;  // no connection dies without a word here: nothing is probed
      return 0;
    case SocketOption::send_buffer:
    case SocketOption::receive_buffer:
      // Linux's least sizes; 0 would mean that nothing ever moves.
      socket.options[index_of(option)] = std::max(value, 2304);
      return 0;
    case SocketOption::multicast_ttl:
    case SocketOption::multicast_loop:
    case SocketOption::multicast_interface:
      if (socket.is_unix()) {
        return -ENOPROTOOPT;
      }
      socket.options[index_of(option)] = value;
      return 0;
    default:
      break;
  }
  socket.options[index_of(option)] = value != 0 ? 1 : 0;
  return 0;
}

std::int64_t Network::get_option(Socket& socket, SocketOption option) {
  if (const int error = ask_call_hook(NetworkCall::get_option).error; error != 0) {
    return -error;
  }
  switch (option) {
    case SocketOption::error:
      return std::exchange(socket.error, 0);
    case SocketOption::ipv6_only:
      if (socket.family != AddressFamily::inet6) {
        return socket.is_unix() ? -EOPNOTSUPP : -ENOPROTOOPT;
      }
      break;
    case SocketOption::no_delay:
    case SocketOption::keep_alive_idle:
    case SocketOption::keep_alive_interval:
    case SocketOption::keep_alive_count:
      if (!is_tcp(socket)) {
        return -EOPNOTSUPP;
      }
      break;
    default:
      break;
  }
  return socket.option(option);
}

bool Network::is_readable(const Socket& socket) const noexcept {
  if (socket.type == SocketType::datagram) {
    return is_datagram_readable(socket);
  }
  switch (socket.state) {
    case SocketState::listening:
      return !socket.accept_queue.empty();
    case SocketState::connecting:
    case SocketState::half_open:
      return false;
    case SocketState::connected:
      return socket.in.arrived() > 0 || socket.ended || socket.read_shut || socket.error != 0;
    case SocketState::fresh:  // a hang-up, says Linux
    case SocketState::reset:
      break;
  }
  return true;
}

bool Network::has_hung_up(const Socket& socket) const noexcept {
  return socket.state == SocketState::reset || socket.state == SocketState::fresh || socket.error != 0 ||
         (socket.ended && by_id(socket.peer_id) == nullptr);
}

bool Network::is_writable(const Socket& socket) const noexcept {
  if (socket.type == SocketType::datagram) {
    return is_datagram_writable(socket);
  }
  switch (socket.state) {
    case SocketState::listening:
    case SocketState::connecting:
    case SocketState::half_open:
      return false;
    case SocketState::connected:
      return socket.write_shut || socket.error != 0 || room(socket) > 0;
    case SocketState::fresh:
    case SocketState::reset:
      break;
  }
  return true;
}

}  // namespace weir::inline WEIR_ABI::detail
