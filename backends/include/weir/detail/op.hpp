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

enum class OpKind : std::uint8_t {
  connect,
  accept,
  recv,
  send,
  read_stream,
  accept_stream,
  recv_fds,
  send_fds,
  recv_from,
  send_to,
  datagram_stream,
  send_file
};

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

// Descriptors that came with received bytes, the receiver's to close.
struct FdBatch {
  std::span<native_socket> room;
  std::size_t count = 0;  // how many of `room` were filled
  // An errno when there were more: EMSGSIZE for want of room, EMFILE for want of numbers. The others are
  // closed.
  int lost = 0;
};

// As RecvOp on a Unix stream socket, with the descriptors that travel with the bytes received. They come with
// the first byte of what they were sent with, and one call never gives those of two.
struct RecvFdsOp : Op {
  RecvFdsOp() noexcept : Op(OpKind::recv_fds) {}
  std::span<std::byte> into;
  FdBatch fds;
};

// Sends bytes, at least one, on a Unix stream socket, and descriptors with the first of them. The result is
// how many bytes were taken: if it is positive, the descriptors were taken too, all of them and for good; the
// rest of the bytes is for a SendOp. The descriptors stay the owner's. One-shot.
struct SendFdsOp : Op {
  SendFdsOp() noexcept : Op(OpKind::send_fds) {}
  ConstBuffer data;
  std::span<const native_socket> fds;
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

// Receives one datagram into the owner's memory; what does not fit is lost. The result is the number of bytes
// there, which may be 0; `from` is the sender, of family unspecified when it has no address. One-shot.
struct RecvFromOp : Op {
  RecvFromOp() noexcept : Op(OpKind::recv_from) {}
  std::span<std::byte> into;
  RawAddress from;
};

// One datagram to send: its bytes, of which there may be none, and where to; null is the connected peer.
struct Datagram {
  ConstBuffer data;
  const RawAddress* to = nullptr;
};

// Sends datagrams in order, which the owner keeps in place with their addresses until the answer. The result
// is how many the system took, at least one and often fewer than given, or the error of the first of them.
// One-shot.
struct SendToOp : Op {
  SendToOp() noexcept : Op(OpKind::send_to) {}
  std::span<const Datagram> datagrams;
};

// Receives datagrams again and again, several a turn. on_datagram gets memory that is the backend's and lent
// until it returns. on_error gets a negated errno that does not end it, such as -ECONNREFUSED when an earlier
// datagram found nobody. Both may stop the stream, close the handle, and destroy the owner. Ends once, by
// on_done, with a negated errno, when the socket can receive no more.
struct DatagramStream : Op {
  using Received = void (*)(DatagramStream&, std::span<std::byte>, const RawAddress& from) noexcept;
  using Failed = void (*)(DatagramStream&, std::int64_t error) noexcept;
  DatagramStream() noexcept : Op(OpKind::datagram_stream) {}
  Received on_datagram = nullptr;
  Failed on_error = nullptr;
  int failures = 0;  // in a row; the backend's
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
  // Of TCP; seconds, and probes.
  keep_alive_idle,
  keep_alive_interval,
  keep_alive_count,
  // Of datagram sockets; what the number means stands at SocketView.
  multicast_ttl,
  multicast_loop,
  multicast_interface,
};
inline constexpr std::size_t socket_option_count =
    static_cast<std::size_t>(SocketOption::multicast_interface) + 1;
// Tells one file from another, also from a later one of the same name.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t number = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};
enum class ShutdownHow : std::uint8_t { read, write, both };

}  // namespace weir::inline WEIR_ABI::detail
