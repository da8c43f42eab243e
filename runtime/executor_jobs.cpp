// run_in_executor and the default executor.
#include "runtime/inbox.hpp"
#include "runtime/loop_access.hpp"
#include "runtime/loop_resource.hpp"

#include <weir/concurrent_future.hpp>
#include <weir/event_loop.hpp>
#include <weir/executor.hpp>
#include <weir/log.hpp>

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

// The loop's side of a job under way: owns its future, on the loop's thread.
struct PendingJob : LoopResource {
  PendingJob(EventLoop& loop, Ref<FutureBase> result)
      : LoopResource(loop, [](LoopResource& self) noexcept { delete static_cast<PendingJob*>(&self); }),
        future(std::move(result)) {}
  Ref<FutureBase> future;
};

// Travels to the executor and back. Destroyed by the loop, or by the executor when the loop is closed.
class JobTicket {
 public:
  JobTicket(std::shared_ptr<ExecutorJob> job, PendingJob* pending, LoopRemote remote) noexcept
      : job_(std::move(job)), pending_(pending), remote_(std::move(remote)) {}

  void operator()() {
    if (!job_->abandoned.load(std::memory_order_relaxed)) {
      job_->run();
    }
    try {
      remote_.post([job = std::move(job_), pending = pending_] { deliver(*job, pending); });
    } catch (const RuntimeError&) {
      // The loop is closed; the job ends here.
    }
  }

  static void deliver(ExecutorJob& job, PendingJob* pending) {
    const std::unique_ptr<PendingJob> owned(pending);
    if (!pending->future->done() && !job.abandoned.load(std::memory_order_relaxed)) {
      job.deliver(*pending->future);
    }
  }

 private:
  std::shared_ptr<ExecutorJob> job_;
  PendingJob* pending_;
  LoopRemote remote_;
};

template <class B>
void run_on_loop(EventLoop& loop, B& backend, const std::shared_ptr<ExecutorJob>& job, PendingJob* pending) {
  if constexpr (!runs_jobs_in_threads<B>) {
    const auto delay = std::chrono::microseconds(1 + backend.draw(1000));
    loop.call_later(delay, [job, pending] {
      if (!job->abandoned.load(std::memory_order_relaxed)) {
        job->run();
      }
      JobTicket::deliver(*job, pending);
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
    executor->submit(detail::JobTicket(std::move(shared), pending.get(), remote()));
  } else {
    ++jobs_on_loop_;
    future->add_callback([this] { --jobs_on_loop_; }, {});
    detail::run_on_loop(*this, backend_->backend, shared, pending.get());
  }
  static_cast<void>(pending.release());  // deliver() or close() deletes it
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
  if (default_executor_ == nullptr) {
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
    std::thread([executor = default_executor_, link] {
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
      Future<void> turn(*this);
      call_later(std::chrono::milliseconds(1), [turn] { turn.set_result(); });
      co_await turn;
    }
    default_executor_->shutdown(true);
  }
  limit.timer.cancel();
  if (timed_out) {
    detail::log(LogLevel::warning,
                "The default executor did not finish joining its threads within the timeout");
    default_executor_->shutdown(false);
  }
}

}  // namespace weir::inline WEIR_ABI
