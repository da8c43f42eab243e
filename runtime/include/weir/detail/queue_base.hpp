// QueueBase: all of a queue but its items: who waits, who may go on, join() and shutdown().
#pragma once

#include <weir/config.hpp>
#include <weir/detail/sync_awaiter.hpp>
#include <weir/detail/wait_queue.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

// Everything of Queue<T> that does not depend on T.
class WEIR_API QueueBase {
 public:
  QueueBase(const QueueBase&) = delete;
  QueueBase& operator=(const QueueBase&) = delete;

  // The limit given to the constructor; none when it is zero or less (Queue.maxsize).
  std::ptrdiff_t maxsize() const noexcept { return maxsize_; }
  // How many items are in the queue (Queue.qsize), those included for which a waiting getter was woken.
  std::size_t qsize() const noexcept { return size_; }
  // Is there none (Queue.empty)?
  bool empty() const noexcept { return size_ == 0; }
  // Are there maxsize() (Queue.full)? Never without a limit.
  bool full() const noexcept { return room() == 0; }
  // co_await: waits until task_done() was called for every item that was put; goes on at once when nothing is
  // left (Queue.join). Throws CancelledError, and RuntimeError in a task of another loop.
  [[nodiscard("nothing waits until it is awaited")]] FlagAwaiter join() noexcept {
    return {finished_, joiners_, binding_, "Queue.join"};
  }
  // An item that was taken has been dealt with (Queue.task_done). Throws RuntimeError when it is called more
  // often than items were put.
  void task_done();

 protected:
  explicit QueueBase(std::ptrdiff_t maxsize) noexcept : maxsize_(maxsize) {}
  ~QueueBase() = default;

  // Throw unless it can be done now.
  void check_get_now() const;
  void check_put_now() const;
  // An item was added, or taken out.
  void added() noexcept;
  void taken() noexcept;
  // Wakes as many getters as there are items and as many putters as there is room; after a shutdown, those
  // who have nothing to wait for.
  void serve() noexcept;
  // What shutdown() does; with `immediate`, the caller drops the items.
  void shut_down(bool immediate) noexcept;

 private:
  friend class GetAwaiterBase;
  friend class PutAwaiterBase;

  std::size_t room() const noexcept {
    const auto limit = static_cast<std::size_t>(maxsize_);
    return maxsize_ <= 0 ? SIZE_MAX : limit > size_ ? limit - size_ : 0;
  }
  // The first in line goes on when there is something for it, or never will be.
  bool may_get(const Waiter& first) const noexcept {
    return size_ == 0 ? shut_down_ : getters_.is_first(first);
  }
  bool may_put(const Waiter& first) const noexcept {
    return shut_down_ || (room() != 0 && putters_.is_first(first));
  }

  WaitQueue getters_;
  WaitQueue putters_;
  WaitQueue joiners_;
  LoopBinding binding_;
  std::ptrdiff_t maxsize_;
  std::size_t size_ = 0;
  std::size_t unfinished_ = 0;
  bool finished_ = true;  // unfinished_ is 0; join() looks at it
  bool shut_down_ = false;
};

// What the awaiters of get() have in common.
class WEIR_API GetAwaiterBase : public SyncAwaiter {
 public:
  bool await_ready() const;
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    look_ = &look_again;
    wait_in(queue_->getters_, queue_->binding_, coroutine);
    queue_->serve();  // items may be left besides those that others were woken for
  }

 protected:
  explicit GetAwaiterBase(QueueBase& queue) noexcept : SyncAwaiter("Queue.get"), queue_(&queue) {}
  GetAwaiterBase(GetAwaiterBase&&) noexcept = default;
  // Returns when there is an item to take.
  void finish();

 private:
  static void look_again(Waiter& waiter) noexcept;

  QueueBase* queue_;
};

// What the awaiters of put() have in common.
class WEIR_API PutAwaiterBase : public SyncAwaiter {
 public:
  bool await_ready() const;
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    look_ = &look_again;
    wait_in(queue_->putters_, queue_->binding_, coroutine);
    queue_->serve();
  }

 protected:
  explicit PutAwaiterBase(QueueBase& queue) noexcept : SyncAwaiter("Queue.put"), queue_(&queue) {}
  PutAwaiterBase(PutAwaiterBase&&) noexcept = default;
  // Returns when there is room.
  void finish();

 private:
  static void look_again(Waiter& waiter) noexcept;

  QueueBase* queue_;
};

}  // namespace weir::inline WEIR_ABI::detail
