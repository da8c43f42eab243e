// run() and Runner: the program's entry into weir (asyncio.run, asyncio.Runner).
#pragma once

#include <weir/config.hpp>
#include <weir/context.hpp>
#include <weir/coro.hpp>
#include <weir/event_loop.hpp>
#include <weir/fwd.hpp>
#include <weir/policy.hpp>

#include <memory>
#include <optional>
#include <source_location>
#include <utility>

namespace weir::inline WEIR_ABI {

// Options of run() and Runner. Trivially destructible.
struct RunOptions {
  std::optional<bool> debug = {};                          // unset: as the environment says
  std::unique_ptr<EventLoop> (*loop_factory)() = nullptr;  // null: new_event_loop
  Duration executor_timeout =
      std::chrono::minutes(5);  // how long close() waits for jobs of the default executor
};

// Runs several coroutines one after another on one loop, in one context. The loop is made at the first use.
// While the main task runs on the process's main thread and nobody else handles SIGINT, SIGINT cancels the
// main task, and a second one ends the loop at once.
class WEIR_API Runner {
 public:
  explicit Runner(RunOptions options = {}) noexcept : options_(options) {}
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  // close(); an exception of it is logged. Inside a running loop nothing can end in order: this one's loop is
  // closed as it stands.
  ~Runner();

  // Runs the coroutine to its end and gives its value or rethrows its exception (Runner.run). `context`: null
  // means the runner's own. Throws RuntimeError inside a running loop or after close(), KeyboardInterrupt
  // when SIGINT ended it.
  template <class T>
  T run(Coro<T> main, const Context* context = nullptr,
        std::source_location where = std::source_location::current()) {
    begin();
    const TaskOptions task_options{
        .name = {}, .context = context != nullptr ? context : &context_, .eager_start = {}};
    Task<T> task = loop_->create_task(std::move(main), task_options, where);
    run_main(task.task());
    task.task().throw_unless_value();
    if constexpr (!std::is_void_v<T>) {
      return std::move(*detail::stored_result<T>(task.task()));
    }
  }
  // The loop. Throws RuntimeError after close() (get_loop).
  EventLoop& get_loop();
  // Cancels the tasks that are left and lets them end, closes generators and the default executor, then the
  // loop (close). Idempotent. Throws RuntimeError inside a running loop.
  void close();

 private:
  void begin();
  void run_main(TaskBase& task);
  void ensure_loop();
  void cancel_all_tasks(EventLoop& loop);

  RunOptions options_;
  std::unique_ptr<EventLoop> loop_;
  Context context_;
  bool closed_ = false;
};

// Runs `main` on a new loop and closes it, whatever happens (asyncio.run). Throws RuntimeError inside a
// running loop.
template <class T>
T run(Coro<T> main, RunOptions options = {}, std::source_location where = std::source_location::current()) {
  Runner runner(options);
  if constexpr (std::is_void_v<T>) {
    runner.run(std::move(main), nullptr, where);
    runner.close();
  } else {
    T result = runner.run(std::move(main), nullptr, where);
    runner.close();
    return result;
  }
}

}  // namespace weir::inline WEIR_ABI
