// The simulator as a backend: operations and watches on the sockets of a world's network, and virtual time.
// Owns the handles and what is pending on them; the bytes are the network's (network.hpp).
#pragma once

#include "backends/backend.hpp"
#include "backends/sim/handle.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class Network;
struct Socket;
struct World;

class SimBackend {
 public:
  explicit SimBackend(ReadyQueue& queue);
  ~SimBackend();
  SimBackend(const SimBackend&) = delete;
  SimBackend& operator=(const SimBackend&) = delete;

  // The socket calls, on the sockets of the world that is current on the calling thread.
  struct Sockets {
    static std::int64_t open(AddressFamily family, SocketType type, int protocol) noexcept;
    static std::int64_t open_pair(native_socket (&pair)[2]) noexcept;
    static std::int64_t close(native_socket native) noexcept;
    static std::int64_t bind(native_socket native, const RawAddress& address) noexcept;
    static std::int64_t listen(native_socket native, int backlog) noexcept;
    static std::int64_t local_address(native_socket native, RawAddress& out) noexcept;
    static std::int64_t peer_address(native_socket native, RawAddress& out) noexcept;
    static std::int64_t set_option(native_socket native, SocketOption option, int value) noexcept;
    static std::int64_t get_option(native_socket native, SocketOption option) noexcept;
    static std::int64_t shutdown(native_socket native, ShutdownHow how) noexcept;
    static std::int64_t adopt(native_socket native) noexcept;
    static std::int64_t is_blocking(native_socket native) noexcept;
    static std::int64_t type(native_socket native) noexcept;
    static std::int64_t family(native_socket native) noexcept;
    static std::int64_t peer_credentials(native_socket native, PeerCredentials& out) noexcept;
    static std::int64_t socket_file(const RawAddress& address, FileIdentity& out) noexcept;
    static std::int64_t remove_file(const RawAddress& address) noexcept;
    static std::int64_t join_group(native_socket native, const RawAddress& group,
                                   std::uint32_t interface) noexcept;
    static std::int64_t leave_group(native_socket native, const RawAddress& group,
                                    std::uint32_t interface) noexcept;
  };

  // Files are those of the machine, pipes are the world's.
  struct Files {
    static std::int64_t open(const char* path, FileMode mode) noexcept;
    static std::int64_t open_pipe(native_file (&ends)[2]) noexcept;
    static std::int64_t close(native_file native) noexcept;
    static std::int64_t adopt(native_file native) noexcept;
    static std::int64_t duplicate(native_file native) noexcept;
    static std::int64_t kind(native_file native) noexcept;
    static std::int64_t size(native_file native) noexcept;
    static std::int64_t position(native_file native) noexcept;
    static std::int64_t set_position(native_file native, std::uint64_t offset) noexcept;
    static std::int64_t read_at(native_file native, std::uint64_t offset, std::span<std::byte> into) noexcept;
    static std::int64_t read(native_file native, std::span<std::byte> into) noexcept;
    static std::int64_t write(native_file native, ConstBuffer from) noexcept;
    static std::int64_t is_blocking(native_file native) noexcept;
    static std::int64_t set_non_blocking(native_file native, bool non_blocking) noexcept;
  };

  BackendHandle* attach(native_socket native, BackendHandle** owner);
  void close(BackendHandle* handle) noexcept;
  void detach(BackendHandle* handle) noexcept;
  BackendHandle* find(native_socket native) noexcept;
  void set_owner(BackendHandle* handle, BackendHandle** owner) noexcept;
  Op* pending(BackendHandle* handle, Direction direction) const noexcept;
  void set_tcp(BackendHandle*) noexcept {}  // it knows
  void set_transport(BackendHandle* handle, bool is) noexcept;
  bool is_transport(BackendHandle* handle) const noexcept;
  void set_pipe(BackendHandle* handle, Direction direction) noexcept;

  Started start(ConnectOp& op) noexcept;
  Started start(AcceptOp& op) noexcept;
  Started start(RecvOp& op) noexcept;
  Started start(SendOp& op) noexcept;
  Started start(RecvFdsOp& op) noexcept;
  Started start(SendFdsOp& op) noexcept;
  Started start(SendFileOp& op) noexcept;
  std::int64_t try_send(BackendHandle* handle, std::span<const ConstBuffer> buffers) noexcept;
  Started start(ReadStream& stream) noexcept;
  Started start(AcceptStream& stream) noexcept;
  Started start(RecvFromOp& op) noexcept;
  Started start(SendToOp& op) noexcept;
  Started start(DatagramStream& stream) noexcept;
  std::int64_t try_send_to(BackendHandle* handle, std::span<const Datagram> datagrams) noexcept;
  void stop(ReadStream& stream) noexcept;
  void stop(AcceptStream& stream) noexcept;
  void stop(DatagramStream& stream) noexcept;
  void cancel(Op& op) noexcept;
  std::int64_t shutdown_write(BackendHandle* handle) noexcept;

