// ReadinessBackend: the attempts that are not every connection's daily work, one system call each.
#pragma once

#include "backends/readiness/readiness_backend.hpp"

#include <algorithm>
#include <cerrno>

namespace weir::inline WEIR_ABI::detail {

template <class Poller>
std::int64_t ReadinessBackend<Poller>::send_gather(BackendHandle& handle,
                                                   std::span<const ConstBuffer> buffers) noexcept {
  constexpr std::size_t most_buffers = 1024;
  buffers = buffers.first(std::min(buffers.size(), most_buffers));
  std::size_t total = 0;
  for (const ConstBuffer& buffer : buffers) {
    total += buffer.size();
  }
  if (total == 0) {
    return 0;
  }
  const std::int64_t result = handle.pipe && !handle.is_socket ? Sockets::write(handle.native, buffers)
                                                               : Sockets::send_gather(handle.native, buffers);
  if (result != static_cast<std::int64_t>(total)) {
    note_short_send(handle, result);
  }
  return result;
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

// A writing end is not read, whatever it may hold for others: only its end is looked for. Short is not
// drained: terminals give lines.
template <class Poller>
std::int64_t ReadinessBackend<Poller>::receive_from_pipe(BackendHandle& handle,
                                                         std::span<std::byte> into) noexcept {
  const std::int64_t result = handle.write_only  ? (Sockets::has_hung_up(handle.native) != 0 ? 0 : -EAGAIN)
                              : handle.is_socket ? Sockets::receive(handle.native, into)
                                                 : Sockets::read(handle.native, into);
  if (result == -EAGAIN && !handle.unpollable) {
    handle.unlearn(is_readable | is_ended);
  }
  return result;
}

// Short is not drained: what carries descriptors is read by itself.
template <class Poller>
std::int64_t ReadinessBackend<Poller>::receive_fds(BackendHandle& handle, RecvFdsOp& op) noexcept {
  const std::int64_t result = Sockets::receive_fds(handle.native, op.into, op.fds);
  if (result == -EAGAIN) {
    handle.unlearn(is_readable | is_ended);
  }
  return result;
}

template <class Poller>
std::int64_t ReadinessBackend<Poller>::send_fds(BackendHandle& handle, const SendFdsOp& op) noexcept {
  const std::int64_t result = Sockets::send_fds(handle.native, op.data, op.fds);
  if (result != static_cast<std::int64_t>(op.data.size())) {
    note_short_send(handle, result);
  }
  return result;
}

template <class Poller>
std::int64_t ReadinessBackend<Poller>::write(BackendHandle& handle, Op& op) noexcept {
  switch (op.kind) {
    case OpKind::send_to:
      return send_to(handle, static_cast<SendToOp&>(op).datagrams);
    case OpKind::send_fds:
      return send_fds(handle, static_cast<SendFdsOp&>(op));
    case OpKind::send_file:
      return send_file(handle, static_cast<SendFileOp&>(op));
    default:
      return send(handle, static_cast<SendOp&>(op).buffers);
  }
}

}  // namespace weir::inline WEIR_ABI::detail
