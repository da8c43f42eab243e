// The turn of the loop, running, stopping and closing. runtime/README.md tells the turn phase by phase.
#include "runtime/fork.hpp"
#include "runtime/inbox.hpp"
#include "runtime/loop_access.hpp"
#include "runtime/loop_debug.hpp"
#include "runtime/loop_resource.hpp"
#include "runtime/loops.hpp"
#include "runtime/running.hpp"
#include "runtime/signals.hpp"
#include "runtime/timer_heap.hpp"

#include <weir/event_loop.hpp>
#include <weir/executor.hpp>

#include <cstdlib>
#include <stdexcept>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

namespace {

bool debug_from_environment() noexcept {
  const char* value = std::getenv("WEIR_DEBUG");
  return value != nullptr && *value != '\0' && std::string_view(value) != "0";
}

}  // namespace

namespace detail {

EventLoop*& running_loop_slot() noexcept {
  static constinit thread_local EventLoop* running = nullptr;
  return running;
}

EventLoop& running_loop_for(const char* call) {
  if (EventLoop* loop = running_loop_slot()) {
    return *loop;
  }
  throw RuntimeError(std::string(call) + ": no running event loop");
}

bool spend_await_budget(EventLoop& loop) noexcept { return LoopAccess::spend_await_budget(loop); }

bool may_go_on(const FutureBase& done_future) noexcept {
  EventLoop* const loop = running_loop_slot();
  // None: this coroutine has forked, and goes on in the child until it has to wait.
  return loop == nullptr ||
         (done_future.loop_number() == LoopAccess::number(*loop) && LoopAccess::spend_await_budget(*loop));
}

void check_same_loop(const FutureBase& future, const EventLoop* wanted, const char* call) {
  if (wanted != nullptr && LoopAccess::number(*wanted) != future.loop_number()) {
    throw std::invalid_argument(std::string(call) +
                                ": the future belongs to a different loop than the one given");
  }
}

LoopResource::LoopResource(EventLoop& owner, Closing closing) noexcept
    : loop(&owner), on_loop_close(closing) {
  LoopResource*& first = LoopAccess::first_resource(owner);
  next = first;
  if (first != nullptr) {
    first->previous = this;
  }
  first = this;
  listed = true;
}

void LoopResource::leave() noexcept {
  if (!std::exchange(listed, false)) {
    return;
  }
  (previous != nullptr ? previous->next : LoopAccess::first_resource(*loop)) = next;
  if (next != nullptr) {
    next->previous = previous;
  }
}

}  // namespace detail

EventLoop::EventLoop()
    : backend_(std::make_unique<detail::BackendHolder>(ready_)),
      timers_(std::make_unique<detail::TimerHeap>(*this)),
      inbox_(std::make_shared<detail::Inbox>(backend_->backend)),
      debugging_(std::make_unique<detail::LoopDebug>()),
      home_(&detail::running_loop_slot()) {
  detail::watch_forks();
  anchor_ = detail::all_loops().enter(*this);
  number_ = anchor_->loop_number.load(std::memory_order_relaxed);
  set_debug(debug_from_environment());
}

EventLoop::~EventLoop() {  // NOLINT(bugprone-exception-escape): a running loop must not be destroyed
  close();
  detail::all_loops().leave(anchor_);
  if (inherited_) {
    keep_for_ever();
  }
}

// --- The turn

TimePoint EventLoop::prepare() {
  if (!inbox_->has_posts() || !detail::rare_path(detail::FaultPoint::late_inbox)) {
    inbox_->take(ready_);
  }
  if (signals_ != nullptr) {
    signals_->queue_pending(ready_);
  }
  if (stopping_ || !ready_.empty() || detail::rare_path(detail::FaultPoint::idle_turn)) {
    return TimePoint::min();
  }
  if (!inbox_->prepare_sleep()) {
    inbox_->take(ready_);
    return TimePoint::min();
  }
  return timers_->next_deadline();
}

void EventLoop::collect(TimePoint deadline) {
  backend_->backend.poll(deadline);
  if (deadline != TimePoint::min()) {
    inbox_->woke();
    inbox_->take(ready_);
  }
}

// With work ready, nothing posted and nothing registered, polling would find nothing: a chain of callbacks
// costs no look at the system.
bool EventLoop::poll_is_needless() const noexcept {
  return !ready_.empty() && !inbox_->has_posts() && (signals_ == nullptr || !signals_->has_pending()) &&
         backend_->backend.is_idle();
}

// What the batch schedules is for the next turn.
inline void EventLoop::run_batch(std::size_t count) {
  while (count != 0) {
    try {
      do {
        --count;
        if (debug_) [[unlikely]] {
          run_debugged();
        } else {
          ready_.pop()(detail::ReadyAction::run);
        }
        if (!detail::ContextAccess::is_fresh(callback_context_)) [[unlikely]] {
          callback_context_ = Context();
        }
      } while (count != 0);
    } catch (const KeyboardInterrupt&) {
      callback_context_ = Context();
      throw;
    } catch (...) {
      callback_context_ = Context();
      report_callback_exception();
    }
  }
}

inline void EventLoop::run() {
  if (!timers_->empty()) {
    timers_->queue_due(backend_->backend.now(), ready_);
  }
  const std::size_t batch = ready_.size();
  const std::size_t first = detail::rare_part(detail::FaultPoint::short_batch, batch);
  run_batch(first);
  if (first != batch && stopping_) {
    run_batch(batch - first);  // stop() lets the batch end
  }
}

// --- Running and stopping

void EventLoop::check_open(const char* call) const {
  if (inherited_) {
    throw RuntimeError(std::string(call) + detail::is_inherited_text);
  }
  if (closed_ || closing_) {
    throw RuntimeError(std::string(call) + ": the loop is closed");
  }
}

