// The walk itself, and its steps in the runtime: callbacks, timers, tasks, futures, generators, jobs.
#include "tests/drivers/walk.hpp"
#include "tests/drivers/walk_watched.hpp"
#include "tests/support/weir_test.hpp"

#include <chrono>
#include <stdexcept>
#include <utility>

namespace weir::testing {

using namespace std::chrono_literals;

namespace {

constexpr int deepest = 3;
constexpr Duration between_beats = 30us;
constexpr std::size_t most_tasks = 60;

// Thrown by callbacks, to see who is troubled.
struct Stumble : std::runtime_error {
  Stumble() : std::runtime_error("the walk stumbled") {}
};

AsyncGenerator<int> numbers(Walk& walk, int count) {
  const Guard guard(walk.guards());
  for (int i = 0; i != count; ++i) {
    if (walk.chance().one_in(2)) {
      co_await sleep(std::chrono::microseconds(walk.chance().draw(50)));
    }
    walk.act();
    co_yield i;
  }
}

}  // namespace

std::string bytes_from(std::size_t place, std::size_t size) {
  std::string text(size, '\0');
  for (char& c : text) {
    c = static_cast<char>(byte_at(place++));
  }
  return text;
}

Walk::Walk(EventLoop& loop, Guards& guards, std::uint64_t seed, unsigned steps)
    : loop_(loop), guards_(guards), chance_(seed), steps_left_(steps) {
  executor_ = std::make_shared<ThreadPoolExecutor>(ThreadPoolOptions{.max_workers = 2});
  loop_.set_default_executor(executor_);
  loop_.set_exception_handler([this](EventLoop&, const ExceptionContext&) { act(); });
}

Walk::~Walk() {
  for (std::thread& thread : threads_) {
    thread.join();
  }
  executor_->shutdown();
}

void Walk::take_step() {
  static constexpr Step steps[] = {
      &Walk::call_soon,
      &Walk::call_soon,
      &Walk::cancel_handle,
      &Walk::drop_handle,
      &Walk::post,
      &Walk::post_from_thread,
      &Walk::call_later,
      &Walk::call_later,
      &Walk::cancel_timer,
      &Walk::reschedule_timer,
      &Walk::drop_timer,
      &Walk::start_sleeper,
      &Walk::start_waiter,
      &Walk::start_generator,
      &Walk::start_job,
      &Walk::cancel_task,
      &Walk::uncancel_task,
      &Walk::drop_task,
      &Walk::ask_task,
      &Walk::make_future,
      &Walk::complete_future,
      &Walk::cancel_future,
      &Walk::drop_future,
      &Walk::add_done_callback,
      &Walk::stop,
      &Walk::remove_done_callback,
      &Walk::report,
      &Walk::try_what_is_refused,
      &Walk::start_server,
      &Walk::change_task_factory,
      &Walk::end_server,
      &Walk::drop_server,
      &Walk::await_server,
      &Walk::start_connection,
      &Walk::adopt_pair,
      &Walk::start_connection,
      &Walk::start_raw_client,
      &Walk::start_raw_acceptor,
      &Walk::close_raw,
      &Walk::write,
      &Walk::write,
      &Walk::write,
      &Walk::write,
      &Walk::write,
      &Walk::write_lines,
      &Walk::write_eof,
      &Walk::close_transport,
      &Walk::abort_transport,
      &Walk::pause_reading,
      &Walk::resume_reading,
      &Walk::set_limits,
      &Walk::set_protocol,
      &Walk::ask_transport,
      &Walk::drop_transport,
      &Walk::watch,
      &Walk::unwatch,
      &Walk::close_watched,
      &Walk::change_debug,
  };
  --steps_left_;
  (this->*steps[chance_.draw(std::size(steps))])();
}

void Walk::act(bool may_throw) {
  // A callback inside a callback, as pause_writing inside write, is another place to act from.
  if (ending_ || depth_ == deepest) {
    return;
  }
  ++seen_.callbacks;
  ++depth_;
  const auto leave = [this](void*) { --depth_; };
  const std::unique_ptr<void, decltype(leave)> left(this, leave);
  for (std::uint64_t count = chance_.draw(3); count != 0 && steps_left_ != 0 && !ending_; --count) {
    take_step();
  }
  if (may_throw && !ending_ && chance_.one_in(100)) {
    throw Stumble();
  }
}

void Walk::beat() {
  if (steps_left_ == 0) {
    ending_ = true;
    loop_.stop();
    return;
  }
  loop_.call_later(between_beats, [this, guard = Guard(guards_)] { beat(); });
  for (int i = 0; i != 3 && steps_left_ != 0; ++i) {
    take_step();
  }
}

void Walk::go() {
  loop_.call_soon([this, guard = Guard(guards_)] { beat(); });
  while (!ending_) {
    loop_.run_forever();
  }
}

void Walk::add_to(Seen& seen) const {
  seen.callbacks += seen_.callbacks;
  seen.tasks += seen_.tasks;
  for (const std::shared_ptr<Stream>& stream : all_streams_) {
    seen.connections += stream->alone != nullptr ? 1 : 0;
    seen.ended += stream->order.is_lost() ? 1 : 0;
    seen.bytes += stream->received;
  }
}

void Walk::keep(Task<void> task) {
  ++seen_.tasks;
  if (tasks_.size() == most_tasks) {
    take_any(tasks_).cancel();
  }
  tasks_.push_back(std::move(task));
}

// --- Callbacks and timers
// ----------------------------------------------------------------------------------

void Walk::call_soon() {
  auto record = std::make_shared<Scheduled>();
  Handle handle = loop_.call_soon([this, record, guard = Guard(guards_)] {
    expect(!record->cancelled && ++record->calls == 1, "a callback ran twice, or after its cancellation");
    act();
  });
  handles_.emplace_back(std::move(handle), std::move(record));
}

void Walk::cancel_handle() {
  if (auto* one = any(handles_); one != nullptr) {
    one->second->cancelled = true;
    one->first.cancel();
  }
}

void Walk::drop_handle() {
  if (!handles_.empty()) {
    take_any(handles_);
  }
}

void Walk::post() { loop_.call_soon_threadsafe(callback()); }

void Walk::post_from_thread() {
  if (!has("real_clock") || threads_.size() == 3) {
    return;  // under sim the walk is to be the same one again
  }
  threads_.emplace_back([remote = loop_.remote(), this] {
    try {
      remote.post([this] { act(); });
    } catch (const RuntimeError&) {
      // The loop was closed.
    }
  });
}

void Walk::call_later() {
  auto record = std::make_shared<Scheduled>();
  const Duration delay = std::chrono::microseconds(chance_.draw(200));
  record->when = loop_.time() + delay;
  TimerHandle handle = loop_.call_at(record->when, [this, record, guard = Guard(guards_)] {
    expect(!record->cancelled && ++record->calls == 1, "a timer ran twice, or after its cancellation");
    expect(loop_.time() >= record->when, "a timer ran early");
    act();
  });
  timers_.emplace_back(std::move(handle), std::move(record));
}

void Walk::cancel_timer() {
  if (auto* one = any(timers_); one != nullptr) {
    one->second->cancelled = true;
    one->first.cancel();
    expect(one->first.cancelled() && !one->first.reschedule(loop_.time()), "cancel() did not cancel");
  }
}

void Walk::reschedule_timer() {
  if (auto* one = any(timers_); one != nullptr) {
    const TimePoint when = loop_.time() + std::chrono::microseconds(chance_.draw(200));
    const bool moved = one->first.reschedule(when);
    expect(moved == (one->second->calls == 0 && !one->second->cancelled), "reschedule() lies");
    if (moved) {
      one->second->when = when;
    }
  }
}

void Walk::drop_timer() {
  if (!timers_.empty()) {
    take_any(timers_);
  }
}

// --- Tasks
// -------------------------------------------------------------------------------------------------

Coro<void> Walk::sleeper() {
  const Guard guard(guards_);
  for (std::uint64_t left = chance_.draw(4); left != 0; --left) {
    try {
      co_await sleep(std::chrono::microseconds(chance_.draw(100)));
    } catch (const CancelledError&) {
      if (chance_.one_in(2)) {
        throw;
      }
    }
    act();
  }
}

Coro<void> Walk::waiter(Future<int> future) {
  const Guard guard(guards_);
  try {
    co_await future;
  } catch (const Stumble&) {
  }
  act();
}

Coro<void> Walk::iterate() {
  const Guard guard(guards_);
  AsyncGenerator<int> generator = numbers(*this, static_cast<int>(chance_.draw(5)));
  while (const auto item = co_await generator.next()) {
    act();
    if (chance_.one_in(5)) {
      co_await generator.aclose();
    } else if (chance_.one_in(8)) {
      co_return;
    }
  }
}

Coro<void> Walk::wait_for_job() {
  const Guard guard(guards_);
  const bool throws = chance_.one_in(3);
  Future<int> job = loop_.run_in_executor(nullptr, [throws, held = Guard(guards_)] {
    if (throws) {
      throw Stumble();
    }
    return 1;
  });
  co_await job;
  act();
}

void Walk::start_sleeper() {
  const bool eager = chance_.one_in(2);
  keep(loop_.create_task(sleeper(), {.name = "sleeper", .eager_start = eager}));
}

void Walk::start_waiter() {
  if (Future<int>* future = any(futures_); future != nullptr) {
    Coro<void> body = waiter(*future);
    keep(loop_.create_task(std::move(body)));
  }
}

void Walk::start_generator() { keep(loop_.create_task(iterate())); }

void Walk::start_job() {
  if (chance_.one_in(4)) {
    keep(loop_.create_task(wait_for_job()));
  }
}

void Walk::cancel_task() {
  if (Task<void>* task = any(tasks_); task != nullptr) {
    const Task<void> one = *task;
    one.base()->cancel("the walk says so");
  }
}

void Walk::uncancel_task() {
  if (Task<void>* task = any(tasks_); task != nullptr) {
    Task<void> one = *task;
    one.cancel();
    one.uncancel();
  }
}

void Walk::drop_task() {
  if (!tasks_.empty()) {
    take_any(tasks_);
  }
}

void Walk::ask_task() {
  for (const Ref<TaskBase>& task : all_tasks(loop_)) {
    expect(!task->done(), "all_tasks lists one that is done");
    task->get_stack();
    task->awaiting();
    task->get_name();
  }
}

// --- Futures
// -----------------------------------------------------------------------------------------------

void Walk::make_future() { futures_.push_back(loop_.create_future<int>()); }

void Walk::complete_future() {
  if (Future<int>* one = any(futures_); one != nullptr && !one->done()) {
    const Future<int> future = *one;
    if (chance_.one_in(3)) {
      future.set_exception(Stumble());
    } else {
      future.set_result(1);
    }
    expect(future.done(), "a completed future is not done");
  }
}

void Walk::cancel_future() {
  if (Future<int>* one = any(futures_); one != nullptr) {
    Future<int> future = *one;
    const bool pending = !future.done();
    expect(future.cancel() == pending && future.done(), "cancel() of a future lies");
  }
}

void Walk::drop_future() {
  if (!futures_.empty()) {
    take_any(futures_);
  }
}

void Walk::add_done_callback() {
  if (Future<int>* one = any(futures_); one != nullptr) {
    const Future<int> future = *one;
    tokens_.emplace_back(future,
                         future.add_done_callback([this, guard = Guard(guards_)](const Future<int>& f) {
                           expect(f.done(), "a done-callback of a pending future");
                           act();
                         }));
  }
}

void Walk::remove_done_callback() {
  if (!tokens_.empty()) {
    const auto [future, token] = take_any(tokens_);
    future.remove_done_callback(token);
    expect(!future.remove_done_callback(token), "a done-callback was removed twice");
  }
}

// --- The loop
// ----------------------------------------------------------------------------------------------

void Walk::stop() { loop_.stop(); }

void Walk::try_what_is_refused() {
  CHECK_THROWS_AS(loop_.close(), RuntimeError);
  CHECK_THROWS_AS(loop_.run_forever(), RuntimeError);
}

void Walk::change_task_factory() {
  loop_.set_task_factory(chance_.one_in(2) ? TaskFactory(&eager_task_factory) : TaskFactory());
}

void Walk::change_debug() { loop_.set_debug(!loop_.get_debug()); }

void Walk::report() {
  ExceptionContext context;
  context.message = "nothing happened";
  loop_.call_exception_handler(context);
}

// --- The end
// -----------------------------------------------------------------------------------------------

// Again and again: what was under way when it began may still bring new connections.
bool Walk::end_some() {
  bool over = true;
  for (const std::shared_ptr<Stream>& stream : all_streams_) {
    if (stream->order.is_open()) {
      const Ref<Transport> transport(stream->alone);
      stream->closed = true;
      transport->abort();
      over = false;
    }
  }
  for (const auto& [server, number] : std::exchange(servers_, {})) {
    server->close();
    server->abort_clients();
  }
  for (const Ref<TaskBase>& task : all_tasks(loop_)) {
    task->cancel();
    over = false;
  }
  return over;
}

void Walk::end() {
  while (!watched_.empty()) {
    close_watched();
  }
  const TimePoint limit = loop_.time() + 10s;
  bool over = end_some();
  while (!over && loop_.time() < limit) {
    loop_.call_later(20us, [this] { loop_.stop(); });
    loop_.run_forever();
    over = end_some();
  }
  expect(over, "something does not end");
}

}  // namespace weir::testing
