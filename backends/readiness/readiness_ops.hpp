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
  if (direction == Direction::write) {
    if (const auto given = give(op)) {
      return *given;
    }
  }
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
  if (const auto given = give(op)) {
    return *given;
  }
  const std::int64_t result = Sockets::connect(handle.native, op.address);
  if (result != -EINPROGRESS) {
    return done(op, result);
  }
  handle.learn(is_writable);
  return park(op, Direction::write);
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

// A short result does not mean that the socket is full: the file may have ended, or be read in pieces.
template <class Poller>
std::int64_t ReadinessBackend<Poller>::send_file(BackendHandle& handle, const SendFileOp& op) noexcept {
  const std::int64_t result = Sockets::send_file(handle.native, op.file, op.offset, op.count);
  if (result == -EAGAIN) {
    handle.unlearn(is_writable);
  }
  return result;
}

template <class Poller>
Started ReadinessBackend<Poller>::start(SendFileOp& op) noexcept {
  BackendHandle& handle = *op.handle;
  assert(op.state == OpState::idle && handle.writer == nullptr);
  if (const auto given = give(op)) {
    return *given;
  }
  if (handle.knows(is_writable)) {
    if (const std::int64_t result = send_file(handle, op); result != -EAGAIN) {
      return done(op, result);
    }
  }
  return park(op, Direction::write);
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
  if (take_back(handle, op)) {
    return;
  }
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
  wait_for_given();
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

// --- Giving operations to the poller

template <class Poller>
bool ReadinessBackend<Poller>::is_adopted(BackendHandle& handle) noexcept {
  if constexpr (TakesOperations<Poller>) {
    const bool may_be = handle.attached;
    if (may_be && !handle.adoption_known) {
      handle.adoption_known = 1;
      handle.adopted = poller_.adopt(handle.native) ? 1 : 0;
    }
    return may_be && handle.adopted;
  } else {
    return false;
  }
}

// Nothing: the poller does not take it.
template <class Poller>
std::optional<Started> ReadinessBackend<Poller>::give(Op& op) noexcept {
  if constexpr (TakesOperations<Poller>) {
    BackendHandle& handle = *op.handle;
    if (!is_adopted(handle)) {
      return std::nullopt;
    }
    const Submitted submitted = poller_.submit(op);
    if (submitted.how == Submitted::How::pending) {
      handle.writer = &op;
      handle.writer_given = 1;
      op.state = OpState::pending;
      return Started::pending;
    }
    if (submitted.how == Submitted::How::done) {
      return done(op, submitted.result);
    }
  }
  return std::nullopt;
}

// False: the poller does not have it. True: its answer is on the way, and until then its memory is the
// system's.
template <class Poller>
bool ReadinessBackend<Poller>::take_back(BackendHandle& handle, Op& op) noexcept {
  if constexpr (TakesOperations<Poller>) {
    if (handle.writer == &op && handle.writer_given) {
      poller_.withdraw(op);
      return true;
    }
  }
  return false;
}

template <class Poller>
void ReadinessBackend<Poller>::complete(Op& op, std::int64_t result) noexcept {
  BackendHandle& handle = *op.handle;
  handle.writer_given = 0;
  if (handle.closing) {
    --handle.unanswered;
    answer_later(handle, op, -EBADF);
  } else {
    handle.writer = nullptr;
    handle.learn(is_writable);  // there may be room again
    answer_later(handle, op, result);
  }
}

// Takes all of them back; nobody is called.
template <class Poller>
void ReadinessBackend<Poller>::wait_for_given() noexcept {
  if constexpr (TakesOperations<Poller>) {
    table_.for_each([this](BackendHandle& handle) {
      if (handle.writer != nullptr) {
        take_back(handle, *handle.writer);
      }
    });
    while (has_given()) {
      for (const auto& [op, result] : poller_.poll(TimePoint::max()).completed) {
        complete(*op, -ECANCELED);
      }
    }
  }
}

}  // namespace weir::inline WEIR_ABI::detail
