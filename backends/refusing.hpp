// A backend that compiles and refuses everything: where a new one starts, and the list of what is required.
// It opens nothing, so no operation is ever pending.
#pragma once

#include "backends/backend.hpp"

#include <cerrno>

namespace weir::inline WEIR_ABI::detail {

class RefusingBackend {
 public:
  struct Sockets {
    static std::int64_t open(AddressFamily, SocketType, int) noexcept { return -ENOTSUP; }
    static std::int64_t open_pair(native_socket (&)[2]) noexcept { return -ENOTSUP; }
    static std::int64_t close(native_socket) noexcept { return -ENOTSUP; }
    static std::int64_t bind(native_socket, const RawAddress&) noexcept { return -ENOTSUP; }
    static std::int64_t listen(native_socket, int) noexcept { return -ENOTSUP; }
    static std::int64_t local_address(native_socket, RawAddress&) noexcept { return -ENOTSUP; }
    static std::int64_t socket_file(const RawAddress&, FileIdentity&) noexcept { return -ENOTSUP; }
    static std::int64_t remove_file(const RawAddress&) noexcept { return -ENOTSUP; }
    static std::int64_t peer_address(native_socket, RawAddress&) noexcept { return -ENOTSUP; }
    static std::int64_t set_option(native_socket, SocketOption, int) noexcept { return -ENOTSUP; }
    static std::int64_t get_option(native_socket, SocketOption) noexcept { return -ENOTSUP; }
    static std::int64_t shutdown(native_socket, ShutdownHow) noexcept { return -ENOTSUP; }
    static std::int64_t adopt(native_socket) noexcept { return -ENOTSUP; }
    static std::int64_t is_blocking(native_socket) noexcept { return -ENOTSUP; }
    static std::int64_t type(native_socket) noexcept { return -ENOTSUP; }
    static std::int64_t family(native_socket) noexcept { return -ENOTSUP; }
    static std::int64_t peer_credentials(native_socket, PeerCredentials&) noexcept { return -ENOTSUP; }
    static std::int64_t join_group(native_socket, const RawAddress&, std::uint32_t) noexcept {
      return -ENOTSUP;
    }
    static std::int64_t leave_group(native_socket, const RawAddress&, std::uint32_t) noexcept {
      return -ENOTSUP;
    }
  };

  struct Files {
    static std::int64_t open(const char*, FileMode) noexcept { return -ENOTSUP; }
    static std::int64_t open_pipe(native_file (&)[2]) noexcept { return -ENOTSUP; }
    static std::int64_t close(native_file) noexcept { return -ENOTSUP; }
    static std::int64_t adopt(native_file) noexcept { return -ENOTSUP; }
    static std::int64_t duplicate(native_file) noexcept { return -ENOTSUP; }
    static std::int64_t kind(native_file) noexcept { return -ENOTSUP; }
    static std::int64_t size(native_file) noexcept { return -ENOTSUP; }
    static std::int64_t position(native_file) noexcept { return -ENOTSUP; }
    static std::int64_t set_position(native_file, std::uint64_t) noexcept { return -ENOTSUP; }
    static std::int64_t read_at(native_file, std::uint64_t, std::span<std::byte>) noexcept {
      return -ENOTSUP;
    }
    static std::int64_t read(native_file, std::span<std::byte>) noexcept { return -ENOTSUP; }
    static std::int64_t write(native_file, ConstBuffer) noexcept { return -ENOTSUP; }
    static std::int64_t is_blocking(native_file) noexcept { return -ENOTSUP; }
    static std::int64_t set_non_blocking(native_file, bool) noexcept { return -ENOTSUP; }
  };

  explicit RefusingBackend(ReadyQueue&) noexcept {}

  // There is no handle to give: a null one is accepted by every function below.
  BackendHandle* attach(native_socket, BackendHandle**) noexcept { return nullptr; }
  void close(BackendHandle*) noexcept {}
  void detach(BackendHandle*) noexcept {}
  BackendHandle* find(native_socket) noexcept { return nullptr; }
  void set_owner(BackendHandle*, BackendHandle**) noexcept {}
  Op* pending(BackendHandle*, Direction) const noexcept { return nullptr; }
  void set_transport(BackendHandle*, bool) noexcept {}
  bool is_transport(BackendHandle*) const noexcept { return false; }
  void set_pipe(BackendHandle*, Direction) noexcept {}
  void set_tcp(BackendHandle*) noexcept {}

  Started start(ConnectOp& op) noexcept { return refuse(op); }
  Started start(AcceptOp& op) noexcept { return refuse(op); }
  Started start(RecvOp& op) noexcept { return refuse(op); }
  Started start(SendOp& op) noexcept { return refuse(op); }
  Started start(RecvFdsOp& op) noexcept { return refuse(op); }
  Started start(SendFdsOp& op) noexcept { return refuse(op); }
  Started start(SendFileOp& op) noexcept { return refuse(op); }
  std::int64_t try_send(BackendHandle*, std::span<const ConstBuffer>) noexcept { return -ENOTSUP; }
  Started start(ReadStream& stream) noexcept { return refuse(stream); }
  Started start(AcceptStream& stream) noexcept { return refuse(stream); }
  Started start(RecvFromOp& op) noexcept { return refuse(op); }
  Started start(SendToOp& op) noexcept { return refuse(op); }
  Started start(DatagramStream& stream) noexcept { return refuse(stream); }
  std::int64_t try_send_to(BackendHandle*, std::span<const Datagram>) noexcept { return -ENOTSUP; }
  void stop(ReadStream&) noexcept {}
  void stop(AcceptStream&) noexcept {}
  void stop(DatagramStream&) noexcept {}
  void cancel(Op&) noexcept {}
  std::int64_t shutdown_write(BackendHandle*) noexcept { return -ENOTSUP; }

  std::int64_t watch(native_socket, Watch&) noexcept { return -ENOTSUP; }
  void unwatch(Watch&) noexcept {}

  // poll() may return early for no reason, so it always does.
  void poll(TimePoint) noexcept {}
  bool is_idle() const noexcept { return true; }
  void wake() noexcept {}
  TimePoint let_host_wait(TimePoint) noexcept { return TimePoint::min(); }
  native_socket pollable_descriptor() noexcept { return invalid_socket; }
  void set_busy_poll(std::chrono::nanoseconds) noexcept {}
  void set_max_read_size(std::size_t) noexcept {}
  TimePoint now() const noexcept { return std::chrono::steady_clock::now(); }
  void close_all() noexcept {}
  void leave_to_parent(bool) noexcept {}

  static bool has(Capability) noexcept { return false; }
  static std::optional<KnownHost> known_host(std::string_view) { return std::nullopt; }

 private:
  static Started refuse(Op& op) noexcept {
    op.result = -ENOTSUP;
    return Started::done;
  }
};

static_assert(IsBackend<RefusingBackend>);
static_assert(IsSocketApi<RefusingBackend::Sockets>);
static_assert(IsFileApi<RefusingBackend::Files>);

}  // namespace weir::inline WEIR_ABI::detail
