// A backend made of any Poller: every operation is written here once. Tries at once what the hints allow,
// else parks the operation in its handle and goes on when the poller reports. The definitions are in
// readiness_{datagrams,handles,ops,turn}.hpp, which only a file that instantiates the class includes.
#pragma once

#include "backends/readiness/kept_datagrams.hpp"
#include "backends/readiness/poller.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

template <class Poller>
class ReadinessBackend {
 public:
  using Sockets = typename Poller::Sockets;
  using Files = typename Poller::Files;

  explicit ReadinessBackend(ReadyQueue& queue) : queue_(queue) {}
  ~ReadinessBackend() { close_all(); }
  ReadinessBackend(const ReadinessBackend&) = delete;
  ReadinessBackend& operator=(const ReadinessBackend&) = delete;

  BackendHandle* attach(native_socket native, BackendHandle** owner);
  void close(BackendHandle* handle) noexcept;
  void detach(BackendHandle* handle) noexcept;
  BackendHandle* find(native_socket native) noexcept { return table_.find(native); }
  void set_owner(BackendHandle* handle, BackendHandle** owner) noexcept { handle->owner = owner; }
  Op* pending(BackendHandle* handle, Direction direction) const noexcept { return handle->op(direction); }
  void set_tcp(BackendHandle* handle) noexcept { handle->kind_known = handle->drained_when_short = 1; }
  void set_transport(BackendHandle* handle, bool is) noexcept { handle->transport = is; }
  bool is_transport(BackendHandle* handle) const noexcept { return handle->transport; }
  void set_pipe(BackendHandle* handle, Direction direction) noexcept;

  Started start(ConnectOp& op) noexcept;
  Started start(AcceptOp& op) noexcept;
  Started start(RecvOp& op) noexcept {
    BackendHandle& handle = *op.handle;
    assert(op.state == OpState::idle && handle.reader == nullptr);
    if (op.into.empty()) [[unlikely]] {
      return done(op, 0);
    }
    if (handle.knows(is_readable)) {
      if (const std::int64_t result = receive(handle, op.into); result != -EAGAIN) {
        return done(op, result);
      }
    }
    return park(op, Direction::read);
  }
  Started start(SendOp& op) noexcept;
  Started start(RecvFdsOp& op) noexcept;
  Started start(SendFdsOp& op) noexcept;
  Started start(SendFileOp& op) noexcept;
  std::int64_t try_send(BackendHandle* handle, std::span<const ConstBuffer> buffers) noexcept {
    assert(handle->writer == nullptr);
    return handle->knows(is_writable) ? send(*handle, buffers) : -EAGAIN;
  }
  Started start(ReadStream& stream) noexcept { return start_stream(stream); }
  Started start(AcceptStream& stream) noexcept {
    // Not every system reports a socket that never was connected.
    return Sockets::is_listening(stream.handle->native) ? start_stream(stream) : done(stream, -EINVAL);
  }
  void stop(ReadStream& stream) noexcept { stop_stream(stream); }
  void stop(AcceptStream& stream) noexcept { stop_stream(stream); }
  Started start(RecvFromOp& op) noexcept;
  Started start(SendToOp& op) noexcept;
  Started start(DatagramStream& stream) noexcept;
  std::int64_t try_send_to(BackendHandle* handle, std::span<const Datagram> datagrams) noexcept {
    assert(handle->writer == nullptr);
    return handle->knows(is_writable) || is_to_unix(datagrams) ? send_to(*handle, datagrams) : -EAGAIN;
  }
  void stop(DatagramStream& stream) noexcept { stop_stream(stream); }
  void cancel(Op& op) noexcept;
  std::int64_t shutdown_write(BackendHandle* handle) noexcept {
    return Sockets::shutdown(handle->native, ShutdownHow::write);
  }

  std::int64_t watch(native_socket native, Watch& watch);
  void unwatch(Watch& watch) noexcept;

  void poll(TimePoint deadline);
  bool is_idle() const noexcept { return registered_ == 0 && !has_given(); }
  void wake() noexcept { poller_.wake(); }
  TimePoint let_host_wait(TimePoint deadline) noexcept;
  native_socket pollable_descriptor() noexcept {
    if constexpr (HasDescriptor<Poller>) {
      return poller_.descriptor();
    } else {
      return invalid_socket;
    }
  }
  void set_busy_poll(std::chrono::nanoseconds duration) noexcept {
    busy_poll_ =
        std::min<std::chrono::nanoseconds>(duration, std::chrono::hours(1));  // clamped, never wrapped
  }
  void set_max_read_size(std::size_t bytes) noexcept {
    max_read_size_ = bytes;
    if (read_size_ > bytes) {
      read_size_ = bytes;
    }
  }
  TimePoint now() const noexcept { return poller_.now(); }
  void close_all() noexcept;
  void leave_to_parent(bool is_at_rest) noexcept;

