// The turn of the simulator: virtual waiting, choosing among what is ready, and running it.
#include "backends/sim/backend.hpp"
#include "backends/sim/wait_word.hpp"
#include "backends/sim/world.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <iterator>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr std::size_t least_accepted = 4;
constexpr std::size_t most_accepted = 64;
constexpr std::size_t most_datagrams = 64;
// In a row, of which the other side knows nothing: then it would go on for ever.
constexpr int most_failures = 64;
constexpr std::size_t largest_datagram = 256 * 1024;

}  // namespace

// --- Waiting -------------------------------------------------------------------------------------

void SimBackend::poll(TimePoint deadline) {
  enter();
  const bool woken = woken_.exchange(0) != 0;
  const bool ready = collect();
  if (!ready && deadline > world_->clock.now()) {
    // A wake-up holds the clock: it came from outside, and what it brings happens now. Neither it nor the
    // real sleep is charged, so that it makes no difference to virtual time whether the other thread was
    // early or late.
    if (woken) {
      return;
    }
    if (deadline == TimePoint::max() && network().next_arrival() == TimePoint::max()) {
      wait_for_wake();
      return;
    }
  }
  charge_turn();
  bool collected = ready;
  while (!collected && deadline > world_->clock.now() && woken_.exchange(0) == 0) {
    const TimePoint arrival = network().next_arrival();
    world_->clock.jump(std::min(deadline, arrival));
    if (deadline <= arrival) {
      world_->record(TraceKind::wait);
    }
    collected = collect();
  }
}

// Without it a loop that callbacks keep busy would never get to the next timer or segment.
void SimBackend::charge_turn() noexcept {
  const sim::Options& options = world_->options;
  world_->clock.advance(world_->turn_chance.between(options.turn_min, options.turn_max));
  if (world_->fault_chance.chance(options.clock_jump_chance)) {
    const std::chrono::nanoseconds jump = world_->fault_chance.between({}, options.clock_jump_max);
    world_->clock.advance(jump);
    world_->record(TraceKind::clock_jump, 0, 0, jump.count());
  }
}

// Nothing in this world can happen any more: only another thread or a signal can go on.
void SimBackend::wait_for_wake() noexcept {
  while (woken_.exchange(0) == 0) {
    wait_while(woken_, 0);
  }
}

// Atomic operations on a lock-free atomic, notify_one among them, are all that a signal handler may do.
void SimBackend::wake() noexcept {
  static_assert(std::atomic<int>::is_always_lock_free);
  if (woken_.exchange(1) == 0) {
    wake_waiter(woken_);
  }
}

// A host has no descriptor here to wait on, so it is told when the next thing happens in this world, too: it
// advances the clock to that moment.
TimePoint SimBackend::let_host_wait(TimePoint deadline) noexcept {
  if (woken_.load() != 0 || !marked_.empty()) {
    return TimePoint::min();
  }
  return std::min(deadline, network().next_arrival());
}

// --- Collecting ----------------------------------------------------------------------------------

void socket_changed(BackendHandle& handle) noexcept { handle.backend->mark(handle); }

void SimBackend::mark(BackendHandle& handle) noexcept {
  if (!handle.marked) {
    handle.marked = true;
    marked_.push_back({&handle, handle.generation});
  }
}

// Notes who on the handle is ready. False when nobody is.
bool SimBackend::arm(BackendHandle& handle) {
  const Socket* socket = socket_of(handle);
  if (socket == nullptr) {
    return false;
  }
  bool any = false;
  for (const Direction direction : {Direction::read, Direction::write}) {
    BackendHandle::Side& side = handle.side(direction);
    const bool ready =
        direction == Direction::read ? network().is_readable(*socket) : network().is_writable(*socket);
    side.op_armed = ready && side.op != nullptr;
    side.watch_armed = ready && side.watch != nullptr;
    any = any || side.op_armed || side.watch_armed;
  }
  return any;
}

