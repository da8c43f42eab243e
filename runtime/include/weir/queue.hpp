// Queue, LifoQueue and PriorityQueue: asyncio's, between the tasks of one loop. Items may be move-only.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/queue_base.hpp>
#include <weir/detail/queue_items.hpp>

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

// What get() returns.
template <class Q>
class GetAwaiter : public GetAwaiterBase {
 public:
  explicit GetAwaiter(Q& queue) noexcept : GetAwaiterBase(queue), typed_(&queue) {}
  typename Q::value_type await_resume() {
    this->finish();
    return typed_->take();
  }

 private:
  Q* typed_;
};

// What put() returns, which holds the item, and put_from(), which refers to it.
template <class Q, class Item>
class PutAwaiter : public PutAwaiterBase {
 public:
  PutAwaiter(Q& queue, Item&& item)
      : PutAwaiterBase(queue), typed_(&queue), item_(std::forward<Item>(item)) {}
  void await_resume() {
    this->finish();
    typed_->insert(std::move(item_));
  }

 private:
  Q* typed_;
  Item item_;
};

// The part of the queues that is the same for all three; `Items` says in which order items come out.
//
// Every function is called on the loop's thread; those that are not awaited also from a plain callback. The
// queue belongs to the loop of the first task that has to wait. get() and put() are first come, first served:
// a newcomer waits behind those who wait already, while get_nowait() and put_nowait() ask nobody. Destroying
// the queue destroys its items and makes those who wait throw RuntimeError.
template <class T, class Items>
class BasicQueue : public QueueBase {
  static_assert(!std::is_reference_v<T> && std::move_constructible<T>, "items are objects that can be moved");

 public:
  using value_type = T;

  // co_await: takes the next item out, and waits while there is none (Queue.get). Throws CancelledError
  // without having taken any, QueueShutDown when the queue is empty and shut down, and RuntimeError in a task
  // of another loop.
  [[nodiscard("nothing is taken until it is awaited")]] auto get() noexcept {
    return GetAwaiter<BasicQueue>(*this);
  }
  // Takes the next item out (Queue.get_nowait). Throws QueueEmpty, or QueueShutDown when there will be none.
  T get_nowait() {
    check_get_now();
    return take();
  }
  // co_await: puts the item in, and waits while the queue is full (Queue.put). Throws CancelledError,
  // QueueShutDown, and RuntimeError in a task of another loop; the item is then destroyed with the call, so
  // that one that must not get lost is rather given to put_from().
  [[nodiscard("nothing is put until it is awaited")]] auto put(T item) noexcept(
      std::is_nothrow_move_constructible_v<T>) {
    return PutAwaiter<BasicQueue, T>(*this, std::move(item));
  }
  // The same, but moves the item out of its place only when it goes into the queue: after an exception the
  // caller still has it. `item` must live until then.
  [[nodiscard("nothing is put until it is awaited")]] auto put_from(T& item) noexcept {
    return PutAwaiter<BasicQueue, T&>(*this, item);
  }
  // Puts the item in (Queue.put_nowait). Throws QueueFull or QueueShutDown; the item is then where it was.
  void put_nowait(T&& item) {
    check_put_now();
    insert(std::move(item));
  }
  void put_nowait(const T& item)
    requires std::copy_constructible<T>
  {
    check_put_now();
    insert(T(item));
  }
  // Ends the queue: put() throws QueueShutDown from now on, get() as soon as the queue is empty, and those
  // who wait for what will not come are woken to do so (Queue.shutdown). With `immediate`, the items are
  // dropped, too, as if each had been taken and reported by task_done().
  void shutdown(bool immediate = false) {
    if (!immediate) {
      shut_down(false);
      return;
    }
    const auto dropped = items_.take_all();  // destroyed last: an item's destructor may use the queue
    shut_down(true);
  }

 protected:
  explicit BasicQueue(std::ptrdiff_t maxsize, Items items = Items())
      : QueueBase(maxsize), items_(std::move(items)) {}
  ~BasicQueue() = default;

 private:
  friend class GetAwaiter<BasicQueue>;
  friend class PutAwaiter<BasicQueue, T>;
  friend class PutAwaiter<BasicQueue, T&>;

  T take() {
    T item = items_.pop();
    taken();
    return item;
  }
  void insert(T&& item) {
    try {
      items_.push(std::move(item));
    } catch (...) {
      serve();  // the room is another's
      throw;
    }
    added();
  }

  Items items_;
};

}  // namespace detail

// First in, first out (asyncio.Queue). What it does is described at BasicQueue.
template <class T>
class Queue : public detail::BasicQueue<T, detail::FifoItems<T>> {
 public:
  // For at most `maxsize` items; without a limit when that is zero or less.
  explicit Queue(std::ptrdiff_t maxsize = 0) : detail::BasicQueue<T, detail::FifoItems<T>>(maxsize) {}
};

// Last in, first out (asyncio.LifoQueue).
template <class T>
class LifoQueue : public detail::BasicQueue<T, detail::LifoItems<T>> {
 public:
  // See Queue.
  explicit LifoQueue(std::ptrdiff_t maxsize = 0) : detail::BasicQueue<T, detail::LifoItems<T>>(maxsize) {}
};

// The order of a PriorityQueue unless another is given: by `<`.
struct SmallestFirst {
  template <class T>
  constexpr bool operator()(const T& a, const T& b) const {
    return a < b;
  }
};

// The smallest item first, or the one that `order` puts before all others; equal ones in any order
// (asyncio.PriorityQueue). order(a, b) says whether a goes before b; neither it nor the items' swap may
// throw.
template <class T, class Order = SmallestFirst>
class PriorityQueue : public detail::BasicQueue<T, detail::HeapItems<T, Order>> {
 public:
  // See Queue.
  explicit PriorityQueue(std::ptrdiff_t maxsize = 0, Order order = Order())
      : detail::BasicQueue<T, detail::HeapItems<T, Order>>(maxsize,
                                                           detail::HeapItems<T, Order>(std::move(order))) {}
};

}  // namespace weir::inline WEIR_ABI
