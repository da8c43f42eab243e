// The contract of a backend: a class with these members, chosen when weir is built (chosen.hpp). net/ and
// subprocess/ are written against it; backends/README.md tells how to write one. Pollers do not implement it
// themselves: ReadinessBackend (readiness/) makes a backend out of any Poller.
#pragma once

#include <weir/detail/op.hpp>
#include <weir/detail/ready_queue.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// The clock of EventLoop::time(): steady_clock, or the simulator's virtual one with the same type.
using TimePoint = std::chrono::steady_clock::time_point;

// What a backend may lack, by name; `weir info`, the skips of the tests and NotSupportedError use the same
// names.
enum class Capability : std::uint8_t {
  native_descriptors,  // add_reader/add_writer on pipes, terminals and event descriptors
  real_clock,          // time passes by itself
  real_network,        // sockets reach other processes
  ipv6,
  reuse_port,
  signals,                // reach the loop
  unix_sockets,           // AF_UNIX, by path
  abstract_unix_sockets,  // by names that are no files
  descriptor_passing,     // with bytes on Unix stream sockets
  peer_credentials,       // of Unix connections
  pollable_descriptor,    // one that is readable when there is something to collect
  datagram_errors,        // connected datagram sockets hear that nobody receives
  subprocesses,           // children can be started
  process_signals,        // a child can be sent any signal, and end by one
  unix_process_options,   // a child's user, groups, limits, umask, and process group that there is already
  terminals,              // new ones, for children
  process_pools,          // functions in processes of their own
  // No backend has these yet: names of hosts outside ASCII, those that end in ".local", and a system that
  // encrypts what a socket of TLS sends.
  internationalized_names,
  multicast_dns,
  kernel_tls,
};
inline constexpr Capability last_capability = Capability::kernel_tls;

struct KnownHost {
  std::vector<RawAddress> addresses;  // none: the name does not exist
  std::chrono::nanoseconds delay{};   // how long it takes to find out
};

// THE TEN CLAUSES. Each has a test file in tests/contract/.
//
//  1. start() returns `done` (result valid, on_done never called for it) or `pending` (on_done called exactly
//     once, as the end). Nobody may rely on which; a streaming operation is always `pending`, or `done` when
//     it could not begin.
//  2. Nothing calls back inside start, stop, cancel, close, detach or wake. Completions are pushed to the
//     ready queue; the loop runs them in the order reported.
//  3. Operation, buffers and handle stay put until the completion. A coroutine frame is never destroyed in
//     order to cancel.
//  4. cancel() asks; the answer is -ECANCELED, or the true result if that won. Bytes moved are never lost:
//     what was received or accepted and not delivered is kept for the next operation. An item queued for a
//     cancelled readiness event does nothing.
//  5. One reading and one writing operation per handle at most: asserted here; net/ refuses a user's second
//     one before.
//  6. Short reads and writes are always legal; recv of 0 is end of stream.
//  7. close() cancels first (pending operations answer -EBADF); the number is not given back before the last
//     operation answered. Events of an old registration never reach a new one with the same number.
//  8. One registration per descriptor; interests merge in the handle; never dup(). A descriptor nobody waits
//     for does not spin.
//  9. Time comes from now() only; waits round up; no deadline fires early.
// 10. Errors become a negated errno at this seam, once. Only wake() may be called from other threads and from
//     signal handlers; many wakes before one poll cost one.
//
// A backend is what has all of the concepts that follow.

// Making one, its capabilities, and its end.
template <class B>
concept IsReactor = requires(B& b, const B& cb) {
  // Made on the loop's thread; throws std::system_error when the system refuses.
  requires std::constructible_from<B, ReadyQueue&>;
  // Ends every operation and watch without calling anybody, waits until the system has let go of all of
  // them, and clears every owner slot, leaving the sockets open. All operations are idle afterwards.
  // Idempotent; the destructor calls it.
  { b.close_all() } noexcept -> std::same_as<void>;
  // In a child of fork(), before anything else: what the system keeps for this backend is the parent's. From
  // now on no call of its reaches that, it is never polled again, and what it would be told is nobody's. With
  // `is_at_rest` it ends as by close_all(); without, another thread was at it when the process was forked,
  // and what it has in memory is not looked at. It is not destroyed afterwards.
  { b.leave_to_parent(bool{}) } noexcept -> std::same_as<void>;
  { B::has(Capability::ipv6) } noexcept -> std::same_as<bool>;
  // What a backend that is a world of its own knows of a name: the simulator's table, asked instead of name
  // servers. The name is in small letters and without a dot at its end.
  { B::known_host(std::string_view{}) } -> std::same_as<std::optional<KnownHost>>;
};

