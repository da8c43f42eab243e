// run_in_executor and the default executor.
#include "runtime/inbox.hpp"
#include "runtime/loop_access.hpp"
#include "runtime/loop_resource.hpp"

#include <weir/concurrent_future.hpp>
#include <weir/event_loop.hpp>
#include <weir/executor.hpp>
#include <weir/log.hpp>
#include <weir/tasks.hpp>

#include <stdexcept>
#include <thread>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

ExecutorJob::~ExecutorJob() = default;

namespace {

// Under sim there are no threads: jobs run on the loop's, at a drawn later time.
template <class B>
constexpr bool runs_jobs_in_threads = !requires(B& backend) { backend.draw(1); };
constexpr bool has_threads = runs_jobs_in_threads<Backend>;

struct PendingJob;

// Where a job that comes back finds the loop's side; looked at on the loop's thread only.
struct JobLink {
  PendingJob* pending;
};

// The loop's side of a job under way: owns its future, on the loop's thread.
struct PendingJob : LoopResource {
  PendingJob(EventLoop& loop, Ref<FutureBase> result)
      : LoopResource(loop, &loop_closed),
        future(std::move(result)),
        link(std::make_shared<JobLink>(JobLink{this})) {}
  ~PendingJob() { link->pending = nullptr; }
  static void loop_closed(LoopResource& self) noexcept {
    if (!LoopAccess::is_inherited(*self.loop)) {
      delete static_cast<PendingJob*>(&self);
    }
  }
  Ref<FutureBase> future;
  std::shared_ptr<JobLink> link;
};

// The job has been run, or will not be: ends the loop's side.
void finish_job(ExecutorJob& job, const JobLink& link, bool was_run) {
  if (link.pending == nullptr) {
    return;
  }
  const std::unique_ptr<PendingJob> owned(link.pending);
  if (owned->future->done()) {
    return;
  }
  if (was_run) {
    job.deliver(*owned->future);
  } else {
    owned->future->cancel("the executor dropped the job");
  }
}

// Travels to the executor and back. What it holds is destroyed by the loop, or by the executor when the loop
// is closed.
class JobTicket {
 public:
  JobTicket(std::shared_ptr<ExecutorJob> job, std::shared_ptr<JobLink> link, LoopRemote remote) noexcept
      : job_(std::move(job)), link_(std::move(link)), remote_(std::move(remote)) {}
  JobTicket(JobTicket&&) noexcept = default;
  JobTicket& operator=(JobTicket&&) = delete;
  ~JobTicket() {
    if (job_ != nullptr) {
      go_back(false);  // the executor dropped it
    }
  }

  void operator()() {
    const bool wanted = !job_->abandoned.load(std::memory_order_relaxed);
    if (wanted) {
      job_->run();
    }
    go_back(wanted);
  }

 private:
  void go_back(bool was_run) noexcept {
    try {
      remote_.post(
          [job = std::move(job_), link = std::move(link_), was_run] { finish_job(*job, *link, was_run); });
    } catch (...) {
      // The loop is closed; the job ends here.
    }
  }

  std::shared_ptr<ExecutorJob> job_;
  std::shared_ptr<JobLink> link_;
  LoopRemote remote_;
};

template <class B>
void run_on_loop(EventLoop& loop, B& backend, const std::shared_ptr<ExecutorJob>& job,
                 const std::shared_ptr<JobLink>& link) {
  if constexpr (!runs_jobs_in_threads<B>) {
    const auto delay = std::chrono::microseconds(1 + backend.draw(1000));
    // In nobody's context, as on a thread.
    LoopAccess::call_at_plain(loop, loop.time() + delay, [job, link] {
      const bool wanted = !job->abandoned.load(std::memory_order_relaxed);
      if (wanted) {
        job->run();
      }
      finish_job(*job, *link, wanted);
    });
  }
}

}  // namespace
}  // namespace detail

void EventLoop::submit_job(Executor* executor, std::unique_ptr<detail::ExecutorJob> job,
                           const Ref<FutureBase>& future) {
  std::shared_ptr<Executor> keep;
  if (executor == nullptr) {
    if (default_executor_shut_down_) {
      throw RuntimeError("run_in_executor: the default executor has been shut down");
    }
    if (default_executor_ == nullptr) {
      default_executor_ =
          std::make_shared<ThreadPoolExecutor>(ThreadPoolOptions{.thread_name_prefix = "weir"});
    }
    keep = default_executor_;
    executor = keep.get();
  }
  std::shared_ptr<detail::ExecutorJob> shared = std::move(job);
  auto pending = std::make_unique<detail::PendingJob>(*this, future);
  future->add_callback(
      [shared, state = future.get()] {
        if (state->cancelled()) {
          shared->abandoned.store(true, std::memory_order_relaxed);
        }
      },
      {});
  if constexpr (detail::has_threads) {
    executor->submit(detail::JobTicket(std::move(shared), pending->link, remote()));
  } else {
    ++jobs_on_loop_;
    future->add_callback([this] { --jobs_on_loop_; }, {});
    detail::run_on_loop(*this, backend_->backend, shared, pending->link);
  }
  static_cast<void>(pending.release());  // finish_job() or close() deletes it
}

void EventLoop::set_default_executor(std::shared_ptr<Executor> executor) {
  check_open("set_default_executor");
  if (executor == nullptr) {
    throw std::invalid_argument("set_default_executor: the executor is null");
  }
  default_executor_ = std::move(executor);
}

// The waiting is done by a thread of its own: the executor's threads may all be busy with what is waited for.
Coro<void> EventLoop::shutdown_default_executor(Duration timeout) {
  default_executor_shut_down_ = true;
  const std::shared_ptr<Executor> executor = default_executor_;  // another may be set meanwhile
  if (executor == nullptr) {
    co_return;
  }
  Future<void> finished(*this);
  const auto finish = [state = finished.base()] {
    if (!state->done()) {
      state->complete_value();
    }
  };
  bool timed_out = false;
  struct Limit {
    TimerHandle timer;
    ~Limit() { timer.cancel(); }  // it refers to this frame, which a cancellation ends
  } limit;
  if (timeout != Duration::max()) {
    limit.timer = call_later(timeout, [&timed_out, finish] {
      timed_out = true;
      finish();
    });
  }
  if constexpr (detail::has_threads) {
    auto link = std::make_shared<detail::FutureLink>(detail::FutureLink{finished.base().get(), remote()});
    finished.add_done_callback([end = detail::LinkEnd(link)] {});
    std::thread([executor, link] {
      executor->shutdown(true);
      try {
        link->remote.post([link] {
          if (link->future != nullptr && !link->future->done()) {
            link->future->complete_value();
          }
        });
      } catch (const RuntimeError&) {
        // The loop did not wait.
      }
    }).detach();
    co_await finished;
  } else {
    while (jobs_on_loop_ != 0 && !timed_out) {
      co_await sleep(std::chrono::milliseconds(1));
    }
    executor->shutdown(true);
  }
  limit.timer.cancel();
  if (timed_out) {
    detail::log(LogLevel::warning,
                "The default executor did not finish joining its threads within the timeout");
    executor->shutdown(false);
  }
}

}  // namespace weir::inline WEIR_ABI
