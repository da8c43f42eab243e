// FutureBase: the part of a future that does not depend on its result type. Future<T> and Task<T> are handles
// on it.
#pragma once

#include <weir/config.hpp>
#include <weir/context.hpp>
#include <weir/detail/callback.hpp>
#include <weir/detail/rare_text.hpp>
#include <weir/exceptions.hpp>
#include <weir/fwd.hpp>
#include <weir/ref.hpp>

#include <cstdint>
#include <exception>
#include <source_location>
#include <string>
#include <string_view>

namespace weir::inline WEIR_ABI {

// Where and in which context a callback runs. Trivially destructible; the call copies what it keeps.
struct CallOptions {
  const Context* context = nullptr;  // null: a copy of the context that is current at the call
};

// Identifies one add_done_callback() registration, for remove_done_callback().
enum class DoneCallbackToken : std::uint64_t {};

namespace detail {

struct LoopAnchor;
class Gathering;

// A place in the list of those who wait for a future: an awaiting coroutine's (in its frame) or a
// done-callback's.
struct WaitNode {
  explicit WaitNode(void (*on_ready)(WaitNode&) noexcept) noexcept : schedule(on_ready) {}
  WaitNode(const WaitNode&) = delete;
  WaitNode& operator=(const WaitNode&) = delete;

  void (*schedule)(WaitNode&) noexcept;  // queues the waiter on the loop; called once, unlinked
  FutureBase* future = nullptr;          // the future it waits for while it is linked
  WaitNode* previous = nullptr;
  WaitNode* next = nullptr;
  std::uint64_t number = 0;  // of a done-callback
};

enum class FutureStatus : std::uint8_t { pending, value, exception, cancelled };

// What the kinds of futures do in their own ways.
struct FutureKind {
  void (*destroy)(FutureBase& self) noexcept;
  // Null: a plain future, which ends at once. Others pass it on to what they stand for, which may take its
  // time, or even give a value.
  bool (*cancel)(FutureBase& self, std::string_view message) noexcept = nullptr;
  bool is_task = false;
};

}  // namespace detail

// The shared state of a future: asyncio.Future without its result. Loop-bound: every function is called on
// the loop's thread. Counted by Ref.
class WEIR_API FutureBase {
 public:
  FutureBase(const FutureBase&) = delete;
  FutureBase& operator=(const FutureBase&) = delete;

  // Has it a value, an exception, or been cancelled (Future.done)?
  bool done() const noexcept { return status_ != detail::FutureStatus::pending; }
  // Was it cancelled (Future.cancelled)?
  bool cancelled() const noexcept { return status_ == detail::FutureStatus::cancelled; }
  // Cancels it and schedules its callbacks; false when it is done already (Future.cancel). For a task:
  // TaskBase::cancel. Never throws; does nothing once the loop is closed.
  bool cancel(std::string_view message = {}) noexcept;
  // The exception it failed with, or null when it has a value (Future.exception). Throws InvalidStateError
  // while it is pending and CancelledError when it was cancelled. Silences the report of an exception that
  // nobody retrieved.
  std::exception_ptr exception() const;
  // Completes it with an exception (Future.set_exception). Throws InvalidStateError when done, RuntimeError
  // for a task, std::invalid_argument for null.
  void set_exception(std::exception_ptr exception);
  // The loop it belongs to (Future.get_loop). Valid while the loop exists.
  EventLoop& get_loop() const noexcept { return *loop_; }
  // Is it the state of a Task?
  bool is_task() const noexcept { return kind_->is_task; }
  // Where it was created; in debug mode, else empty.
  const std::source_location& created_at() const noexcept { return created_at_; }
  // Takes back one registration made by Future::add_done_callback; false when it is unknown or already
  // scheduled.
  bool remove_done_callback(DoneCallbackToken token) noexcept;

  void add_ref() const noexcept { ++references_; }
  void release() const noexcept {
    if (--references_ == 0) {
      const_cast<FutureBase*>(this)->last_reference_gone();
    }
  }

  // What follows is for weir's own rooms.

  // Adds a callback that is queued on the loop when the future is done (at once when it is). `owner` is kept
  // alive for it.
  DoneCallbackToken add_callback(detail::Callback callback, CallOptions options);
  void link(detail::WaitNode& node) noexcept;
  void unlink(detail::WaitNode& node) noexcept;
  // Rethrows the exception or throws CancelledError; returns when it has a value. Throws InvalidStateError
  // while pending.
  void throw_unless_value() const {
    if (status_ != detail::FutureStatus::value) [[unlikely]] {
      throw_outcome();
    }
  }
  // The result stands in its place: completes with it.
  void complete_value() noexcept { complete(detail::FutureStatus::value); }
  // May it be pending after cancel()?
  bool may_outlive_cancel() const noexcept { return kind_->cancel != nullptr; }
  // Did it fail? Unlike exception(), asking does not silence the report.
  bool failed() const noexcept { return status_ == detail::FutureStatus::exception; }
  // Nobody is going to retrieve its exception, be it there or still to come, and that is not to be reported.
  void ignore_exception() const noexcept {
    exception_unseen_ = false;
    exception_ignored_ = true;
  }
  std::string describe() const;
  // The number of the loop it belongs to. Unlike the loop's address it is never given to another.
  std::uint64_t loop_number() const noexcept { return loop_number_; }

 protected:
  FutureBase(EventLoop& loop, const detail::FutureKind& kind, std::source_location where) noexcept;
  ~FutureBase() = default;

  [[noreturn]] void throw_outcome() const;
  void check_can_set(const char* call) const;
  // Enters a final state and queues everybody who waits.
  void complete(detail::FutureStatus status) noexcept;
  void complete_with_exception(std::exception_ptr exception) noexcept;
  void complete_cancelled(std::string_view message) noexcept;
  void last_reference_gone() noexcept;
  void report_unretrieved() noexcept;
  // False from the moment close() begins, also when the loop object is gone.
  bool loop_is_open() const noexcept;

  friend struct detail::WaitNode;
  friend class detail::Gathering;
  template <class>
  friend class Future;

  EventLoop* loop_;
  detail::LoopAnchor* anchor_;
  std::uint64_t loop_number_;
  const detail::FutureKind* kind_;
  detail::WaitNode* first_waiter_ = nullptr;
  detail::WaitNode* last_waiter_ = nullptr;
  std::exception_ptr exception_;
  detail::RareText cancel_message_;
  std::source_location created_at_;
  std::uint32_t last_callback_ = 0;
  mutable std::uint32_t references_ = 0;
  detail::FutureStatus status_ = detail::FutureStatus::pending;
  mutable bool exception_unseen_ = false;
  mutable bool exception_ignored_ = false;
};

}  // namespace weir::inline WEIR_ABI
