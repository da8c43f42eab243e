// The 4-ary timer heap.
#include "runtime/timer_heap.hpp"

#include "backends/chosen.hpp"
#include "runtime/running.hpp"

#include <algorithm>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

bool TimerHeap::cancel(TimerSlot* slot, std::uint64_t id) noexcept {
  if (slot == nullptr || slot->id != id) {
    return false;
  }
  stale_ += slot->queued ? 0 : 1;
  free(slot);
  sweep_if_mostly_stale();
  return true;
}

void TimerHeap::move_entry(TimerSlot* slot) {
  stale_ += slot->queued ? 0 : 1;
  push(slot);
  sweep_if_mostly_stale();
}

TimePoint TimerHeap::next_deadline() noexcept {
  settle_top();
  return entries_.empty() ? TimePoint::max() : entries_.front().when;
}

// The entry takes over where its timer was moved to.
void TimerHeap::follow(Entry& entry) noexcept {
  TimerSlot& slot = *entry.slot;
  entry.when = slot.entry_when = slot.when;
  entry.ticket = slot.ticket = slot.order;
}

void TimerHeap::queue(const Entry& due, ReadyQueue& ready) {
  due.slot->queued = true;
  ready.push(&run_timer, due.slot, due.ticket);
}

void TimerHeap::queue_due(TimePoint now, ReadyQueue& ready) {
  std::size_t left = few_due + entries_.size() / 32;
  TimePoint last = TimePoint::min();
  while (!entries_.empty() && entries_.front().when <= now) {
    Entry& top = entries_.front();
    if (top.stale()) {
      pop_top();
      --stale_;
    } else if (top.moved()) {
      follow(top);
      sift_down(0);
    } else {
      if (last != TimePoint::min() && top.when != last && rare_path(FaultPoint::timers_apart)) {
        return;
      }
      last = top.when;
      queue(top, ready);
      pop_top();
    }
    if (--left == 0 || rare_path(FaultPoint::sort_due)) {
      queue_all_due(now, ready);
      return;
    }
  }
}

void TimerHeap::queue_all_due(TimePoint now, ReadyQueue& ready) {
  std::erase_if(entries_, [](const Entry& entry) { return entry.stale(); });
  stale_ = 0;
  const auto due = std::partition(entries_.begin(), entries_.end(), [&](Entry& entry) {
    if (entry.moved()) {
      follow(entry);
    }
    return entry.when > now;
  });
  std::sort(due, entries_.end(), [](const Entry& a, const Entry& b) { return a.before(b); });
  for (auto each = due; each != entries_.end(); ++each) {
    queue(*each, ready);
  }
  entries_.erase(due, entries_.end());
  make_heap();
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

void TimerHeap::grow() {
  slabs_.push_back(std::make_unique<TimerSlot[]>(slots_per_slab));
  for (std::size_t i = 0; i != slots_per_slab; ++i) {
    TimerSlot& slot = slabs_.back()[i];
    slot.loop = loop_;
    slot.next_free = std::exchange(free_, &slot);
  }
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
  slot->ticket = slot->order;
  slot->entry_when = slot->when;
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

std::size_t TimerHeap::smallest_child(std::size_t first) const noexcept {
  const Entry* const child = &entries_[first];
  if (first + 4 <= entries_.size()) [[likely]] {
    const std::size_t left = child[1].before(child[0]) ? 1 : 0;
    const std::size_t right = child[3].before(child[2]) ? 3 : 2;
    return first + (child[right].before(child[left]) ? right : left);
  }
  std::size_t smallest = 0;
  for (std::size_t each = 1; first + each < entries_.size(); ++each) {
    smallest = child[each].before(child[smallest]) ? each : smallest;
  }
  return first + smallest;
}

void TimerHeap::sift_down(std::size_t at) noexcept {
  const Entry moving = entries_[at];
  for (std::size_t first = 4 * at + 1; first < entries_.size(); first = 4 * at + 1) {
    const std::size_t smallest = smallest_child(first);
    if (!entries_[smallest].before(moving)) {
      break;
    }
    entries_[at] = entries_[smallest];
    at = smallest;
  }
  entries_[at] = moving;
}

void TimerHeap::settle_top() noexcept {
  while (!entries_.empty()) {
    if (Entry& top = entries_.front(); top.stale()) {
      pop_top();
      --stale_;
    } else if (top.moved()) {
      follow(top);
      sift_down(0);
    } else {
      return;
    }
  }
}

void TimerHeap::sweep_if_mostly_stale() noexcept {
  if ((stale_ < 64 || stale_ * 2 < entries_.size()) && !rare_path(FaultPoint::early_sweep)) {
    return;
  }
  std::erase_if(entries_, [](const Entry& entry) { return entry.stale(); });
  stale_ = 0;
  make_heap();  // paid for by the cancellations that made it necessary
}

// Floyd's construction: O(n).
void TimerHeap::make_heap() noexcept {
  for (std::size_t at = entries_.size() / 4 + 1; at-- > 0;) {
    if (at < entries_.size()) {
      sift_down(at);
    }
  }
}

}  // namespace weir::inline WEIR_ABI::detail