  std::int64_t watch(native_socket native, Watch& watch);
  void unwatch(Watch& watch) noexcept;

  void poll(TimePoint deadline);
  bool is_idle() const noexcept { return false; }  // a turn costs virtual time
  void wake() noexcept;
  TimePoint let_host_wait(TimePoint deadline) noexcept;
  native_socket pollable_descriptor() noexcept { return invalid_socket; }
  TimePoint now() const noexcept;
  void close_all() noexcept;
  // Nothing of its world is outside of the process.
  void leave_to_parent(bool is_at_rest) noexcept {
    if (is_at_rest) {
      close_all();
    }
  }

  // There is nothing to spin for.
  void set_busy_poll(std::chrono::nanoseconds) noexcept {}
  void set_max_read_size(std::size_t bytes) noexcept { max_read_size_ = bytes; }

  // One of 0 … bound - 1 by the seed: for what the runtime leaves to chance, such as the turn in which an
  // executor's job runs.
  std::uint64_t draw(std::uint64_t bound) noexcept;

  static bool has(Capability capability) noexcept;
  static std::optional<KnownHost> known_host(std::string_view name);

 private:
  friend void socket_changed(BackendHandle& handle) noexcept;

  // An operation that was answered outside its turn; its item in the ready queue carries its ticket.
  struct Completion {
    Op* op;  // null: stopped meanwhile
    std::uint64_t sequence;
    native_socket number;   // the socket it worked on
    bool releases = false;  // that number is free again afterwards
    bool finished = false;
  };

  void enter() const noexcept;
  Network& network() const noexcept;
  Socket* socket_of(const BackendHandle& handle) const noexcept;

  BackendHandle& handle_for(native_socket native);
  void forget(BackendHandle& handle) noexcept;
  void end_handle(BackendHandle& handle, bool close_socket) noexcept;
  void free_handle(BackendHandle& handle) noexcept;
  void mark(BackendHandle& handle) noexcept;

  Started park(Op& op, Direction direction) noexcept;
  Started begin(Op& op, Direction direction) noexcept;
  Started begin_stream(Op& op, bool possible) noexcept;
  std::int64_t send_datagrams(Socket& socket, std::span<const Datagram> datagrams) noexcept;
  void stop_stream(Op& op) noexcept;
  std::int64_t attempt(Op& op) noexcept;
  std::int64_t send_file(Socket& socket, const SendFileOp& op) noexcept;
  bool could_answer(const Op& op) const noexcept;
  void answer_later(Op& op, std::int64_t result) noexcept;
  Completion* completion_of(const Op& op) noexcept;
  bool keep_number(native_socket number) noexcept;
  void release(Completion& completion) noexcept;
  static void run_completion(void* object, std::uintptr_t ticket, std::uintptr_t, ReadyAction action);

  bool collect();
  bool arm(BackendHandle& handle);
  void charge_turn() noexcept;
  void wait_for_wake() noexcept;
  static void run_event(void* object, std::uintptr_t generation, std::uintptr_t, ReadyAction action);
  static void run_nothing(void*, std::uintptr_t, std::uintptr_t, ReadyAction);
  void run_operation(BackendHandle& handle, Direction direction) noexcept;
  void run_read(BackendHandle& handle, ReadStream& stream) noexcept;
  void run_accept(BackendHandle& handle, AcceptStream& stream) noexcept;
  void run_datagrams(BackendHandle& handle, DatagramStream& stream) noexcept;
  static void end_operation(BackendHandle& handle, Op& op, std::int64_t result) noexcept;

  ReadyQueue& queue_;
  std::shared_ptr<World> world_;
  std::deque<BackendHandle> handles_;  // never freed while the backend lives: queued items point at them
  std::vector<BackendHandle*> free_handles_;
  std::vector<BackendHandle*> by_number_;
  std::vector<BackendHandle*> watched_;  // with at least one watch, in the order of watching

  // Handles to look at in the next poll, each with the generation that was meant.
  struct Marked {
    BackendHandle* handle;
    std::uint64_t generation;
  };
  std::vector<Marked> marked_;
  std::vector<Marked> looking_at_;          // collect()'s own, kept for its memory
  std::vector<BackendHandle*> candidates_;  // likewise

  std::deque<Completion> completions_;
  std::uint64_t first_ticket_ = 0;
  std::vector<std::byte> buffer_;  // lent to readers
  std::size_t max_read_size_ = std::size_t{64} * 1024;
  std::atomic<int> woken_ = 0;  // an int, because that is what a futex is
};

}  // namespace weir::inline WEIR_ABI::detail
