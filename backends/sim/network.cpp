// Handshakes, bytes, ends and resets of the simulated TCP. Addresses and ports: ports.cpp, unix_names.cpp;
// descriptors and options: descriptors.cpp.
#include "backends/sim/network.hpp"

#include "backends/sim/call_hook.hpp"
#include "backends/sim/world.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

// As Linux does it: the SYN is sent again after 1, 2, 4, … seconds, and given up 127 seconds after the first.
constexpr std::size_t syn_retries = 6;

}  // namespace

Network::Network(World& world)
    : world_(world), descriptor_limit_(world.options.descriptor_limit), next_port_(32768) {}

void Network::changed(Socket& socket) noexcept {
  for (BackendHandle* handle : socket.handles) {
    socket_changed(*handle);
  }
}

void Network::schedule(Segment segment, const Socket& from, std::uint64_t to, std::size_t bytes,
                       std::chrono::nanoseconds delay) {
  const sim::Options& options = world_.options;
  TimePoint at =
      world_.clock.now() + delay + world_.network_chance.between(options.latency_min, options.latency_max);
  if (Socket* receiver = by_id(to); receiver != nullptr) {
    at = std::max(at, receiver->quiet_from);
    receiver->quiet_from = at;
  }
  events_.push({at, ++last_sequence_, to, from.id, bytes, segment});
}

// --- Handshake -----------------------------------------------------------------------------------

std::int64_t Network::connect(Socket& socket, const RawAddress& address, bool at_once) {
  if (const int error = ask_call_hook(NetworkCall::connect).error; error != 0) {
    return -error;
  }
  if (socket.type == SocketType::datagram) {
    return connect_datagrams(socket, address);
  }
  switch (socket.state) {
    case SocketState::fresh:
      break;
    case SocketState::connecting:
      return -EALREADY;
    default:
      return -EISCONN;
  }
  if (socket.is_unix()) {
    return connect_to_name(socket, address);
  }
  RawAddress to = address;
  if (const int error = take_address(socket, to); error != 0) {
    return -error;
  }
  if (reach(to) == Reach::unreachable ||
      (socket.is_bound() && socket.local.family != to.family && !is_any(socket.local))) {
    return -ENETUNREACH;
  }
  if (is_any(to)) {
    to.ip = loopback(to.family).ip;
  }
  RawAddress from = loopback(to.family);
  if (!socket.is_bound()) {
    if (const std::int64_t result = bind_to(socket, from, 0); result != 0) {
      return -EADDRNOTAVAIL;
    }
  } else if (is_any(socket.local)) {
    from.port = socket.local.port;
    socket.local = from;
  }
  socket.peer = to;
  socket.error = 0;
  socket.attempts = 0;
  socket.state = SocketState::connecting;
  world_.record(TraceKind::connect, socket.id, to.port, at_once ? 1 : 0);
  if (at_once && reach(to) == Reach::local && !is_parted(socket)) {
    Socket* listener = find_listener(to);
    if (listener == nullptr || world_.fault_chance.chance(world_.options.refuse_chance)) {
      refuse(socket, 0);
      return -ECONNREFUSED;
    }
    if (listener->accept_queue.size() + listener->half_open.size() <= listener->backlog) {
      Socket& server = make_server_side(*listener, socket);
      socket.state = SocketState::connected;
      socket.peer_id = server.id;
      queue_accepted(*listener, server);
      return 0;
    }
  }
  schedule(Segment::syn, socket, 0);
  return -EINPROGRESS;
}

std::int64_t Network::finish_connect(Socket& socket) {
  if (const int error = ask_call_hook(NetworkCall::finish_connect).error; error != 0) {
    return -error;
  }
  switch (socket.state) {
    case SocketState::connecting:
      return -EAGAIN;
    case SocketState::connected:
      return 0;
    default:
      break;
  }
  const int error = std::exchange(socket.error, 0);
  return error != 0 ? -error : -ENOTCONN;
}

