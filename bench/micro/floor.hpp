// The hand-written minimum that weir's rows are held against: a ring of callbacks, a 4-ary heap of timers,
// and the turn that runs both. No exceptions, no cancelling of callbacks, no reports.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace bench {

struct Callback {
  void (*function)(void*);
  void* object;
};

// First in, first out; grows by doubling.
class Ring {
 public:
  std::size_t size() const noexcept { return tail_ - head_; }
  bool empty() const noexcept { return head_ == tail_; }
  void push(Callback callback) {
    if (size() > mask_) [[unlikely]] {
      grow();
    }
    entries_[tail_++ & mask_] = callback;
  }
  Callback pop() noexcept { return entries_[head_++ & mask_]; }
  // Runs what is in it now; what that pushes stays.
  void run_batch() {
    const std::size_t end = tail_;
    do {
      const Callback callback = entries_[head_++ & mask_];
      callback.function(callback.object);
    } while (head_ != end);
  }

 private:
  [[gnu::noinline]] void grow() {
    const std::size_t larger_mask = mask_ * 2 + 1;
    std::unique_ptr<Callback[]> larger(new Callback[larger_mask + 1]);
    for (std::size_t i = head_; i != tail_; ++i) {
      larger[i & larger_mask] = entries_[i & mask_];
    }
    entries_ = std::move(larger);
    mask_ = larger_mask;
  }

  std::unique_ptr<Callback[]> entries_{new Callback[1024]};
  std::size_t mask_ = 1023;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
};

// Timers by deadline. A timer knows its place, so that it can be moved and taken out.
class TimerHeap {
 public:
  using Id = std::uint32_t;

  bool empty() const noexcept { return heap_.empty(); }
  std::int64_t first() const noexcept { return heap_.front().when; }

  Id add(std::int64_t when, Callback callback) {
    Id id = free_;
    if (id != none) {
      free_ = slots_[id].place;
    } else {
      id = static_cast<Id>(slots_.size());
      slots_.emplace_back();
    }
    slots_[id].callback = callback;
    heap_.push_back({when, id});
    rise(heap_.size() - 1, {when, id});
    return id;
  }
  void remove(Id id) noexcept {
    const std::size_t place = slots_[id].place;
    const Entry last = heap_.back();
    heap_.pop_back();
    if (place != heap_.size()) {
      put(place, last);
    }
    slots_[id].place = free_;
    free_ = id;
  }
  void move(Id id, std::int64_t when) noexcept { put(slots_[id].place, {when, id}); }
  Callback take_first() noexcept {
    const Id id = heap_.front().id;
    const Callback callback = slots_[id].callback;
    remove(id);
    return callback;
  }

 private:
  static constexpr Id none = 0xffffffff;
  struct Entry {
    std::int64_t when;
    Id id;
  };
  struct Slot {
    Callback callback;
    Id place;  // in the heap; of a free one: the next free
  };

  void set(std::size_t place, Entry entry) noexcept {
    heap_[place] = entry;
    slots_[entry.id].place = static_cast<Id>(place);
  }
  void put(std::size_t place, Entry entry) noexcept {
    if (place != 0 && entry.when < heap_[(place - 1) / 4].when) {
      rise(place, entry);
    } else {
      sink(place, entry);
    }
  }
  void rise(std::size_t place, Entry entry) noexcept {
    while (place != 0 && entry.when < heap_[(place - 1) / 4].when) {
      set(place, heap_[(place - 1) / 4]);
      place = (place - 1) / 4;
    }
    set(place, entry);
  }
  void sink(std::size_t place, Entry entry) noexcept {
    for (;;) {
      const std::size_t first = place * 4 + 1;
      if (first >= heap_.size()) {
        break;
      }
      const std::size_t end = first + 4 < heap_.size() ? first + 4 : heap_.size();
      std::size_t least = first;
      for (std::size_t child = first + 1; child < end; ++child) {
        least = heap_[child].when < heap_[least].when ? child : least;
      }
      if (entry.when <= heap_[least].when) {
        break;
      }
      set(place, heap_[least]);
      place = least;
    }
    set(place, entry);
  }

  std::vector<Entry> heap_;
  std::vector<Slot> slots_;
  Id free_ = none;
};

// One turn after another; the caller brings the poll.
class FloorLoop {
 public:
  static std::int64_t now() noexcept {
    return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  }
  void post(void (*function)(void*), void* object) { ring.push({function, object}); }
  void stop() noexcept { stopping_ = true; }
  // Runs until stop(); `poll(timeout)` waits so many milliseconds: 0 when something is ready.
  template <class Poll>
  void run(const Poll& poll) {
    stopping_ = false;
    do {
      poll(ring.empty() ? wait() : 0);
      if (!timers.empty()) {
        expire();
      }
      if (!ring.empty()) {
        ring.run_batch();
      }
    } while (!stopping_);
  }

  Ring ring;
  TimerHeap timers;

 private:
  void expire() {
    const std::int64_t time = now();
    while (!timers.empty() && timers.first() <= time) {
      ring.push(timers.take_first());
    }
  }
  int wait() const noexcept {
    if (timers.empty()) {
      return -1;
    }
    const std::int64_t left = timers.first() - now();
    return left <= 0 ? 0 : static_cast<int>(left / 1'000'000 + 1);
  }

  bool stopping_ = false;
};

}  // namespace bench
