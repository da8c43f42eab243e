// Everything that reaches a log or the exception handler: errors nobody took, debug mode's remarks.
#include "runtime/fork.hpp"
#include "runtime/loop_access.hpp"
#include "runtime/loop_debug.hpp"
#include "runtime/running.hpp"

#include <weir/event_loop.hpp>
#include <weir/log.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>

namespace weir::inline WEIR_ABI {

namespace {

struct SinkHolder {
  std::mutex mutex;
  std::shared_ptr<const LogSink> sink;
};

SinkHolder& sink_holder() {
  static SinkHolder* const holder = new SinkHolder;  // messages may come after static destruction
  return *holder;
}

void write_to_stderr(LogLevel level, std::string_view message) noexcept {
  const char* word = level == LogLevel::error ? "error" : level == LogLevel::warning ? "warning" : "debug";
  std::fprintf(stderr, "weir %s: %.*s\n", word, static_cast<int>(message.size()), message.data());
}

bool has_place(const std::source_location& where) { return where.line() != 0; }

}  // namespace

void set_log_sink(LogSink sink) {
  auto shared = sink ? std::make_shared<const LogSink>(std::move(sink)) : nullptr;
  const std::lock_guard lock(sink_holder().mutex);
  sink_holder().sink.swap(shared);
}

namespace detail {

std::mutex& log_mutex() noexcept { return sink_holder().mutex; }

void log(LogLevel level, std::string_view message) noexcept {
  std::shared_ptr<const LogSink> sink;
  {
    const std::lock_guard lock(sink_holder().mutex);
    sink = sink_holder().sink;
  }
  if (sink == nullptr) {
    write_to_stderr(level, message);
    return;
  }
  try {
    (*sink)(level, message);
  } catch (...) {
    write_to_stderr(level, message);
    write_to_stderr(LogLevel::error, "the log sink threw while it was given the message above");
  }
}

std::string describe_at(const std::string& what, const std::source_location& where) {
  if (!has_place(where)) {
    return what;
  }
  return what + " at " + where.file_name() + ":" + std::to_string(where.line());
}

std::string describe_callback(const Callback& callback, const std::source_location& where) {
  return describe_at(callback ? type_name(callback.target_type()) : "callback", where);
}

void report_never_awaited(const std::source_location& where) noexcept {
  const EventLoop* loop = running_loop_slot();
  static const bool debug_process = [] {
    const char* value = std::getenv("WEIR_DEBUG");
    return value != nullptr && *value != '\0' && std::string_view(value) != "0";
  }();
  if (loop != nullptr ? loop->get_debug() : debug_process) {
    log(LogLevel::warning,
        describe_at(std::string("coroutine '") + where.function_name() + "' was never awaited", where));
  }
}

}  // namespace detail

void EventLoop::set_debug(bool enabled) noexcept {
  debug_ = enabled;
  if (!enabled) {
    debugging_->running.clear();  // or later reports would name what ran in debug mode last
  }
  update_care();
}

void EventLoop::set_slow_callback_duration(Duration duration) noexcept {
  debugging_->slow_callback_duration = duration;
}
Duration EventLoop::slow_callback_duration() const noexcept { return debugging_->slow_callback_duration; }

// The clock is read around the item because that is what is asked: how long did it keep the loop?
void EventLoop::run_debugged() {
  const detail::ReadyItem item = ready_.pop();
  debugging_->running.clear();
  const TimePoint begun = time();
  struct Timed {
    EventLoop& loop;
    TimePoint begun;
    ~Timed() {
      if (!loop.debug_) {
        return;  // the callback switched it off
      }
      const Duration taken = loop.time() - begun;
      if (taken > loop.debugging_->slow_callback_duration) {
        const std::string& running = loop.debugging_->running;
        const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(taken).count();
        detail::log(LogLevel::warning, "Executing " +
                                           (running.empty() ? std::string("an I/O event") : running) +
                                           " took " + std::to_string(milliseconds) + " ms");
      }
    }
  } const timed{*this, begun};
  item(detail::ReadyAction::run);
}

void EventLoop::report_callback_exception() noexcept {
  try {
    ExceptionContext context;
    context.exception = std::current_exception();
    context.handle = debugging_->running;
    context.message = "Exception in callback";
    if (!context.handle.empty()) {
      context.message += " " + context.handle;
    }
    call_exception_handler(context);
  } catch (...) {
    detail::log(LogLevel::error, "Exception in callback, and no memory to report it");
  }
}

void EventLoop::call_exception_handler(const ExceptionContext& context) noexcept {
  try {
    const ExceptionHandler handler = exception_handler_;
    if (!handler) {
      default_exception_handler(context);
      return;
    }
    try {
      handler(*this, context);
    } catch (...) {
      ExceptionContext both;
      both.message = "Unhandled error in exception handler, called for: " + context.message +
                     (context.exception ? " (" + describe_exception(context.exception) + ")" : std::string());
      both.exception = std::current_exception();
      default_exception_handler(both);
    }
  } catch (...) {
    detail::log(LogLevel::error, "an error was lost while it was reported");
  }
}

void EventLoop::default_exception_handler(const ExceptionContext& context) {
  std::string text = context.message.empty() ? "Unhandled exception in event loop" : context.message;
  if (context.exception) {
    text += "\n  exception: " + describe_exception(context.exception);
  }
  if (!context.handle.empty() && text.find(context.handle) == std::string::npos) {
    text += "\n  handle: " + context.handle;
  }
  if (context.task != nullptr) {
    text += "\n  task: " + context.task->describe();
  } else if (context.future != nullptr) {
    text += "\n  future: " + context.future->describe();
  }
  if (!context.object.empty()) {
    text += "\n  object: " + context.object;
  }
  if (has_place(context.source_location)) {
    text += detail::describe_at("\n  created", context.source_location);
  }
  detail::log(LogLevel::error, text);
}

}  // namespace weir::inline WEIR_ABI
