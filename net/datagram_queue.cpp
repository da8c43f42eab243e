// The queue behind sendto: datagrams and their addresses share chunks of memory, which go when all their
// datagrams are sent.
#include "net/datagram_queue.hpp"

#include "backends/chosen.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr std::size_t least_chunk = 4096;
constexpr std::size_t most_chunk = 64 * 1024;

static_assert(std::is_trivially_destructible_v<RawAddress>);
constexpr std::size_t aligned(std::size_t offset) noexcept {
  return (offset + alignof(RawAddress) - 1) / alignof(RawAddress) * alignof(RawAddress);
}

}  // namespace

void DatagramQueue::append(std::span<const std::byte> data, const RawAddress* to) {
  const std::size_t needed = sizeof(RawAddress) + alignof(RawAddress) + data.size();
  if (chunks_.empty() || chunks_.back().memory.size() - chunks_.back().used < needed ||
      rare_path(FaultPoint::new_chunk)) {
    Bytes memory(std::max(needed, std::clamp(2 * size_, least_chunk, most_chunk)));
    chunks_.emplace_back().memory = std::move(memory);
  }
  Chunk& chunk = chunks_.back();
  std::size_t used = chunk.used;
  const RawAddress* kept = chunk.last_to;
  if (to != nullptr && (kept == nullptr || *kept != *to)) {
    used = aligned(used);
    kept = new (chunk.memory.data() + used) RawAddress(*to);
    used += sizeof(RawAddress);
  }
  const ConstBuffer copy = chunk.memory.span().subspan(used, data.size());
  if (!data.empty()) {
    std::memcpy(chunk.memory.data() + used, data.data(), data.size());
  }
  waiting_.push_back({copy, to != nullptr ? kept : nullptr});  // may throw: then nothing has changed
  chunk.used = used + data.size();
  chunk.last_to = kept;
  ++chunk.datagrams;
  size_ += data.size() + header_size;
}

void DatagramQueue::gather() noexcept {
  const std::size_t count = rare_part(FaultPoint::few_pieces, std::min(waiting_.size(), most_at_once));
  std::copy_n(waiting_.begin(), count, front_.begin());
  datagrams = std::span<const Datagram>(front_.data(), count);
}

void DatagramQueue::consume(std::size_t count) noexcept {
  assert(count <= waiting_.size());
  for (; count != 0; --count) {
    while (chunks_.front().datagrams == 0) {
      chunks_.pop_front();  // one that was begun for a datagram for which there was no memory
    }
    size_ -= waiting_.front().data.size() + header_size;
    waiting_.pop_front();
    if (--chunks_.front().datagrams == 0) {
      chunks_.pop_front();
    }
  }
}

}  // namespace weir::inline WEIR_ABI::detail
