// ReadinessBackend: datagrams. Several a system call; how the others are served is in readiness_ops.hpp and
// readiness_turn.hpp.
#pragma once

#include "backends/readiness/readiness_backend.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

namespace weir::inline WEIR_ABI::detail {

// --- Beginning

template <class Poller>
Started ReadinessBackend<Poller>::start(RecvFromOp& op) noexcept {
  BackendHandle& handle = *op.handle;
  assert(op.state == OpState::idle && handle.reader == nullptr);
  // While a batch is handed out, its rest comes first, and its memory is taken.
  if (!handing_out_ && (handle.knows(is_readable) || kept_.has(handle))) {
    if (const std::int64_t result = receive_from(handle, op); result != -EAGAIN) {
      return done(op, result);
    }
  }
  return park(op, Direction::read);
}

template <class Poller>
Started ReadinessBackend<Poller>::start(SendToOp& op) noexcept {
  BackendHandle& handle = *op.handle;
  assert(op.state == OpState::idle && handle.writer == nullptr && !op.datagrams.empty());
  if (handle.knows(is_writable)) {
    if (const std::int64_t result = send_to(handle, op.datagrams); result != -EAGAIN) {
      return done(op, result);
    }
  }
  return park(op, Direction::write);
}

template <class Poller>
Started ReadinessBackend<Poller>::start(DatagramStream& stream) noexcept {
  stream.failures = 0;
  if (stream.handle->joined == 0) {
    stream.handle->joined = Sockets::join_datagrams(stream.handle->native) ? 1 : 0;
  }
  const Started started = start_stream(stream);
  if (started == Started::pending) {
    wake_successor(*stream.handle);
  }
  return started;
}

// --- Attempts

template <class Poller>
std::int64_t ReadinessBackend<Poller>::receive_from(BackendHandle& handle, RecvFromOp& op) noexcept {
  if (handle.joined != 0 && !kept_.has(handle)) [[unlikely]] {
    if (const std::int64_t error = keep_batch(handle); error < 0) {
      return error;
    }
  }
  if (kept_.has(handle)) [[unlikely]] {
    const KeptDatagrams::Kept kept = kept_.take(handle);
    const std::size_t size = std::min(kept.data.size(), op.into.size());
    std::copy_n(kept.data.begin(), size, op.into.begin());
    op.from = kept.from;
    return static_cast<std::int64_t>(size);
  }
  const std::int64_t result = Sockets::receive_from(handle.native, op.into, op.from);
  if (result == -EAGAIN) {
    handle.unlearn(is_readable | is_ended);
  }
  return result;
}

// What a socket gives that once had a stream may be several datagrams in one: 0, or the negated errno.
template <class Poller>
std::int64_t ReadinessBackend<Poller>::keep_batch(BackendHandle& handle) noexcept {
  if (!has_batch()) {
    return -ENOMEM;
  }
  const std::int64_t count = batch_->receive(handle.native);
  if (count == -EAGAIN) {
    handle.unlearn(is_readable | is_ended);
  }
  if (count < 0) {
    return count;
  }
  keep_from(handle, 0, static_cast<std::size_t>(count));
  return kept_.has(handle) ? 0 : -ENOMEM;
}

// Keeps the datagrams of the batch from `index` on. Without memory, datagrams get lost.
template <class Poller>
void ReadinessBackend<Poller>::keep_from(const BackendHandle& handle, std::size_t index,
                                         std::size_t count) noexcept {
  try {
    for (; index != count; ++index) {
      kept_.keep(handle, batch_->data(index), batch_->from(index));
    }
  } catch (const std::bad_alloc&) {
  }
}

template <class Poller>
bool ReadinessBackend<Poller>::has_batch() noexcept {
  if (batch_ == nullptr) {
    try {
      batch_ = std::make_unique<typename Sockets::DatagramBatch>();
    } catch (const std::bad_alloc&) {
      return false;
    }
  }
  return true;
}

// A datagram is taken whole or not at all, so that fewer than all does not mean that there is no more room:
// the system may have met an error, which it tells when it is asked again.
template <class Poller>
std::int64_t ReadinessBackend<Poller>::send_to(BackendHandle& handle,
                                               std::span<const Datagram> datagrams) noexcept {
  const std::int64_t result = Sockets::send_datagrams(handle.native, datagrams, handle.joined != 0);
  if (result == -EAGAIN) {
    handle.unlearn(is_writable);
  }
  return result;
}

// --- The turn

// One batch a turn, then others come first.
template <class Poller>
void ReadinessBackend<Poller>::run_datagrams(BackendHandle& handle, DatagramStream& stream) {
  if (kept_.has(handle) && !run_kept(handle, stream)) {
    return;
  }
  if (!has_batch()) {
    answer_now(handle.reader, -ENOMEM);
    return;
  }
  const std::int64_t result = batch_->receive(handle.native);
  if (result < 0) {
    if (result == -EAGAIN) {
      handle.unlearn(is_readable | is_ended);
    } else {
      run_failed_receive(handle, stream, result);
    }
    return;
  }
  const auto count = static_cast<std::size_t>(result);
  // There was room for more: there are no more, unless it was an error that stopped the call. An error that
  // comes from here on is an event of its own.
  if (!batch_->is_full() && !handle.knows(is_ended)) {
    handle.unlearn(is_readable);
  }
  stream.failures = 0;
  const std::uint32_t generation = handle.generation;
  const std::size_t taken = hand_out(handle, stream, count);
  if (handle.generation != generation) {
    return;
  }
  if (handle.reader != &stream) {
    keep_from(handle, taken, count);
    wake_successor(handle);
    return;
  }
  if (const std::int64_t error = batch_->error(); error < 0) {
    run_failed_receive(handle, stream, error);
  }
}

// Gives the stream so many datagrams of the batch, as long as it is there to take them: how many it took.
template <class Poller>
std::size_t ReadinessBackend<Poller>::hand_out(BackendHandle& handle, DatagramStream& stream,
                                               std::size_t count) {
  const std::uint32_t generation = handle.generation;
  std::size_t taken = 0;
  handing_out_ = true;
  while (taken != count && handle.generation == generation && handle.reader == &stream) {
    stream.on_datagram(stream, batch_->data(taken), batch_->from(taken));
    ++taken;
  }
  handing_out_ = false;
  return taken;
}

// Whoever began to receive inside the callback in which the stream stopped was told nothing of what is kept.
template <class Poller>
void ReadinessBackend<Poller>::wake_successor(BackendHandle& handle) {
  if (handle.reader != nullptr && kept_.has(handle)) {
    handle.learn(is_readable);
    queue_item(handle);
  }
}

// What was left of an earlier batch. False: the stream goes no further now.
template <class Poller>
bool ReadinessBackend<Poller>::run_kept(BackendHandle& handle, DatagramStream& stream) {
  const std::uint32_t generation = handle.generation;
  while (kept_.has(handle)) {
    KeptDatagrams::Kept kept = kept_.take(handle);
    stream.on_datagram(stream, kept.data, kept.from);
    if (handle.generation != generation || handle.reader != &stream) {
      return false;
    }
  }
  return true;
}

// One error a turn: whoever is told may send again at once, and cause the next one.
template <class Poller>
void ReadinessBackend<Poller>::run_failed_receive(BackendHandle& handle, DatagramStream& stream,
                                                  std::int64_t error) {
  constexpr int most_failures = 64;
  if (!Sockets::concerns_peer(error) && ++stream.failures == most_failures) {
    answer_now(handle.reader, error);  // it would go on for ever
    return;
  }
  stream.on_error(stream, error);
}

}  // namespace weir::inline WEIR_ABI::detail
