// ReadinessBackend: the attempts, and the turn: poll() collects events into one queued item a handle, and the
// item does the work.
#pragma once

#include "backends/readiness/readiness_backend.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <new>

namespace weir::inline WEIR_ABI::detail {

// --- Attempts
// --------------------------------------------------------------------------------------------------------

// For a stream, a short read means that it is drained and a short write that it is full (epoll(7)): no second
// call to be told EAGAIN. Not when the end, an error or urgent data is still to be met, where a read stops
// short and no further event follows.
template <class Poller>
std::int64_t ReadinessBackend<Poller>::receive(BackendHandle& handle, std::span<std::byte> into) noexcept {
  const std::int64_t result = Sockets::receive(handle.native, into);
  if (result == -EAGAIN) {
    handle.readable = false;
    handle.hang_up = false;
  } else if (result > 0) {
    handle.readable = handle.hang_up || static_cast<std::size_t>(result) == into.size();
  }
  return result;
}

template <class Poller>
std::int64_t ReadinessBackend<Poller>::send(BackendHandle& handle,
                                            std::span<const ConstBuffer> buffers) noexcept {
  constexpr std::size_t most_buffers = 1024;
  // One call takes a little less than 2 GiB, whatever room there is.
  constexpr std::size_t most_bytes = std::size_t{1} << 30;
  buffers = buffers.first(std::min(buffers.size(), most_buffers));
  std::size_t total = 0;
  for (const ConstBuffer& buffer : buffers) {
    total += buffer.size();
  }
  if (total == 0) {
    return 0;
  }
  const std::int64_t result = buffers.size() == 1 ? Sockets::send(handle.native, buffers[0])
                                                  : Sockets::send_gather(handle.native, buffers);
  handle.full =
      result == -EAGAIN || (result >= 0 && static_cast<std::size_t>(result) < std::min(total, most_bytes));
  return result;
}

template <class Poller>
std::int64_t ReadinessBackend<Poller>::accept(BackendHandle& handle, RawAddress& peer) noexcept {
  for (int attempt = 0; attempt < accepts_per_turn; ++attempt) {
    const std::int64_t result = Sockets::accept(handle.native, peer);
    if (result == -EAGAIN) {
      handle.readable = false;
    }
    if (result != -ECONNABORTED) {
      return result;
    }
  }
  return -EAGAIN;  // still readable: the next turn goes on
}

// --- The turn
// --------------------------------------------------------------------------------------------------------

template <class Poller>
void ReadinessBackend<Poller>::poll(TimePoint deadline) {
  if (deadline == TimePoint::min() && registered_ == 0) {
    poller_.take_wake();
    return;
  }
  if (busy_poll_.count() > 0 && deadline != TimePoint::min()) {
    const TimePoint until = std::min(deadline, poller_.now() + busy_poll_);
    do {
      const Polled polled =
          registered_ != 0 ? poller_.poll(TimePoint::min()) : Polled{{}, poller_.take_wake()};
      collect(polled.events);
      if (!polled.events.empty() || polled.woken) {
        return;
      }
    } while (poller_.now() < until);
  }
  collect(poller_.poll(deadline).events);
}

template <class Poller>
void ReadinessBackend<Poller>::collect(std::span<const PollEvent> events) {
  for (const PollEvent& event : events) {
    BackendHandle* const handle = table_.find_token(event.token);
    if (handle == nullptr) {
      continue;  // of a registration that is over
    }
    bool is_awaited = false;
    if ((event.ready & is_readable) != 0) {
      handle->readable = true;
      handle->stalled = false;
      is_awaited |= handle->reader != nullptr;
      if (handle->read_watch != nullptr) {
        handle->fired |= is_readable;
        is_awaited = true;
      }
    }
    if ((event.ready & is_writable) != 0) {
      handle->full = false;
      is_awaited |= handle->writer != nullptr;
      if (handle->write_watch != nullptr) {
        handle->fired |= is_writable;
        is_awaited = true;
      }
    }
    if ((event.ready & is_ended) != 0) {
      handle->hang_up = true;
    }
    // Level-triggered, what nobody waits for would come again and again: the item takes it out of the
    // interest.
    if (is_awaited || is_level(*handle)) {
      queue_item(*handle);
    }
  }
}

template <class Poller>
void ReadinessBackend<Poller>::queue_item(BackendHandle& handle) {
  if (!handle.queued) {
    queue_.push(&run_event, &handle, handle.generation);
    handle.queued = true;
  }
}

// Whatever is called here may stop, close and destroy anything; only the handle's memory is sure to be there,
// and its generation tells whether it is still the same descriptor's.
template <class Poller>
void ReadinessBackend<Poller>::run_event(ReadyItem& item, ReadyAction action) {
  BackendHandle& handle = *static_cast<BackendHandle*>(item.object);
  const auto generation = static_cast<std::uint32_t>(item.words[0]);
  if (handle.generation != generation) {
    return;
  }
  handle.queued = false;
  if (action == ReadyAction::drop) {
    return;
  }
  auto& backend = *static_cast<ReadinessBackend*>(handle.backend);
  if (handle.reader != nullptr && handle.readable) {
    backend.run_reader(handle);
  }
  if (handle.generation == generation && (handle.fired & is_readable) != 0) {
    run_watch(handle, Direction::read);
  }
  if (handle.generation == generation && handle.writer != nullptr && !handle.full) {
    backend.run_writer(handle);
  }
  if (handle.generation == generation && (handle.fired & is_writable) != 0) {
    run_watch(handle, Direction::write);
  }
  if (handle.generation != generation) {
    return;
  }
  if (is_level(handle)) {
    // An error is the same that the next operation or watch will be told.
    backend.sync(handle);
  }
  if (handle.reader != nullptr && handle.readable && !handle.stalled) {
    backend.queue_item(handle);  // others first
  }
}

template <class Poller>
void ReadinessBackend<Poller>::run_answer(ReadyItem& item, ReadyAction action) {
  Op& op = *static_cast<Op*>(item.object);
  BackendHandle& handle = *reinterpret_cast<BackendHandle*>(item.words[0]);
  auto& backend = *static_cast<ReadinessBackend*>(handle.backend);
  op.result = static_cast<std::intptr_t>(item.words[1]);
  op.state = OpState::idle;
  const bool closing = handle.closing;
  if (!closing) {
    --handle.unanswered;  // whoever is called and closes the socket finds its number given back at once
  }
  if (action == ReadyAction::run) {
    op.on_done(op);
  }
  if (closing) {
    --handle.unanswered;
    backend.settle(handle);
  }
}

template <class Poller>
void ReadinessBackend<Poller>::run_watch(BackendHandle& handle, Direction direction) {
  handle.fired &= direction == Direction::read ? Readiness{is_writable} : Readiness{is_readable};
  Watch& watch = *handle.watch(direction);
  watch.on_ready(watch);
}

template <class Poller>
void ReadinessBackend<Poller>::run_reader(BackendHandle& handle) {
  switch (handle.reader->kind) {
    case OpKind::read_stream:
      run_read_stream(handle, static_cast<ReadStream&>(*handle.reader));
      break;
    case OpKind::accept_stream:
      run_accept_stream(handle, static_cast<AcceptStream&>(*handle.reader));
      break;
    case OpKind::recv:
      if (const auto result = receive(handle, static_cast<RecvOp*>(handle.reader)->into); result != -EAGAIN) {
        answer_now(handle.reader, result);
      }
      break;
    case OpKind::accept:
      if (const auto result = accept(handle, static_cast<AcceptOp*>(handle.reader)->peer);
          result != -EAGAIN) {
        answer_now(handle.reader, result);
      }
      break;
    default:
      assert(!"a writing operation in the reader's slot");
  }
}

template <class Poller>
void ReadinessBackend<Poller>::run_writer(BackendHandle& handle) {
  if (handle.writer->kind == OpKind::connect) {
    if (const auto result = Sockets::connect_result(handle.native); result != -EINPROGRESS) {
      answer_now(handle.writer, result);
    }
  } else if (const auto result = send(handle, static_cast<SendOp*>(handle.writer)->buffers);
             result != -EAGAIN) {
    answer_now(handle.writer, result);
  }
}

template <class Poller>
void ReadinessBackend<Poller>::run_read_stream(BackendHandle& handle, ReadStream& stream) {
  std::span<std::byte> buffer;
  if (stream.get_buffer != nullptr) {
    const std::uint32_t generation = handle.generation;
    buffer = stream.get_buffer(stream);
    if (handle.generation != generation || handle.reader != &stream) {
      return;
    }
    if (buffer.empty()) {
      // The owner gave up: nothing more until there is news or it starts anew, which it may just have done.
      handle.stalled = !handle.queued;
      return;
    }
  } else {
    if (buffer_ == nullptr) {
      buffer_.reset(new (std::nothrow) std::byte[receive_buffer_bytes]);
      if (buffer_ == nullptr) {
        answer_now(handle.reader, -ENOMEM);
        return;
      }
    }
    buffer = {buffer_.get(), receive_buffer_bytes};
  }
  const std::int64_t result = receive(handle, buffer);
  if (result > 0) {
    stream.on_data(stream, buffer.first(static_cast<std::size_t>(result)));
  } else if (result != -EAGAIN) {
    answer_now(handle.reader, result);
  }
}

template <class Poller>
void ReadinessBackend<Poller>::run_accept_stream(BackendHandle& handle, AcceptStream& stream) {
  const std::uint32_t generation = handle.generation;
  for (int accepted = 0; accepted < accepts_per_turn; ++accepted) {
    RawAddress peer;
    const std::int64_t result = Sockets::accept(handle.native, peer);
    if (result == -ECONNABORTED) {
      continue;
    }
    if (result == -EAGAIN) {
      handle.readable = false;
      return;
    }
    if (result < 0) {
      answer_now(handle.reader, result);
      return;
    }
    stream.on_accept(stream, static_cast<native_socket>(result), peer);
    if (handle.generation != generation || handle.reader != &stream) {
      return;
    }
  }
}

}  // namespace weir::inline WEIR_ABI::detail
