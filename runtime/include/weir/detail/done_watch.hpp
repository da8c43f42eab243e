// DoneWatch: several futures, watched until enough of them are done. Under wait() and as_completed().
#pragma once

#include <weir/config.hpp>
#include <weir/future_base.hpp>
#include <weir/handle.hpp>
#include <weir/task_base.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// Cancels none of them. The futures are kept alive by its owner. On their loop's thread.
class WEIR_API DoneWatch {
 public:
  // Which of them count once although they are the same is the caller's to sort out. Throws
  // std::invalid_argument, naming `call`, when they belong to different loops or to another than the running
  // one.
  DoneWatch(std::span<FutureBase* const> futures, const char* call);
  DoneWatch(const DoneWatch&) = delete;
  DoneWatch& operator=(const DoneWatch&) = delete;
  ~DoneWatch();

  // The places of those that are done, in the order in which they ended.
  const std::vector<std::size_t>& done() const noexcept { return done_; }
  std::size_t size() const noexcept { return size_; }

  class Enough;
  // co_await waits until `wanted` of them are done, or one has failed and `or_failed`, or the deadline has
  // passed. One coroutine at a time; throws RuntimeError to a second.
  Enough enough(std::size_t wanted, bool or_failed, std::optional<TimePoint> deadline) noexcept;

 private:
  struct Place : WaitNode {
    Place() noexcept : WaitNode(&ended) {}
    DoneWatch* watch = nullptr;
    FutureBase* watched = nullptr;
  };
  static void ended(WaitNode& node) noexcept;

  const char* call_;
  std::size_t size_;
  std::unique_ptr<Place[]> places_;
  std::vector<std::size_t> done_;  // has room for all of them
  bool any_failed_ = false;
  Enough* waiting_ = nullptr;
};

// What enough() returns.
class WEIR_API DoneWatch::Enough : public AwaiterBase, private CancelHook {
 public:
  Enough(DoneWatch& watch, std::size_t wanted, bool or_failed, std::optional<TimePoint> deadline) noexcept;
  Enough(const Enough&) = delete;
  Enough& operator=(const Enough&) = delete;
  ~Enough();

  bool await_ready() const;
  template <std::derived_from<PromiseBase> P>
  void await_suspend(std::coroutine_handle<P> coroutine) {
    task_ = coroutine.promise().task;
    begin();
    task_->suspend(coroutine, coroutine.promise(), *this);
  }
  void await_resume() {
    if (task_ != nullptr) {
      task_->throw_if_cancelled();
    }
  }

 private:
  friend class DoneWatch;
  static bool cancel_wait(CancelHook& hook, std::string_view message) noexcept;
  bool is_enough() const noexcept;
  void begin();
  void wake() noexcept;

  DoneWatch* watch_;
  std::size_t wanted_;
  bool or_failed_;
  bool woken_ = false;
  std::optional<TimePoint> deadline_;
  TaskBase* task_ = nullptr;
  TimerHandle timer_;
};

inline DoneWatch::Enough DoneWatch::enough(std::size_t wanted, bool or_failed,
                                           std::optional<TimePoint> deadline) noexcept {
  return {*this, wanted, or_failed, deadline};
}

}  // namespace weir::inline WEIR_ABI::detail