// Handles. attach() registers a socket with this backend on behalf of *owner (cleared when the backend closes
// first) and gives its handle; it makes no system call. Throws std::bad_alloc. close() ends everything on the
// handle and closes the socket. detach() does the same but leaves the socket open: it is the caller's again.
// find() gives the handle that is attached or watched under this number, or null.
template <class B>
concept HasHandles = requires(B& b, const B& cb, BackendHandle* handle, BackendHandle** owner,
                              native_socket native, Watch& watch) {
  { b.attach(native, owner) } -> std::same_as<BackendHandle*>;
  { b.close(handle) } noexcept -> std::same_as<void>;
  { b.detach(handle) } noexcept -> std::same_as<void>;
  { b.find(native) } noexcept -> std::same_as<BackendHandle*>;
  // The owner slot moved (the socket object was moved).
  { b.set_owner(handle, owner) } noexcept -> std::same_as<void>;
  // The operation that now uses this direction of the handle, or null: for net/ to refuse a second one.
  { cb.pending(handle, Direction::read) } noexcept -> std::same_as<Op*>;
  // A mark of net/ on handles that belong to a transport, for add_reader's refusal (FDW-009).
  { b.set_transport(handle, true) } noexcept -> std::same_as<void>;
  { cb.is_transport(handle) } noexcept -> std::same_as<bool>;
  // Tells that it is a socket of TCP, where that is known, so that the system need not be asked.
  { b.set_tcp(handle) } noexcept -> std::same_as<void>;

  // Readiness of a descriptor. watch() begins to watch watch.direction of `native`: 0 or a negated errno
  // (EBADF, EPERM for a regular file under epoll, ENOTSUP when the backend lacks native_descriptors for
  // it). unwatch() is final at once: on_ready is not called again.
  { b.watch(native, watch) } -> std::same_as<std::int64_t>;
  { b.unwatch(watch) } noexcept -> std::same_as<void>;
};

// Operations.
template <class B>
concept HasOperations = requires(B& b, ConnectOp& connect, AcceptOp& accept, RecvOp& recv, SendOp& send,
                                 SendFileOp& send_file, ReadStream& read, AcceptStream& accepting, Op& op,
                                 BackendHandle* handle, std::span<const ConstBuffer> buffers) {
  { b.start(connect) } noexcept -> std::same_as<Started>;
  { b.start(accept) } noexcept -> std::same_as<Started>;
  { b.start(recv) } noexcept -> std::same_as<Started>;
  { b.start(send) } noexcept -> std::same_as<Started>;
  { b.start(send_file) } noexcept -> std::same_as<Started>;
  { b.start(read) } noexcept -> std::same_as<Started>;
  { b.start(accepting) } noexcept -> std::same_as<Started>;
  // Sends what the system takes at this moment, and keeps nothing of the memory: how many bytes it took,
  // -EAGAIN when none, or a negated errno. Not while a SendOp is pending on the handle.
  { b.try_send(handle, buffers) } noexcept -> std::same_as<std::int64_t>;
  // A stream that stops is idle at once, and may be started again; stopping makes no system call.
  // Stopping an idle one does nothing.
  { b.stop(read) } noexcept -> std::same_as<void>;
  { b.stop(accepting) } noexcept -> std::same_as<void>;
  { b.cancel(op) } noexcept -> std::same_as<void>;
  // Ends the writing side: 0 or a negated errno.
  { b.shutdown_write(handle) } noexcept -> std::same_as<std::int64_t>;
};

