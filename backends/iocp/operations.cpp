// Overlapped operations. Facts that shape this file:
// - The end of a pipe takes whole operations only: it is never asked whether it has room.
// - A call that succeeds at once has a packet as well as one that does not.
// - ConnectEx wants a socket that is bound, and leaves one that does not know that it is connected.
#include "backends/iocp/operations.hpp"

#include "backends/system/socket_address.hpp"
#include "backends/windows/errors.hpp"
#include "backends/windows/sockets.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <new>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr std::size_t most_at_once = 4 * 1024;

constexpr Submitted declined{Submitted::How::declined, 0};

Submitted answered(std::int64_t result) noexcept { return {Submitted::How::done, result}; }

// A function that Winsock hands out for a socket; null when it has none.
template <class Function>
Function extension(native_socket native, GUID id) noexcept {
  Function found = nullptr;
  DWORD size = 0;
  const int error = ::WSAIoctl(native, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof id, &found,
                               sizeof found, &size, nullptr, nullptr);
  return error == 0 ? found : nullptr;
}

WSABUF piece_of(ConstBuffer buffer) noexcept {
  const auto size = static_cast<ULONG>(std::min<std::size_t>(buffer.size(), INT_MAX));
  return {size, const_cast<char*>(reinterpret_cast<const char*>(buffer.data()))};
}

}  // namespace

Submitted OverlappedOperations::submit(Op& op) noexcept {
  switch (op.kind) {
    case OpKind::connect:
      return submit_connect(static_cast<ConnectOp&>(op));
    case OpKind::send:
      return submit_send(static_cast<SendOp&>(op));
    case OpKind::send_to:
      return submit_send_to(static_cast<SendToOp&>(op));
    default:
      return declined;
  }
}

OverlappedOperations::Pending* OverlappedOperations::acquire(Op& op) noexcept {
  try {
    if (free_.empty()) {
      free_.reserve(all_.size() + 1);
      all_.push_back(std::make_unique<Pending>());
      free_.push_back(all_.back().get());
    }
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  Pending* const pending = free_.back();
  free_.pop_back();
  pending->system = {};
  pending->op = &op;
  pending->native = op.handle->native;
  return pending;
}

Submitted OverlappedOperations::submitted(Pending& pending, bool failed) noexcept {
  const std::int64_t error = failed ? last_socket_error() : 0;
  if (failed && ::GetLastError() != ERROR_IO_PENDING) {
    free_.push_back(&pending);
    return answered(error);
  }
  ++in_flight_;
  pending.op->result = reinterpret_cast<std::intptr_t>(&pending);
  return {Submitted::How::pending, 0};
}

Submitted OverlappedOperations::submit_connect(ConnectOp& op) noexcept {
  const native_socket native = op.handle->native;
  const bool is_inet = op.address.family == AddressFamily::inet || op.address.family == AddressFamily::inet6;
  if (!is_inet || WindowsSockets::type(native) != static_cast<std::int64_t>(SocketType::stream)) {
    return declined;
  }
  static const auto connect_ex = extension<LPFN_CONNECTEX>(native, WSAID_CONNECTEX);
  Pending* const pending = connect_ex != nullptr ? acquire(op) : nullptr;
  if (pending == nullptr) {
    return declined;
  }
  RawAddress any;
  any.family = op.address.family;
  const SystemAddress from = to_system(any);
  ::bind(native, from.get(), from.length);  // refused when it is bound already
  const SystemAddress to = to_system(op.address);
  return submitted(*pending,
                   connect_ex(native, to.get(), to.length, nullptr, 0, nullptr, &pending->system) == FALSE);
}

Submitted OverlappedOperations::submit_send(SendOp& op) noexcept {
  Pending* const pending = acquire(op);
  if (pending == nullptr) {
    return declined;
  }
  if (op.handle->pipe && !op.handle->is_socket) {
    const WSABUF piece =
        piece_of(op.buffers.front().first(std::min(op.buffers.front().size(), most_at_once)));
    return submitted(*pending, ::WriteFile(reinterpret_cast<HANDLE>(pending->native), piece.buf, piece.len,
                                           nullptr, &pending->system) == FALSE);
  }
  // What the system has is not seen to shrink: no more than is soon gone. The rest is sent without waiting,
  // once these have shown that there is room again.
  constexpr std::size_t most_pieces = 64;
  std::size_t left = most_at_once;
  std::array<WSABUF, most_pieces> pieces;
  std::size_t count = 0;
  while (count != std::min(op.buffers.size(), most_pieces) && left != 0) {
    const ConstBuffer buffer = op.buffers[count].first(std::min(op.buffers[count].size(), left));
    pieces[count++] = piece_of(buffer);
    left -= buffer.size();
  }
  return submitted(*pending, ::WSASend(pending->native, pieces.data(), static_cast<DWORD>(count), nullptr, 0,
                                       &pending->system, nullptr) != 0);
}

Submitted OverlappedOperations::submit_send_to(SendToOp& op) noexcept {
  const Datagram& first = op.datagrams.front();
  SystemAddress to;
  if (first.to != nullptr) {
    to = to_system(*first.to);
    if (to.length == 0) {
      return declined;
    }
  }
  Pending* const pending = acquire(op);
  if (pending == nullptr) {
    return declined;
  }
  WSABUF piece = piece_of(first.data);
  return submitted(
      *pending, ::WSASendTo(pending->native, &piece, 1, nullptr, 0, first.to != nullptr ? to.get() : nullptr,
                            first.to != nullptr ? to.length : 0, &pending->system, nullptr) != 0);
}

void OverlappedOperations::withdraw(Op& op) noexcept {
  auto& pending = *reinterpret_cast<Pending*>(static_cast<std::intptr_t>(op.result));
  ::CancelIoEx(reinterpret_cast<HANDLE>(pending.native), &pending.system);
}

Completed OverlappedOperations::take(SystemRequest& request, std::int32_t status,
                                     std::uint32_t bytes) noexcept {
  auto& pending = static_cast<Pending&>(request);
  Op& op = *pending.op;
  // What was cancelled may have been sent in part.
  std::int64_t result = status < 0 && bytes == 0 ? negated_status(status) : std::int64_t{bytes};
  if (op.kind == OpKind::connect && status >= 0) {
    ::setsockopt(pending.native, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, nullptr, 0);
    result = 0;
  } else if (op.kind == OpKind::send_to && status >= 0) {
    result = 1;
  }
  --in_flight_;
  pending.op = nullptr;
  free_.push_back(&pending);  // it has had room since it was taken out
  return {&op, result};
}

}  // namespace weir::inline WEIR_ABI::detail
