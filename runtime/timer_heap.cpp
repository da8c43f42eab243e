// The 4-ary timer heap.
#include "runtime/timer_heap.hpp"

#include "runtime/running.hpp"

#include <algorithm>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

TimerSlot* TimerHeap::add(TimePoint when, Callback callback, Context context, std::source_location where) {
  TimerSlot* slot = allocate();
  slot->callback = std::move(callback);
  slot->context = std::move(context);
  slot->when = when;
  slot->where = where;
  slot->id = ++last_id_;
  push(slot);
  return slot;
}

bool TimerHeap::cancel(TimerSlot* slot, std::uint64_t id) noexcept {
  if (slot == nullptr || slot->id != id) {
    return false;
  }
  stale_ += slot->queued ? 0 : 1;
  free(slot);
  sweep_if_mostly_stale();
  return true;
}

bool TimerHeap::reschedule(TimerSlot* slot, std::uint64_t id, TimePoint when) {
  if (slot == nullptr || slot->id != id) {
    return false;
  }
  slot->when = when;
  stale_ += slot->queued ? 0 : 1;
  push(slot);
  sweep_if_mostly_stale();
  return true;
}

TimePoint TimerHeap::next_deadline() noexcept {
  drop_stale_top();
  return entries_.empty() ? TimePoint::max() : entries_.front().when;
}

void TimerHeap::queue_due(TimePoint now, ReadyQueue& ready) {
  while (!entries_.empty() && entries_.front().when <= now) {
    const Entry due = entries_.front();
    pop_top();
    if (due.stale()) {
      --stale_;
      continue;
    }
    due.slot->queued = true;
    ready.push(&run_timer, due.slot, due.ticket);
  }
}

bool TimerHeap::take(TimerSlot* slot, std::uint64_t ticket, Callback& callback, Context& context) noexcept {
  if (slot->ticket != ticket) {
    return false;
  }
  callback = std::move(slot->callback);
  context = std::move(slot->context);
  free(slot);
  return true;
}

void TimerHeap::clear() noexcept {
  entries_.clear();
  stale_ = 0;
  for (std::unique_ptr<TimerSlot[]>& slab : slabs_) {
    for (std::size_t i = 0; i != slots_per_slab; ++i) {
      if (slab[i].id != 0) {
        free(&slab[i]);
      }
    }
  }
}

TimerSlot* TimerHeap::allocate() {
  if (free_ == nullptr) {
    slabs_.push_back(std::make_unique<TimerSlot[]>(slots_per_slab));
    for (std::size_t i = 0; i != slots_per_slab; ++i) {
      TimerSlot& slot = slabs_.back()[i];
      slot.loop = loop_;
      slot.next_free = std::exchange(free_, &slot);
    }
  }
  return std::exchange(free_, free_->next_free);
}

// The callback is destroyed last and from a local: its destructor may use the heap.
void TimerHeap::free(TimerSlot* slot) noexcept {
  const Callback callback = std::move(slot->callback);
  const Context context = std::move(slot->context);
  slot->id = 0;
  slot->ticket = 0;
  slot->next_free = std::exchange(free_, slot);
}

void TimerHeap::push(TimerSlot* slot) {
  slot->ticket = ++last_ticket_;
  slot->queued = false;
  entries_.push_back({slot->when, slot->ticket, slot});
  sift_up(entries_.size() - 1);
}

void TimerHeap::pop_top() noexcept {
  entries_.front() = entries_.back();
  entries_.pop_back();
  if (!entries_.empty()) {
    sift_down(0);
  }
}

void TimerHeap::sift_up(std::size_t at) noexcept {
  const Entry moving = entries_[at];
  while (at != 0) {
    const std::size_t parent = (at - 1) / 4;
    if (!moving.before(entries_[parent])) {
      break;
    }
    entries_[at] = entries_[parent];
    at = parent;
  }
  entries_[at] = moving;
}

void TimerHeap::sift_down(std::size_t at) noexcept {
  const Entry moving = entries_[at];
  for (;;) {
    const std::size_t first = 4 * at + 1;
    if (first >= entries_.size()) {
      break;
    }
    std::size_t smallest = first;
    const std::size_t end = std::min(first + 4, entries_.size());
    for (std::size_t child = first + 1; child < end; ++child) {
      if (entries_[child].before(entries_[smallest])) {
        smallest = child;
      }
    }
    if (!entries_[smallest].before(moving)) {
      break;
    }
    entries_[at] = entries_[smallest];
    at = smallest;
  }
  entries_[at] = moving;
}

void TimerHeap::drop_stale_top() noexcept {
  while (!entries_.empty() && entries_.front().stale()) {
    pop_top();
    --stale_;
  }
}

void TimerHeap::sweep_if_mostly_stale() noexcept {
  if (stale_ < 64 || stale_ * 2 < entries_.size()) {
    return;
  }
  std::erase_if(entries_, [](const Entry& entry) { return entry.stale(); });
  stale_ = 0;
  // Floyd's construction: O(n), and paid for by the cancellations that made it necessary.
  for (std::size_t at = entries_.size() / 4 + 1; at-- > 0;) {
    if (at < entries_.size()) {
      sift_down(at);
    }
  }
}

}  // namespace weir::inline WEIR_ABI::detail
