// One worker process as its pool sees it: jobs go out, answers come in, and its end.
#include "subprocess/pool_worker.hpp"

#include "net/file_access.hpp"
#include "net/os_error.hpp"
#include "net/stream_transport.hpp"
#include "runtime/loop_access.hpp"
#include "subprocess/process_pool_state.hpp"

#include <weir/exceptions.hpp>
#include <weir/net/extra.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr const char* call = "ProcessPoolExecutor";

// How long a worker that was told to end may take for it.
constexpr auto time_to_end = std::chrono::seconds(5);

std::string describe_end(int returncode) {
  return returncode < 0 ? " was killed by signal " + std::to_string(-returncode)
                        : " exited with " + std::to_string(returncode);
}

}  // namespace

// --- ProcessJob

void ProcessJob::succeed(Bytes result) noexcept {
  if (!is_over()) {
    future_->set_result(std::move(result));
  }
  future_.reset();
}

void ProcessJob::fail(std::exception_ptr error) noexcept {
  if (!is_over()) {
    future_->set_exception(std::move(error));
  }
  future_.reset();
}

void ProcessJob::cancel() noexcept {
  if (!is_over()) {
    future_->cancel("the process pool was shut down");
  }
  future_.reset();
}

// --- Its beginning

PoolWorker::PoolWorker(ProcessPool& pool, ChildProcess child) : pool_(&pool), child_(std::move(child)) {
  on_ready = &exit_seen;
}

PoolWorker::~PoolWorker() { timer_.cancel(); }

Ref<PoolWorker> PoolWorker::start(ProcessPool& pool, SpawnPlan plan) {
  EventLoop& loop = pool.get_loop();
  auto [ours, theirs] = weir::Socket::pair();
  File end = FileAccess::own(theirs.release());
  end.set_non_blocking(false);  // there is nothing else that it could wait for
  const File input = File::open("/dev/null", FileMode::read);
  plan.pass_fds = {end.native_handle()};
  plan.env->push_back(std::string(worker_variable) + '=' + std::to_string(end.native_handle()));
  ChildProcess::Given given;
  given.standard = {input.native_handle(), invalid_file, invalid_file};
  const Ref<PoolWorker> worker(new PoolWorker(pool, ChildProcess(plan, given)));
  Ref<StreamTransport> transport;
  try {
    check(LoopAccess::backend(loop).watch(worker->child_.descriptor(), *worker), call);
    transport = StreamTransport::make(loop, ours, worker, RawAddress(), Context(), nullptr);
  } catch (...) {
    worker->end();
    throw;
  }
  transport->begin();
  return worker;
}

// --- Jobs

void PoolWorker::run(Ref<ProcessJob> job) noexcept {
  job->worker = this;
  job_ = std::move(job);
  ++job_count_;
  put_number(job_->frame.data() + number_offset, job_count_);
  if (job_->timeout) {
    limit(*job_->timeout, &PoolWorker::timed_out);
  }
  try {
    transport_->write(std::move(job_->frame));
  } catch (...) {
    kill(std::current_exception());
  }
}

Ref<ProcessJob> PoolWorker::take_job() noexcept {
  if (job_ != nullptr) {
    timer_.cancel();
    job_->worker = nullptr;
  }
  return std::move(job_);
}

void PoolWorker::limit(Duration time, void (PoolWorker::*then)() noexcept) {
  EventLoop& loop = pool_->get_loop();
  timer_ = LoopAccess::call_at_plain(loop, add_clamped(loop.time(), time),
                                     Callback([this, then] { (this->*then)(); }));
}

void PoolWorker::timed_out() noexcept {
  const Ref<PoolWorker> self(this);
  kill(std::make_exception_ptr(TimeoutError("process job '" + job_->name + "': timed out")));
  pool_->worker_leaves();
}

void PoolWorker::job_cancelled() noexcept {
  const Ref<PoolWorker> self(this);
  kill(nullptr);
  if (pool_ != nullptr) {
    pool_->worker_leaves();
  }
}

void PoolWorker::retire() noexcept {
  leaving_ = true;
  retired_ = true;
  limit(time_to_end, &PoolWorker::overstayed);
  transport_->close();
}

void PoolWorker::kill(const std::exception_ptr& error) noexcept {
  leaving_ = true;
  if (const Ref<ProcessJob> job = take_job(); job != nullptr) {
    error ? job->fail(error) : job->drop();
  }
  if (!returncode_) {
    child_.send_signal(kill_signal);
  }
  if (transport_ != nullptr) {
    transport_->abort();
  }
}

void PoolWorker::end() noexcept {
  if (handle != nullptr) {
    LoopAccess::backend(pool_->get_loop()).unwatch(*this);
  }
  timer_.cancel();
  pool_ = nullptr;
  kill(nullptr);
  child_.end();
  returncode_ = killed_returncode;
}

// --- Answers

