// Handles and operations of the simulator. The turn, and what runs in it: turn.cpp. The socket calls:
// sockets.cpp.
#include "backends/sim/backend.hpp"

#include "backends/sim/call_hook.hpp"
#include "backends/sim/world.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

static_assert(IsBackend<SimBackend>);
static_assert(IsSocketApi<SimBackend::Sockets>);

namespace {

constexpr Direction both_directions[] = {Direction::read, Direction::write};

}  // namespace

SimBackend::SimBackend(ReadyQueue& queue) : queue_(queue), world_(World::current()) { enter(); }

SimBackend::~SimBackend() { close_all(); }

void SimBackend::enter() const noexcept { World::enter(world_); }

Network& SimBackend::network() const noexcept { return world_->network; }

Socket* SimBackend::socket_of(const BackendHandle& handle) const noexcept {
  return network().by_id(handle.socket_id);
}

std::optional<KnownHost> SimBackend::known_host(std::string_view name) {
  const std::shared_ptr<World> world = World::current();
  const auto found = world->hosts.find(name);
  return found != world->hosts.end() ? std::optional(found->second) : std::nullopt;
}

bool SimBackend::has(Capability capability) noexcept {
  switch (capability) {
    case Capability::ipv6:
    case Capability::reuse_port:
    case Capability::signals:
    case Capability::unix_sockets:
    case Capability::abstract_unix_sockets:
    case Capability::datagram_errors:
    case Capability::descriptor_passing:
    case Capability::peer_credentials:
      return true;
    case Capability::native_descriptors:
    case Capability::real_clock:
    case Capability::real_network:
    case Capability::internationalized_names:
    case Capability::multicast_dns:
    case Capability::kernel_tls:
    case Capability::pollable_descriptor:
    case Capability::subprocesses:
    case Capability::process_signals:
    case Capability::unix_process_options:
    case Capability::terminals:
    case Capability::process_pools:
      break;
  }
  return false;
}

std::uint64_t SimBackend::draw(std::uint64_t bound) noexcept {
  const std::uint64_t drawn = world_->user_chance.draw(bound);
  world_->record(TraceKind::draw, 0, 0, static_cast<std::int64_t>(drawn));
  return drawn;
}

TimePoint SimBackend::now() const noexcept { return world_->clock.now(); }

// --- Handles -------------------------------------------------------------------------------------

// The handle of this number; a new one when there is none. Bound to the socket that has the number now: the
// user may have closed and opened it again under a watch.
BackendHandle& SimBackend::handle_for(native_socket native) {
  Socket* socket = network().find(native);
  BackendHandle* handle = find(native);
  if (handle == nullptr) {
    if (free_handles_.empty()) {
      free_handles_.push_back(&handles_.emplace_back());
    }
    const std::size_t index = static_cast<std::size_t>(native - Network::first_number);
    if (socket != nullptr && index >= by_number_.size()) {
      by_number_.resize(index + 1);
    }
    handle = free_handles_.back();
    free_handles_.pop_back();
    handle->backend = this;
    handle->number = native;
    handle->in_use = true;
    if (socket != nullptr) {
      by_number_[index] = handle;
    }
  }
  const std::uint64_t id = socket != nullptr ? socket->id : 0;
  if (handle->socket_id != id) {
    forget(*handle);
    handle->socket_id = id;
    if (socket != nullptr) {
      socket->handles.push_back(handle);
    }
  }
  return *handle;
}

// The socket no longer tells this handle about itself.
void SimBackend::forget(BackendHandle& handle) noexcept {
  if (Socket* socket = socket_of(handle); socket != nullptr) {
    std::erase(socket->handles, &handle);
  }
  handle.socket_id = 0;
}

void SimBackend::free_handle(BackendHandle& handle) noexcept {
  forget(handle);
  const std::size_t index = static_cast<std::size_t>(handle.number - Network::first_number);
  if (handle.number >= Network::first_number && index < by_number_.size() && by_number_[index] == &handle) {
    by_number_[index] = nullptr;
  }
  std::erase(watched_, &handle);
  const std::uint64_t generation = handle.generation + 1;
  handle = BackendHandle();
  handle.generation = generation;
  free_handles_.push_back(&handle);
}

BackendHandle* SimBackend::find(native_socket native) noexcept {
  const std::size_t index = static_cast<std::size_t>(native - Network::first_number);
  return native >= Network::first_number && index < by_number_.size() ? by_number_[index] : nullptr;
}

BackendHandle* SimBackend::attach(native_socket native, BackendHandle** owner) {
  enter();
  BackendHandle& handle = handle_for(native);
  handle.owner = owner;
  return &handle;
}

