// Asynchronous generators: their way through the loop's list, closing, and what happens to dropped ones.
#include "runtime/loop_access.hpp"
#include "runtime/loop_debug.hpp"

#include <weir/async_generator.hpp>
#include <weir/event_loop.hpp>
#include <weir/log.hpp>

#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

Orphan::Orphan(AsyncGeneratorBase& generator) noexcept : generator_(&generator) { generator.closer_ = this; }

Orphan::Orphan(Orphan&& other) noexcept : generator_(std::exchange(other.generator_, nullptr)) {
  if (generator_ != nullptr) {
    generator_->closer_ = this;
  }
}

Orphan::~Orphan() {
  if (generator_ != nullptr) {
    generator_->closer_ = nullptr;
  }
}

AsyncGeneratorBase::~AsyncGeneratorBase() {
  leave_loop();
  if (closer_ != nullptr) {
    closer_->generator_ = nullptr;
  }
}

void AsyncGeneratorBase::begin(TaskBase& running) {
  if (active_) {
    throw RuntimeError("AsyncGenerator: it is already running, in another task");
  }
  if (loop_ == nullptr) {
    enter_loop(running.get_loop());
  }
  started_ = true;
  active_ = true;
}

void AsyncGeneratorBase::enter_loop(EventLoop& loop) {
  loop_ = &loop;
  AsyncGeneratorBase*& first = LoopAccess::first_generator(loop);
  next_ = first;
  if (first != nullptr) {
    first->previous_ = this;
  }
  first = this;
  if (LoopAccess::generators_shut_down(loop)) {
    log(LogLevel::warning, describe_at(std::string("asynchronous generator '") + where.function_name() +
                                           "' was iterated after shutdown_asyncgens(); nobody will close it",
                                       where));
  }
}

void AsyncGeneratorBase::leave_loop() noexcept {
  if (loop_ == nullptr) {
    return;
  }
  (previous_ != nullptr ? previous_->next_ : LoopAccess::first_generator(*loop_)) = next_;
  if (next_ != nullptr) {
    next_->previous_ = previous_;
  }
  previous_ = nullptr;
  next_ = nullptr;
  loop_ = nullptr;
}

namespace {

// Closes a generator that nobody owns, unless somebody else did or does. The frame goes with its end.
Coro<void> close_orphan(Orphan orphan) {
  if (orphan.generator() != nullptr && !orphan.generator()->active()) {
    co_await GeneratorClose(orphan.generator());
  }
}

}  // namespace

void AsyncGeneratorBase::dropped(std::coroutine_handle<> self, AsyncGeneratorBase& generator) noexcept {
  generator.owner_ = nullptr;
  generator.owner_slot = nullptr;
  if (generator.active_) {
    generator.orphaned_ = true;
    return;
  }
  if (!generator.started_ || generator.finished_ || generator.loop_ == nullptr ||
      LoopAccess::is_closing(*generator.loop_)) {
    self.destroy();
    return;
  }
  generator.orphaned_ = true;
  try {
    generator.loop_->create_task(close_orphan(Orphan(generator)),
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

void GeneratorResume::let_go_of_orphan() noexcept {
  if (generator_->orphaned_) {
    AsyncGeneratorBase* const generator = std::exchange(generator_, nullptr);
    AsyncGeneratorBase::dropped(generator->self_, *generator);
  }
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

// One after another; closing one may end, drop or begin others, so the list is looked at anew each time. One
// that its closing task is already at is that task's business.
Coro<void> EventLoop::shutdown_asyncgens() {
  generators_shut_down_ = true;
  for (detail::AsyncGeneratorBase* generator = first_generator_; generator != nullptr;) {
    const bool being_closed = generator->orphaned_ && generator->active_ && generator->closing_;
    if (generator->shutting_down_ || being_closed) {
      generator = generator->next_;
      continue;
    }
    generator->shutting_down_ = true;
    const int cancel_requests = current_task_->cancelling();
    std::exception_ptr failure;
    try {
      co_await detail::GeneratorClose(generator);
    } catch (const CancelledError&) {
      if (current_task_->cancelling() != cancel_requests) {
        throw;
      }
      // The cleanup was cancelled by itself, which is not an error.
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

// Those that somebody owns outlive the loop; of the others nobody would ever hear again.
void EventLoop::forget_generators() noexcept {
  while (first_generator_ != nullptr) {
    detail::AsyncGeneratorBase& generator = *first_generator_;
    generator.leave_loop();
    if (generator.orphaned_) {
      generator.self_.destroy();
    }
  }
}

}  // namespace weir::inline WEIR_ABI