void PoolWorker::data_received(std::span<const std::byte> data) {
  while (!data.empty() && (job_ != nullptr || !leaving_)) {
    if (head_filled_ != head_.size()) {
      const std::size_t count = std::min(data.size(), head_.size() - head_filled_);
      std::memcpy(head_.data() + head_filled_, data.data(), count);
      head_filled_ += count;
      data = data.subspan(count);
      if (head_filled_ != head_.size()) {
        break;
      }
      if (!begin_body()) {
        return;
      }
    }
    if (const std::size_t count = std::min(data.size(), body_.size() - body_filled_); count != 0) {
      std::memcpy(body_.data() + body_filled_, data.data(), count);
      body_filled_ += count;
      data = data.subspan(count);
    }
    if (body_filled_ == body_.size()) {
      head_filled_ = 0;
      if (!frame_received()) {
        return;
      }
    }
  }
  // Only now: what came behind an answer is no answer to the next job.
  if (is_idle()) {
    head_filled_ == 0 ? pool_->worker_free(*this) : break_off("sent more than an answer");
  }
}

bool PoolWorker::begin_body() {
  const std::optional<FrameHeader> header = get_header(head_.data());
  if (!header) {
    break_off("sent what is no answer");
    return false;
  }
  if (header->size > pool_->max_result()) {
    break_off("sent an answer of " + std::to_string(header->size) + " bytes, and max_result is " +
              std::to_string(pool_->max_result()));
    return false;
  }
  kind_ = header->kind;
  is_of_job_ = job_ != nullptr && header->number == (job_count_ & most_in_a_frame);
  body_filled_ = 0;
  try {
    body_ = Bytes(header->size);
  } catch (const std::bad_alloc&) {
    break_off("sent an answer of " + std::to_string(header->size) + " bytes, for which there is no memory");
    return false;
  }
  return true;
}

bool PoolWorker::frame_received() {
  if (!ready_ && kind_ == FrameKind::hello && body_.empty()) {
    ready_ = true;
    return true;
  }
  if (!ready_ && kind_ == FrameKind::refusal) {
    break_off("cannot work: " + body_.str());
    return false;
  }
  if (ready_ && is_of_job_ && kind_ == FrameKind::result) {
    take_job()->succeed(std::exchange(body_, Bytes()));
    return true;
  }
  if (ready_ && is_of_job_ && kind_ == FrameKind::error) {
    take_job()->fail(std::make_exception_ptr(ProcessJobError(std::exchange(body_, Bytes()).str())));
    return true;
  }
  break_off("sent what is no answer");
  return false;
}

void PoolWorker::break_off(const std::string& why) noexcept {
  const Ref<PoolWorker> self(this);
  const auto error = std::make_exception_ptr(
      BrokenProcessPool("the worker process " + std::to_string(pid()) + ' ' + why + ", and was killed"));
  kill(error);
  if (!ready_) {
    pool_->start_failed(error);
  }
  pool_->worker_leaves();
}

// --- Its end

// What was not sent yet is for nobody.
bool PoolWorker::eof_received() {
  transport_->abort();
  return false;
}

// One that lives on without its socket is killed. One that is about to end is not harmed: how it ends was
// settled before its socket was closed.
void PoolWorker::connection_lost(std::exception_ptr) {
  leaving_ = true;
  if (!returncode_ && !retired_) {
    child_.send_signal(kill_signal);
  }
  transport_.reset();
  finish_when_done();
}

void PoolWorker::exit_seen(Watch& watch) noexcept {
  auto& self = static_cast<PoolWorker&>(watch);
  const Ref<PoolWorker> keep(&self);
  const std::optional<int> returncode = self.child_.reap();
  if (!returncode) {
    return;
  }
  self.returncode_ = returncode;
  self.leaving_ = true;
  LoopAccess::backend(self.pool_->get_loop()).unwatch(self);
  self.child_.forget();
  if (self.transport_ != nullptr) {
    // Its answer may be on the way, and others may hold its end of the socket: what has come is the last.
    const std::optional<SocketView> socket = self.transport_->get_extra_info<extra::socket>();
    if (self.job_ == nullptr || !socket ||
        Backend::Sockets::shutdown(socket->native_handle(), ShutdownHow::read) < 0) {
      self.transport_->abort();
    }
  }
  self.finish_when_done();
}

void PoolWorker::finish_when_done() noexcept {
  if (!returncode_ || transport_ != nullptr || pool_ == nullptr) {
    return;
  }
  const Ref<PoolWorker> self(this);
  timer_.cancel();
  if (const Ref<ProcessJob> job = take_job(); job != nullptr) {
    const auto error = std::make_exception_ptr(
        BrokenProcessPool("the worker process " + std::to_string(pid()) + describe_end(*returncode_) +
                          (ready_ ? "" : " before it could work")));
    job->fail(error);
    if (!ready_) {
      pool_->start_failed(error);
    }
  }
  std::exchange(pool_, nullptr)->worker_gone(*this);
}

}  // namespace weir::inline WEIR_ABI::detail
