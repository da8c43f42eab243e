// A function on its way to an executor and its outcome on the way back.
#pragma once

#include <weir/config.hpp>
#include <weir/future.hpp>

#include <atomic>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

class WEIR_API ExecutorJob {
 public:
  ExecutorJob() = default;
  ExecutorJob(const ExecutorJob&) = delete;
  ExecutorJob& operator=(const ExecutorJob&) = delete;
  virtual ~ExecutorJob();
  // On the executor's thread: calls the function and keeps the outcome.
  virtual void run() noexcept = 0;
  // On the loop's thread: hands the outcome to the future.
  virtual void deliver(FutureBase& future) = 0;

  // Set on the loop's thread when nobody wants the outcome any more: a job that has not begun then does not
  // begin.
  std::atomic<bool> abandoned{false};
};

template <class F>
class TypedExecutorJob final : public ExecutorJob {
 public:
  using Result = std::invoke_result_t<F&>;

  explicit TypedExecutorJob(F function) : function_(std::move(function)) {}

  void run() noexcept override {
    try {
      if constexpr (std::is_void_v<Result>) {
        function_();
        value_.emplace();
      } else {
        value_.emplace(function_());
      }
    } catch (...) {
      exception_ = std::current_exception();
    }
  }
  void deliver(FutureBase& future) override {
    if (exception_) {
      future.set_exception(std::move(exception_));
      return;
    }
    try {
      stored_result<Result>(future).emplace(std::move(*value_));
    } catch (...) {
      future.set_exception(std::current_exception());
      return;
    }
    future.complete_value();
  }

 private:
  F function_;
  std::optional<StoredResult<Result>> value_;
  std::exception_ptr exception_;
};

}  // namespace weir::inline WEIR_ABI::detail