Socket& Network::make_server_side(Socket& listener, Socket& client) {
  Socket& server = make_socket(listener.family, SocketType::stream);
  server.state = SocketState::half_open;
  server.local = client.peer;
  server.peer = client.local;
  server.peer_id = client.id;
  server.options = listener.options;
  server.options[static_cast<std::size_t>(SocketOption::linger_abort)] = 0;
  server.listener_id = listener.id;
  if (!server.is_unix()) {
    bound_[server.local.port].push_back(&server);
  }
  listener.half_open.push_back(server.id);
  return server;
}

void Network::queue_accepted(Socket& listener, Socket& server) {
  std::erase(listener.half_open, server.id);
  server.state = SocketState::connected;
  listener.accept_queue.push_back(server.id);
  changed(listener);
}

void Network::refuse(Socket& client, int error) {
  client.state = SocketState::fresh;
  client.error = error;
  client.peer = {};
  world_.record(TraceKind::refuse, client.id, 0, error);
  changed(client);
}

void Network::retry_syn(Socket& client) {
  const std::chrono::seconds wait(std::int64_t{1} << client.attempts);
  ++client.attempts;
  schedule(Segment::syn, client, 0, 0, wait);
}

void Network::arrive_syn(Socket& client) {
  if (client.state != SocketState::connecting) {
    return;
  }
  world_.record(TraceKind::syn, client.id, client.peer.port, static_cast<std::int64_t>(client.attempts));
  if (client.attempts > syn_retries) {
    refuse(client, ETIMEDOUT);
    return;
  }
  if (reach(client.peer) == Reach::silent || client.cut || is_parted(client)) {
    retry_syn(client);
    return;
  }
  Socket* listener = find_listener(client.peer);
  if (listener == nullptr || world_.fault_chance.chance(world_.options.refuse_chance)) {
    schedule(Segment::reset, client, client.id);
    return;
  }
  if (listener->accept_queue.size() + listener->half_open.size() > listener->backlog) {
    retry_syn(client);
    return;
  }
  Socket& server = make_server_side(*listener, client);
  schedule(Segment::syn_ack, server, client.id);
}

void Network::arrive_syn_ack(const Event& event) {
  Socket* server = by_id(event.from);
  Socket* client = by_id(event.to);
  if (server == nullptr) {
    return;  // the listener was closed; a reset is under way
  }
  if (client == nullptr || client->state != SocketState::connecting) {
    arrive_reset(*server, event.to);
    return;
  }
  world_.record(TraceKind::syn_ack, client->id, server->id);
  client->state = SocketState::connected;
  client->peer_id = server->id;
  schedule(Segment::ack, *client, server->id);
  changed(*client);
}

void Network::arrive_ack(const Event& event) {
  Socket* server = by_id(event.to);
  if (server == nullptr || server->state != SocketState::half_open) {
    return;
  }
  world_.record(TraceKind::ack, server->id, event.from);
  if (Socket* listener = by_id(server->listener_id); listener != nullptr) {
    queue_accepted(*listener, *server);
  }
}

std::int64_t Network::accept(Socket& listener, RawAddress& peer) {
  if (const int error = ask_call_hook(NetworkCall::accept).error; error != 0) {
    return -error;
  }
  if (listener.state != SocketState::listening) {
    return -EINVAL;
  }
  if (listener.accept_queue.empty()) {
    return -EAGAIN;
  }
  // The number comes first: without one the connection stays in the queue.
  if (is_short_of_descriptors()) {
    return -EMFILE;
  }
  Socket& socket = *by_id(listener.accept_queue.front());
  const std::int64_t number = take_number(socket);
  listener.accept_queue.pop_front();
  peer = shown(socket, socket.peer);
  world_.record(TraceKind::accept, listener.id, socket.id, number);
  return number;
}

// --- Bytes ---------------------------------------------------------------------------------------

// How many bytes the socket can send before the other side has to read.
std::size_t Network::room(const Socket& socket) const noexcept {
  const auto own = static_cast<std::size_t>(socket.option(SocketOption::send_buffer));
  const Socket* peer = by_id(socket.peer_id);
  if (peer == nullptr) {
    return own > socket.unanswered ? own - socket.unanswered : 0;  // gone: what is sent meets a reset
  }
  const std::size_t limit = own + static_cast<std::size_t>(peer->option(SocketOption::receive_buffer));
  return limit > peer->in.size() ? limit - peer->in.size() : 0;
}

