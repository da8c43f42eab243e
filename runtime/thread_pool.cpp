// ThreadPoolExecutor: threads that start when work comes and nobody is idle.
#include "runtime/fork.hpp"

#include <weir/exceptions.hpp>
#include <weir/executor.hpp>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <pthread.h>
#endif

namespace weir::inline WEIR_ABI {

Executor::~Executor() = default;

// Shared with the threads, so that a pool that was shut down without waiting may be destroyed before they
// end.
struct ThreadPoolExecutor::State {
  std::mutex mutex;
  std::condition_variable work;
  std::condition_variable ended;  // a thread did
  std::deque<Job> jobs;
  std::vector<std::thread> threads;
  std::size_t idle = 0;
  std::size_t live = 0;     // threads that have not ended
  std::size_t started = 0;  // threads ever
  std::size_t max_workers = 0;
  bool stopping = false;
  bool waits_at_end = true;
  std::string name_prefix;
  // In a child of fork() its threads are not there, and its mutex may be held by one of them.
  const unsigned process = detail::this_process();
  bool is_inherited() const noexcept { return process != detail::this_process(); }

  void run_worker() {
    std::unique_lock lock(mutex);
    for (;;) {
      ++idle;
      work.wait(lock, [this] { return stopping || !jobs.empty(); });
      --idle;
      if (jobs.empty()) {
        --live;
        ended.notify_all();
        return;
      }
      Job job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      job();
      job.reset();
      lock.lock();
    }
  }
};

ThreadPoolExecutor::ThreadPoolExecutor(ThreadPoolOptions options) : state_(std::make_shared<State>()) {
  detail::watch_forks();
  const std::size_t processors = std::max(1U, std::thread::hardware_concurrency());
  state_->max_workers =
      options.max_workers != 0 ? options.max_workers : std::min<std::size_t>(32, processors + 4);
  state_->name_prefix = options.thread_name_prefix;
}

ThreadPoolExecutor::~ThreadPoolExecutor() {
  if (state_->is_inherited()) {
    static_cast<void>(new std::shared_ptr<State>(std::move(state_)));  // it cannot be destroyed
    return;
  }
  if (state_->waits_at_end) {
    shutdown(true);
  }
  for (std::thread& thread : state_->threads) {
    thread.detach();
  }
}

void ThreadPoolExecutor::submit(Job job) {
  if (state_->is_inherited()) {
    throw RuntimeError(
        "ThreadPoolExecutor::submit: the pool was inherited from the parent of this forked process");
  }
  const std::lock_guard lock(state_->mutex);
  if (state_->stopping) {
    throw RuntimeError("ThreadPoolExecutor::submit: cannot schedule new jobs after shutdown");
  }
  state_->jobs.push_back(std::move(job));
  if (state_->idle >= state_->jobs.size() || state_->live >= state_->max_workers) {
    state_->work.notify_one();
    return;
  }
  try {
    state_->threads.emplace_back([state = state_] { state->run_worker(); });
    ++state_->live;
    ++state_->started;
  } catch (...) {
    if (state_->live == 0) {
      state_->jobs.pop_back();
      throw;
    }
    return;  // the threads there are will take it
  }
#if defined(__linux__)
  // The kernel keeps 15 bytes of a name.
  const std::string name = (state_->name_prefix + "_" + std::to_string(state_->started - 1)).substr(0, 15);
  pthread_setname_np(state_->threads.back().native_handle(), name.c_str());
#endif
}

// Whoever waits joins the threads that nobody joins yet, and then waits for those that somebody else does.
void ThreadPoolExecutor::shutdown(bool wait, bool cancel_queued) {
  if (state_->is_inherited()) {
    return;
  }
  std::deque<Job> dropped;
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    state_->waits_at_end = wait && state_->waits_at_end;
    if (cancel_queued) {
      dropped.swap(state_->jobs);
    }
    if (wait) {
      threads.swap(state_->threads);
    }
    state_->work.notify_all();
  }
  if (!wait) {
    return;
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::unique_lock lock(state_->mutex);
  state_->ended.wait(lock, [this] { return state_->live == 0; });
}

std::size_t ThreadPoolExecutor::worker_count() const {
  if (state_->is_inherited()) {
    return 0;
  }
  const std::lock_guard lock(state_->mutex);
  return state_->started;
}

}  // namespace weir::inline WEIR_ABI