void SimBackend::close(BackendHandle* handle) noexcept { end_handle(*handle, true); }

void SimBackend::detach(BackendHandle* handle) noexcept { end_handle(*handle, false); }

void SimBackend::end_handle(BackendHandle& handle, bool close_socket) noexcept {
  enter();
  assert(handle.in_use);
  for (const Direction direction : both_directions) {
    BackendHandle::Side& side = handle.side(direction);
    if (Op* op = std::exchange(side.op, nullptr); op != nullptr) {
      answer_later(*op, -EBADF);
    }
    if (Watch* watch = std::exchange(side.watch, nullptr); watch != nullptr) {
      watch->handle = nullptr;
    }
  }
  if (handle.owner != nullptr) {
    *handle.owner = nullptr;
  }
  Socket* socket = socket_of(handle);
  const native_socket number = handle.number;
  free_handle(handle);
  // The user may have closed it: what still is known of it belongs to another number then.
  if (close_socket && socket != nullptr && network().find(number) == socket) {
    network().close(number, keep_number(number));
  }
}

void SimBackend::set_owner(BackendHandle* handle, BackendHandle** owner) noexcept { handle->owner = owner; }

Op* SimBackend::pending(BackendHandle* handle, Direction direction) const noexcept {
  return handle->side(direction).op;
}

void SimBackend::set_transport(BackendHandle* handle, bool is) noexcept { handle->transport = is; }

bool SimBackend::is_transport(BackendHandle* handle) const noexcept { return handle->transport; }

void SimBackend::set_pipe(BackendHandle* handle, Direction direction) noexcept {
  handle->write_only = direction == Direction::write;
}

std::int64_t SimBackend::shutdown_write(BackendHandle* handle) noexcept {
  enter();
  Socket* socket = socket_of(*handle);
  return socket != nullptr ? network().shutdown(*socket, ShutdownHow::write) : -EBADF;
}

void SimBackend::close_all() noexcept {
  enter();
  for (Completion& completion : completions_) {
    if (!completion.finished) {
      // The item stays in the queue, but the operation may be gone by the time it is taken out.
      if (ReadyItem* item = queue_.find(completion.sequence); item != nullptr) {
        item->function = run_nothing;
      }
      if (completion.op != nullptr) {
        completion.op->state = OpState::idle;
      }
      release(completion);
    }
  }
  first_ticket_ += completions_.size();
  completions_.clear();
  for (BackendHandle& handle : handles_) {
    if (!handle.in_use) {
      continue;
    }
    for (const Direction direction : both_directions) {
      const BackendHandle::Side& side = handle.side(direction);
      if (side.op != nullptr) {
        side.op->state = OpState::idle;
      }
      if (side.watch != nullptr) {
        side.watch->handle = nullptr;
      }
    }
    if (handle.owner != nullptr) {
      *handle.owner = nullptr;
    }
    free_handle(handle);
  }
}

// --- Operations ----------------------------------------------------------------------------------

// Tries a one-shot operation: its result, or -EAGAIN.
std::int64_t SimBackend::attempt(Op& op) noexcept {
  Socket* socket = socket_of(*op.handle);
  if (socket == nullptr) {
    return -EBADF;
  }
  switch (op.kind) {
    case OpKind::connect:
      return network().finish_connect(*socket);
    case OpKind::accept:
      return network().accept(*socket, static_cast<AcceptOp&>(op).peer);
    case OpKind::recv:
      return network().receive(*socket, static_cast<RecvOp&>(op).into);
    case OpKind::send:
      return network().send(*socket, static_cast<SendOp&>(op).buffers);
    case OpKind::recv_fds: {
      auto& receiving = static_cast<RecvFdsOp&>(op);
      return network().receive(*socket, receiving.into, &receiving.fds);
    }
    case OpKind::send_fds: {
      const auto& sending = static_cast<SendFdsOp&>(op);
      return network().send(*socket, {&sending.data, 1}, sending.fds);
    }
    case OpKind::recv_from: {
      auto& receiving = static_cast<RecvFromOp&>(op);
      return network().receive_from(*socket, receiving.into, receiving.from);
    }
    case OpKind::send_to:
      return send_datagrams(*socket, static_cast<SendToOp&>(op).datagrams);
    case OpKind::send_file:
      return send_file(*socket, static_cast<SendFileOp&>(op));
    case OpKind::read_stream:
    case OpKind::accept_stream:
    case OpKind::datagram_stream:
      break;
  }
  assert(false && "a stream is not attempted");
  return -EINVAL;
}

