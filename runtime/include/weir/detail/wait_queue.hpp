// WaitQueue: those who wait for a Lock, an Event, a Queue…, first come, first served. A waiter's place in it
// is part of its awaiter, in the coroutine's frame: waiting allocates nothing. What is awaited, and who may
// go on, is the business of the types that own a queue.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/ready_queue.hpp>
#include <weir/task_base.hpp>

#include <cstddef>
#include <cstdint>

namespace weir::inline WEIR_ABI::detail {

class WaitQueue;

// The loop that a primitive belongs to: that of the first task that had to wait for it, as in asyncio.
class WEIR_API LoopBinding {
 public:
  // Throws RuntimeError, which names the call, when the task's loop is another one.
  void bind(const TaskBase& task, const char* call);

 private:
  std::uint64_t loop_number_ = 0;  // of no loop
};

// A place in a WaitQueue. It stays there when it is woken, until its task goes on: so a newcomer sees that
// others come first, and who is destroyed with the primitive or with the task leaves nothing behind.
class WEIR_API Waiter {
 public:
  // Called in the turn after it was woken, instead of resuming the task: decides whether the task goes on.
  using Look = void (*)(Waiter&) noexcept;

  Waiter() noexcept = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter();

  // Is it in a queue? A queue that is destroyed lets go of its waiters and wakes them.
  bool linked() const noexcept { return queue_ != nullptr; }
  bool woken() const noexcept { return woken_; }

 protected:
  friend class WaitQueue;
  friend class ConditionAwaiter;
  // Leaves its queue, if it is in one.
  void unlink() noexcept;
  // The task's next step, in this turn. Nothing may be touched after it: the awaiter may be gone.
  void resume_now() noexcept;

  TaskBase* task_ = nullptr;  // null until it suspends
  Look look_ = nullptr;       // null: being woken is enough

 private:
  static void run_look(void* object, std::uintptr_t, std::uintptr_t, ReadyAction action);
  // Queues what is to happen on the task's loop; nothing on one that closes, whose frames are about to go.
  void schedule() noexcept;

  WaitQueue* queue_ = nullptr;
  Waiter* previous_ = nullptr;
  Waiter* next_ = nullptr;
  bool woken_ = false;
};

// Intrusive list, oldest first. Those who were woken usually stand before the others. Loop's thread only.
class WEIR_API WaitQueue {
 public:
  WaitQueue() noexcept = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;
  // Lets all go; they throw RuntimeError, because what they wait for is no more.
  ~WaitQueue();

  bool empty() const noexcept { return first_ == nullptr; }
  bool is_first(const Waiter& waiter) const noexcept { return first_ == &waiter; }
  // How many were woken and have not gone on yet, and how many were not.
  std::size_t woken() const noexcept { return woken_; }
  std::size_t waiting() const noexcept { return size_ - woken_; }

  void push(Waiter& waiter) noexcept;
  void erase(Waiter& waiter) noexcept;
  // Wakes the oldest that is not woken yet and returns it; null when there is none.
  Waiter* wake_one() noexcept;
  void wake_all() noexcept;
  // Wakes this one, which must not be woken yet.
  void wake(Waiter& waiter) noexcept;
  // One that looked and found that it cannot go on waits again, in its old place.
  void put_back(Waiter& waiter) noexcept;

 private:
  static Waiter* skip_woken(Waiter* waiter) noexcept;

  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  Waiter* first_waiting_ = nullptr;  // the oldest that is not woken
  std::size_t size_ = 0;
  std::size_t woken_ = 0;
};

}  // namespace weir::inline WEIR_ABI::detail