void EventLoop::check_can_run(const char* call) const {
  check_open(call);
  if (is_running()) {
    throw RuntimeError(std::string(call) + ": this event loop is already running");
  }
  if (guest_ != nullptr) {
    throw RuntimeError(std::string(call) + ": this event loop is the guest of another one, which runs it");
  }
  if (detail::running_loop_slot() != nullptr) {
    throw RuntimeError(std::string(call) + ": another event loop is running in this thread");
  }
}

struct EventLoop::Running {
  EventLoop& loop;
  detail::ContextScope scope;
  explicit Running(EventLoop& running) : loop(running), scope(running.callback_context_) {
    ++loop.run_number_;
    EventLoop*& slot = detail::running_loop_slot();
    slot = &loop;
    loop.home_.store(&slot, std::memory_order_relaxed);
    loop.running_.store(true, std::memory_order_relaxed);
  }
  ~Running() {
    loop.stopping_ = false;
    loop.running_.store(false, std::memory_order_relaxed);
    detail::running_loop_slot() = nullptr;
  }
};

void EventLoop::run_forever() {
  check_can_run("run_forever");
  const Running running(*this);
  do {
    if (!poll_is_needless()) {
      collect(prepare());
    }
    run();
  } while (!stopping_);
  check_still_ours("run_forever");
}

// A callback may have forked: in the child the run call ends here.
void EventLoop::check_still_ours(const char* call) const {
  if (inherited_) [[unlikely]] {
    check_open(call);
  }
}

TimePoint EventLoop::let_host_wait() {
  const TimePoint deadline = prepare();
  return backend_->backend.let_host_wait(deadline);
}

// False when it was stopped.
bool EventLoop::run_guest_turn() {
  const Running running(*this);
  prepare();
  collect(TimePoint::min());
  run();
  check_still_ours("run_ready");
  return !stopping_;
}

Ref<FutureBase> EventLoop::run_until_done(Ref<FutureBase> future) {
  check_can_run("run_until_complete");
  detail::check_same_loop(*future, this, "run_until_complete");
  // When somebody else stops the iteration in which the future ends, its callback is left in the queue: it
  // must not stop a later run.
  const auto stop_own_run = [this, own = run_number_ + 1] {
    if (run_number_ == own) {
      stop();
    }
  };
  const DoneCallbackToken token = future->add_callback(stop_own_run, {});
  try {
    run_forever();
  } catch (...) {
    future->remove_done_callback(token);
    throw;
  }
  future->remove_done_callback(token);
  if (!future->done()) {
    throw RuntimeError("run_until_complete: the event loop stopped before the future completed");
  }
  return future;
}

TimePoint EventLoop::time() const noexcept {
  return backend_ != nullptr ? backend_->backend.now() : closed_at_;
}

void EventLoop::set_busy_poll(Duration duration) {
  check_open("set_busy_poll");
  if (duration.count() < 0) {
    throw std::invalid_argument("set_busy_poll: the duration is negative");
  }
  busy_poll_ = duration;
  backend_->backend.set_busy_poll(duration);
}

Duration EventLoop::busy_poll() const noexcept { return busy_poll_; }

void EventLoop::set_max_read_size(std::size_t bytes) {
  check_open("set_max_read_size");
  if (bytes < (std::size_t{1} << 10) || bytes > (std::size_t{64} << 20)) {
    throw std::invalid_argument("set_max_read_size: " + std::to_string(bytes) +
                                " is not between 1 KiB and 64 MiB");
  }
  max_read_size_ = bytes;
  backend_->backend.set_max_read_size(bytes);
}

LoopRemote EventLoop::remote() const noexcept { return LoopRemote(inbox_); }

// --- Closing

void EventLoop::close() {
  if (closed_ || closing_) {
    return;
  }
  if (is_running()) {
    throw RuntimeError("close: cannot close a running event loop");
  }
  closing_ = true;
  update_care();
  signals_.reset();
  inbox_->close();
  backend_->backend.close_all();
  drop_callbacks();
  destroy_tasks();
  forget_generators();
  while (first_resource_ != nullptr) {
    detail::LoopResource& resource = *first_resource_;
    resource.leave();
    resource.on_loop_close(resource);
  }
  net_.reset();
  timers_->clear();
  drop_callbacks();
  if (std::shared_ptr<Executor> executor = std::move(default_executor_)) {
    try {
      executor->shutdown(false);
    } catch (...) {
      ExceptionContext context;
      context.message = "close: the default executor's shutdown failed";
      context.exception = std::current_exception();
      call_exception_handler(context);
    }
  }
  backend_->backend.close_all();
  closed_at_ = backend_->backend.now();
  backend_.reset();
  task_factory_ = nullptr;
  exception_handler_ = nullptr;
  closed_ = true;
  closing_ = false;
  update_care();
}

void EventLoop::drop_callbacks() noexcept {
  while (!ready_.empty()) {
    detail::ReadyItem item = ready_.pop();
    item(detail::ReadyAction::drop);
  }
}

// One after another from the loop's list, never one inside the other: a frame that holds the last handle of
// another task only drops a reference, because the list holds one too. The newest goes first: a task may
// refer to the locals of the one that made it.
void EventLoop::destroy_tasks() noexcept {
  while (last_task_ != nullptr) {
    const Ref<TaskBase> task(last_task_);
    task->leave_loop();
    ExceptionContext context;
    context.message = "Task was destroyed but it is pending: " + task->describe();
    context.task = task.get();
    context.future = task.get();
    context.source_location = task->created_at();
    call_exception_handler(context);
    task->destroy_frames();
  }
}

}  // namespace weir::inline WEIR_ABI
