// AsyncGenerator<T>: an `async def` that yields. Its body may co_await and co_yield; the consumer awaits
// next().
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/fwd.hpp>

#include <coroutine>
#include <exception>
#include <optional>
#include <source_location>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

class AsyncGeneratorBase;

// The hold that a closing task has on a generator that nobody owns. Empty once the generator is gone.
class WEIR_API Orphan {
 public:
  explicit Orphan(AsyncGeneratorBase& generator) noexcept;
  Orphan(Orphan&& other) noexcept;
  Orphan& operator=(Orphan&&) = delete;
  ~Orphan();

  AsyncGeneratorBase* generator() const noexcept { return generator_; }

 private:
  friend class AsyncGeneratorBase;
  AsyncGeneratorBase* generator_;
};

// The part of a generator's promise that does not depend on what it yields. From its first iteration to its
// end it is in the loop's list, for shutdown_asyncgens().
class WEIR_API AsyncGeneratorBase : public AwaitTransform {
 public:
  std::suspend_always initial_suspend() const noexcept { return {}; }
  void return_void() noexcept {}
  void unhandled_exception() noexcept { exception_ = std::current_exception(); }

  // Control goes back to the consumer at a co_yield and at the end.
  struct YieldAwaiter {
    AsyncGeneratorBase& generator;
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept {
      return generator.hand_back();
    }
    void await_resume() const {
      if (generator.closing_) {
        throw GeneratorExit();
      }
    }
  };
  struct EndAwaiter {
    AsyncGeneratorBase& generator;
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept {
      generator.finished_ = true;
      return generator.hand_back();
    }
    void await_resume() const noexcept {}
  };
  EndAwaiter final_suspend() noexcept { return {*this}; }

  bool finished() const noexcept { return finished_; }
  bool started() const noexcept { return started_; }
  bool active() const noexcept { return active_; }

 protected:
  AsyncGeneratorBase() = default;
  ~AsyncGeneratorBase();

 private:
  friend class weir::EventLoop;
  friend class Orphan;
  template <class>
  friend class weir::AsyncGenerator;
  friend class GeneratorResume;
  friend class GeneratorClose;

  // Enters the loop's list at the first iteration; throws RuntimeError when it is being iterated by somebody
  // else.
  void begin(TaskBase& task);
  void enter_loop(EventLoop& loop);
  std::coroutine_handle<> hand_back() noexcept {
    active_ = false;
    owner_slot = owner_;
    return std::exchange(continuation, nullptr);
  }
  void leave_loop() noexcept;
  // The object that owned the generator is gone: closes it in a task of its own, or destroys it. `self` is
  // the frame.
  static void dropped(std::coroutine_handle<> self, AsyncGeneratorBase& generator) noexcept;

  std::exception_ptr exception_;
  std::coroutine_handle<> self_;
  std::coroutine_handle<>* owner_ = nullptr;
  EventLoop* loop_ = nullptr;  // the one in whose list it is; null while it is in none
  Orphan* closer_ = nullptr;   // of the task that is to close it
  AsyncGeneratorBase* previous_ = nullptr;
  AsyncGeneratorBase* next_ = nullptr;
  bool started_ = false;
  bool active_ = false;   // its body runs or is suspended in a co_await
  bool closing_ = false;  // GeneratorExit is to be thrown at the co_yield
  bool finished_ = false;
  bool orphaned_ = false;  // nobody owns the frame any more but the one who is closing it
  bool shutting_down_ = false;
};

// Resumes the body until its next co_yield or its end.
class WEIR_API GeneratorResume : public AwaiterBase {
 public:
  GeneratorResume(AsyncGeneratorBase* generator, bool close) noexcept
      : generator_(generator), close_(close) {}
  GeneratorResume(const GeneratorResume&) = delete;