std::int64_t Network::send(Socket& socket, std::span<const ConstBuffer> buffers,
                           std::span<const native_socket> fds) {
  if (socket.type == SocketType::datagram && fds.empty()) {
    return send_as_datagram(socket, buffers);
  }
  const CallVerdict verdict = ask_call_hook(NetworkCall::send);
  if (verdict.error != 0) {
    return -verdict.error;
  }
  if (socket.pipe_end == PipeEnd::read) {
    return -EBADF;
  }
  if (socket.type != SocketType::stream) {
    return -EOPNOTSUPP;
  }
  if (std::any_of(fds.begin(), fds.end(), [this](native_socket fd) { return find(fd) == nullptr; })) {
    return -EBADF;
  }
  if (socket.state == SocketState::connecting) {
    return -EAGAIN;
  }
  if (socket.error != 0) {
    return -std::exchange(socket.error, 0);
  }
  if (socket.state != SocketState::connected || socket.write_shut) {
    return -EPIPE;
  }
  std::size_t total = 0;
  for (const ConstBuffer& buffer : buffers) {
    total += buffer.size();
  }
  std::size_t taken = std::min({total, room(socket), verdict.most});
  if (taken == 0) {
    return total == 0 ? 0 : -EAGAIN;
  }
  if (world_.size_chance.chance(world_.options.short_write_chance)) {
    taken = 1 + world_.size_chance.draw(taken);
  }
  if (Socket* peer = by_id(socket.peer_id); peer != nullptr) {
    std::size_t left = taken;
    for (const ConstBuffer& buffer : buffers) {
      const std::size_t part = std::min(left, buffer.size());
      peer->in.append(buffer.first(part));
      left -= part;
    }
    if (!fds.empty()) {
      peer->in.pass(taken, share(fds));
    }
  } else {
    socket.unanswered += taken;
  }
  world_.record(TraceKind::send, socket.id, socket.peer_id, static_cast<std::int64_t>(taken));
  std::size_t first = taken;
  if (taken > 1 && world_.size_chance.chance(world_.options.split_chance)) {
    first = 1 + world_.size_chance.draw(taken - 1);
    schedule(Segment::data, socket, socket.peer_id, first);
    first = taken - first;
  }
  schedule(Segment::data, socket, socket.peer_id, first);
  return static_cast<std::int64_t>(taken);
}

std::int64_t Network::receive(Socket& socket, std::span<std::byte> into, FdBatch* fds) {
  if (socket.type == SocketType::datagram && fds == nullptr) {
    RawAddress from;
    return receive_from(socket, into, from);
  }
  const CallVerdict verdict = ask_call_hook(NetworkCall::receive);
  if (verdict.error != 0) {
    return -verdict.error;
  }
  if (socket.pipe_end == PipeEnd::write) {
    return -EBADF;
  }
  if (socket.type != SocketType::stream) {
    return -EOPNOTSUPP;
  }
  if (socket.state == SocketState::connecting) {
    return -EAGAIN;
  }
  if (into.empty() && socket.state == SocketState::connected) {
    return 0;
  }
  if (socket.state == SocketState::fresh || socket.state == SocketState::listening) {
    return socket.error != 0 ? -std::exchange(socket.error, 0) : -ENOTCONN;
  }
  if (socket.in.arrived() > 0) {
    // As on Linux, what arrived before a reset is still there to be read.
    std::size_t count = std::min({into.size(), socket.in.arrived(), verdict.most});
    if (count > 1 && world_.size_chance.chance(world_.options.short_read_chance)) {
      count = 1 + world_.size_chance.draw(count);
    }
    count = socket.in.up_to_passed(count);
    const Passed passed = socket.in.take_passed(count);
    Socket* peer = by_id(socket.peer_id);
    const bool was_full = peer != nullptr && room(*peer) == 0;
    socket.in.take(into.first(count));
    world_.record(TraceKind::receive, socket.id, socket.peer_id, static_cast<std::int64_t>(count));
    if (was_full) {
      changed(*peer);
    }
    if (fds != nullptr) {
      hand_over(passed, *fds);
    }
    let_go(passed);
    return static_cast<std::int64_t>(count);
  }
  if (socket.error != 0) {
    const int error = std::exchange(socket.error, 0);
    world_.record(TraceKind::receive, socket.id, socket.peer_id, -error);
    return -error;
  }
  if (socket.ended || socket.read_shut || socket.state == SocketState::reset) {
    world_.record(TraceKind::receive, socket.id, socket.peer_id, 0);
    return 0;
  }
  return -EAGAIN;
}

