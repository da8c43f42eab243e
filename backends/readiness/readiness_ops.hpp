// ReadinessBackend: handles, registrations, and how operations begin and end. The turn is in
// readiness_turn.hpp.
#pragma once

#include "backends/readiness/readiness_backend.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>

namespace weir::inline WEIR_ABI::detail {

// --- Handles
// ---------------------------------------------------------------------------------------------------------

template <class Poller>
BackendHandle* ReadinessBackend<Poller>::attach(native_socket native, BackendHandle** owner) {
  BackendHandle* handle = table_.find(native);
  if (handle != nullptr && handle->attached) {
    // The number was closed behind our back and came again: the registration went with it.
    registered_ -= handle->registered != no_interest ? 1 : 0;
    handle->registered = no_interest;
    detach(handle);
    handle = nullptr;
  }
  if (handle == nullptr) {
    handle = &table_.acquire(native, this);
  } else {
    handle->doubtful = true;  // watched before; by this descriptor or by an earlier one with its number
  }
  handle->attached = true;
  handle->owner = owner;
  return handle;
}

template <class Poller>
void ReadinessBackend<Poller>::close(BackendHandle* handle) noexcept {
  end_handle(*handle);
  settle(*handle);
}

template <class Poller>
void ReadinessBackend<Poller>::detach(BackendHandle* handle) noexcept {
  handle->detached = true;
  end_handle(*handle);
  settle(*handle);
}

template <class Poller>
void ReadinessBackend<Poller>::end_handle(BackendHandle& handle) noexcept {
  assert(!handle.closing);
  for (const Direction direction : {Direction::read, Direction::write}) {
    if (Op*& slot = handle.op(direction); slot != nullptr) {
      answer_later(handle, *std::exchange(slot, nullptr), -EBADF);
    }
    if (Watch*& slot = handle.watch(direction); slot != nullptr) {
      std::exchange(slot, nullptr)->handle = nullptr;
    }
  }
  deregister(handle);
  if (handle.owner != nullptr) {
    *std::exchange(handle.owner, nullptr) = nullptr;
  }
  handle.closing = true;
  table_.retire(handle);
}

// Gives the number back once the last operation on it has answered.
template <class Poller>
void ReadinessBackend<Poller>::settle(BackendHandle& handle) noexcept {
  if (handle.unanswered != 0) {
    return;
  }
  if (!handle.detached) {
    Sockets::close(handle.native);
  }
  table_.recycle(handle);
}

// --- Registrations
// ---------------------------------------------------------------------------------------------------

// Edge-triggered, a descriptor is registered once, for both directions and for life. Level-triggered it is
// registered for what somebody waits for, and for nothing else: hang-ups are reported even to an empty
// interest, so that one leaves the poller.
template <class Poller>
Interest ReadinessBackend<Poller>::wanted(const BackendHandle& handle) noexcept {
  if (!is_level(handle)) {
    const bool begun =
        handle.registered != no_interest || handle.reader != nullptr || handle.writer != nullptr;
    return begun ? edge_interest | read_interest | write_interest : no_interest;
  }
  Interest interest = no_interest;
  if (handle.reader != nullptr || handle.read_watch != nullptr) {
    interest |= read_interest;
  }
  if (handle.writer != nullptr || handle.write_watch != nullptr) {
    interest |= write_interest;
  }
  return interest;
}

template <class Poller>
std::int64_t ReadinessBackend<Poller>::sync(BackendHandle& handle, bool always) noexcept {
  const Interest interest = wanted(handle);
  if (interest == handle.registered && !always && !handle.doubtful) [[likely]] {
    return 0;
  }
  if (interest == no_interest) {
    deregister(handle);
    return 0;
  }
  const bool is_first = handle.registered == no_interest;
  const std::int64_t error = is_first ? poller_.watch(handle.native, handle.token(), interest)
                                      : poller_.rewatch(handle.native, handle.token(), interest);
  if (error < 0) {
    registered_ -= is_first ? 0 : 1;
    handle.registered = no_interest;
    return error;
  }
  registered_ += is_first ? 1 : 0;
  handle.registered = interest;
  if (is_first || handle.doubtful) {
    handle.readable = false;  // the poller is about to report what is there: no probe
  }
  handle.doubtful = false;
  return 0;
}

template <class Poller>
void ReadinessBackend<Poller>::deregister(BackendHandle& handle) noexcept {
  if (handle.registered != no_interest) {
    poller_.unwatch(handle.native);
    handle.registered = no_interest;
    --registered_;
  }
}

// --- Beginning
// -------------------------------------------------------------------------------------------------------

template <class Poller>
Started ReadinessBackend<Poller>::done(Op& op, std::int64_t result) noexcept {
  op.result = result;
  return Started::done;
}

template <class Poller>
Started ReadinessBackend<Poller>::park(Op& op, Direction direction) noexcept {
  BackendHandle& handle = *op.handle;
  handle.op(direction) = &op;
  op.state = OpState::pending;
  if (const std::int64_t error = sync(handle); error < 0) {
    handle.op(direction) = nullptr;
    op.state = OpState::idle;
    return done(op, error);
  }
  handle.stalled &= direction != Direction::read;
  if (direction == Direction::read && handle.readable) {
    queue_item(handle);  // the poller has reported it already and will not again
  }
  return Started::pending;
}

template <class Poller>
Started ReadinessBackend<Poller>::start(ConnectOp& op) noexcept {
  BackendHandle& handle = *op.handle;
  assert(op.state == OpState::idle && handle.writer == nullptr);
  const std::int64_t result = Sockets::connect(handle.native, op.address);
  if (result != -EINPROGRESS) {
    return done(op, result);
  }
  handle.full = false;
  return park(op, Direction::write);
}

template <class Poller>
Started ReadinessBackend<Poller>::start(AcceptOp& op) noexcept {
  BackendHandle& handle = *op.handle;
  assert(op.state == OpState::idle && handle.reader == nullptr);
  if (handle.readable) {
    if (const std::int64_t result = accept(handle, op.peer); result != -EAGAIN) {
      return done(op, result);
    }
  }
  return park(op, Direction::read);
}

template <class Poller>
Started ReadinessBackend<Poller>::start(RecvOp& op) noexcept {
  BackendHandle& handle = *op.handle;
  assert(op.state == OpState::idle && handle.reader == nullptr);
  if (op.into.empty()) {
    return done(op, 0);
  }
  if (handle.readable) {
    if (const std::int64_t result = receive(handle, op.into); result != -EAGAIN) {
      return done(op, result);
    }
  }
  return park(op, Direction::read);
}

template <class Poller>
Started ReadinessBackend<Poller>::start(SendOp& op) noexcept {
  BackendHandle& handle = *op.handle;
  assert(op.state == OpState::idle && handle.writer == nullptr);
  if (!handle.full) {
    if (const std::int64_t result = send(handle, op.buffers); result != -EAGAIN) {
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
// ----------------------------------------------------------------------------------------------------------

template <class Poller>
void ReadinessBackend<Poller>::answer_now(Op*& slot, std::int64_t result) noexcept {
  Op& op = *std::exchange(slot, nullptr);
  op.state = OpState::idle;
  op.result = result;
  op.on_done(op);
}

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

// --- Watches
// ---------------------------------------------------------------------------------------------------------

template <class Poller>
std::int64_t ReadinessBackend<Poller>::watch(native_socket native, Watch& watch) {
  assert(watch.handle == nullptr);
  if (native < 0) {
    return -EBADF;
  }
  BackendHandle* handle = table_.find(native);
  if (handle == nullptr) {
    handle = &table_.acquire(native, this);
  }
  Watch*& slot = handle->watch(watch.direction);
  assert(slot == nullptr);
  slot = &watch;
  watch.handle = handle;
  // Always a system call: the number may have been closed and opened again since the last one.
  const std::int64_t error = sync(*handle, true);
  if (error < 0) {
    unwatch(watch);
  }
  return error;
}

template <class Poller>
void ReadinessBackend<Poller>::unwatch(Watch& watch) noexcept {
  BackendHandle* const handle = std::exchange(watch.handle, nullptr);
  if (handle == nullptr) {
    return;
  }
  handle->watch(watch.direction) = nullptr;
  handle->fired &= watch.direction == Direction::read ? Readiness{is_writable} : Readiness{is_readable};
  if (handle->attached || handle->is_watched()) {
    sync(*handle);
    return;
  }
  handle->detached = true;
  end_handle(*handle);
  settle(*handle);
}

}  // namespace weir::inline WEIR_ABI::detail
