// ReadinessBackend: how operations begin and end. What happens to them in between is in readiness_turn.hpp.
#pragma once

#include "backends/readiness/readiness_backend.hpp"

#include <cassert>
#include <cerrno>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

// --- Beginning

template <class Poller>
Started ReadinessBackend<Poller>::park_unsettled(Op& op, Direction direction) noexcept {
  BackendHandle& handle = *op.handle;
  handle.op(direction) = &op;
  op.state = OpState::pending;
  const std::int64_t error = handle.unpollable ? -EPERM : sync(handle);
  if (error == -EPERM && handle.pipe) {
    wait_for_nothing(handle, direction);
    return Started::pending;
  }
  if (error < 0) {
    handle.op(direction) = nullptr;
    op.state = OpState::idle;
    return done(op, error);
  }
  if (direction == Direction::read) {
    handle.set_stalled(false);
  }
  if (direction == Direction::read && handle.knows(is_readable)) {
    queue_item(handle);  // the poller has reported it already and will not again
  }
  return Started::pending;
}

// What cannot be waited for is tried once a turn. Only the end of a device that is written to is not looked
// for: it has none.
template <class Poller>
void ReadinessBackend<Poller>::wait_for_nothing(BackendHandle& handle, Direction direction) noexcept {
  handle.unpollable = 1;
  if (handle.write_only) {
    handle.unlearn(is_readable);
  }
  if (direction == Direction::write || !handle.write_only) {
    handle.set_stalled(false);
    queue_item(handle);
  }
}

template <class Poller>
Started ReadinessBackend<Poller>::start(ConnectOp& op) noexcept {
  BackendHandle& handle = *op.handle;
  assert(op.state == OpState::idle && handle.writer == nullptr);
  const std::int64_t result = Sockets::connect(handle.native, op.address);
  if (result != -EINPROGRESS) {
    return done(op, result);
  }
  handle.learn(is_writable);
  return park(op, Direction::write);
}

template <class Poller>
std::int64_t ReadinessBackend<Poller>::accept(BackendHandle& handle, RawAddress& peer) noexcept {
  std::int64_t result = 0;
  for (int attempt = 0; attempt < accepts_per_turn; ++attempt) {
    result = Sockets::accept(handle.native, peer);
    if (result == -EAGAIN) {
      handle.unlearn(is_readable);
    }
    if (result >= 0 || !Sockets::concerns_one_connection(result)) {
      break;
    }
  }
  return result;
}

template <class Poller>
template <class Attempt>
Started ReadinessBackend<Poller>::start_once(Op& op, Direction direction, Attempt attempt) noexcept {
  BackendHandle& handle = *op.handle;
  assert(op.state == OpState::idle && handle.op(direction) == nullptr);
  if (handle.knows(direction == Direction::read ? is_readable : is_writable)) {
    if (const std::int64_t result = attempt(handle); result != -EAGAIN) {
      return done(op, result);
    }
  }
  return park(op, direction);
}

template <class Poller>
Started ReadinessBackend<Poller>::start(AcceptOp& op) noexcept {
  return start_once(op, Direction::read, [&](BackendHandle& handle) { return accept(handle, op.peer); });
}

template <class Poller>
Started ReadinessBackend<Poller>::start(SendOp& op) noexcept {
  return start_once(op, Direction::write, [&](BackendHandle& handle) { return send(handle, op.buffers); });
}

template <class Poller>
Started ReadinessBackend<Poller>::start(RecvFdsOp& op) noexcept {
  return start_once(op, Direction::read, [&](BackendHandle& handle) { return receive_fds(handle, op); });
}

template <class Poller>
Started ReadinessBackend<Poller>::start(SendFdsOp& op) noexcept {
  return start_once(op, Direction::write, [&](BackendHandle& handle) { return send_fds(handle, op); });
}

template <class Poller>
Started ReadinessBackend<Poller>::start_stream(Op& op) noexcept {
  assert(op.state == OpState::idle && op.handle->reader == nullptr);
  return park(op, Direction::read);
}

// --- Ending

// The item carries the answer. Until it runs, `result` is the item's number, by which stop() finds it.
template <class Poller>
void ReadinessBackend<Poller>::answer_later(BackendHandle& handle, Op& op, std::int64_t result) noexcept {
  ++handle.unanswered;
  op.state = OpState::completing;
  op.result = static_cast<std::int64_t>(queue_.push(
      &run_answer, &op, reinterpret_cast<std::uintptr_t>(&handle), static_cast<std::uintptr_t>(result)));
}

template <class Poller>
void ReadinessBackend<Poller>::cancel(Op& op) noexcept {
  if (op.state != OpState::pending) {
    return;
  }
  BackendHandle& handle = *op.handle;
  assert(handle.reader == &op || handle.writer == &op);
  (handle.reader == &op ? handle.reader : handle.writer) = nullptr;
  answer_later(handle, op, -ECANCELED);
}

template <class Poller>
void ReadinessBackend<Poller>::stop_stream(Op& op) noexcept {
  if (op.state == OpState::pending) {
    op.handle->reader = nullptr;
  } else if (op.state == OpState::completing) {
    ReadyItem& item = *queue_.find(static_cast<std::uint64_t>(op.result));
    BackendHandle& handle = *reinterpret_cast<BackendHandle*>(item.words[0]);
    item.function = &run_nothing;
    --handle.unanswered;
    if (handle.closing) {
      settle(handle);
    }
  }
  op.state = OpState::idle;
}

template <class Poller>
void ReadinessBackend<Poller>::close_all() noexcept {
  // Items outlive the handles, and operations may be gone before the queue is emptied.
  const std::uint64_t end = queue_.next_sequence();
  for (std::uint64_t sequence = end - queue_.size(); sequence != end; ++sequence) {
    ReadyItem& item = *queue_.find(sequence);
    if (item.function == &run_answer) {
      static_cast<Op*>(item.object)->state = OpState::idle;
      --reinterpret_cast<BackendHandle*>(item.words[0])->unanswered;
      item.function = &run_nothing;
    } else if (item.function == &run_event) {
      item.function = &run_nothing;
    }
  }
  table_.for_each([this](BackendHandle& handle) {
    if (!handle.closing) {
      for (Op* const op : {std::exchange(handle.reader, nullptr), std::exchange(handle.writer, nullptr)}) {
        if (op != nullptr) {
          op->state = OpState::idle;
          op->result = -ECANCELED;
        }
      }
      handle.detached = true;
      end_handle(handle);
    }
    settle(handle);
  });
}

}  // namespace weir::inline WEIR_ABI::detail
