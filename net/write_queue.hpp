// WriteQueue: what a transport was given to write and the system has not taken, and the operation that sends
// it. It exists while something is unsent. Flow control is the transport's.
#pragma once

#include <weir/bytes.hpp>
#include <weir/detail/op.hpp>
#include <weir/future.hpp>

#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class StreamTransport;

class WriteQueue : public SendOp {
 public:
  // The bytes in it; those that a pending operation works on are among them.
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  // Appends a copy.
  void append(std::span<const std::byte> data);
  // Appends what follows the first `begin` bytes, and keeps the memory.
  void append(Bytes&& data, std::size_t begin);
  // Points `buffers` to the front of the queue. The operation must be idle.
  void gather() noexcept;
  // Drops bytes that were sent. The operation must be idle.
  void consume(std::size_t count) noexcept;
  // Drops everything. The operation must be idle.
  void clear() noexcept;

  StreamTransport* owner = nullptr;
  std::exception_ptr error;  // what connection_lost will get, when it waits for this operation's answer
  std::optional<Future<void>> waiter;  // of a sendfile() that waits until the queue is gone
  int unseen_writes = 0;  // appended since the system was last asked whether the connection still lives

 private:
  // Bytes of `memory` from `begin` to `end` are unsent; a copy may be appended behind `end` when there is
  // room.
  struct Chunk {
    Bytes memory;
    std::size_t begin;
    std::size_t end;
    bool may_grow;
  };
  // How many pieces one system call gets. The kernel allows 1,024, but copies each.
  static constexpr std::size_t most_pieces = 64;

  void prepare_push();

  std::vector<Chunk> chunks_;
  std::size_t first_ = 0;  // chunks before it are sent
  std::size_t size_ = 0;
  std::array<ConstBuffer, most_pieces> pieces_;
};

}  // namespace weir::inline WEIR_ABI::detail
