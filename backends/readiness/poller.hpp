// What a readiness poller must supply: epoll, kqueue, libevent. ReadinessBackend makes a whole backend of it.
#pragma once

#include "backends/backend.hpp"
#include "backends/readiness/fd_state.hpp"

#include <span>

namespace weir::inline WEIR_ABI::detail {

// An event in a poller's own form: token_of() and ready_of() read it. This is the plain form.
struct PollEvent {
  std::uint64_t token;
  Readiness ready;
};
inline std::uint64_t token_of(const PollEvent& event) noexcept { return event.token; }
inline Readiness ready_of(const PollEvent& event) noexcept { return event.ready; }

// An operation that the system has done by itself, and its result.
struct Completed {
  Op* op;
  std::int64_t result;
};

// What one look at the system brought. `events` is the poller's memory, good until its next poll; tokens that
// name no registration are passed over.
template <class Event>
struct Polled {
  std::span<const Event> events;
  bool woken = false;
  std::span<const Completed> completed = {};  // of a poller that takes operations
};

// What a poller says to an operation that is offered to it.
struct Submitted {
  // declined: it has to wait until the socket is ready. pending: the system has it; it is among what a later
  // poll() has completed, and its memory stays in place until then. done: it has ended, with this result.
  enum class How : std::uint8_t { declined, pending, done } how;
  std::int64_t result;
};

// The calls of the operations beside those of IsSocketApi; posix/sockets.hpp says what each means.
template <class S>
concept IsReadinessSockets =
    IsSocketApi<S> &&
    requires(native_socket native, const RawAddress& address, RawAddress& out, std::span<std::byte> into,
             ConstBuffer buffer, std::span<const ConstBuffer> buffers, FdBatch& received_fds,
             std::span<const native_socket> fds, std::span<const Datagram> datagrams,
             typename S::DatagramBatch& batch, std::size_t index) {
      { S::connect(native, address) } noexcept -> std::same_as<std::int64_t>;
      { S::connect_result(native) } noexcept -> std::same_as<std::int64_t>;
      { S::is_listening(native) } noexcept -> std::same_as<bool>;
      { S::accept(native, out) } noexcept -> std::same_as<std::int64_t>;
      { S::concerns_one_connection(std::int64_t{}) } noexcept -> std::same_as<bool>;
      { S::receive(native, into) } noexcept -> std::same_as<std::int64_t>;
      { S::send(native, buffer) } noexcept -> std::same_as<std::int64_t>;
      { S::send_gather(native, buffers) } noexcept -> std::same_as<std::int64_t>;
      { S::read(native, into) } noexcept -> std::same_as<std::int64_t>;
      { S::write(native, buffers) } noexcept -> std::same_as<std::int64_t>;
      { S::has_hung_up(native) } noexcept -> std::same_as<std::int64_t>;
      { S::receive_fds(native, into, received_fds) } noexcept -> std::same_as<std::int64_t>;
      { S::send_fds(native, buffer, fds) } noexcept -> std::same_as<std::int64_t>;
      { S::receive_from(native, into, out) } noexcept -> std::same_as<std::int64_t>;
      { S::send_datagrams(native, datagrams, bool{}) } noexcept -> std::same_as<std::int64_t>;
      { S::join_datagrams(native) } noexcept -> std::same_as<bool>;
      { S::concerns_peer(std::int64_t{}) } noexcept -> std::same_as<bool>;
      { batch.receive(native) } noexcept -> std::same_as<std::int64_t>;
      { batch.is_full() } noexcept -> std::same_as<bool>;
      { batch.data(index) } noexcept -> std::same_as<std::span<std::byte>>;
      { batch.from(index) } noexcept -> std::same_as<RawAddress>;
      { batch.error() } noexcept -> std::same_as<std::int64_t>;
      {
        S::send_file(native, native_file{}, std::uint64_t{}, std::size_t{})
      } noexcept -> std::same_as<std::int64_t>;
    };

template <class P>
concept IsPoller = std::default_initializable<P> && IsReadinessSockets<typename P::Sockets> &&
                   IsFileApi<typename P::Files> &&
                   requires(P& p, const P& cp, native_socket native, std::uint64_t token, Interest interest,
                            TimePoint deadline, const typename P::Event& event) {
                     { token_of(event) } noexcept -> std::same_as<std::uint64_t>;
                     { ready_of(event) } noexcept -> std::same_as<Readiness>;
                     // Can it report changes only? If not, end_interest is asked for, not edge_interest.
                     { P::has_edge } -> std::convertible_to<bool>;
                     // Begin to report on a descriptor, or change what is reported: 0 or a negated errno.
                     // What is ready already is reported by the next poll, under both triggers. Each heals a
                     // registration that the system sees differently (watch() of a number that is registered,
                     // rewatch() of one that was closed and opened again).
                     { p.watch(native, token, interest) } noexcept -> std::same_as<std::int64_t>;
                     { p.rewatch(native, token, interest) } noexcept -> std::same_as<std::int64_t>;
                     // Before the descriptor is closed, always: the system may know the descriptor's
                     // duplicates and go on reporting.
                     { p.unwatch(native) } noexcept -> std::same_as<void>;
                     // Waits as IsBackend's poll() does. Events of unwatched registrations may still come.
                     { p.poll(deadline) } -> std::same_as<Polled<typename P::Event>>;
                     // Was there a wake since the last poll? Without a system call; that wake is over then.
                     { p.take_wake() } noexcept -> std::same_as<bool>;
                     { p.wake() } noexcept -> std::same_as<void>;
                     { cp.now() } noexcept -> std::same_as<TimePoint>;
                     { P::has(Capability::ipv6) } noexcept -> std::same_as<bool>;
                   };

// What a poller may have besides, for guest mode: a descriptor that is readable as long as poll() would find
// something, and a way to begin to sleep outside of poll(). begin_sleep() is false when there was a wake
// already; from then until the next poll() a wake ends the sleep of whoever waits on the descriptor.
template <class P>
concept CanSleepOutside = requires(P& p) {
  { p.begin_sleep() } noexcept -> std::same_as<bool>;
};
template <class P>
concept HasDescriptor = CanSleepOutside<P> && requires(P& p) {
  { p.descriptor() } noexcept -> std::same_as<native_socket>;
};

// What a poller has where processes fork. In the child, what the system keeps for it is the parent's: from
// now on no call reaches that, nor wakes the parent. It is not asked to poll again.
template <class P>
concept CanBeInherited = requires(P& p) {
  { p.leave_to_parent() } noexcept -> std::same_as<void>;
};

// What a poller may have besides: a way to give whole operations to the system. Those are the writing ones,
// and connecting; what is received is never given away, so that an idle connection holds no memory.
template <class P>
concept TakesOperations = requires(P& p, const P& cp, native_socket native, Op& op) {
  // Once, before any other call for a socket of net/: does it take the operations of this one?
  { p.adopt(native) } noexcept -> std::same_as<bool>;
  { p.submit(op) } noexcept -> std::same_as<Submitted>;
  // Asks the system to end one that is pending. It still completes, with what it did or -ECANCELED.
  { p.withdraw(op) } noexcept -> std::same_as<void>;
  { cp.pending_operations() } noexcept -> std::same_as<std::size_t>;
};
// Asked of such a poller's watch() beside the interest: the socket was adopted and does not listen, and
// nobody else waits for it.
inline constexpr Interest adopted_interest = 8;

// What a poller may have besides: it was told that the connection was reset, and the next receive may not be.
// Asked when a receive says that this is the end.
template <class P>
concept LearnsOfResets = requires(const P& p, native_socket native) {
  { p.was_reset(native) } noexcept -> std::same_as<bool>;
};

}  // namespace weir::inline WEIR_ABI::detail
