// Where the datagrams of one system call are received to: the backend's memory, lent to datagram streams.
#pragma once

#include <weir/detail/op.hpp>

#include <sys/socket.h>
#include <sys/uio.h>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class PosixDatagramBatch {
 public:
  // Throws std::bad_alloc.
  PosixDatagramBatch();

  // Receives what is there: how many datagrams, or a negated errno, -EAGAIN when there is none. error() is
  // what came after them, 0 when nothing did.
  std::int64_t receive(native_socket native) noexcept;
  // Did the last receive() stop for want of room, so that there may be more?
  bool is_full() const noexcept { return is_full_; }

#ifdef __linux__
  std::int64_t error() const noexcept { return 0; }
#else
  std::int64_t error() const noexcept { return error_; }
#endif

  // The datagrams of the last receive().
  std::span<std::byte> data(std::size_t index) noexcept;
  RawAddress from(std::size_t index) const noexcept;

 private:
  // What one system call gives. A message may hold several datagrams of one sender, which the system has
  // joined (PosixSockets::join_datagrams).
  static constexpr std::size_t capacity = 64;
  // No datagram is larger: UDP's have at most 64 KiB, those of a Unix socket what its buffer holds. A little
  // more than a power of two, so that the beginnings of the slots do not share their places in the caches.
  // Memory that no datagram has reached is none: it is not touched.
  static constexpr std::size_t slot_size = 256 * 1024 + 192;

  struct Slice {
    std::uint32_t message, offset, size;
  };
  void slice(std::size_t count);

#ifdef __linux__
  using Message = mmsghdr;  // an error behind datagrams stays with the socket
  static constexpr std::size_t control_size = CMSG_SPACE(sizeof(int));
  alignas(cmsghdr) std::array<std::array<std::byte, control_size>, capacity> control_;
#else
  struct Message {
    msghdr msg_hdr;
    unsigned msg_len;
  };
  std::int64_t error_ = 0;
#endif

  std::unique_ptr<std::byte[]> memory_;
  std::array<sockaddr_storage, capacity> addresses_;
  std::array<iovec, capacity> pieces_;
  std::array<Message, capacity> messages_;
  std::size_t used_ = capacity;  // messages whose lengths the system has changed
  std::vector<Slice> slices_;
  bool is_full_ = false;
};

}  // namespace weir::inline WEIR_ABI::detail
