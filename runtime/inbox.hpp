// The inbox of a loop: what other threads post. A lock-free stack that the loop takes whole; its head also
// says whether the loop may be asleep, so that posting and deciding to wake is one compare-and-swap.
#pragma once

#include "backends/chosen.hpp"

#include <weir/config.hpp>
#include <weir/context.hpp>
#include <weir/detail/callback.hpp>
#include <weir/detail/ready_queue.hpp>
#include <weir/fwd.hpp>

#include <atomic>
#include <mutex>

namespace weir::inline WEIR_ABI::detail {

// Outlives its loop for the sake of LoopRemote. post() and closed() may be called from any thread, the rest
// from the loop's.
class Inbox {
 public:
  // A posted callback. Nodes are recycled between the threads that post and the loop.
  struct Node {
    Node* next = nullptr;
    Inbox* inbox = nullptr;
    Callback callback;
    Context context;
  };

  explicit Inbox(Backend& backend) noexcept : backend_(&backend) {}
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  ~Inbox();

  // Throws RuntimeError when the loop is closed.
  void post(Callback callback, Context context);
  bool closed() const noexcept { return head_.load(std::memory_order_acquire) == closed_mark(); }

  // Moves what was posted to the ready queue, oldest first.
  void take(ReadyQueue& ready) {
    if (head_.load(std::memory_order_relaxed) != nullptr) [[unlikely]] {
      take_posted(ready);
    }
  }
  bool has_posts() const noexcept { return head_.load(std::memory_order_relaxed) != nullptr; }
  // Announces that the loop may sleep; false when something was posted, which take() then gets.
  bool prepare_sleep() noexcept;
  // The loop is awake again.
  void woke() noexcept;
  // A node has been run.
  void recycle(Node* node) noexcept;
  // In a child of fork(): refuses posts for good, and never touches the backend again.
  void leave_to_parent() noexcept;
  // Refuses posts from now on, and destroys what was posted and not taken.
  void close() noexcept;

 private:
  Node* allocate();
  void take_posted(ReadyQueue& ready);
  void wake_loop() noexcept;

  // Marks that are no nodes: their addresses are never dereferenced.
  Node* sleeping_mark() const noexcept { return const_cast<Node*>(&sleeping_); }
  Node* closed_mark() const noexcept { return const_cast<Node*>(&closed_); }

  std::atomic<Node*> head_{nullptr};
  std::atomic<Node*> recycled_{nullptr};
  Node sleeping_;
  Node closed_;
  bool inherited_ = false;
  // Keeps close() from releasing the backend under a thread that is just waking it. Taken only when the loop
  // may be asleep.
  std::mutex wake_mutex_;
  Backend* backend_;
};

}  // namespace weir::inline WEIR_ABI::detail
