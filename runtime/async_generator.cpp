// Asynchronous generators: their way through the loop's list, closing, and what happens to dropped ones.
#include "runtime/loop_access.hpp"
#include "runtime/loop_debug.hpp"

#include <weir/async_generator.hpp>
#include <weir/event_loop.hpp>
#include <weir/log.hpp>

#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

void AsyncGeneratorBase::begin(TaskBase& running) {
  if (active_) {
    throw RuntimeError("AsyncGenerator: it is already running, in another task");
  }
  if (loop_ == nullptr) {
    loop_ = &running.get_loop();
    AsyncGeneratorBase*& first = LoopAccess::first_generator(*loop_);
    next_ = first;
    if (first != nullptr) {
      first->previous_ = this;
    }
    first = this;
    if (LoopAccess::generators_shut_down(*loop_)) {
      log(LogLevel::warning,
          describe_at(std::string("asynchronous generator '") + where.function_name() +
                          "' was iterated after shutdown_asyncgens(); nobody will close it",
                      where));
    }
  }
  active_ = true;
}

void AsyncGeneratorBase::leave_loop() noexcept {
  if (loop_ == nullptr || (previous_ == nullptr && LoopAccess::first_generator(*loop_) != this)) {
    return;
  }
  (previous_ != nullptr ? previous_->next_ : LoopAccess::first_generator(*loop_)) = next_;
  if (next_ != nullptr) {
    next_->previous_ = previous_;
  }
  previous_ = nullptr;
  next_ = nullptr;
}

namespace {

// Closes a generator that nobody owns. The frame goes with its end.
Coro<void> close_orphan(AsyncGeneratorBase* generator) { co_await GeneratorClose(generator); }

}  // namespace

void AsyncGeneratorBase::dropped(std::coroutine_handle<> self, AsyncGeneratorBase& generator) noexcept {
  generator.owner_ = nullptr;
  generator.owner_slot = nullptr;
  if (generator.active_) {
    generator.orphaned_ = true;
    return;
  }
  if (!generator.started() || generator.finished_ || LoopAccess::is_closing(*generator.loop_)) {
    self.destroy();
    return;
  }
  generator.orphaned_ = true;
  try {
    generator.loop_->create_task(close_orphan(&generator),
                                 {.name = "close of a dropped asynchronous generator"});
  } catch (...) {
    self.destroy();
  }
}

// The frame of an orphan is destroyed here, by the last one who touches it.
bool GeneratorResume::finish() {
  if (!resumed_) {
    return false;
  }
  if (!generator_->finished_) {
    return true;
  }
  std::exception_ptr exception = std::exchange(generator_->exception_, nullptr);
  generator_->leave_loop();
  if (generator_->orphaned_) {
    std::exchange(generator_, nullptr)->self_.destroy();
  }
  if (exception) {
    std::rethrow_exception(exception);
  }
  return false;
}

void GeneratorClose::await_resume() {
  if (generator_ != nullptr && !resumed_) {
    generator_->finished_ = true;
    return;
  }
  try {
    if (!finish()) {
      return;
    }
  } catch (const GeneratorExit&) {
    return;
  }
  if (generator_->orphaned_) {
    std::exchange(generator_, nullptr)->self_.destroy();
  }
  throw RuntimeError("AsyncGenerator::aclose: the generator ignored GeneratorExit and yielded again");
}

}  // namespace detail

// One after another; closing one may end, drop or begin others, so the list is looked at anew each time.
Coro<void> EventLoop::shutdown_asyncgens() {
  generators_shut_down_ = true;
  for (detail::AsyncGeneratorBase* generator = first_generator_; generator != nullptr;) {
    if (generator->shutting_down_) {
      generator = generator->next_;
      continue;
    }
    generator->shutting_down_ = true;
    std::exception_ptr failure;
    try {
      co_await detail::GeneratorClose(generator);
    } catch (const CancelledError&) {
      throw;
    } catch (...) {
      failure = std::current_exception();
    }
    if (failure) {
      ExceptionContext context;
      context.message = "an error occurred during the closing of an asynchronous generator";
      context.exception = failure;
      call_exception_handler(context);
    }
    generator = first_generator_;
  }
}

}  // namespace weir::inline WEIR_ABI
