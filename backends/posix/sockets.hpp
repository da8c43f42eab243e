// Every socket call that weir makes on POSIX, one function a call. Each returns a value >= 0 or a negated
// errno and retries where a signal interrupted it.
#pragma once

#include "backends/posix/datagram_batch.hpp"

#include <weir/detail/op.hpp>

#include <sys/socket.h>
#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::inline WEIR_ABI::detail {

struct PosixSockets {
  // The part that net/ uses without a loop: IsSocketApi in backends/backend.hpp says what each means.
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

  // The part that the operations of readiness/ are made of; none of them waits.
  // 0, or -EINPROGRESS while the connection is being made.
  static std::int64_t connect(native_socket native, const RawAddress& address) noexcept;
  // How a connection attempt ended: 0, the error, or -EINPROGRESS when it has not.
  static std::int64_t connect_result(native_socket native) noexcept;
  // False only when it is sure that nothing can be accepted.
  static bool is_listening(native_socket native) noexcept;
  // A new non-blocking, close-on-exec socket.
  static std::int64_t accept(native_socket native, RawAddress& peer) noexcept;
  // Does this error of accept() concern only a connection that died while it waited, or the way to it? Then
  // the next one may be had at once.
  static bool concerns_one_connection(std::int64_t result) noexcept;
  // These two are every connection's daily work: no call around the system's.
  static std::int64_t receive(native_socket native, std::span<std::byte> into) noexcept {
    const ssize_t result = ::recv(native, into.data(), into.size(), 0);
    return result >= 0 ? result : receive_again(native, into);
  }
  static std::int64_t send(native_socket native, ConstBuffer buffer) noexcept {
    const ssize_t result = ::send(native, buffer.data(), buffer.size(), send_flags);
    return result >= 0 ? result : send_again(native, buffer);
  }
  // Bytes of a file from `offset` on, which need not pass through the process; the file's position stays. 0
  // at the end of the file, -ENOTSUP where the system cannot do this, or not with this file.
  static std::int64_t send_file(native_socket native, native_file file, std::uint64_t offset,
                                std::size_t count) noexcept;
  // Takes as many of the buffers as one system call does.
  static std::int64_t send_gather(native_socket native, std::span<const ConstBuffer> buffers) noexcept;
  // The same with descriptors (RecvFdsOp, SendFdsOp); in passing.cpp.
  static std::int64_t receive_fds(native_socket native, std::span<std::byte> into, FdBatch& fds) noexcept;
  static std::int64_t send_fds(native_socket native, ConstBuffer data,
                               std::span<const native_socket> fds) noexcept;
  // The same for any descriptor; in pipes.cpp. A terminal that has hung up is at its end. Writing never
  // raises SIGPIPE.
  static std::int64_t read(native_socket native, std::span<std::byte> into) noexcept;
  static std::int64_t write(native_socket native, std::span<const ConstBuffer> buffers) noexcept;
  // 1 when nobody is left at the other end, else 0.
  static std::int64_t has_hung_up(native_socket native) noexcept;
  // Datagrams: one into the owner's memory, many into a batch, and as many as one system call sends.
  using DatagramBatch = PosixDatagramBatch;
  static std::int64_t receive_from(native_socket native, std::span<std::byte> into,
                                   RawAddress& from) noexcept;
  static std::int64_t send_datagrams(native_socket native, std::span<const Datagram> datagrams,
                                     bool joined) noexcept;
  // Asks the system to move datagrams of one size to or from one address together (GSO and GRO of UDP). True:
  // it will; then they are received by a batch, and sent as `joined`.
  static bool join_datagrams(native_socket native) noexcept;
  // Does this error tell of the other side or the way to it? Others are this machine's own trouble.
  static bool concerns_peer(std::int64_t error) noexcept;

 private:
  static std::int64_t set_multicast_option(native_socket native, SocketOption option, int value) noexcept;
  static std::int64_t get_multicast_option(native_socket native, SocketOption option) noexcept;
  // After a failure, which is in errno.
  static std::int64_t receive_again(native_socket native, std::span<std::byte> into) noexcept;
  static std::int64_t send_again(native_socket native, ConstBuffer buffer) noexcept;

#ifdef MSG_NOSIGNAL
  static constexpr int send_flags = MSG_NOSIGNAL;
#else
  static constexpr int send_flags = 0;
#endif
};

}  // namespace weir::inline WEIR_ABI::detail