// Operations: what Unix sockets and pipes add.
template <class B>
concept HasUnixOperations = requires(B& b, RecvFdsOp& receive, SendFdsOp& send, BackendHandle* handle) {
  { b.start(receive) } noexcept -> std::same_as<Started>;
  { b.start(send) } noexcept -> std::same_as<Started>;
  // What is attached is used as the end of a pipe in this direction only, and need not be a socket. Called
  // once, before its first operation. A ReadStream on a writing end receives nothing: it ends, with result 0,
  // when nobody is left who could read. A device that the system cannot wait for is ready all the time.
  { b.set_pipe(handle, Direction::read) } noexcept -> std::same_as<void>;
};

// Operations on datagrams.
template <class B>
concept HasDatagrams = requires(B& b, RecvFromOp& recv_from, SendToOp& send_to, DatagramStream& receiving,
                                BackendHandle* handle, std::span<const Datagram> datagrams) {
  { b.start(recv_from) } noexcept -> std::same_as<Started>;
  { b.start(send_to) } noexcept -> std::same_as<Started>;
  { b.start(receiving) } noexcept -> std::same_as<Started>;
  { b.stop(receiving) } noexcept -> std::same_as<void>;
  // As try_send: how many datagrams it took, at least one; -EAGAIN; or the error of the first. Not while a
  // SendToOp is pending on the handle. It is how datagrams to the address of a Unix socket are sent: no event
  // tells when that one has room, so that whoever sends asks again.
  { b.try_send_to(handle, datagrams) } noexcept -> std::same_as<std::int64_t>;
};

// The turn. poll() waits until `deadline` (TimePoint::min(): do not wait; TimePoint::max(): for ever), an
// event or a wake, and pushes what completed to the ready queue; no user code runs in it. It may return early
// for no reason. Throws std::system_error when the system cannot wait at all.
template <class B>
concept HasTurn = requires(B& b, const B& cb, TimePoint deadline) {
  { b.poll(deadline) } -> std::same_as<void>;
  // True when poll(TimePoint::min()) would find nothing for want of anything registered: the loop then
  // leaves it out.
  { cb.is_idle() } noexcept -> std::same_as<bool>;
  { b.wake() } noexcept -> std::same_as<void>;
  // Guest mode: a host waits instead of poll(), and then calls poll(TimePoint::min()). Gives the time until
  // which it may wait: `deadline`, earlier when the backend has something of its own to do then, or
  // TimePoint::min(). From this call until that poll(), whatever would end a wait in poll() makes
  // pollable_descriptor() readable, wake() included. There is none without the capability of that name.
  { b.let_host_wait(deadline) } noexcept -> std::same_as<TimePoint>;
  { b.pollable_descriptor() } noexcept -> std::same_as<native_socket>;
  // Before it sleeps, poll() looks for events without sleeping for this long; zero turns it off. A
  // backend that never sleeps ignores it.
  { b.set_busy_poll(std::chrono::nanoseconds{}) } noexcept -> std::same_as<void>;
  // The most that a read stream gets at once in the backend's own buffer. It takes effect with the next read.
  { b.set_max_read_size(std::size_t{}) } noexcept -> std::same_as<void>;
  { cb.now() } noexcept -> std::same_as<TimePoint>;
};

template <class B>
concept IsBackend = IsReactor<B> && HasHandles<B> && HasOperations<B> && HasUnixOperations<B> &&
                    HasDatagrams<B> && HasTurn<B>;

