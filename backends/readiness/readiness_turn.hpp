// ReadinessBackend: the turn: poll() collects events into one queued item a handle, and the item does the
// work.
#pragma once

#include "backends/readiness/readiness_attempts.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <new>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

// --- The turn

template <class Poller>
void ReadinessBackend<Poller>::poll(TimePoint deadline) {
  // Where a host has waited, the wake itself has to be collected.
  if (deadline == TimePoint::min() && is_idle() && !std::exchange(host_waits_, false)) {
    poller_.take_wake();
    return;
  }
  if (busy_poll_.count() > 0 && deadline != TimePoint::min()) {
    const TimePoint until = std::min(deadline, poller_.now() + busy_poll_);
    do {
      const auto polled = !is_idle() ? poller_.poll(TimePoint::min())
                                     : Polled<typename Poller::Event>{{}, poller_.take_wake()};
      collect(polled);
      if (!polled.events.empty() || !polled.completed.empty() || polled.woken) {
        return;
      }
    } while (poller_.now() < until);
  }
  collect(poller_.poll(deadline));
}

template <class Poller>
void ReadinessBackend<Poller>::collect(const Polled<typename Poller::Event>& polled) {
  for (const auto& event : polled.events) {
    BackendHandle* const handle = table_.find_token(token_of(event));
    if (handle == nullptr) {
      continue;  // of a registration that is over
    }
    const Readiness ready = ready_of(event);
    handle->learn(ready);
    if (!Poller::has_edge || handle->special) [[unlikely]] {
      collect_special(*handle, ready);
    } else if (((ready & is_readable) != 0 && handle->reader != nullptr) ||
               ((ready & is_writable) != 0 && handle->writer != nullptr)) {
      queue_item(*handle);
    }
  }
  if constexpr (TakesOperations<Poller>) {
    for (const auto& [op, result] : polled.completed) {
      complete(*op, result);
    }
  }
}

template <class Poller>
TimePoint ReadinessBackend<Poller>::let_host_wait(TimePoint deadline) noexcept {
  host_waits_ = true;
  if constexpr (CanSleepOutside<Poller>) {
    return poller_.begin_sleep() ? deadline : TimePoint::min();
  } else {
    return poller_.take_wake() ? TimePoint::min() : deadline;
  }
}

// Level-triggered, what nobody waits for would come again and again: the item takes it out of the interest.
template <class Poller>
void ReadinessBackend<Poller>::collect_special(BackendHandle& handle, Readiness ready) {
  if ((ready & is_readable) != 0) {
    handle.set_stalled(false);
  }
  const int watched =
      (handle.read_watch != nullptr ? is_readable : 0) | (handle.write_watch != nullptr ? is_writable : 0);
  handle.set_fired(static_cast<Readiness>(handle.fired() | (ready & watched)));
  const int awaited =
      watched | (handle.reader != nullptr ? is_readable : 0) | (handle.writer != nullptr ? is_writable : 0);
  if ((ready & awaited) != 0 || is_level(handle)) {
    queue_item(handle);
  }
}

// Whatever is called here may stop, close and destroy anything; only the handle's memory is sure to be there,
// and its generation tells whether it is still the same descriptor's.
template <class Poller>
void ReadinessBackend<Poller>::run_event(void* object, std::uintptr_t generation_then, std::uintptr_t,
                                         ReadyAction action) {
  BackendHandle& handle = *static_cast<BackendHandle*>(object);
  const auto generation = static_cast<std::uint32_t>(generation_then);
  if (handle.generation != generation) {
    return;
  }
  handle.queued = false;
  if (action == ReadyAction::drop) {
    return;
  }
  auto& backend = *static_cast<ReadinessBackend*>(handle.backend);
  if (handle.reader != nullptr && handle.knows(is_readable)) {
    if (handle.reader->kind == OpKind::read_stream) [[likely]] {
      backend.run_read_stream(handle, static_cast<ReadStream&>(*handle.reader));
    } else if (handle.reader->kind == OpKind::recv) {
      if (const auto result = receive(handle, static_cast<RecvOp&>(*handle.reader).into); result != -EAGAIN) {
        answer_now(handle.reader, result);
      }
    } else {
      backend.run_other_reader(handle);
    }
    if (handle.generation != generation) {
      return;
    }
  }
  if (!Poller::has_edge || handle.writer != nullptr || handle.special) [[unlikely]] {
    backend.run_watches_and_writer(handle, generation);
    if (handle.generation != generation) {
      return;
    }
  }
  if (handle.knows(is_readable) && handle.reader != nullptr && !handle.stalled) [[unlikely]] {
    backend.queue_item(handle);  // others first
  }
}

template <class Poller>
void ReadinessBackend<Poller>::run_watches_and_writer(BackendHandle& handle, std::uint32_t generation) {
  if ((handle.fired() & is_readable) != 0) {
    run_watch(handle, Direction::read);
  }
  if (handle.generation == generation && writer_waits(handle) && handle.knows(is_writable)) {
    run_writer(handle);
  }
  if (handle.generation == generation && (handle.fired() & is_writable) != 0) {
    run_watch(handle, Direction::write);
  }
  if (handle.generation == generation && handle.unpollable && handle.writer != nullptr) {
    queue_item(handle);
  }
  if (handle.generation == generation && is_level(handle)) {
    sync(handle);  // an error is the same that the next operation or watch will be told
  }
}

