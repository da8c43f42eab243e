// ProcessPoolExecutor: functions that run in processes of their own, bytes in and bytes out
// (concurrent.futures.ProcessPoolExecutor).
//
// The workers are this program, started again. So its main() begins with
//   if (weir::is_process_worker()) return weir::run_process_worker();
// and the functions are registered at namespace scope, where the worker has them, too:
//   const weir::ProcessFunction upper("upper", [](std::span<const std::byte> input) -> weir::Bytes { … });
#pragma once

#include <weir/bytes.hpp>
#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/future.hpp>
#include <weir/fwd.hpp>
#include <weir/handle.hpp>
#include <weir/ref.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace weir::inline WEIR_ABI {

namespace detail {
class ProcessPool;
struct ProcessFunctions;
}  // namespace detail

// A function that workers can run, under a name that no other has. Make it at namespace scope: the worker
// finds what exists before main() begins, and only that. Two of one name are refused when a pool is made. The
// function runs on the main thread of a worker, where no loop runs; one job after the other, so that what it
// keeps in static variables lasts until its worker ends. What it throws reaches the pool as a
// ProcessJobError. It may print: standard output and error output are the program's own, standard input is
// empty. SIGINT is ignored, so that Ctrl-C is the program's to handle.
class WEIR_API ProcessFunction {
 public:
  // The input is lent until it returns.
  using Function = Bytes (*)(std::span<const std::byte> input);

  // `name` must stay in place: a literal.
  ProcessFunction(const char* name, Function function) noexcept;
  ProcessFunction(const ProcessFunction&) = delete;
  ProcessFunction& operator=(const ProcessFunction&) = delete;
  ~ProcessFunction();

  const char* name() const noexcept { return name_; }
  // Calls it here.
  Bytes operator()(std::span<const std::byte> input) const { return function_(input); }

 private:
  friend struct detail::ProcessFunctions;
  const char* name_;
  Function function_;
  mutable const ProcessFunction* next_;
};

// Was this process started as a worker of a pool? For main(), before anything else.
WEIR_API bool is_process_worker() noexcept;
// Does a worker's work until its pool has no more for it or is gone; gives what main() is to return.
WEIR_API int run_process_worker() noexcept;

// The worker ended, or sent what is no answer, before the job was done; what() says how
// (concurrent.futures.process.BrokenProcessPool). The pool itself is not broken: other jobs go on, and later
// ones have a fresh worker.
class WEIR_API BrokenProcessPool final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~BrokenProcessPool() override;
};

// The function threw, or the worker has none of that name. what() is the text of its exception.
class WEIR_API ProcessJobError final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  ~ProcessJobError() override;
};

// Options of ProcessPoolExecutor. What it points to is copied.
struct ProcessPoolOptions {
  std::size_t max_workers = 0;  // at one time; 0: as many as there are processors
  // A worker ends after so many jobs, and a fresh one takes its place (max_tasks_per_child); 0: never.
  std::size_t max_jobs_per_worker = 0;
  // The most bytes that a result may have. A worker that announces more is killed.
  std::size_t max_result = std::size_t{256} << 20;
  // The program to start as a worker, with its arguments, which must call run_process_worker(); empty: this
  // one, without any. Looked up as subprocess_exec does.
  std::span<const std::string> command = {};
};

// What one job can be told.
struct ProcessJobOptions {
  // How long the job may take from the moment it is given to a worker, whose start counts. Waiting for a
  // worker does not: a job is not to blame for those before it.
  std::optional<Duration> timeout = {};
};

// Processes that are started when work comes and nobody is idle. It belongs to the loop that it was made for
// and is used on that one's thread. A worker that lost its pool ends; one that is in the midst of a function,
// after it. When the loop is closed first, the workers are killed and a warning is logged.
class WEIR_API ProcessPoolExecutor final {
 public:
  // Makes a pool of the running loop, or of `loop`. No worker is started yet; they will have the environment
  // as it is now. Throws RuntimeError when no loop runs, the loop is closed, or two ProcessFunctions have one
  // name; std::invalid_argument for a command that cannot be one; NotSupportedError "process_pools" where
  // there are none.
  explicit ProcessPoolExecutor(ProcessPoolOptions options = {});
  explicit ProcessPoolExecutor(EventLoop& loop, ProcessPoolOptions options = {});
  ProcessPoolExecutor(const ProcessPoolExecutor&) = delete;
  ProcessPoolExecutor& operator=(const ProcessPoolExecutor&) = delete;
  // Kills the workers that there are, and waits for these killed processes. Queued jobs are cancelled,
  // running ones fail with BrokenProcessPool.
  ~ProcessPoolExecutor();

  // Runs a function in a worker with a copy of `input`; gives its result (submit). Jobs begin in the order of
  // their coming. The future fails with ProcessJobError, BrokenProcessPool, or TimeoutError; with
  // std::system_error, or BrokenProcessPool, when no worker can be started: then with all jobs that wait, and
  // the next submit() tries again. Cancelling it takes a job that waits out of the queue and kills the worker
  // of one that runs, and so does its time-out; no other job notices. Throws RuntimeError after shutdown()
  // and when the loop is closed, std::invalid_argument for more than 4 GiB.
  Future<Bytes> submit(const ProcessFunction& function, std::span<const std::byte> input) {
    return submit(std::string_view(function.name()), input);
  }
  Future<Bytes> submit(const ProcessFunction& function, std::span<const std::byte> input,
                       ProcessJobOptions options) {
    return submit(std::string_view(function.name()), input, options);
  }
  // The same by name, for functions that only another program has.
  Future<Bytes> submit(std::string_view name, std::span<const std::byte> input);
  Future<Bytes> submit(std::string_view name, std::span<const std::byte> input, ProcessJobOptions options);

  // Refuses further jobs, and cancels those that wait if `cancel_queued` is set; the workers end when there
  // is nothing left to do (shutdown with wait=False). Again: only the cancelling counts.
  void shutdown(bool cancel_queued = false) noexcept;
  // The same, and waits until all jobs are done and all workers have ended (shutdown). After `deadline`
  // counted from now the jobs that wait are cancelled, those that run fail with BrokenProcessPool, and the
  // workers are killed; then it returns all the same. Cancelling it leaves the rest to happen unwatched.
  Coro<void> shutdown(Duration deadline);

  // The processes that take jobs, or are at one: in no order (os.getpid in each).
  std::vector<int> worker_pids() const;
  EventLoop& get_loop() const noexcept { return *loop_; }

 private:
  EventLoop* loop_;
  Ref<detail::ProcessPool> pool_;
};

}  // namespace weir::inline WEIR_ABI
