// The timers of a loop: a 4-ary heap by (deadline, order of scheduling). Cancelling frees the timer's slot at
// once and leaves a stale heap entry, which is recognised by its ticket and swept when more than half are
// stale. A timer that is moved to later keeps its entry, which moves when it comes to the top.
#pragma once

#include <weir/config.hpp>
#include <weir/context.hpp>
#include <weir/detail/callback.hpp>
#include <weir/detail/ready_queue.hpp>
#include <weir/handle.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// One timer. Slots are recycled and live as long as the heap; the id tells a handle whether the slot is still
// its timer.
struct TimerSlot {
  std::uint64_t id = 0;  // 0: free
  TimePoint when{};
  std::uint64_t order = 0;   // among equal deadlines: grows with every scheduling and moving
  std::uint64_t ticket = 0;  // the order in its only valid heap entry or ready item; behind when it was moved
  TimePoint entry_when{};    // the deadline in the heap entry: the same, or an earlier one
  bool queued = false;       // the ticket is a ready item's: the heap holds no entry of it
  Callback callback;
  Context context;
  std::source_location where;
  EventLoop* loop = nullptr;
  TimerSlot* next_free = nullptr;
};

class TimerHeap {
 public:
  explicit TimerHeap(EventLoop& loop) noexcept : loop_(&loop) {}
  TimerHeap(const TimerHeap&) = delete;
  TimerHeap& operator=(const TimerHeap&) = delete;

  TimerSlot* add(TimePoint when, Callback&& callback, std::source_location where) {
    if (entries_.size() == entries_.capacity()) [[unlikely]] {
      entries_.reserve(std::max<std::size_t>(64, 2 * entries_.size()));  // or nothing has happened
    }
    if (free_ == nullptr) [[unlikely]] {
      grow();
    }
    TimerSlot* slot = std::exchange(free_, free_->next_free);
    slot->callback = std::move(callback);
    slot->when = when;
    slot->where = where;
    slot->id = ++last_id_;
    slot->order = ++last_order_;
    push(slot);
    return slot;
  }
  // Frees the timer with its callback; false when the slot is another timer's by now.
  bool cancel(TimerSlot* slot, std::uint64_t id) noexcept;
  bool reschedule(TimerSlot* slot, std::uint64_t id, TimePoint when) {
    if (slot == nullptr || slot->id != id) {
      return false;
    }
    slot->when = when;
    slot->order = ++last_order_;
    if (slot->queued || when < slot->entry_when) {
      move_entry(slot);
    }
    return true;
  }
  bool empty() const noexcept { return entries_.empty(); }
  // What it holds, timers that were cancelled or moved and are not swept yet among them.
  std::size_t entry_count() const noexcept { return entries_.size(); }
  // The earliest deadline, or the end of time.
  TimePoint next_deadline() noexcept;
  // Queues what is due, earliest first.
  void queue_due(TimePoint now, ReadyQueue& ready);
  // Takes what a due timer's ready item needs to run and frees the slot; false when it was cancelled or moved
  // meanwhile.
  bool take(TimerSlot* slot, std::uint64_t ticket, Callback& callback, Context& context) noexcept;
  void clear() noexcept;

 private:
  struct Entry {
    TimePoint when;
    std::uint64_t ticket;  // the tie-break of equal deadlines
    TimerSlot* slot;
    bool stale() const noexcept { return slot->ticket != ticket; }
    bool moved() const noexcept { return slot->order != ticket; }
    // Without a branch, which would be guessed wrong every other time.
    bool before(const Entry& other) const noexcept {
      return static_cast<bool>(
          static_cast<int>(when < other.when) |
          (static_cast<int>(when == other.when) & static_cast<int>(ticket < other.ticket)));
    }
  };

  void grow();
  void free(TimerSlot* slot) noexcept;
  void push(TimerSlot* slot);
  void move_entry(TimerSlot* slot);
  void pop_top() noexcept;
  static void follow(Entry& entry) noexcept;
  static void queue(const Entry& due, ReadyQueue& ready);
  void queue_all_due(TimePoint now, ReadyQueue& ready);
  void make_heap() noexcept;
  std::size_t smallest_child(std::size_t first) const noexcept;
  void sift_up(std::size_t at) noexcept;
  void sift_down(std::size_t at) noexcept;
  void settle_top() noexcept;
  void sweep_if_mostly_stale() noexcept;

  static constexpr std::size_t slots_per_slab = 64;
  // So many due timers are taken from the heap one by one; then the others are taken together, which costs a
  // look at every entry but no search for the next one.
  static constexpr std::size_t few_due = 256;

  EventLoop* loop_;
  std::vector<Entry> entries_;
  std::vector<std::unique_ptr<TimerSlot[]>> slabs_;
  TimerSlot* free_ = nullptr;
  std::size_t stale_ = 0;
  std::uint64_t last_order_ = 0;
  std::uint64_t last_id_ = 0;
};

}  // namespace weir::inline WEIR_ABI::detail