// Queues what is ready, in an order by the seed. False when there is nothing to do, and the loop may wait.
bool SimBackend::collect() {
  network().deliver_due();
  bool some_late = false;
  candidates_.clear();
  looking_at_.clear();
  std::swap(looking_at_, marked_);
  for (const Marked& marked : looking_at_) {
    BackendHandle& handle = *marked.handle;
    if (handle.generation != marked.generation) {
      continue;
    }
    handle.marked = false;
    if (handle.is_watched() || !arm(handle)) {
      continue;  // the watched ones are looked at below, in every turn
    }
    if (world_->schedule_chance.chance(world_->options.late_chance)) {
      world_->record(TraceKind::late, handle.socket_id);
      handle.side(Direction::read).op_armed = handle.side(Direction::write).op_armed = false;
      mark(handle);
      some_late = true;
      continue;
    }
    candidates_.push_back(&handle);
  }
  std::copy_if(watched_.begin(), watched_.end(), std::back_inserter(candidates_),
               [this](BackendHandle* handle) { return arm(*handle); });
  for (std::size_t left = candidates_.size(); left > 1; --left) {
    std::swap(candidates_[left - 1], candidates_[world_->schedule_chance.draw(left)]);
  }
  for (BackendHandle* handle : candidates_) {
    world_->record(TraceKind::ready, handle->socket_id);
    queue_.push(run_event, handle, handle->generation);
  }
  return some_late || !candidates_.empty();
}

// --- Watches -------------------------------------------------------------------------------------

std::int64_t SimBackend::watch(native_socket native, Watch& watch) {
  enter();
  if (static_cast<std::int64_t>(native) < 0) {
    return -EBADF;
  }
  if (native < Network::first_number) {
    return -ENOTSUP;  // a real descriptor: this network knows nothing of it
  }
  if (network().find(native) == nullptr) {
    return -EBADF;
  }
  BackendHandle& handle = handle_for(native);
  BackendHandle::Side& side = handle.side(watch.direction);
  assert(side.watch == nullptr && "one watch a direction");
  if (!handle.is_watched()) {
    watched_.push_back(&handle);
  }
  side.watch = &watch;
  side.watch_armed = false;
  watch.handle = &handle;
  return 0;
}

void SimBackend::unwatch(Watch& watch) noexcept {
  if (watch.handle == nullptr) {
    return;
  }
  BackendHandle& handle = *std::exchange(watch.handle, nullptr);
  handle.side(watch.direction).watch = nullptr;
  if (handle.is_watched()) {
    return;
  }
  std::erase(watched_, &handle);
  const bool has_operations =
      handle.side(Direction::read).op != nullptr || handle.side(Direction::write).op != nullptr;
  if (handle.owner == nullptr && !has_operations) {
    free_handle(handle);
  } else {
    mark(handle);  // nobody looked at the operations while the watch was there
  }
}

// --- Running -------------------------------------------------------------------------------------

void SimBackend::run_event(void* object, std::uintptr_t generation, std::uintptr_t, ReadyAction action) {
  if (action == ReadyAction::drop) {
    return;
  }
  auto& handle = *static_cast<BackendHandle*>(object);
  // Each call may close the handle, and may put somebody else in its place.
  for (const Direction direction : {Direction::read, Direction::write}) {
    BackendHandle::Side& side = handle.side(direction);
    if (handle.generation == generation && side.op != nullptr && std::exchange(side.op_armed, false)) {
      handle.backend->run_operation(handle, direction);
    }
  }
  for (const Direction direction : {Direction::read, Direction::write}) {
    BackendHandle::Side& side = handle.side(direction);
    if (handle.generation == generation && side.watch != nullptr && std::exchange(side.watch_armed, false)) {
      side.watch->on_ready(*side.watch);
    }
  }
}

void SimBackend::run_operation(BackendHandle& handle, Direction direction) noexcept {
  Op& op = *handle.side(direction).op;
  if (op.kind == OpKind::read_stream) {
    run_read(handle, static_cast<ReadStream&>(op));
  } else if (op.kind == OpKind::accept_stream) {
    run_accept(handle, static_cast<AcceptStream&>(op));
  } else if (op.kind == OpKind::datagram_stream) {
    run_datagrams(handle, static_cast<DatagramStream&>(op));
  } else if (const std::int64_t result = attempt(op); result != -EAGAIN) {
    end_operation(handle, op, result);
  }
}

