// The queue behind a transport's write: copies of small writes share a chunk, owned memory is a chunk of its
// own.
#include "net/write_queue.hpp"

#include "backends/chosen.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr std::size_t least_chunk = 4096;
constexpr std::size_t most_chunk = 64 * 1024;

}  // namespace

// Makes room for one more chunk, so that pushing it cannot fail half-way.
void WriteQueue::prepare_push() {
  if (first_ > chunks_.size() / 2 && chunks_.size() == chunks_.capacity()) {
    chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
  if (chunks_.size() == chunks_.capacity()) {
    chunks_.reserve(std::max<std::size_t>(4, chunks_.size() * 2));
  }
}

void WriteQueue::append(std::span<const std::byte> data) {
  std::size_t fits = 0;
  if (chunks_.size() > first_ && chunks_.back().may_grow && !rare_path(FaultPoint::new_chunk)) {
    fits = std::min(data.size(), chunks_.back().memory.size() - chunks_.back().end);
  }
  // What does not fit gets its chunk first: either all of it is queued, or nothing.
  const std::span<const std::byte> rest = data.subspan(fits);
  const std::size_t last = chunks_.size() - 1;
  const std::size_t first_before = first_;
  if (!rest.empty()) {
    prepare_push();
    Bytes memory(std::max(rest.size(), std::clamp(size_, least_chunk, most_chunk)));
    std::memcpy(memory.data(), rest.data(), rest.size());
    chunks_.push_back({std::move(memory), 0, rest.size(), true});
  }
  if (fits != 0) {
    Chunk& grows = chunks_[last - (first_before - first_)];
    std::memcpy(grows.memory.data() + grows.end, data.data(), fits);
    grows.end += fits;
  }
  size_ += data.size();
}

void WriteQueue::append(Bytes&& data, std::size_t begin) {
  prepare_push();
  const std::size_t end = data.size();
  chunks_.push_back({std::move(data), begin, end, false});
  size_ += end - begin;
}

void WriteQueue::gather() noexcept {
  const std::size_t count = rare_part(FaultPoint::few_pieces, std::min(chunks_.size() - first_, most_pieces));
  for (std::size_t i = 0; i != count; ++i) {
    const Chunk& chunk = chunks_[first_ + i];
    pieces_[i] = chunk.memory.span().subspan(chunk.begin, chunk.end - chunk.begin);
  }
  buffers = std::span<const ConstBuffer>(pieces_.data(), count);
}

void WriteQueue::consume(std::size_t count) noexcept {
  assert(count <= size_);
  size_ -= count;
  while (count != 0) {
    Chunk& chunk = chunks_[first_];
    const std::size_t part = std::min(count, chunk.end - chunk.begin);
    chunk.begin += part;
    count -= part;
    if (chunk.begin == chunk.end) {
      chunk.memory = Bytes();
      ++first_;
    }
  }
  if (size_ == 0) {
    clear();
  }
}

void WriteQueue::clear() noexcept {
  chunks_.clear();
  if (chunks_.capacity() > most_pieces) {
    chunks_.shrink_to_fit();  // a spare queue is kept for the loop's life
  }
  first_ = 0;
  size_ = 0;
  unseen_writes = 0;
  error = nullptr;
}

}  // namespace weir::inline WEIR_ABI::detail
