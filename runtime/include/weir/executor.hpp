// Executors: where run_in_executor runs blocking functions (concurrent.futures.Executor).
#pragma once

#include <weir/config.hpp>
#include <weir/detail/callback.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string_view>

namespace weir::inline WEIR_ABI {

// Runs jobs away from the loop. Implement it to bring an own pool.
class WEIR_API Executor {
 public:
  // What submit() gets: call it once, on any thread. It does not throw.
  using Job = detail::UniqueFunction<void()>;

  Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  virtual ~Executor();

  // Takes the job over and returns at once. Thread-safe. Throws RuntimeError after shutdown(); the job is
  // then destroyed here.
  virtual void submit(Job job) = 0;
  // Refuses further jobs; waits for the running and queued ones when `wait` is set, drops the queued ones
  // when `cancel_queued` is. Idempotent, thread-safe; not to be called with wait from one of its own threads.
  virtual void shutdown(bool wait = true, bool cancel_queued = false) = 0;
};

// Options of ThreadPoolExecutor.
struct ThreadPoolOptions {
  std::size_t max_workers = 0;  // 0: min(32, processors + 4), as in Python
  std::string_view thread_name_prefix = "weir";
};

// A pool of threads that are started when work comes and no thread is idle
// (concurrent.futures.ThreadPoolExecutor). In a child of fork() it has no threads: submit() throws
// RuntimeError, shutdown() and the destructor do nothing.
class WEIR_API ThreadPoolExecutor final : public Executor {
 public:
  explicit ThreadPoolExecutor(ThreadPoolOptions options = {});
  // Waits for its jobs, unless shutdown() was told not to (as EventLoop::close() tells its default executor).
  ~ThreadPoolExecutor() override;

  void submit(Job job) override;
  void shutdown(bool wait = true, bool cancel_queued = false) override;
  // The number of threads started so far.
  std::size_t worker_count() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace weir::inline WEIR_ABI
