// ProcessPoolExecutor: the queue, who gets the next job, and the end.
#include <weir/subprocess/process_pool.hpp>

#include "net/scoped_timer.hpp"
#include "runtime/loop_access.hpp"
#include "subprocess/own_process.hpp"
#include "subprocess/process_functions.hpp"
#include "subprocess/process_pool_state.hpp"
#include "subprocess/process_wire.hpp"

#include <weir/event_loop.hpp>
#include <weir/exceptions.hpp>
#include <weir/log.hpp>
#include <weir/subprocess/exec.hpp>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace weir::inline WEIR_ABI {

BrokenProcessPool::~BrokenProcessPool() = default;
ProcessJobError::~ProcessJobError() = default;

namespace detail {

namespace {

constexpr const char* name_of_pool = "ProcessPoolExecutor";
constexpr const char* name_of_submit = "ProcessPoolExecutor::submit";

// All but the number of the socket, which is each worker's own.
std::shared_ptr<const SpawnPlan> plan_worker(EventLoop& loop, std::span<const std::string> command) {
  if (!Backend::has(Capability::process_pools)) {
    throw NotSupportedError(name_of_pool, "process_pools");
  }
  std::vector<std::string> args(command.begin(), command.end());
  std::vector<std::string> env = own_environment();
  const std::string own = std::string(worker_variable) + '=';
  std::erase_if(env, [&](const std::string& variable) { return variable.starts_with(own); });
  SubprocessOptions options;
  if (args.empty()) {
    args.push_back(own_program_name());
    options.executable = own_program();
  }
  const auto plan =
      std::make_shared<SpawnPlan>(*plan_exec(loop, {name_of_pool, Stdio::inherit()}, args, options));
  plan->env = std::move(env);  // unchecked: they are what this process has
  return plan;
}

Bytes make_call(std::string_view name, std::span<const std::byte> input) {
  const std::size_t most_input = most_in_a_frame - number_size;
  if (name.size() > most_input || input.size() > most_input - name.size()) {
    throw std::invalid_argument(std::string(name_of_submit) + ": the input has more than 4 GiB");
  }
  const std::size_t size = number_size + name.size() + input.size();
  Bytes frame(frame_header_size + size);
  std::byte* to = frame.data();
  put_header(to, {FrameKind::call, size, 0});  // the number is the worker's
  put_number(to + frame_header_size, name.size());
  to += frame_header_size + number_size;
  for (const std::span<const std::byte> part : {as_bytes(name), input}) {
    if (!part.empty()) {
      std::memcpy(to, part.data(), part.size());
      to += part.size();
    }
  }
  return frame;
}

Coro<void> wait_for_end(Ref<ProcessPool> pool, TimePoint deadline) {
  if (pool->is_over()) {
    co_return;
  }
  const ScopedTimer limit(pool->get_loop(), deadline, [pool] { pool->kill_all(); });
  const Future<void> end = pool->ended();
  co_await end;
}

}  // namespace

ProcessPool::ProcessPool(EventLoop& owner, const ProcessPoolOptions& options)
    : LoopResource(owner, &loop_closed),
      max_workers_(options.max_workers != 0 ? options.max_workers
                                            : std::max(1U, std::thread::hardware_concurrency())),
      max_jobs_per_worker_(options.max_jobs_per_worker),
      max_result_(options.max_result),
      plan_(plan_worker(owner, options.command)) {
  if (const std::string trouble = ProcessFunctions::trouble(); !trouble.empty()) {
    throw RuntimeError(std::string(name_of_pool) + ": " + trouble);
  }
}

Future<Bytes> ProcessPool::submit(std::string_view name, std::span<const std::byte> input,
                                  ProcessJobOptions options) {
  if (closed_) {
    throw RuntimeError(std::string(name_of_submit) + ": the loop is closed");
  }
  LoopAccess::check_open(*loop, name_of_submit);
  if (shut_down_) {
    throw RuntimeError(std::string(name_of_submit) + ": cannot schedule new jobs after shutdown");
  }
  Bytes frame = make_call(name, input);
  Future<Bytes> future(*loop);
  auto job = make_ref<ProcessJob>(future, std::move(frame), name, options.timeout);
  future.base()->add_callback(Callback([job, state = future.base().get()] {
                                if (state->cancelled()) {
                                  job->drop();
                                  job->frame = Bytes();
                                  if (job->worker != nullptr) {
                                    job->worker->job_cancelled();
                                  }
                                }
                              }),
                              {});
  queue_.push_back(std::move(job));
  dispatch();
  return future;
}

void ProcessPool::dispatch() noexcept {
  if (closed_) {
    return;
  }
  for (;;) {
    while (!queue_.empty() && queue_.front()->is_over()) {
      queue_.pop_front();
    }
    if (queue_.empty()) {
      break;
    }
    PoolWorker* const worker = find_worker();
    if (worker == nullptr) {
      break;
    }
    const Ref<ProcessJob> job = std::move(queue_.front());
    queue_.pop_front();
    worker->run(job);
  }
  if (shut_down_ && queue_.empty()) {
    for (const Ref<PoolWorker>& worker : workers_) {
      if (worker->is_idle()) {
        worker->retire();
      }
    }
    tell_ended();
  }
}

PoolWorker* ProcessPool::find_worker() noexcept {
  std::size_t count = 0;
  for (const Ref<PoolWorker>& worker : workers_) {
    if (worker->is_idle()) {
      return worker.get();
    }
    count += worker->is_leaving() ? 0 : 1;
  }
  if (count >= max_workers_) {
    return nullptr;
  }
  try {
    return workers_.emplace_back(PoolWorker::start(*this, *plan_)).get();
  } catch (...) {
    if (count == 0) {  // else those that there are will take it
      fail_queued(std::current_exception());
    }
  }
  return nullptr;
}

void ProcessPool::worker_free(PoolWorker& worker) noexcept {
  if (worker.is_idle() && max_jobs_per_worker_ != 0 && worker.job_count() >= max_jobs_per_worker_) {
    worker.retire();
  }
  dispatch();
}

void ProcessPool::start_failed(const std::exception_ptr& error) noexcept {
  if (std::ranges::none_of(workers_, [](const Ref<PoolWorker>& worker) {
        return worker->is_ready() && !worker->is_leaving();
      })) {
    fail_queued(error);
  }
}

void ProcessPool::worker_gone(PoolWorker& worker) noexcept {
  std::erase_if(workers_, [&](const Ref<PoolWorker>& one) { return one.get() == &worker; });
  dispatch();
}

void ProcessPool::fail_queued(const std::exception_ptr& error) noexcept {
  for (const Ref<ProcessJob>& job : std::exchange(queue_, {})) {
    job->fail(error);
  }
}

void ProcessPool::cancel_queued() noexcept {
  for (const Ref<ProcessJob>& job : std::exchange(queue_, {})) {
    job->cancel();
  }
}

void ProcessPool::shut_down(bool cancels_queued) noexcept {
  shut_down_ = true;
  if (cancels_queued) {
    cancel_queued();
  }
  dispatch();
}

void ProcessPool::kill_all() noexcept {
  if (closed_) {
    return;
  }
  cancel_queued();
  const auto error =
      std::make_exception_ptr(BrokenProcessPool("the process pool was shut down before the job was done"));
  for (const Ref<PoolWorker>& worker : workers_) {
    worker->kill(error);
  }
  tell_ended();
}

Future<void> ProcessPool::ended() { return waiting_for_end_.emplace_back(*loop); }

void ProcessPool::tell_ended() noexcept {
  if (is_over()) {
    for (const Future<void>& waiter : std::exchange(waiting_for_end_, {})) {
      if (!waiter.done()) {
        waiter.set_result();
      }
    }
  }
}

// First all are killed, then waited for.
void ProcessPool::abandon() noexcept {
  if (closed_) {
    return;
  }
  leave();
  if (LoopAccess::is_closing(*loop)) {
    loop_closed(*this);
    return;
  }
  kill_all();
  closed_ = true;
  for (const Ref<PoolWorker>& worker : std::exchange(workers_, {})) {
    worker->end();
  }
  tell_ended();
}

void ProcessPool::loop_closed(LoopResource& resource) noexcept {
  auto& self = static_cast<ProcessPool&>(resource);
  if (LoopAccess::is_inherited(*self.loop)) {
    self.closed_ = true;
    self.shut_down_ = true;
    return;
  }
  const Ref<ProcessPool> keep(&self);
  if (!self.workers_.empty() && !self.shut_down_) {
    log(LogLevel::warning, "unclosed process pool: its loop was closed, and its workers are killed");
  }
  self.closed_ = true;
  self.shut_down_ = true;
  for (const Ref<PoolWorker>& worker : std::exchange(self.workers_, {})) {
    worker->end();
  }
  for (const Ref<ProcessJob>& job : std::exchange(self.queue_, {})) {
    job->drop();
  }
  self.waiting_for_end_.clear();
}

std::vector<int> ProcessPool::worker_pids() const {
  std::vector<int> pids;
  for (const Ref<PoolWorker>& worker : workers_) {
    if (!worker->is_leaving()) {
      pids.push_back(worker->pid());
    }
  }
  return pids;
}

}  // namespace detail

