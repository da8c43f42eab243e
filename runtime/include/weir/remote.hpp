// LoopRemote: another thread's access to a loop that may already be gone.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/callback.hpp>
#include <weir/future_base.hpp>

#include <memory>

namespace weir::inline WEIR_ABI {

namespace detail {
class Inbox;
}

// A copyable, thread-safe handle of a loop that outlives it. Made by EventLoop::remote().
class WEIR_API LoopRemote {
 public:
  // As EventLoop::call_soon_threadsafe, but from every thread in order with that thread's other posts only.
  // Throws RuntimeError when the loop is closed, also when it races with close(); the callback is then
  // destroyed here. A callback accepted before close() and not run by then is destroyed by close().
  template <detail::Callable F>
  void post(F&& callback, CallOptions options = {}) const {
    detail::check_not_empty(callback, "post");
    post_callback(detail::Callback(std::forward<F>(callback)), options);
  }
  // Is the loop closed? The answer may be old when it arrives.
  bool closed() const noexcept;

 private:
  friend class EventLoop;
  explicit LoopRemote(std::shared_ptr<detail::Inbox> inbox) noexcept : inbox_(std::move(inbox)) {}
  void post_callback(detail::Callback callback, CallOptions options) const;

  std::shared_ptr<detail::Inbox> inbox_;
};

}  // namespace weir::inline WEIR_ABI