void SimBackend::end_operation(BackendHandle& handle, Op& op, std::int64_t result) noexcept {
  handle.side(direction_of(op.kind)).op = nullptr;
  op.result = result;
  op.state = OpState::idle;
  op.on_done(op);
}

void SimBackend::run_read(BackendHandle& handle, ReadStream& stream) noexcept {
  const std::uint64_t generation = handle.generation;
  const auto goes_on = [&] {
    return handle.generation == generation && handle.side(Direction::read).op == &stream;
  };
  if (handle.write_only) {
    const Socket* const end = socket_of(handle);
    if (end == nullptr || network().has_hung_up(*end)) {
      end_operation(handle, stream, end != nullptr ? 0 : -EBADF);
    }
    return;
  }
  const bool own_memory = stream.get_buffer != nullptr;
  std::span<std::byte> into;
  if (own_memory) {
    into = stream.get_buffer(stream);
    if (!goes_on() || into.empty()) {
      return;
    }
  } else {
    buffer_.resize(max_read_size_);
    into = buffer_;
  }
  Socket* socket = socket_of(handle);
  const std::int64_t result = socket != nullptr ? network().receive(*socket, into) : -EBADF;
  if (result == -EAGAIN) {
    return;
  }
  if (result <= 0) {
    end_operation(handle, stream, result);
    return;
  }
  const std::span<std::byte> received = into.first(static_cast<std::size_t>(result));
  stream.on_data(stream, received);
  if (!own_memory) {
    std::fill(received.begin(), received.end(), std::byte{0xdd});  // whoever kept a span of it shall notice
  }
  if (goes_on()) {
    mark(handle);
  }
}

void SimBackend::run_accept(BackendHandle& handle, AcceptStream& stream) noexcept {
  const std::uint64_t generation = handle.generation;
  const std::size_t most = least_accepted + world_->schedule_chance.draw(most_accepted - least_accepted + 1);
  for (std::size_t accepted = 0; accepted != most; ++accepted) {
    Socket* socket = socket_of(handle);
    RawAddress peer;
    const std::int64_t result = socket != nullptr ? network().accept(*socket, peer) : -EBADF;
    if (result == -EAGAIN) {
      return;
    }
    if (result < 0) {
      end_operation(handle, stream, result);
      return;
    }
    stream.on_accept(stream, static_cast<native_socket>(result), peer);
    if (handle.generation != generation || handle.side(Direction::read).op != &stream) {
      return;
    }
  }
  mark(handle);
}

void SimBackend::run_datagrams(BackendHandle& handle, DatagramStream& stream) noexcept {
  const std::uint64_t generation = handle.generation;
  const std::size_t most = 1 + world_->schedule_chance.draw(most_datagrams);
  for (std::size_t received = 0; received != most; ++received) {
    Socket* const socket = socket_of(handle);
    RawAddress from;
    buffer_.resize(std::max(buffer_.size(), largest_datagram));
    const std::int64_t result = socket != nullptr ? network().receive_from(*socket, buffer_, from) : -EBADF;
    if (result == -EAGAIN) {
      return;
    }
    if (result < 0) {
      const bool concerns_peer = result == -ECONNREFUSED;
      if (result == -EBADF || (!concerns_peer && ++stream.failures == most_failures)) {
        end_operation(handle, stream, result);
      } else {
        mark(handle);
        stream.on_error(stream, result);
      }
      return;
    }
    stream.failures = 0;
    const std::span<std::byte> data = std::span(buffer_).first(static_cast<std::size_t>(result));
    stream.on_datagram(stream, data, from);
    std::fill(data.begin(), data.end(), std::byte{0xdd});  // whoever kept a span of it shall notice
    if (handle.generation != generation || handle.side(Direction::read).op != &stream) {
      return;
    }
  }
  mark(handle);
}

}  // namespace weir::inline WEIR_ABI::detail