std::int64_t Network::shutdown(Socket& socket, ShutdownHow how) {
  if (const int error = ask_call_hook(NetworkCall::shutdown).error; error != 0) {
    return -error;
  }
  if (socket.state != SocketState::connected) {
    return -ENOTCONN;
  }
  if (how != ShutdownHow::read && !socket.write_shut) {
    socket.write_shut = true;
    if (socket.type == SocketType::stream) {
      schedule(Segment::fin, socket, socket.peer_id);
    }
  }
  if (how != ShutdownHow::write) {
    socket.read_shut = true;
  }
  world_.record(TraceKind::shutdown, socket.id, 0, static_cast<std::int64_t>(how));
  changed(socket);
  return 0;
}

// --- Arrivals ------------------------------------------------------------------------------------

void Network::deliver_due() {
  while (!events_.empty() && events_.top().at <= world_.clock.now()) {
    const Event event = events_.top();
    events_.pop();
    arrive(event);
  }
}

void Network::arrive(const Event& event) {
  if (event.segment >= Segment::give_up) {
    run_timer(event);
    return;
  }
  if (event.segment == Segment::datagram) {
    arrive_datagram(event);
    return;
  }
  if (can_be_stopped_ && is_stopped(event)) {
    return;
  }
  switch (event.segment) {
    case Segment::port_unreachable:
      if (Socket* sender = by_id(event.to); sender != nullptr) {
        arrive_port_unreachable(*sender);
      }
      return;
    case Segment::syn:
      if (Socket* client = by_id(event.from); client != nullptr) {
        arrive_syn(*client);
      }
      return;
    case Segment::syn_ack:
      arrive_syn_ack(event);
      return;
    case Segment::ack:
      arrive_ack(event);
      return;
    default:
      break;
  }
  Socket* socket = by_id(event.to);
  if (socket == nullptr) {
    // Nobody is there any more. Bytes are answered by a reset, an end is not.
    Socket* sender = by_id(event.from);
    if (sender != nullptr && event.segment == Segment::data) {
      schedule(Segment::reset, *sender, sender->id);
    }
    return;
  }
  if (event.segment == Segment::reset) {
    arrive_reset(*socket, event.from);
    return;
  }
  if (socket->state == SocketState::reset) {
    // It gave the connection up, and the other side does not know it.
    Socket* sender = by_id(event.from);
    if (sender != nullptr && sender->state == SocketState::connected) {
      schedule(Segment::reset, *socket, sender->id);
    }
    return;
  }
  if ((socket->state != SocketState::connected && socket->state != SocketState::half_open) ||
      !survives_chance(event, *socket)) {
    return;
  }
  if (event.segment == Segment::data) {
    socket->in.arrive(event.bytes);
    world_.record(TraceKind::data, socket->id, event.from, static_cast<std::int64_t>(event.bytes));
  } else {
    socket->ended = true;
    world_.record(TraceKind::fin, socket->id, event.from);
  }
  changed(*socket);
}

void Network::arrive_reset(Socket& socket, std::uint64_t from) {
  switch (socket.state) {
    case SocketState::connecting:
      refuse(socket, ECONNREFUSED);
      return;
    case SocketState::half_open:
      if (Socket* listener = by_id(socket.listener_id); listener != nullptr) {
        std::erase(listener->half_open, socket.id);
      }
      erase(socket);
      return;
    case SocketState::connected:
      break;
    default:
      return;
  }
  // A connection in an accept queue stays there, as on Linux: whoever accepts it learns of the reset.
  world_.record(TraceKind::reset, socket.id, from);
  socket.state = SocketState::reset;
  socket.error = socket.ended ? EPIPE : ECONNRESET;
  changed(socket);
  let_go(socket.in.lose());
}

}  // namespace weir::inline WEIR_ABI::detail
