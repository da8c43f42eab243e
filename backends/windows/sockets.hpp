// Every socket call that weir makes on Windows, one function a call. Each returns a value >= 0 or a negated
// errno, and none waits. What those of the operations mean stands at their counterparts in posix/sockets.hpp.
#pragma once

#include "backends/windows/datagram_batch.hpp"

#include <weir/detail/op.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::inline WEIR_ABI::detail {

// Once a process, before any other call; the functions that make sockets call it themselves.
void start_winsock() noexcept;

struct WindowsSockets {
  // The part that net/ uses without a loop: IsSocketApi in backends/backend.hpp says what each means.
  static std::int64_t open(AddressFamily family, SocketType type, int protocol) noexcept;
  // Two ends of a connection over loopback: the system has no other that every version knows.
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
  // The system does not tell. 0: whatever weir has opened or adopted is non-blocking.
  static std::int64_t is_blocking(native_socket native) noexcept;
  static std::int64_t type(native_socket native) noexcept;
  static std::int64_t family(native_socket native) noexcept;
  static std::int64_t peer_credentials(native_socket native, PeerCredentials& out) noexcept;
  static std::int64_t socket_file(const RawAddress& address, FileIdentity& out) noexcept;
  static std::int64_t remove_file(const RawAddress& address) noexcept;
  static std::int64_t join_group(native_socket native, const RawAddress& group,
                                 std::uint32_t interface_number) noexcept;
  static std::int64_t leave_group(native_socket native, const RawAddress& group,
                                  std::uint32_t interface_number) noexcept;

  // The part that the operations of readiness/ are made of.
  static std::int64_t connect(native_socket native, const RawAddress& address) noexcept;
  static std::int64_t connect_result(native_socket native) noexcept;
  static bool is_listening(native_socket native) noexcept;
  static std::int64_t accept(native_socket native, RawAddress& peer) noexcept;
  static bool concerns_one_connection(std::int64_t result) noexcept;
  static std::int64_t receive(native_socket native, std::span<std::byte> into) noexcept;
  static std::int64_t send(native_socket native, ConstBuffer buffer) noexcept;
  static std::int64_t send_gather(native_socket native, std::span<const ConstBuffer> buffers) noexcept;
  // Read, and sent: TransmitFile does not tell how much it sent of what was cancelled.
  static std::int64_t send_file(native_socket native, native_file file, std::uint64_t offset,
                                std::size_t count) noexcept;
  // Descriptors do not travel over sockets here: -EOPNOTSUPP.
  static std::int64_t receive_fds(native_socket native, std::span<std::byte> into, FdBatch& fds) noexcept;
  static std::int64_t send_fds(native_socket native, ConstBuffer data,
                               std::span<const native_socket> fds) noexcept;
  // The end of a pipe, which is no socket.
  static std::int64_t read(native_socket native, std::span<std::byte> into) noexcept;
  static std::int64_t write(native_socket native, std::span<const ConstBuffer> buffers) noexcept;
  static std::int64_t has_hung_up(native_socket native) noexcept;
  using DatagramBatch = WindowsDatagramBatch;
  static std::int64_t receive_from(native_socket native, std::span<std::byte> into,
                                   RawAddress& from) noexcept;
  static std::int64_t send_datagrams(native_socket native, std::span<const Datagram> datagrams,
                                     bool joined) noexcept;
  static bool join_datagrams(native_socket) noexcept { return false; }
  static bool concerns_peer(std::int64_t error) noexcept;

 private:
  static std::int64_t set_multicast_option(native_socket native, SocketOption option, int value) noexcept;
  static std::int64_t get_multicast_option(native_socket native, SocketOption option) noexcept;
};

}  // namespace weir::inline WEIR_ABI::detail
