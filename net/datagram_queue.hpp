// DatagramQueue: what an endpoint was given to send and the system has not taken, and the operation that
// sends it. It exists while something is unsent. Flow control is the endpoint's.
#pragma once

#include <weir/bytes.hpp>
#include <weir/detail/op.hpp>

#include <array>
#include <cstddef>
#include <deque>
#include <exception>
#include <span>

namespace weir::inline WEIR_ABI::detail {

class DatagramEndpoint;

class DatagramQueue : public SendToOp {
 public:
  // How many datagrams one system call gets.
  static constexpr std::size_t most_at_once = 64;

  // Their bytes, and 8 for each: asyncio's way to count empty ones.
  std::size_t size() const noexcept { return size_; }
  std::size_t count() const noexcept { return waiting_.size(); }
  bool empty() const noexcept { return waiting_.empty(); }
  // The oldest one.
  const Datagram& front() const noexcept { return waiting_.front(); }

  // Appends a copy; null: to the connected peer. Nothing moves that a pending operation works on. Throws
  // std::bad_alloc.
  void append(std::span<const std::byte> data, const RawAddress* to);
  // Points `datagrams` to the front of the queue. The operation must be idle.
  void gather() noexcept;
  // Drops datagrams that were sent, or cannot be. The operation must be idle.
  void consume(std::size_t count) noexcept;

  DatagramEndpoint* owner = nullptr;
  std::exception_ptr error;  // what connection_lost will get, when it waits for this operation's answer

 private:
  // Datagrams one behind the other, each behind its address unless that is the one before's.
  struct Chunk {
    Bytes memory;
    std::size_t used = 0;
    std::size_t datagrams = 0;            // of these, how many are waiting
    const RawAddress* last_to = nullptr;  // the last address in it
  };
  static constexpr std::size_t header_size = 8;

  std::deque<Chunk> chunks_;
  std::deque<Datagram> waiting_;
  std::size_t size_ = 0;
  std::array<Datagram, most_at_once> front_;
};

}  // namespace weir::inline WEIR_ABI::detail