  static bool has(Capability capability) noexcept {
    return capability == Capability::pollable_descriptor ? HasDescriptor<Poller> : Poller::has(capability);
  }
  static std::optional<KnownHost> known_host(std::string_view) { return std::nullopt; }

  Poller& poller() noexcept { return poller_; }  // for tests

 private:
  static constexpr std::size_t first_read_size = 64 * 1024;
  static constexpr int accepts_per_turn = 64;

  // Asking the poller.
  static bool is_level(const BackendHandle& handle) noexcept {
    return !Poller::has_edge || handle.is_watched();
  }
  static Interest wanted(const BackendHandle& handle) noexcept;
  // Is it registered once and for all, so that nothing need be asked of the poller?
  static bool is_settled(const BackendHandle& handle) noexcept {
    return handle.registered() == (edge_interest | read_interest | write_interest) && !handle.doubtful &&
           !handle.special;
  }
  std::int64_t sync(BackendHandle& handle, bool always = false) noexcept;
  void deregister(BackendHandle& handle) noexcept;

  // Operations that the poller has taken; none of most pollers.
  bool has_given() const noexcept {
    if constexpr (TakesOperations<Poller>) {
      return poller_.pending_operations() != 0;
    } else {
      return false;
    }
  }
  static bool writer_waits(const BackendHandle& handle) noexcept;
  bool is_adopted(BackendHandle& handle) noexcept;
  std::optional<Started> give(Op& op) noexcept;
  bool take_back(BackendHandle& handle, Op& op) noexcept;
  void complete(Op& op, std::int64_t result) noexcept;
  void wait_for_given() noexcept;

  // Ends of handles.
  void end_handle(BackendHandle& handle) noexcept;
  void settle(BackendHandle& handle) noexcept;

  // Beginning and ending operations.
  Started park(Op& op, Direction direction) noexcept {
    BackendHandle& handle = *op.handle;
    if (!is_settled(handle) || (direction == Direction::read && handle.knows(is_readable))) [[unlikely]] {
      return park_unsettled(op, direction);
    }
    handle.op(direction) = &op;
    op.state = OpState::pending;
    return Started::pending;
  }
  Started park_unsettled(Op& op, Direction direction) noexcept;
  void wait_for_nothing(BackendHandle& handle, Direction direction) noexcept;
  // Tries at once what the hints allow.
  template <class Attempt>
  Started start_once(Op& op, Direction direction, Attempt attempt) noexcept;
  Started start_stream(Op& op) noexcept;
  void stop_stream(Op& op) noexcept;
  static Started done(Op& op, std::int64_t result) noexcept {
    op.result = result;
    return Started::done;
  }
  void answer_later(BackendHandle& handle, Op& op, std::int64_t result) noexcept;
  static void answer_now(Op*& slot, std::int64_t result) noexcept {
    Op& op = *std::exchange(slot, nullptr);
    op.state = OpState::idle;
    op.result = result;
    op.on_done(op);
  }

