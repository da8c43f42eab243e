// The anchors of all loops.
#include "runtime/loops.hpp"

#include "runtime/loop_access.hpp"

#include <atomic>
#include <memory>

namespace weir::inline WEIR_ABI::detail {

LoopAnchor* Loops::enter(EventLoop& loop) {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) {
    auto made = std::make_unique<LoopAnchor>();
    anchors_.reserve(anchors_.size() + 1);
    free_.reserve(anchors_.size() + 1);
    anchors_.push_back(made.get());
    free_.push_back(made.release());
  }
  LoopAnchor* const anchor = free_.back();
  free_.pop_back();
  anchor->loop = &loop;
  anchor->loop_number.store(++last_number_, std::memory_order_relaxed);
  return anchor;
}

void Loops::leave(LoopAnchor* anchor) noexcept {
  const std::lock_guard lock(mutex_);
  anchor->loop_number.store(0, std::memory_order_relaxed);
  free_.push_back(anchor);
}

// Handles and futures of these loops find none any more.
void Loops::leave_to_parent() noexcept {
  for (LoopAnchor* const anchor : anchors_) {
    if (anchor->loop_number.exchange(0, std::memory_order_relaxed) != 0) {
      LoopAccess::leave_to_parent(*anchor->loop);
    }
  }
}

Loops& all_loops() {
  static Loops* const instance = new Loops;  // outlives every static that owns a loop
  return *instance;
}

}  // namespace weir::inline WEIR_ABI::detail
