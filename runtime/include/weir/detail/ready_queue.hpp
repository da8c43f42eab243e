// The ring of work that is ready to run. It is the one structure that the loop and a backend share: the loop
// pushes callbacks, a backend pushes what completed, and the loop runs both in the order of pushing.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/block_pool.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

// Why a queued item is handed to its function: to be run, or to release what it holds because it never will
// be.
enum class ReadyAction : bool { run, drop };

// 32 bytes, trivially copyable: a function and three words that are its own business. Small callables live in
// the words, larger ones behind the first.
struct ReadyItem {
  // Gets the words as they were pushed; in registers, because a copy in memory would be read before it is
  // written back.
  using Function = void (*)(void* object, std::uintptr_t first, std::uintptr_t second, ReadyAction action);
  void operator()(ReadyAction action) const { function(object, words[0], words[1], action); }

  Function function;
  void* object;
  std::uintptr_t words[2];
};
static_assert(sizeof(ReadyItem) == 4 * sizeof(void*));

// FIFO ring that grows by doubling. Every item has a sequence number for life, by which a handle finds it
// again as long as it is queued. Not thread-safe: the loop's thread only.
class ReadyQueue {
 public:
  ReadyQueue() : items_(std::make_unique<ReadyItem[]>(initial_capacity)), mask_(initial_capacity - 1) {}
  ReadyQueue(const ReadyQueue&) = delete;
  ReadyQueue& operator=(const ReadyQueue&) = delete;

  // Appends an item and returns its sequence number. Throws std::bad_alloc when the ring cannot grow.
  std::uint64_t push(ReadyItem::Function function, void* object, std::uintptr_t first = 0,
                     std::uintptr_t second = 0) {
    if (tail_ - head_ > mask_) [[unlikely]] {
      grow();
    }
    ReadyItem& item = items_[tail_ & mask_];
    item.function = function;
    item.object = object;
    item.words[0] = first;
    item.words[1] = second;
    return tail_++;
  }

  bool empty() const noexcept { return head_ == tail_; }
  std::size_t size() const noexcept { return static_cast<std::size_t>(tail_ - head_); }

  // Takes the oldest item out. The queue must not be empty. The copy is word by word: a vector load of fresh
  // narrower stores stalls on store forwarding (measured: 10 ns instead of 5 a hop).
  ReadyItem pop() noexcept {
    const ReadyItem& item = items_[head_++ & mask_];
    return {item.function, item.object, {item.words[0], item.words[1]}};
  }

  // The item with this number, or null when it has been taken out. Valid until the next push.
  ReadyItem* find(std::uint64_t sequence) noexcept {
    return sequence - head_ < tail_ - head_ ? &items_[sequence & mask_] : nullptr;
  }

  // The sequence number that the next push will get.
  std::uint64_t next_sequence() const noexcept { return tail_; }

 private:
  static constexpr std::size_t initial_capacity = 256;

  WEIR_API void grow();

  std::unique_ptr<ReadyItem[]> items_;
  std::uint64_t mask_;
  std::uint64_t head_ = 0;
  std::uint64_t tail_ = 0;
};

// Queues a callable, inside the ring's words when it is small and trivial, else behind a pointer; gives its
// number.
template <class F>
std::uint64_t push_callable(ReadyQueue& queue, F&& callback) {
  using C = std::decay_t<F>;
  if constexpr (sizeof(C) <= 3 * sizeof(void*) && alignof(C) <= alignof(void*) &&
                std::is_trivially_copyable_v<C>) {
    const C packed(std::forward<F>(callback));
    std::uintptr_t words[3] = {};
    std::memcpy(words, &packed, sizeof packed);
    return queue.push(
        [](void* object, std::uintptr_t first, std::uintptr_t second, ReadyAction action) {
          if (action == ReadyAction::run) {
            const std::uintptr_t packed[3] = {reinterpret_cast<std::uintptr_t>(object), first, second};
            std::array<std::byte, sizeof(C)> bytes;
            std::memcpy(&bytes, packed, sizeof(C));
            std::bit_cast<C>(bytes)();
          }
        },
        reinterpret_cast<void*>(words[0]), words[1], words[2]);
  } else {
    C* box = new_block<C>(std::forward<F>(callback));
    return queue.push(
        [](void* object, std::uintptr_t, std::uintptr_t, ReadyAction action) {
          struct Freed {
            C* box;
            ~Freed() { delete_block(box); }
          } freed{static_cast<C*>(object)};
          if (action == ReadyAction::run) {
            (*freed.box)();
          }
        },
        box);
  }
}

}  // namespace weir::inline WEIR_ABI::detail
