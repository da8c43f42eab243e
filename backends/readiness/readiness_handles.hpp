// ReadinessBackend: handles, what the poller is asked to report on them, and watches.
#pragma once

#include "backends/readiness/readiness_backend.hpp"

#include <cassert>
#include <cerrno>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

// --- Handles

template <class Poller>
BackendHandle* ReadinessBackend<Poller>::attach(native_socket native, BackendHandle** owner) {
  BackendHandle* handle = table_.find(native);
  if (handle != nullptr && handle->attached) {
    // The number was closed behind our back and came again: the registration went with it, unless the poller
    // knows numbers instead of descriptors, as those do that have no edges.
    if (Poller::has_edge) {
      registered_ -= handle->registered() != no_interest ? 1 : 0;
      handle->set_registered(no_interest);
    }
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
void ReadinessBackend<Poller>::set_pipe(BackendHandle* handle, Direction direction) noexcept {
  handle->pipe = 1;
  handle->write_only = direction == Direction::write;
  handle->is_socket = Files::kind(handle->native) == static_cast<std::int64_t>(FileKind::socket);
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
      if (take_back(handle, *slot)) {
        slot = nullptr;
        ++handle.unanswered;
        continue;
      }
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
  kept_.forget(handle);
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

// Is there a writer who waits for the poller to report?
template <class Poller>
bool ReadinessBackend<Poller>::writer_waits(const BackendHandle& handle) noexcept {
  if constexpr (TakesOperations<Poller>) {
    return handle.writer != nullptr && !handle.writer_given;
  } else {
    return handle.writer != nullptr;
  }
}

// Edge-triggered, a descriptor is registered once, for both directions and for life. Level-triggered it is
// registered for what somebody waits for, and for nothing else: hang-ups are reported even to an empty
// interest, so that one leaves the poller.
template <class Poller>
Interest ReadinessBackend<Poller>::wanted(const BackendHandle& handle) noexcept {
  if (!is_level(handle)) {
    const bool begun =
        handle.registered() != no_interest || handle.reader != nullptr || handle.writer != nullptr;
    return begun ? edge_interest | read_interest | write_interest : no_interest;
  }
  Interest interest = no_interest;
  if ((handle.reader != nullptr && !handle.write_only) || handle.read_watch != nullptr) {
    interest |= read_interest;
  } else if (handle.reader != nullptr && !Poller::has_edge) {
    interest |= end_interest;
  }
  if (writer_waits(handle) || handle.write_watch != nullptr) {
    interest |= write_interest;
  }
  // Who reads a writing end waits for its hang-up, and not for what lies there unread.
  return interest == no_interest && handle.reader != nullptr ? edge_interest : interest;
}

template <class Poller>
std::int64_t ReadinessBackend<Poller>::sync(BackendHandle& handle, bool always) noexcept {
  const Interest interest = wanted(handle);
  if (interest == handle.registered() && !always && !handle.doubtful) [[likely]] {
    return 0;
  }
  if (interest == no_interest) {
    deregister(handle);
    return 0;
  }
  const bool is_first = handle.registered() == no_interest;
  const bool listens = handle.reader != nullptr && (handle.reader->kind == OpKind::accept ||
                                                    handle.reader->kind == OpKind::accept_stream);
  const bool by_itself = is_adopted(handle) && !handle.is_watched() && !listens;
  const Interest adopted = by_itself ? adopted_interest : no_interest;
  const std::int64_t error = is_first ? poller_.watch(handle.native, handle.token(), interest | adopted)
                                      : poller_.rewatch(handle.native, handle.token(), interest | adopted);
  if (error < 0) {
    deregister(handle);  // should the system know it still
    return error;
  }
  registered_ += is_first ? 1 : 0;
  handle.set_registered(interest);
  if (is_first || handle.doubtful) {
    handle.unlearn(is_readable);  // the poller is about to report what is there: no probe
  }
  handle.doubtful = false;
  return 0;
}

template <class Poller>
void ReadinessBackend<Poller>::deregister(BackendHandle& handle) noexcept {
  if (handle.registered() != no_interest) {
    poller_.unwatch(handle.native);
    handle.set_registered(no_interest);
    --registered_;
  }
}

// As if nothing were registered, so that nothing is taken out.
template <class Poller>
void ReadinessBackend<Poller>::leave_to_parent(bool is_at_rest) noexcept {
  if constexpr (CanBeInherited<Poller>) {
    poller_.leave_to_parent();
  }
  if (!is_at_rest) {
    return;
  }
  table_.for_each([](BackendHandle& handle) { handle.set_registered(no_interest); });
  registered_ = 0;
  close_all();
}

// --- Watches

template <class Poller>
std::int64_t ReadinessBackend<Poller>::watch(native_socket native, Watch& watch) {
  assert(watch.handle == nullptr);
  if (!HandleTable::is_possible(native)) {
    return -EBADF;
  }
  BackendHandle* handle = table_.find(native);
  if (handle == nullptr) {
    handle = &table_.acquire(native, this);
  }
  Watch*& slot = handle->watch(watch.direction);
  assert(slot == nullptr);
  slot = &watch;
  handle->note_special();
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
  handle->note_special();
  handle->set_fired(handle->fired() & (watch.direction == Direction::read ? is_writable : is_readable));
  if (handle->attached || handle->is_watched()) {
    sync(*handle);
    return;
  }
  handle->detached = true;
  end_handle(*handle);
  settle(*handle);
}

}  // namespace weir::inline WEIR_ABI::detail