  bool await_ready() const noexcept {
    return generator_ == nullptr || generator_->finished() || (close_ && !generator_->started());
  }
  template <std::derived_from<PromiseBase> P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> consumer) {
    PromiseBase& promise = consumer.promise();
    // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): await_ready() has let nobody through without one
    generator_->begin(*promise.task);
    generator_->task = promise.task;
    generator_->parent = &promise;
    generator_->continuation = consumer;
    generator_->closing_ = close_;
    resumed_ = true;
    return generator_->self_;
  }

 protected:
  // Rethrows what ended the body. True when it stands at a co_yield.
  bool finish();
  // The item is taken: a generator that was dropped meanwhile has nobody to go on for.
  void let_go_of_orphan() noexcept;

  AsyncGeneratorBase* generator_;
  bool close_;
  bool resumed_ = false;
};

// co_await of this closes the generator: GeneratorExit is thrown at its co_yield. Throws RuntimeError when it
// yields again.
class WEIR_API GeneratorClose : public GeneratorResume {
 public:
  explicit GeneratorClose(AsyncGeneratorBase* generator) noexcept : GeneratorResume(generator, true) {}
  void await_resume();
};

}  // namespace detail

// The generator object; move-only. `while (auto item = co_await generator.next())` iterates it. One that is
// dropped half-way is closed by a task on the loop (asyncio's hooks). Loop-bound.
template <class T>
class [[nodiscard("an AsyncGenerator does nothing until it is iterated")]] AsyncGenerator {
 public:
  class promise_type final : public detail::AsyncGeneratorBase {
   public:
    AsyncGenerator get_return_object(std::source_location at = std::source_location::current()) noexcept {
      this->where = at;
      return AsyncGenerator(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    YieldAwaiter yield_value(T value) {
      value_.emplace(std::move(value));
      return {*this};
    }

   private:
    friend class AsyncGenerator;
    std::optional<T> value_;
  };

  AsyncGenerator(AsyncGenerator&& other) noexcept
      : frame_(std::exchange(other.frame_, nullptr)), promise_(other.promise_) {
    adopt();
  }
  AsyncGenerator& operator=(AsyncGenerator&& other) noexcept {
    if (this != &other) {
      drop();
      frame_ = std::exchange(other.frame_, nullptr);
      promise_ = other.promise_;
      adopt();
    }
    return *this;
  }
  ~AsyncGenerator() { drop(); }

  class Next final : public detail::GeneratorResume {
   public:
    explicit Next(promise_type* promise) noexcept : GeneratorResume(promise, false) {}
    std::optional<T> await_resume() {
      if (!finish()) {
        return std::nullopt;
      }
      std::optional<T> item = std::exchange(static_cast<promise_type*>(generator_)->value_, std::nullopt);
      this->let_go_of_orphan();
      return item;
    }
  };

  // co_await gives the next item, or nothing when the generator has ended (__anext__). Rethrows what its body
  // throws. Throws RuntimeError when it is already being iterated by another task.
  Next next() noexcept { return Next(frame_ ? promise_ : nullptr); }
  // co_await closes it: its body sees GeneratorExit at the co_yield where it stands, and its cleanup runs
  // (aclose). Throws RuntimeError when the body yields again. Does nothing when it has ended or never began.
  detail::GeneratorClose aclose() noexcept { return detail::GeneratorClose(frame_ ? promise_ : nullptr); }

 private:
  explicit AsyncGenerator(std::coroutine_handle<promise_type> frame) noexcept
      : frame_(frame), promise_(&frame.promise()) {
    promise_->self_ = frame;
    adopt();
  }
  void adopt() noexcept {
    if (frame_) {
      promise_->owner_ = &frame_;
      promise_->owner_slot = &frame_;
    }
  }
  void drop() noexcept {
    if (frame_) {
      detail::AsyncGeneratorBase::dropped(std::exchange(frame_, nullptr), *promise_);
    }
  }

  std::coroutine_handle<> frame_;  // null once the loop has destroyed it
  promise_type* promise_;
};

}  // namespace weir::inline WEIR_ABI
