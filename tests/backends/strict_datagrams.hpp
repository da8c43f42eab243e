// Several datagrams a call on the simulator's network, for the operation layer of the readiness backends.
#pragma once

#include "backends/sim/network.hpp"
#include "backends/sim/world.hpp"

#include <weir/bytes.hpp>

#include <cerrno>
#include <span>
#include <vector>

namespace strict {

using namespace weir::detail;
using weir::native_socket;

inline World& world() { return *World::current(); }

class DatagramBatch {
 public:
  static constexpr std::size_t capacity = 8;
  std::int64_t receive(native_socket native) noexcept;
  std::span<std::byte> data(std::size_t index) noexcept { return memory_[index].span().first(sizes_[index]); }
  RawAddress from(std::size_t index) const noexcept { return from_[index]; }
  std::int64_t error() const noexcept { return error_; }
  bool is_full() const noexcept { return is_full_; }

 private:
  std::vector<weir::Bytes> memory_;
  std::size_t sizes_[capacity] = {};
  RawAddress from_[capacity];
  std::int64_t error_ = 0;
  bool is_full_ = false;
};

inline std::int64_t DatagramBatch::receive(native_socket native) noexcept {
  error_ = 0;
  is_full_ = false;
  while (memory_.size() != capacity) {
    memory_.emplace_back(std::size_t{256} * 1024);
  }
  for (std::size_t i = 0; i != capacity; ++i) {
    Socket* const socket = world().network.find(native);
    const std::int64_t result =
        socket != nullptr ? world().network.receive_from(*socket, memory_[i].span(), from_[i]) : -EBADF;
    if (result < 0) {
      error_ = i != 0 && result != -EAGAIN ? result : 0;
      return i != 0 ? static_cast<std::int64_t>(i) : result;
    }
    sizes_[i] = static_cast<std::size_t>(result);
  }
  is_full_ = true;
  return capacity;
}

}  // namespace strict