// Reads what the machine has in the file, and sends it in the world.
std::int64_t SimBackend::send_file(Socket& socket, const SendFileOp& op) noexcept {
  if (const int error = ask_call_hook(NetworkCall::send_file).error; error != 0) {
    return -error;
  }
  constexpr std::size_t most = std::size_t{64} * 1024;
  if (Files::kind(op.file) != static_cast<std::int64_t>(FileKind::regular)) {
    return -ENOTSUP;
  }
  std::vector<std::byte> content(std::min(op.count, most));
  const std::int64_t read = Files::read_at(op.file, op.offset, content);
  if (read <= 0) {
    return read;
  }
  const ConstBuffer part(content.data(), static_cast<std::size_t>(read));
  return network().send(socket, {&part, 1});
}

bool SimBackend::could_answer(const Op& op) const noexcept {
  const Socket* socket = socket_of(*op.handle);
  if (socket == nullptr) {
    return false;
  }
  return direction_of(op.kind) == Direction::read ? network().is_readable(*socket)
                                                  : network().is_writable(*socket);
}

Started SimBackend::park(Op& op, Direction direction) noexcept {
  BackendHandle::Side& side = op.handle->side(direction);
  assert(side.op == nullptr && "one operation a direction");
  side.op = &op;
  side.op_armed = false;
  op.state = OpState::pending;
  mark(*op.handle);
  return Started::pending;
}

Started SimBackend::begin(Op& op, Direction direction) noexcept {
  enter();
  assert(op.state == OpState::idle && op.handle->side(direction).op == nullptr);
  if (could_answer(op) && world_->schedule_chance.chance(world_->options.pending_chance)) {
    return park(op, direction);
  }
  const std::int64_t result = attempt(op);
  if (result == -EAGAIN) {
    return park(op, direction);
  }
  op.result = result;
  return Started::done;
}

Started SimBackend::start(ConnectOp& op) noexcept {
  enter();
  assert(op.state == OpState::idle && op.handle->side(Direction::write).op == nullptr);
  Socket* socket = socket_of(*op.handle);
  const bool at_once = !world_->schedule_chance.chance(world_->options.pending_chance);
  const std::int64_t result = socket != nullptr ? network().connect(*socket, op.address, at_once) : -EBADF;
  if (result == -EINPROGRESS) {
    return park(op, Direction::write);
  }
  op.result = result;
  return Started::done;
}

Started SimBackend::start(AcceptOp& op) noexcept { return begin(op, Direction::read); }

Started SimBackend::start(RecvOp& op) noexcept { return begin(op, Direction::read); }

Started SimBackend::start(SendOp& op) noexcept { return begin(op, Direction::write); }

Started SimBackend::start(RecvFdsOp& op) noexcept { return begin(op, Direction::read); }

Started SimBackend::start(SendFdsOp& op) noexcept { return begin(op, Direction::write); }
Started SimBackend::start(SendFileOp& op) noexcept { return begin(op, Direction::write); }

std::int64_t SimBackend::try_send(BackendHandle* handle, std::span<const ConstBuffer> buffers) noexcept {
  enter();
  assert(handle->side(Direction::write).op == nullptr);
  Socket* const socket = socket_of(*handle);
  if (socket == nullptr) {
    return -EBADF;
  }
  if (network().is_writable(*socket) && world_->schedule_chance.chance(world_->options.pending_chance)) {
    return -EAGAIN;
  }
  return network().send(*socket, buffers);
}

Started SimBackend::begin_stream(Op& op, bool possible) noexcept {
  assert(op.state == OpState::idle);
  if (!possible) {
    op.result = socket_of(*op.handle) == nullptr   ? -EBADF
                : op.kind == OpKind::accept_stream ? -EINVAL
                                                   : -ENOTCONN;
    return Started::done;
  }
  return park(op, Direction::read);
}

Started SimBackend::start(ReadStream& stream) noexcept {
  enter();
  const Socket* socket = socket_of(*stream.handle);
  return begin_stream(stream, socket != nullptr && socket->type == SocketType::stream &&
                                  socket->state != SocketState::fresh &&
                                  socket->state != SocketState::listening);
}

Started SimBackend::start(AcceptStream& stream) noexcept {
  enter();
  const Socket* socket = socket_of(*stream.handle);
  return begin_stream(stream, socket != nullptr && socket->state == SocketState::listening);
}

Started SimBackend::start(RecvFromOp& op) noexcept { return begin(op, Direction::read); }

Started SimBackend::start(SendToOp& op) noexcept { return begin(op, Direction::write); }

Started SimBackend::start(DatagramStream& stream) noexcept {
  enter();
  const Socket* socket = socket_of(*stream.handle);
  stream.failures = 0;
  return begin_stream(stream, socket != nullptr && socket->type == SocketType::datagram);
}

