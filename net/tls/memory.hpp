// The memory that TLS works in while it works: a loop keeps one block for what was decrypted and one for what
// was encrypted, so that an idle connection has none.
#pragma once

#include "net/net_state.hpp"
#include "runtime/loop_access.hpp"

#include <weir/bytes.hpp>

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// Room for what is decrypted at once. TLS in TLS borrows twice; the second one allocates.
class DecryptedBlock {
 public:
  static constexpr std::size_t size = std::size_t{64} * 1024;

  explicit DecryptedBlock(EventLoop& loop)
      : loop_(loop), block_(std::move(LoopAccess::net(loop)->spare_decrypted)) {
    if (block_.empty()) {
      block_ = Bytes(size);
    }
  }
  DecryptedBlock(const DecryptedBlock&) = delete;
  DecryptedBlock& operator=(const DecryptedBlock&) = delete;
  ~DecryptedBlock() {
    if (NetState* const net = LoopAccess::net(loop_).get(); net != nullptr) {
      net->spare_decrypted = std::move(block_);
    }
  }

  std::span<std::byte> span() noexcept { return block_.span(); }

 private:
  EventLoop& loop_;
  Bytes block_;
};

// What is encrypted and not handed on yet. Larger ones than a handshake or a full write needs are not kept.
class EncryptedBlock {
 public:
  explicit EncryptedBlock(EventLoop& loop)
      : bytes(std::move(LoopAccess::net(loop)->spare_encrypted)), loop_(loop) {
    bytes.clear();
  }
  EncryptedBlock(const EncryptedBlock&) = delete;
  EncryptedBlock& operator=(const EncryptedBlock&) = delete;
  ~EncryptedBlock() {
    NetState* const net = LoopAccess::net(loop_).get();
    if (net != nullptr && bytes.capacity() <= most_kept &&
        bytes.capacity() > net->spare_encrypted.capacity()) {
      net->spare_encrypted = std::move(bytes);
    }
  }

  std::vector<std::byte> bytes;

 private:
  static constexpr std::size_t most_kept = std::size_t{256} * 1024;
  EventLoop& loop_;
};

}  // namespace weir::inline WEIR_ABI::detail