// The socket calls that need no loop, static members of `B::Sockets`. Each returns a value >= 0 or a negated
// errno.
template <class S>
concept IsSocketApi = requires(native_socket native, native_socket (&pair)[2], const RawAddress& address,
                               RawAddress& out, FileIdentity& file, PeerCredentials& peer, int value) {
  // A new non-blocking, close-on-exec socket. protocol 0: the type's own.
  { S::open(AddressFamily::inet, SocketType::stream, value) } noexcept -> std::same_as<std::int64_t>;
  { S::open_pair(pair) } noexcept -> std::same_as<std::int64_t>;  // two connected stream sockets
  { S::close(native) } noexcept -> std::same_as<std::int64_t>;
  { S::bind(native, address) } noexcept -> std::same_as<std::int64_t>;
  { S::listen(native, value) } noexcept -> std::same_as<std::int64_t>;
  { S::local_address(native, out) } noexcept -> std::same_as<std::int64_t>;
  { S::peer_address(native, out) } noexcept -> std::same_as<std::int64_t>;
  { S::set_option(native, SocketOption::no_delay, value) } noexcept -> std::same_as<std::int64_t>;
  { S::get_option(native, SocketOption::no_delay) } noexcept -> std::same_as<std::int64_t>;
  { S::shutdown(native, ShutdownHow::write) } noexcept -> std::same_as<std::int64_t>;
  // Makes a foreign descriptor non-blocking and close-on-exec.
  { S::adopt(native) } noexcept -> std::same_as<std::int64_t>;
  { S::is_blocking(native) } noexcept -> std::same_as<std::int64_t>;
  { S::type(native) } noexcept -> std::same_as<std::int64_t>;  // a SocketType; -EPROTOTYPE for any other
  {
    S::family(native)
  } noexcept -> std::same_as<std::int64_t>;  // an AddressFamily; unspecified for any other
  // Of a connected Unix stream socket: 0, -ENOTCONN, or -EOPNOTSUPP for any other.
  { S::peer_credentials(native, peer) } noexcept -> std::same_as<std::int64_t>;
  // The file that a bound Unix socket leaves at the path of `address`. socket_file() tells which it is: 0,
  // -ENOENT, or -ENOTSOCK when a file of another kind is there.
  { S::socket_file(address, file) } noexcept -> std::same_as<std::int64_t>;
  { S::remove_file(address) } noexcept -> std::same_as<std::int64_t>;
  // Joins or leaves a multicast group on the interface of this number; 0: the system chooses.
  { S::join_group(native, address, std::uint32_t{}) } noexcept -> std::same_as<std::int64_t>;
  { S::leave_group(native, address, std::uint32_t{}) } noexcept -> std::same_as<std::int64_t>;
};

// The calls on descriptors that are no sockets, static members of `B::Files`. Each returns a value >= 0 or a
// negated errno. Those of files may wait for the disk; on a non-blocking pipe none waits.
template <class F>
concept IsFileApi = requires(native_file native, native_file (&ends)[2], const char* path,
                             std::uint64_t offset, std::span<std::byte> into, ConstBuffer from) {
  { F::open(path, FileMode::read) } noexcept -> std::same_as<std::int64_t>;  // close-on-exec
  // The end to read from, then the end to write to: non-blocking, close-on-exec.
  { F::open_pipe(ends) } noexcept -> std::same_as<std::int64_t>;
  { F::close(native) } noexcept -> std::same_as<std::int64_t>;
  // Makes a foreign descriptor close-on-exec, and changes nothing else of it.
  { F::adopt(native) } noexcept -> std::same_as<std::int64_t>;
  { F::duplicate(native) } noexcept -> std::same_as<std::int64_t>;  // close-on-exec
  { F::kind(native) } noexcept -> std::same_as<std::int64_t>;       // a FileKind
  { F::size(native) } noexcept -> std::same_as<std::int64_t>;
  { F::position(native) } noexcept -> std::same_as<std::int64_t>;  // -ESPIPE where there is none
  { F::set_position(native, offset) } noexcept -> std::same_as<std::int64_t>;
  { F::read_at(native, offset, into) } noexcept -> std::same_as<std::int64_t>;  // 0 at the end
  { F::read(native, into) } noexcept -> std::same_as<std::int64_t>;
  // Never raises SIGPIPE.
  { F::write(native, from) } noexcept -> std::same_as<std::int64_t>;
  { F::is_blocking(native) } noexcept -> std::same_as<std::int64_t>;
  { F::set_non_blocking(native, true) } noexcept -> std::same_as<std::int64_t>;
};

// The name of a capability as it appears in errors, skips and tables.
std::string_view capability_name(Capability capability) noexcept;

}  // namespace weir::inline WEIR_ABI::detail