std::int64_t SimBackend::try_send_to(BackendHandle* handle, std::span<const Datagram> datagrams) noexcept {
  enter();
  assert(handle->side(Direction::write).op == nullptr);
  Socket* const socket = socket_of(*handle);
  if (socket == nullptr) {
    return -EBADF;
  }
  if (network().is_writable(*socket) && world_->schedule_chance.chance(world_->options.pending_chance)) {
    return -EAGAIN;
  }
  return send_datagrams(*socket, datagrams);
}

// By chance fewer than there is room for.
std::int64_t SimBackend::send_datagrams(Socket& socket, std::span<const Datagram> datagrams) noexcept {
  std::size_t most = datagrams.size();
  if (most > 1 && world_->size_chance.chance(world_->options.short_write_chance)) {
    most = 1 + world_->size_chance.draw(most);
  }
  std::int64_t sent = 0;
  for (const Datagram& datagram : datagrams.first(most)) {
    if (const std::int64_t result = network().send_to(socket, datagram); result < 0) {
      return sent != 0 ? sent : result;
    }
    ++sent;
  }
  return sent;
}

void SimBackend::stop(DatagramStream& stream) noexcept { stop_stream(stream); }

void SimBackend::stop(ReadStream& stream) noexcept { stop_stream(stream); }

void SimBackend::stop(AcceptStream& stream) noexcept { stop_stream(stream); }

void SimBackend::stop_stream(Op& op) noexcept {
  if (op.state == OpState::pending) {
    op.handle->side(Direction::read).op = nullptr;
  } else if (op.state == OpState::completing) {
    completion_of(op)->op = nullptr;
  }
  op.state = OpState::idle;
}

void SimBackend::cancel(Op& op) noexcept {
  if (op.state != OpState::pending) {
    return;
  }
  enter();
  std::int64_t result = -ECANCELED;
  const bool is_stream = op.kind == OpKind::read_stream || op.kind == OpKind::accept_stream ||
                         op.kind == OpKind::datagram_stream;
  if (!is_stream && could_answer(op) && world_->schedule_chance.chance(world_->options.cancel_loses_chance)) {
    const std::int64_t won = attempt(op);
    result = won == -EAGAIN ? result : won;
  }
  op.handle->side(direction_of(op.kind)).op = nullptr;
  world_->record(TraceKind::cancel, op.handle->socket_id, static_cast<std::uint64_t>(op.kind), result);
  answer_later(op, result);
}

// --- Answers outside the turn: of cancelled operations, and of those whose handle was closed -----

void SimBackend::answer_later(Op& op, std::int64_t result) noexcept {
  op.result = result;
  op.state = OpState::completing;
  const std::uint64_t ticket = first_ticket_ + completions_.size();
  const std::uint64_t sequence = queue_.push(run_completion, this, ticket);
  completions_.push_back({&op, sequence, op.handle->number});
}

SimBackend::Completion* SimBackend::completion_of(const Op& op) noexcept {
  const auto found = std::find_if(completions_.begin(), completions_.end(),
                                  [&](const Completion& completion) { return completion.op == &op; });
  assert(found != completions_.end());
  return &*found;
}

// Whether an operation on this number still has its answer to come; the last one then releases the number.
bool SimBackend::keep_number(native_socket number) noexcept {
  const auto last = std::find_if(
      completions_.rbegin(), completions_.rend(),
      [&](const Completion& completion) { return completion.op != nullptr && completion.number == number; });
  if (last == completions_.rend()) {
    return false;
  }
  last->releases = true;
  return true;
}

void SimBackend::release(Completion& completion) noexcept {
  completion.finished = true;
  completion.op = nullptr;
  if (completion.releases) {
    network().release_number(completion.number);
  }
}

void SimBackend::run_completion(void* object, std::uintptr_t ticket, std::uintptr_t, ReadyAction action) {
  auto& backend = *static_cast<SimBackend*>(object);
  Completion& completion = backend.completions_[ticket - backend.first_ticket_];
  Op* op = completion.op;
  backend.release(completion);
  while (!backend.completions_.empty() && backend.completions_.front().finished) {
    backend.completions_.pop_front();
    ++backend.first_ticket_;
  }
  if (op != nullptr) {
    op->state = OpState::idle;
    if (action == ReadyAction::run) {
      op->on_done(*op);
    }
  }
}

void SimBackend::run_nothing(void*, std::uintptr_t, std::uintptr_t, ReadyAction) {}

}  // namespace weir::inline WEIR_ABI::detail
