// PoolWorker: one worker process of a pool, and the socket to it. ProcessJob: what it is given to do.
#pragma once

#include "backends/chosen.hpp"
#include "subprocess/child_process.hpp"
#include "subprocess/process_wire.hpp"

#include <weir/bytes.hpp>
#include <weir/future.hpp>
#include <weir/handle.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/transport.hpp>
#include <weir/ref.hpp>

#include <array>
#include <cstddef>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

class PoolWorker;
class ProcessPool;

// A call and the future of its result. Each of the ends drops the future, which otherwise would hold itself.
class ProcessJob final : public RefCounted {
 public:
  ProcessJob(Future<Bytes> future, Bytes frame, std::string_view name, std::optional<Duration> timeout)
      : frame(std::move(frame)), name(name), timeout(timeout), future_(std::move(future)) {}

  // Nobody waits for it any more.
  bool is_over() const noexcept { return !future_ || future_->done(); }
  void succeed(Bytes result) noexcept;
  void fail(std::exception_ptr error) noexcept;
  void cancel() noexcept;
  // The loop closes, and with it the future.
  void drop() noexcept { future_.reset(); }

  Bytes frame;  // what is sent
  const std::string name;
  const std::optional<Duration> timeout;
  PoolWorker* worker = nullptr;  // that is at it

 private:
  std::optional<Future<Bytes>> future_;
};

// It is the protocol of its socket. What it tells the pool comes from the loop, never from inside a call of
// the pool.
class PoolWorker final : public Protocol, private Watch {
 public:
  // Starts the process. Throws std::system_error, and then there is none.
  static Ref<PoolWorker> start(ProcessPool& pool, SpawnPlan plan);

  int pid() const noexcept { return child_.pid(); }
  bool is_idle() const noexcept { return job_ == nullptr && !leaving_; }
  // It has said hello, and is no other program.
  bool is_ready() const noexcept { return ready_; }
  // It gets no further job.
  bool is_leaving() const noexcept { return leaving_; }
  std::size_t job_count() const noexcept { return job_count_; }

  // Gives an idle one a job.
  void run(Ref<ProcessJob> job) noexcept;
  // The job's future was cancelled.
  void job_cancelled() noexcept;
  // Lets an idle one end by itself, in good time.
  void retire() noexcept;
  // Ends it; the job that it is at fails with `error`, or is dropped when that is null.
  void kill(const std::exception_ptr& error) noexcept;
  // The same for a pool that is gone: there is no process any more when it returns.
  void end() noexcept;

  void connection_made(Ref<Transport> transport) override { transport_ = std::move(transport); }
  void data_received(std::span<const std::byte> data) override;
  bool eof_received() override;
  void connection_lost(std::exception_ptr error) override;

 private:
  PoolWorker(ProcessPool& pool, ChildProcess child);
  ~PoolWorker() override;

  Ref<ProcessJob> take_job() noexcept;
  void limit(Duration time, void (PoolWorker::*then)() noexcept);
  void timed_out() noexcept;
  void overstayed() noexcept { kill(nullptr); }
  bool begin_body();
  bool frame_received();
  // It cannot be trusted any more.
  void break_off(const std::string& why) noexcept;
  static void exit_seen(Watch& watch) noexcept;
  void finish_when_done() noexcept;

  ProcessPool* pool_;  // null: gone
  ChildProcess child_;
  std::optional<int> returncode_;
  Ref<Transport> transport_;  // until connection_lost
  Ref<ProcessJob> job_;
  TimerHandle timer_;  // the job's, or that of its retirement
  std::size_t job_count_ = 0;
  bool ready_ = false;
  bool leaving_ = false;
  bool retired_ = false;
  std::array<std::byte, frame_header_size> head_{};
  std::size_t head_filled_ = 0;
  FrameKind kind_{};
  bool is_of_job_ = false;  // and of none before it
  Bytes body_;
  std::size_t body_filled_ = 0;
};

}  // namespace weir::inline WEIR_ABI::detail