ProcessPoolExecutor::ProcessPoolExecutor(ProcessPoolOptions options)
    : ProcessPoolExecutor(detail::running_loop_for(detail::name_of_pool), options) {}
ProcessPoolExecutor::ProcessPoolExecutor(EventLoop& loop, ProcessPoolOptions options)
    : loop_(&loop), pool_(make_ref<detail::ProcessPool>(loop, options)) {}
ProcessPoolExecutor::~ProcessPoolExecutor() { pool_->abandon(); }

Future<Bytes> ProcessPoolExecutor::submit(std::string_view name, std::span<const std::byte> input) {
  return pool_->submit(name, input, {});
}
Future<Bytes> ProcessPoolExecutor::submit(std::string_view name, std::span<const std::byte> input,
                                          ProcessJobOptions options) {
  return pool_->submit(name, input, options);
}

void ProcessPoolExecutor::shutdown(bool cancel_queued) noexcept { pool_->shut_down(cancel_queued); }

Coro<void> ProcessPoolExecutor::shutdown(Duration deadline) {
  pool_->shut_down(false);
  const TimePoint end = pool_->is_over() ? TimePoint() : detail::add_clamped(loop_->time(), deadline);
  return detail::wait_for_end(pool_, end);
}

std::vector<int> ProcessPoolExecutor::worker_pids() const { return pool_->worker_pids(); }

Future<Bytes> EventLoop::run_in_executor(ProcessPoolExecutor& pool, const ProcessFunction& function,
                                         std::span<const std::byte> input) {
  if (&pool.get_loop() != this) {
    throw std::invalid_argument("run_in_executor: the process pool belongs to another loop");
  }
  return pool.submit(function, input);
}

}  // namespace weir::inline WEIR_ABI
