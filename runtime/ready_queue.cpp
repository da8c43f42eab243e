// The ready queue: growing, which is rare.
#include <weir/detail/ready_queue.hpp>

namespace weir::inline WEIR_ABI::detail {

void ReadyQueue::grow() {
  const std::uint64_t new_mask = mask_ * 2 + 1;
  auto grown = std::make_unique<ReadyItem[]>(new_mask + 1);
  for (std::uint64_t sequence = head_; sequence != tail_; ++sequence) {
    grown[sequence & new_mask] = items_[sequence & mask_];
  }
  items_ = std::move(grown);
  mask_ = new_mask;
}

}  // namespace weir::inline WEIR_ABI::detail
