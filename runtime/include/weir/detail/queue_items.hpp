// How the three kinds of queue keep their items. Each has push, pop and take_all; pop is asked only when
// there is an item.
#pragma once

#include <weir/config.hpp>

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// First in, first out: a ring that grows by doubling and keeps its room.
template <class T>
class FifoItems {
 public:
  void push(T&& item) {
    if (size_ == slots_.size()) {
      grow();
    }
    slots_[(head_ + size_) & (slots_.size() - 1)].emplace(std::move(item));
    ++size_;
  }
  T pop() {
    std::optional<T>& slot = slots_[head_];
    T item = std::move(*slot);
    slot.reset();
    head_ = (head_ + 1) & (slots_.size() - 1);
    --size_;
    return item;
  }
  // Leaves it empty.
  std::vector<std::optional<T>> take_all() noexcept {
    head_ = 0;
    size_ = 0;
    return std::exchange(slots_, {});
  }

 private:
  static constexpr std::size_t first_capacity = 8;

  void grow() {
    std::vector<std::optional<T>> larger(slots_.empty() ? first_capacity : 2 * slots_.size());
    for (std::size_t at = 0; at != size_; ++at) {
      larger[at] = std::move(slots_[(head_ + at) & (slots_.size() - 1)]);
    }
    slots_ = std::move(larger);
    head_ = 0;
  }

  std::vector<std::optional<T>> slots_;
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

// Last in, first out.
template <class T>
class LifoItems {
 public:
  void push(T&& item) { items_.push_back(std::move(item)); }
  T pop() {
    T item = std::move(items_.back());
    items_.pop_back();
    return item;
  }
  std::vector<T> take_all() noexcept { return std::exchange(items_, {}); }

 private:
  std::vector<T> items_;
};

// A binary heap whose first item comes before all others. Written out here because <algorithm> costs each
// source that includes it more than all of this.
template <class T, class Order>
class HeapItems {
 public:
  explicit HeapItems(Order order) : order_(std::move(order)) {}

  void push(T&& item) {
    items_.push_back(std::move(item));
    for (std::size_t at = items_.size() - 1; at != 0;) {
      const std::size_t parent = (at - 1) / 2;
      if (!order_(std::as_const(items_[at]), std::as_const(items_[parent]))) {
        return;
      }
      swap_items(at, parent);
      at = parent;
    }
  }
  T pop() {
    swap_items(0, items_.size() - 1);
    T item = std::move(items_.back());
    items_.pop_back();
    sink_first();
    return item;
  }
  std::vector<T> take_all() noexcept { return std::exchange(items_, {}); }

 private:
  void swap_items(std::size_t a, std::size_t b) noexcept {
    using std::swap;
    if (a != b) {
      swap(items_[a], items_[b]);
    }
  }
  void sink_first() {
    for (std::size_t at = 0;;) {
      std::size_t child = 2 * at + 1;
      if (child >= items_.size()) {
        return;
      }
      if (child + 1 < items_.size() &&
          order_(std::as_const(items_[child + 1]), std::as_const(items_[child]))) {
        ++child;
      }
      if (!order_(std::as_const(items_[child]), std::as_const(items_[at]))) {
        return;
      }
      swap_items(at, child);
      at = child;
    }
  }

  std::vector<T> items_;
  Order order_;
};

}  // namespace weir::inline WEIR_ABI::detail
