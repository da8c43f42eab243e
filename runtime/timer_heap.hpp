// The timers of a loop: a 4-ary heap by (deadline, order of scheduling). Cancelling frees the timer's slot at
// once and leaves a stale heap entry, which is recognised by its ticket and swept when more than half are
// stale.
#pragma once

#include <weir/config.hpp>
#include <weir/context.hpp>
#include <weir/detail/callback.hpp>
#include <weir/detail/ready_queue.hpp>
#include <weir/handle.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// One timer. Slots are recycled and live as long as the heap; the id tells a handle whether the slot is still
// its timer.
struct TimerSlot {
  Callback callback;
  Context context;
  TimePoint when{};
  std::uint64_t id = 0;      // 0: free
  std::uint64_t ticket = 0;  // of its only valid heap entry or ready item
  bool queued = false;       // the ticket is a ready item's: the heap holds no entry of it
  std::source_location where;
  EventLoop* loop = nullptr;
  TimerSlot* next_free = nullptr;
};

class TimerHeap {
 public:
  explicit TimerHeap(EventLoop& loop) noexcept : loop_(&loop) {}
  TimerHeap(const TimerHeap&) = delete;
  TimerHeap& operator=(const TimerHeap&) = delete;

  TimerSlot* add(TimePoint when, Callback callback, Context context, std::source_location where);
  // Frees the timer with its callback; false when the slot is another timer's by now.
  bool cancel(TimerSlot* slot, std::uint64_t id) noexcept;
  bool reschedule(TimerSlot* slot, std::uint64_t id, TimePoint when);
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
    std::uint64_t ticket;  // grows with time: the tie-break of equal deadlines
    TimerSlot* slot;
    bool stale() const noexcept { return slot->ticket != ticket; }
    bool before(const Entry& other) const noexcept {
      return when != other.when ? when < other.when : ticket < other.ticket;
    }
  };

  TimerSlot* allocate();
  void free(TimerSlot* slot) noexcept;
  void push(TimerSlot* slot);
  void pop_top() noexcept;
  void sift_up(std::size_t at) noexcept;
  void sift_down(std::size_t at) noexcept;
  void drop_stale_top() noexcept;
  void sweep_if_mostly_stale() noexcept;

  static constexpr std::size_t slots_per_slab = 64;

  EventLoop* loop_;
  std::vector<Entry> entries_;
  std::vector<std::unique_ptr<TimerSlot[]>> slabs_;
  TimerSlot* free_ = nullptr;
  std::size_t stale_ = 0;
  std::uint64_t last_ticket_ = 0;
  std::uint64_t last_id_ = 0;
};

}  // namespace weir::inline WEIR_ABI::detail
