// The hand-written minimum of tasks: bare coroutines whose frames come from one free list, resumed by the
// ring. No cancelling (but the throw that it needs), no contexts, no results.
#include "bench/micro/floor.hpp"
#include "bench/micro/row.hpp"

#include <coroutine>
#include <cstdlib>
#include <exception>
#include <utility>
#include <vector>

namespace {

using bench::FloorLoop;
using bench::Meter;

constexpr std::size_t frame_bytes = 256;

// Frames of one size, last in, first out.
struct FreeFrame {
  FreeFrame* next;
};
constinit FreeFrame* free_frames = nullptr;

FloorLoop* current = nullptr;

void post(std::coroutine_handle<> coroutine) {
  current->post([](void* frame) { std::coroutine_handle<>::from_address(frame).resume(); },
                coroutine.address());
}

// Begins in a later turn; whoever awaits it goes on in the turn after its end.
class Task {
 public:
  struct promise_type {
    promise_type() noexcept {}  // an aggregate would take the coroutine's arguments for its members

    static void* operator new(std::size_t size) {
      if (size > frame_bytes) {
        std::abort();
      }
      if (FreeFrame* frame = free_frames) {
        free_frames = frame->next;
        return frame;
      }
      return std::malloc(frame_bytes);
    }
    static void operator delete(void* memory) { free_frames = new (memory) FreeFrame{free_frames}; }
    Task get_return_object() {
      const auto self = std::coroutine_handle<promise_type>::from_promise(*this);
      post(self);
      return Task(self);
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() noexcept {
      done = true;
      if (joiner) {
        post(joiner);
      }
      return {};
    }
    void return_void() const noexcept {}
    void unhandled_exception() noexcept { error = std::current_exception(); }

    bool done = false;
    std::coroutine_handle<> joiner;
    std::exception_ptr error;
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) {
      handle_.destroy();
    }
  }

  bool await_ready() const noexcept { return handle_.promise().done; }
  void await_suspend(std::coroutine_handle<> joiner) const noexcept { handle_.promise().joiner = joiner; }
  void await_resume() const noexcept {}
  bool failed() const noexcept { return handle_.promise().error != nullptr; }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}

  std::coroutine_handle<promise_type> handle_;
};

template <class Work>
class OnLoop {
 public:
  explicit OnLoop(std::size_t count) : count_(count) {}

  void run(Meter& meter) {
    current = &loop_;
    const Task task = measured(meter);
    loop_.run([](int) {});
  }

 private:
  Task measured(Meter& meter) {
    meter.start();
    const Task work = work_.run(count_);
    co_await work;
    meter.stop();
    loop_.stop();
  }

  FloorLoop loop_;
  std::size_t count_;
  Work work_;
};

Task nothing() { co_return; }

struct Spawn {
  Task run(std::size_t count) {
    constexpr std::size_t batch = 1'000;
    tasks.reserve(batch);
    for (std::size_t done = 0; done != count; done += batch) {
      for (std::size_t i = 0; i != batch; ++i) {
        tasks.push_back(nothing());
      }
      for (const Task& task : tasks) {
        co_await task;
      }
      tasks.clear();
    }
  }

  std::vector<Task> tasks;
};

struct Join {
  Task run(std::size_t count) {
    for (std::size_t i = 0; i != count; ++i) {
      const Task task = nothing();
      co_await task;
    }
  }
};

// What one coroutine waits for.
class Signal {
 public:
  void set() noexcept {
    is_set_ = true;
    if (waiter_) {
      post(std::exchange(waiter_, nullptr));
    }
  }
  bool await_ready() const noexcept { return is_set_; }
  void await_suspend(std::coroutine_handle<> waiter) noexcept { waiter_ = waiter; }
  void await_resume() noexcept { is_set_ = false; }

 private:
  bool is_set_ = false;
  std::coroutine_handle<> waiter_;
};

Task play(Signal& mine, Signal& theirs, std::size_t count, bool serves) {
  if (serves) {
    theirs.set();
  }
  for (std::size_t i = 0; i != count; ++i) {
    co_await mine;
    theirs.set();
  }
}

struct PingPong {
  Task run(std::size_t count) {
    Signal ping;
    Signal pong;
    const Task first = play(ping, pong, count, true);
    const Task second = play(pong, ping, count, false);
    co_await first;
    co_await second;
  }
};

struct NextTurn {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) const { post(coroutine); }
  void await_resume() const noexcept {}
};

Task yield_often(std::size_t count) {
  for (std::size_t i = 0; i != count; ++i) {
    co_await NextTurn();
  }
}

struct Yield {
  Task run(std::size_t count) {
    const Task first = yield_often(count / 2);
    const Task second = yield_often(count - count / 2);
    co_await first;
    co_await second;
  }
};

struct Cancelled {};

// Suspends until it is resumed by hand, and then throws.
struct Cancellation {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) noexcept { waiter = coroutine; }
  [[noreturn]] void await_resume() const { throw Cancelled(); }

  std::coroutine_handle<> waiter;
};

Task wait_for(Cancellation& cancellation) { co_await cancellation; }

struct Cancel {
  Task run(std::size_t count) {
    for (std::size_t i = 0; i != count; ++i) {
      Cancellation cancellation;
      const Task task = wait_for(cancellation);
      co_await NextTurn();
      post(cancellation.waiter);
      co_await task;
      if (!task.failed()) {
        std::abort();
      }
    }
  }
};

const bench::Row<OnLoop<Spawn>> task_spawn("task_spawn/floor", 1'000'000);
const bench::Row<OnLoop<Join>> task_join1("task_join1/floor", 500'000);
const bench::Row<OnLoop<PingPong>> task_pingpong("task_pingpong/floor", 500'000);
const bench::Row<OnLoop<Yield>> task_yield("task_yield/floor", 1'000'000);
const bench::Row<OnLoop<Cancel>> task_cancel("task_cancel/floor", 20'000);

}  // namespace
