// ProcessPool: what a ProcessPoolExecutor is inside: the jobs that wait, and the workers.
#pragma once

#include "runtime/loop_resource.hpp"
#include "subprocess/pool_worker.hpp"

#include <weir/coro.hpp>
#include <weir/subprocess/process_pool.hpp>

#include <deque>
#include <exception>
#include <memory>
#include <string_view>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class ProcessPool final : public RefCounted, private LoopResource {
 public:
  ProcessPool(EventLoop& loop, const ProcessPoolOptions& options);

  Future<Bytes> submit(std::string_view name, std::span<const std::byte> input, ProcessJobOptions options);
  void shut_down(bool cancel_queued) noexcept;
  // Of a pool that is shut down: everything, now.
  void kill_all() noexcept;
  // Done when nothing is left of a pool that is shut down.
  Future<void> ended();
  // The executor is destroyed.
  void abandon() noexcept;
  std::vector<int> worker_pids() const;
  bool is_over() const noexcept { return closed_ || (queue_.empty() && workers_.empty()); }

  // What its workers ask and say.
  EventLoop& get_loop() const noexcept { return *loop; }
  std::size_t max_result() const noexcept { return max_result_; }
  // One is idle again, or leaves.
  void worker_free(PoolWorker& worker) noexcept;
  void worker_leaves() noexcept { dispatch(); }
  // It ended before it could do anything, by itself. It is the last time that it is heard of such a start:
  // without another worker that is well, what waits fails with it.
  void start_failed(const std::exception_ptr& error) noexcept;
  void worker_gone(PoolWorker& worker) noexcept;

 private:
  ~ProcessPool() override = default;

  void dispatch() noexcept;
  // An idle one, or a new one; null: what waits has to go on waiting, or has failed.
  PoolWorker* find_worker() noexcept;
  void fail_queued(const std::exception_ptr& error) noexcept;
  void cancel_queued() noexcept;
  void tell_ended() noexcept;
  static void loop_closed(LoopResource& resource) noexcept;

  std::size_t max_workers_;
  std::size_t max_jobs_per_worker_;
  std::size_t max_result_;
  std::shared_ptr<const SpawnPlan> plan_;
  std::deque<Ref<ProcessJob>> queue_;
  std::vector<Ref<PoolWorker>> workers_;  // until they are gone
  std::vector<Future<void>> waiting_for_end_;
  bool shut_down_ = false;
  bool closed_ = false;  // the loop is, or the executor gone
};

}  // namespace weir::inline WEIR_ABI::detail
