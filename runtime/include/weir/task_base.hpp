// TaskBase: a running coroutine without its result type. The states and transitions stand at the top of
// task.cpp.
#pragma once

#include <weir/config.hpp>
#include <weir/future_base.hpp>

#include <coroutine>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

namespace weir::inline WEIR_ABI {

// How create_task makes a task. Trivially destructible; the call copies what it keeps.
struct TaskOptions {
  std::string_view name = {};            // empty: "Task-N"
  const Context* context = nullptr;      // null: a copy of the current context
  std::optional<bool> eager_start = {};  // true: runs inside create_task up to its first suspension
};

namespace detail {

struct LoopAccess;

// Base of everything that a coroutine of weir may co_await besides a Coro or a Future.
struct AwaiterBase {};

// What a suspended task waits for, as the task sees it: a way to cancel it and a word for listings.
struct CancelHook {
  // Asks for cancellation; true when the awaitable will wake the task by itself. Does not wake it before
  // returning.
  using Cancel = bool (*)(CancelHook& hook, std::string_view message) noexcept;
  CancelHook(Cancel cancel_function, const char* kind, FutureBase* future = nullptr) noexcept
      : cancel(cancel_function), awaits(kind), awaited(future) {}
  Cancel cancel;
  const char* awaits;
  FutureBase* awaited;  // when that is what is awaited, and it may outlive its cancellation

  // The task that is awaited, or null: a cancellation walks down a chain of tasks without recursion.
  TaskBase* awaited_task() const noexcept;
};

// The part of a coroutine's promise that does not depend on its result.
struct PromiseBase {
  TaskBase* task = nullptr;              // the task it runs in, once it runs
  PromiseBase* parent = nullptr;         // the coroutine that awaits this one
  std::coroutine_handle<> continuation;  // the same, as a handle
  std::coroutine_handle<>* owner_slot =
      nullptr;  // the owner's handle of this frame, cleared when the loop destroys the frame first
  std::source_location where;  // its function, then the place of its last co_await

  static void* operator new(std::size_t size) { return allocate_block(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { free_block(frame, size); }
};

}  // namespace detail

// The shared state of a task (asyncio.Task). Loop-bound: every function is called on the loop's thread. The
// loop keeps a task alive until it is done.
class WEIR_API TaskBase : public FutureBase {
 public:
  // Asks the task to end: CancelledError is thrown at the co_await where it is suspended, in a later turn, or
  // at its next one; a task that returns without another is cancelled all the same. False when it is done
  // (Task.cancel). Does nothing and returns false once the loop is closed.
  bool cancel(std::string_view message = {}) noexcept;
  // The number of cancel() requests not yet taken back (Task.cancelling).
  int cancelling() const noexcept { return cancel_requests_; }
  // Takes one request back and returns how many remain (Task.uncancel). Without any left the task is not
  // cancelled, unless what it awaited was interrupted already.
  int uncancel() noexcept;
  // Its name (Task.get_name, Task.set_name).
  std::string get_name() const;
  void set_name(std::string_view name) { name_ = name; }
  // The context it runs in (Task.get_context).
  const Context& get_context() const noexcept { return context_; }
  // The source locations of its suspended coroutines, innermost first (Task.get_stack). Empty when it is
  // running or done.
  std::vector<std::source_location> get_stack() const;
  // Its outermost coroutine, to tell it by; null when it is done (Task.get_coro).
  std::coroutine_handle<> get_coro() const noexcept { return root_; }
  // A word for what it waits for: "future", "sleep", "sock_recv"…; empty when it is not suspended in a
  // co_await.
  std::string_view awaiting() const noexcept;

  // What follows is for weir's own rooms and for its awaiters.

  // The innermost coroutine suspends, to be resumed by wake(). The hook lives until then.
  void suspend(std::coroutine_handle<> resume_point, detail::PromiseBase& innermost,
               detail::CancelHook& hook) noexcept {
    resume_point_ = resume_point;
    innermost_ = &innermost;
    waiting_for_ = &hook;
    if (must_cancel_) [[unlikely]] {
      deliver_kept_cancel();
    }
  }
  // An awaitable that was stopped for a cancellation but leaves throwing it to the task says so here:
  // uncancel() does not undo it any more.
  void interrupted() noexcept { interrupted_ = true; }
  // Queues the resumption, for the next turn.
  void wake() noexcept;
  // Resumes it now, on behalf of an item of the ready queue.
  void step() noexcept;
  // Throws the CancelledError that was asked for while the task was not waiting for anything that could take
  // it.
  void throw_if_cancelled() {
    if (must_cancel_) [[unlikely]] {
      throw_cancelled();
    }
  }
  bool must_cancel() const noexcept { return must_cancel_; }
  // The outermost coroutine has reached its end; step() does the rest once it is off the stack.
  void root_done() noexcept { root_finished_ = true; }
  // The original coroutine has ended inside a task factory's wrapper: keeps its outcome, and rethrows its
  // exception.
  void inner_done();

 protected:
  // Moves the outcome out of the finished coroutine: the value to its place, or the exception into
  // `exception`. True for a cancellation.
  using Collect = bool (*)(TaskBase&, std::exception_ptr& exception) noexcept;
  friend class EventLoop;
  friend class AnyCoro;
  friend struct detail::LoopAccess;

  TaskBase(EventLoop& loop, const detail::FutureKind& kind, Collect collect,
           std::source_location where) noexcept;
  static bool cancel_task(FutureBase& self, std::string_view message) noexcept;
  ~TaskBase();

  void set_root(std::coroutine_handle<> root, detail::PromiseBase& promise) noexcept {
    root_ = root;
    resume_point_ = root;
    innermost_ = &promise;
    promise.task = this;
    promise.owner_slot = &root_;
  }
  void start(const TaskOptions& options);
  // Hands the cancellation to what the task waits for; what refuses leaves it with the task.
  void deliver_cancel(std::string_view message) noexcept;
  void deliver_kept_cancel() noexcept;
  [[noreturn]] void throw_cancelled();
  void finish() noexcept;
  bool collect_wrapped(std::exception_ptr& exception) noexcept;
  void leave_loop() noexcept;
  // Destroys the suspended coroutines, innermost first, without resuming any.
  void destroy_frames() noexcept;

  Collect collect_;
  std::coroutine_handle<> root_;          // the outermost coroutine; owned
  std::coroutine_handle<> resume_point_;  // the innermost one, while suspended
  detail::PromiseBase* innermost_ = nullptr;
  detail::CancelHook* waiting_for_ = nullptr;
  Context context_;
  detail::RareText name_;
  std::uint64_t number_ = 0;  // for the automatic name
  TaskBase* previous_ = nullptr;
  TaskBase* next_ = nullptr;
  int cancel_requests_ = 0;
  bool must_cancel_ = false;
  bool interrupted_ = false;  // a cancellation that cannot be taken back is on its way to the coroutine
  bool listed_ = false;
  bool started_ = false;
  bool root_finished_ = false;
  bool wrapped_ = false;          // the outermost coroutine is a task factory's wrapper
  bool inner_collected_ = false;  // in which the original one has ended
  bool inner_cancelled_ = false;
};

inline TaskBase* detail::CancelHook::awaited_task() const noexcept {
  return awaited != nullptr && awaited->is_task() ? static_cast<TaskBase*>(awaited) : nullptr;
}

}  // namespace weir::inline WEIR_ABI
