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

namespace weir::inline WEIR_ABI::detail {

class PosixDatagramBatch {
 public:
  // Throws std::bad_alloc.
  PosixDatagramBatch();

  // Receives what is there, up to `capacity` datagrams: how many, or a negated errno, -EAGAIN when there is
  // none. error() is what came after them, 0 when nothing did.
  std::int64_t receive(native_socket native) noexcept;
  static constexpr std::size_t capacity = 64;

#ifdef __linux__
  std::int64_t error() const noexcept { return 0; }
#else
  std::int64_t error() const noexcept { return error_; }
#endif

  // The datagrams of the last receive().
  std::span<std::byte> data(std::size_t index) noexcept;
  RawAddress from(std::size_t index) const noexcept;

 private:
  // No datagram is larger: UDP's have at most 64 KiB, those of a Unix socket what its buffer holds. A little
  // more than a power of two, so that the beginnings of the slots do not share their places in the caches.
  // Memory that no datagram has reached is none: it is not touched.
  static constexpr std::size_t slot_size = 256 * 1024 + 192;

#ifdef __linux__
  using Message = mmsghdr;  // an error behind datagrams stays with the socket
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
};

}  // namespace weir::inline WEIR_ABI::detail
