// The operations that net/ and subprocess/ start on a backend. Each is a struct embedded in whoever waits for
// it: nothing is allocated per operation. What a backend promises about them stands in backends/backend.hpp.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/raw_address.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::inline WEIR_ABI::detail {

// What a backend remembers about one socket or descriptor. Each backend defines its own, privately.
struct BackendHandle;

// The answer of start(): `done` means that `result` is valid and on_done is never called for this start.
enum class Started : bool { pending, done };

enum class OpKind : std::uint8_t { connect, accept, recv, send, read_stream, accept_stream, send_file };

// idle: the owner's. pending: the backend's. completing: answered, its on_done waits in the ready queue.
enum class OpState : std::uint8_t { idle, pending, completing };

struct Op {
  using Done = void (*)(Op&) noexcept;

  explicit Op(OpKind op_kind) noexcept : kind(op_kind) {}
  Op(const Op&) = delete;  // the kernel may hold our address
  Op& operator=(const Op&) = delete;
  ~Op() { assert(state == OpState::idle); }

  Done on_done = nullptr;           // the only indirect jump between kernel and waiter
  std::int64_t result = 0;          // >= 0: bytes or a new native socket. < 0: a negated errno
  BackendHandle* handle = nullptr;  // what it works on; set by the owner before start()
  OpKind kind;
  OpState state = OpState::idle;
};

// Connects a stream socket. The result is 0. One-shot.
struct ConnectOp : Op {
  ConnectOp() noexcept : Op(OpKind::connect) {}
  RawAddress address;
};

// Accepts one connection. The result is the new socket: non-blocking, close-on-exec, the receiver's to close;
// peer is its address. One-shot.
struct AcceptOp : Op {
  AcceptOp() noexcept : Op(OpKind::accept) {}
  RawAddress peer;
};

// Receives into the owner's memory. The result is the number of bytes, 0 at end of stream. One-shot.
struct RecvOp : Op {
  RecvOp() noexcept : Op(OpKind::recv) {}
  std::span<std::byte> into;
};

using ConstBuffer = std::span<const std::byte>;

// Sends a gather list, which the owner keeps in place until the answer. The result is how many bytes were
// taken; fewer than given is normal. One-shot. Memory that is not the owner's to keep goes to the backend's
// try_send() first.
struct SendOp : Op {
  SendOp() noexcept : Op(OpKind::send) {}
  std::span<const ConstBuffer> buffers;
};

// Sends bytes of a file from `offset` on, whatever the file's position, which stays. The result is how many
// were sent; fewer than `count` is normal, and 0 is the end of the file. -ENOTSUP: not this file, or not on
// this system; read and send it then. One-shot.
struct SendFileOp : Op {
  SendFileOp() noexcept : Op(OpKind::send_file) {}
  native_file file = invalid_file;  // open until the answer
  std::uint64_t offset = 0;
  std::size_t count = 0;  // at least 1
};

// Receives again and again. on_data gets memory that is the backend's (or what get_buffer gave) and lent
// until it returns. It may stop or cancel the stream, close the handle, and destroy the owner. Ends once, by
// on_done, with result 0 at end of stream or a negated errno; a stream stopped by stop() or never started
// does not end.
struct ReadStream : Op {
  using Data = void (*)(ReadStream&, std::span<std::byte>) noexcept;
  using Buffer = std::span<std::byte> (*)(ReadStream&) noexcept;
  ReadStream() noexcept : Op(OpKind::read_stream) {}
  Data on_data = nullptr;
  Buffer get_buffer =
      nullptr;  // null: the backend's own buffer. An empty span: the owner gave up; read nothing
};

// Accepts again and again: on_accept owns the new socket (as AcceptOp's). Ends once, by on_done, with a
// negated errno; an interrupted or already reset connection is not an end.
struct AcceptStream : Op {
  using Accepted = void (*)(AcceptStream&, native_socket, const RawAddress& peer) noexcept;
  AcceptStream() noexcept : Op(OpKind::accept_stream) {}
  Accepted on_accept = nullptr;
};

enum class Direction : std::uint8_t { read, write };

// Level-triggered readiness of any pollable descriptor, the base of add_reader and add_writer: on_ready is
// called in every turn in which the descriptor is ready in that direction, has hung up, or has an error. Not
// an operation: it never ends by itself.
struct Watch {
  using Ready = void (*)(Watch&) noexcept;
  Ready on_ready = nullptr;
  BackendHandle* handle = nullptr;  // null: not watching. Set and cleared by the backend
  Direction direction = Direction::read;
};

// What net/ asks of the operating system's sockets besides operations.
enum class SocketOption : std::uint8_t {
  reuse_address,
  reuse_port,
  no_delay,
  keep_alive,
  ipv6_only,
  send_buffer,
  receive_buffer,
  error,
  broadcast,
  linger_abort,
};
// Tells one file from another, also from a later one of the same name.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t number = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};
enum class ShutdownHow : std::uint8_t { read, write, both };

}  // namespace weir::inline WEIR_ABI::detail