template <class Poller>
void ReadinessBackend<Poller>::run_answer(void* object, std::uintptr_t its_handle, std::uintptr_t result,
                                          ReadyAction action) {
  Op& op = *static_cast<Op*>(object);
  BackendHandle& handle = *reinterpret_cast<BackendHandle*>(its_handle);
  auto& backend = *static_cast<ReadinessBackend*>(handle.backend);
  op.result = static_cast<std::intptr_t>(result);
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
  handle.set_fired(handle.fired() & (direction == Direction::read ? is_writable : is_readable));
  Watch& watch = *handle.watch(direction);
  watch.on_ready(watch);
}

template <class Poller>
void ReadinessBackend<Poller>::run_other_reader(BackendHandle& handle) {
  Op& op = *handle.reader;
  if (op.kind == OpKind::accept_stream) {
    run_accept_stream(handle, static_cast<AcceptStream&>(op));
    return;
  }
  if (op.kind == OpKind::datagram_stream) {
    run_datagrams(handle, static_cast<DatagramStream&>(op));
    return;
  }
  const std::int64_t result = op.kind == OpKind::accept ? accept(handle, static_cast<AcceptOp&>(op).peer)
                              : op.kind == OpKind::recv_from
                                  ? receive_from(handle, static_cast<RecvFromOp&>(op))
                                  : receive_fds(handle, static_cast<RecvFdsOp&>(op));
  if (result != -EAGAIN) {
    answer_now(handle.reader, result);
  }
}

template <class Poller>
void ReadinessBackend<Poller>::run_writer(BackendHandle& handle) {
  if (handle.writer->kind == OpKind::connect) {
    if (const auto result = Sockets::connect_result(handle.native); result != -EINPROGRESS) {
      answer_now(handle.writer, result);
    }
    return;
  }
  if (const std::int64_t result = write(handle, *handle.writer); result != -EAGAIN) {
    answer_now(handle.writer, result);
  }
}

template <class Poller>
void ReadinessBackend<Poller>::run_read_stream(BackendHandle& handle, ReadStream& stream) {
  if (stream.get_buffer == nullptr && buffer_ != nullptr) [[likely]] {
    const std::size_t size = read_size_;
    const std::int64_t result = receive_for(handle, stream, {buffer_.get(), size});
    if (result == static_cast<std::int64_t>(size)) [[unlikely]] {
      read_more_at_once();
    }
  } else if (const std::span<std::byte> buffer = buffer_for(handle, stream); !buffer.empty()) {
    receive_for(handle, stream, buffer);
  }
}

template <class Poller>
std::int64_t ReadinessBackend<Poller>::receive_for(BackendHandle& handle, ReadStream& stream,
                                                   std::span<std::byte> buffer) {
  const std::int64_t result = receive(handle, buffer);
  if (result > 0) [[likely]] {
    stream.on_data(stream, buffer.first(static_cast<std::size_t>(result)));
  } else if (result != -EAGAIN) {
    answer_now(handle.reader, result);
  }
  return result;
}

// A read has filled the buffer: the next one is larger, as far as that is allowed.
template <class Poller>
void ReadinessBackend<Poller>::read_more_at_once() noexcept {
  if (read_size_ < max_read_size_) {
    read_size_ = std::min(2 * read_size_, max_read_size_);
    buffer_.reset();
  }
}

// Where to receive to: the owner's buffer, or the backend's own on its first use. Empty: not now.
template <class Poller>
std::span<std::byte> ReadinessBackend<Poller>::buffer_for(BackendHandle& handle, ReadStream& stream) {
  if (stream.get_buffer == nullptr) {
    buffer_.reset(new (std::nothrow) std::byte[read_size_]);
    if (buffer_ == nullptr) {
      answer_now(handle.reader, -ENOMEM);
      return {};
    }
    return {buffer_.get(), read_size_};
  }
  const std::uint32_t generation = handle.generation;
  const std::span<std::byte> buffer = stream.get_buffer(stream);
  if (handle.generation != generation || handle.reader != &stream) {
    return {};
  }
  if (buffer.empty()) {
    // The owner gave up: nothing more until there is news or it starts anew, which it may just have done.
    handle.set_stalled(!handle.queued);
  }
  return buffer;
}

// A turn whose every attempt failed ends the stream: what looks like the bad luck of one connection may be a
// sandbox that forbids the call, and would be tried for ever.
template <class Poller>
void ReadinessBackend<Poller>::run_accept_stream(BackendHandle& handle, AcceptStream& stream) {
  const std::uint32_t generation = handle.generation;
  int failures = 0;
  for (int attempt = 0; attempt < accepts_per_turn; ++attempt) {
    RawAddress peer;
    const std::int64_t result = Sockets::accept(handle.native, peer);
    if (result == -EAGAIN) {
      handle.unlearn(is_readable);
      return;
    }
    if (result < 0) {
      if (Sockets::concerns_one_connection(result) && ++failures != accepts_per_turn) {
        continue;
      }
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
