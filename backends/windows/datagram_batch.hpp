// Where datagrams are received to: the backend's memory, lent to datagram streams. One system call each.
#pragma once

#include <weir/detail/op.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace weir::inline WEIR_ABI::detail {

class WindowsDatagramBatch {
 public:
  // Throws std::bad_alloc.
  WindowsDatagramBatch() : memory_(new std::byte[capacity * slot_size]) {}

  // Receives what is there: how many datagrams, or a negated errno, -EAGAIN when there is none. error() is
  // what came after them, 0 when nothing did.
  std::int64_t receive(native_socket native) noexcept;
  std::int64_t error() const noexcept { return error_; }
  // Did the last receive() stop for want of room, so that there may be more?
  bool is_full() const noexcept { return count_ == capacity; }

  // The datagrams of the last receive().
  std::span<std::byte> data(std::size_t index) noexcept {
    return {memory_.get() + index * slot_size, sizes_[index]};
  }
  RawAddress from(std::size_t index) const noexcept { return from_[index]; }

 private:
  static constexpr std::size_t capacity = 16;
  static constexpr std::size_t slot_size = 64 * 1024;  // no datagram is larger

  std::unique_ptr<std::byte[]> memory_;
  std::array<std::size_t, capacity> sizes_;
  std::array<RawAddress, capacity> from_;
  std::size_t count_ = 0;
  std::int64_t error_ = 0;
};

}  // namespace weir::inline WEIR_ABI::detail