  // One attempt each: -EAGAIN when there was nothing to be had. They keep the hints. For a stream, a short
  // read means that it is drained and a short write that it is full (epoll(7)): no second call to be told
  // EAGAIN. Not when the end, an error or urgent data is still to be met, where a read stops short and no
  // further event follows, and not for what is no TCP socket.
  static std::int64_t receive(BackendHandle& handle, std::span<std::byte> into) noexcept {
    if (handle.pipe) [[unlikely]] {
      return receive_from_pipe(handle, into);
    }
    const std::int64_t result = Sockets::receive(handle.native, into);
    if (static_cast<std::uint64_t>(result - 1) < into.size() - 1) [[likely]] {
      if (!handle.knows(is_ended) && (handle.drained_when_short || is_drained_when_short(handle)))
          [[likely]] {
        handle.unlearn(is_readable);
      }
    } else if (result == -EAGAIN) {
      handle.unlearn(is_readable | is_ended);
    } else if constexpr (LearnsOfResets<Poller>) {
      const auto& backend = *static_cast<const ReadinessBackend*>(handle.backend);
      return result == 0 && !into.empty() && backend.poller_.was_reset(handle.native) ? -ECONNRESET : result;
    }
    return result;
  }
  [[gnu::noinline]] static std::int64_t receive_from_pipe(BackendHandle& handle,
                                                          std::span<std::byte> into) noexcept;
  // Asks the system, once.
  [[gnu::noinline]] static bool is_drained_when_short(BackendHandle& handle) noexcept {
    if (!handle.kind_known) {
      const auto family = static_cast<AddressFamily>(Sockets::family(handle.native));
      const auto type = static_cast<SocketType>(Sockets::type(handle.native));
      handle.kind_known = 1;
      handle.drained_when_short =
          (family == AddressFamily::inet || family == AddressFamily::inet6) && type == SocketType::stream;
    }
    return handle.drained_when_short;
  }
  static std::int64_t send(BackendHandle& handle, std::span<const ConstBuffer> buffers) noexcept {
    if (buffers.size() != 1 || handle.pipe) [[unlikely]] {
      return send_gather(handle, buffers);
    }
    const std::int64_t result = Sockets::send(handle.native, buffers[0]);
    if (result != static_cast<std::int64_t>(buffers[0].size())) [[unlikely]] {
      note_short_send(handle, result);
    }
    return result;
  }
  static std::int64_t send_gather(BackendHandle& handle, std::span<const ConstBuffer> buffers) noexcept;
  static void note_short_send(BackendHandle& handle, std::int64_t result) noexcept {
    // One call takes a little less than 2 GiB, whatever room there is.
    constexpr std::int64_t most_bytes = std::int64_t{1} << 30;
    if ((result == -EAGAIN || (result >= 0 && result < most_bytes)) && !handle.unpollable) {
      handle.unlearn(is_writable);
    }
  }
  static std::int64_t send_file(BackendHandle& handle, const SendFileOp& op) noexcept;
  // Whatever the operation sends.
  static std::int64_t write(BackendHandle& handle, Op& op) noexcept;
  static std::int64_t accept(BackendHandle& handle, RawAddress& peer) noexcept;
  static std::int64_t receive_fds(BackendHandle& handle, RecvFdsOp& op) noexcept;
  static std::int64_t send_fds(BackendHandle& handle, const SendFdsOp& op) noexcept;
  // Whether there is room is then a matter of the receiver, of which no event tells.
  static bool is_to_unix(std::span<const Datagram> datagrams) noexcept {
    const RawAddress* const to = datagrams.front().to;
    return to != nullptr && to->family == AddressFamily::unix_domain;
  }
  std::int64_t receive_from(BackendHandle& handle, RecvFromOp& op) noexcept;
  std::int64_t keep_batch(BackendHandle& handle) noexcept;
  void keep_from(const BackendHandle& handle, std::size_t index, std::size_t count) noexcept;
  bool has_batch() noexcept;
  static std::int64_t send_to(BackendHandle& handle, std::span<const Datagram> datagrams) noexcept;

  // The turn.
  void collect(const Polled<typename Poller::Event>& polled);
  [[gnu::cold]] void collect_special(BackendHandle& handle, Readiness ready);
  void queue_item(BackendHandle& handle) {
    if (!handle.queued) {
      queue_.push(&run_event, &handle, handle.generation);
      handle.queued = true;
    }
  }
  static void run_event(void* object, std::uintptr_t generation_then, std::uintptr_t, ReadyAction action);
  static void run_answer(void* object, std::uintptr_t its_handle, std::uintptr_t result, ReadyAction action);
  static void run_nothing(void*, std::uintptr_t, std::uintptr_t, ReadyAction) {}
  [[gnu::noinline]] void run_other_reader(BackendHandle& handle);
  void run_writer(BackendHandle& handle);
  [[gnu::noinline]] void run_watches_and_writer(BackendHandle& handle, std::uint32_t generation);
  [[gnu::always_inline]] inline void run_read_stream(BackendHandle& handle, ReadStream& stream);
  [[gnu::always_inline]] static inline std::int64_t receive_for(BackendHandle& handle, ReadStream& stream,
                                                                std::span<std::byte> buffer);
  void read_more_at_once() noexcept;
  [[gnu::noinline]] std::span<std::byte> buffer_for(BackendHandle& handle, ReadStream& stream);
  void run_accept_stream(BackendHandle& handle, AcceptStream& stream);
  void run_datagrams(BackendHandle& handle, DatagramStream& stream);
  std::size_t hand_out(BackendHandle& handle, DatagramStream& stream, std::size_t count);
  void wake_successor(BackendHandle& handle);
  bool run_kept(BackendHandle& handle, DatagramStream& stream);
  void run_failed_receive(BackendHandle& handle, DatagramStream& stream, std::int64_t error);
  static void run_watch(BackendHandle& handle, Direction direction);

  ReadyQueue& queue_;
  Poller poller_;
  HandleTable table_;
  std::size_t registered_ = 0;           // descriptors that the poller knows
  bool host_waits_ = false;              // since the last poll
  std::unique_ptr<std::byte[]> buffer_;  // lent to read streams; at least of this size:
  std::size_t read_size_ = first_read_size;
  std::size_t max_read_size_ = first_read_size;
  std::chrono::nanoseconds busy_poll_{0};
  std::unique_ptr<typename Sockets::DatagramBatch> batch_;  // made when datagrams are first received
  bool handing_out_ = false;                                // what is in it
  KeptDatagrams kept_;
};

}  // namespace weir::inline WEIR_ABI::detail
