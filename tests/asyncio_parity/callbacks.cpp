// The order of callbacks, the loop's start and stop, and what becomes of exceptions. Mirrored by
// callbacks.py.
#include "tests/asyncio_parity/trace.hpp"

#include <weir/async_generator.hpp>
#include <weir/context.hpp>
#include <weir/exceptions.hpp>
#include <weir/log.hpp>
#include <weir/policy.hpp>
#include <weir/runner.hpp>

#include <chrono>
#include <optional>
#include <vector>

using namespace parity;
using namespace std::chrono_literals;
using weir::Coro;
using weir::EventLoop;
using weir::sleep;

namespace {

constexpr const char* group = "callbacks";

weir::ContextVar<std::string> variable("variable", "unset");

auto tell(std::string text) {
  return [text = std::move(text)] { trace(text); };
}
auto tell_variable() {
  return [] { trace(variable.get()); };
}
auto throwing(std::string text) {
  return [text = std::move(text)] { throw Oops(text); };
}

}  // namespace

// --- Order

SCENARIO(fifo) {
  auto done = loop.create_future<void>();
  loop.call_soon([&] {
    trace("first");
    loop.call_soon(tell("of first"));
    loop.call_soon([&] { done.set_result(); });
  });
  loop.call_soon(tell("second"));
  loop.call_soon(tell("third"));
  trace("scheduled");
  co_await done;
  trace("end");
}

SCENARIO(rescheduling_starves_nobody) {
  turns(loop, 4);
  loop.call_soon([&] { loop.call_soon([&] { loop.call_soon(tell("third generation")); }); });
  for (int number = 0; number != 4; ++number) {
    trace("step", number);
    co_await sleep(0s);
  }
}

SCENARIO(cancel_in_the_same_batch) {
  std::vector<weir::Handle> handles;
  handles.push_back(loop.call_soon([&] {
    trace("first cancels the second");
    handles[1].cancel();
    handles[0].cancel();
    trace(handles[0].cancelled(), handles[1].cancelled(), handles[2].cancelled());
  }));
  handles.push_back(loop.call_soon(tell("never")));
  handles.push_back(loop.call_soon(tell("third")));
  co_await sleep(0s);
  handles[2].cancel();
  trace(handles[2].cancelled());
}

SCENARIO(timers_by_deadline) {
  auto done = loop.create_future<void>();
  const auto now = loop.time();
  loop.call_at(now + 6ms, [&] {
    trace("6 ms");
    done.set_result();
  });
  loop.call_at(now + 2ms, tell("2 ms"));
  loop.call_at(now + 4ms, tell("4 ms"));
  auto cancelled = loop.call_at(now + 3ms, tell("never"));
  loop.call_at(now - 1s, tell("long ago"));
  loop.call_at(now - 2s, tell("longer ago"));
  loop.call_soon(tell("soon"));
  cancelled.cancel();
  trace(cancelled.cancelled(), cancelled.when() == now + 3ms);
  co_await done;
}

SCENARIO(due_timers_after_what_is_ready) {
  loop.call_later(0s, [&] {
    trace("timer");
    loop.call_soon(tell("of the timer"));
  });
  loop.call_soon([&] {
    trace("soon");
    loop.call_soon(tell("of soon"));
  });
  co_await sleep(0s);
  trace("task");
  co_await sleep(0s);
  co_await sleep(0s);
}

SCENARIO(timers_of_a_timer) {
  loop.call_later(1ms, [&] {
    trace("timer");
    loop.call_later(0s, tell("at once"));
    loop.call_at(loop.time() - 1s, tell("in the past"));
    turns(loop, 2);
  });
  co_await sleep(3ms);
}

SCENARIO(timer_cancelled_by_an_earlier_one) {
  const auto now = loop.time();
  auto done = loop.create_future<void>();
  auto late = loop.call_at(now - 1s, tell("never"));
  loop.call_at(now - 2s, [&] {
    trace("cancels");
    late.cancel();
  });
  loop.call_at(now - 500ms, [&] { done.set_result(); });
  co_await done;
  trace(late.cancelled());
}

SCENARIO(threadsafe_from_the_own_thread) {
  loop.call_soon([] { trace(1); });
  loop.call_soon_threadsafe([] { trace(2); });
  loop.call_soon([] { trace(3); });
  loop.call_soon_threadsafe([] { trace(4); });
  trace(0);
  co_await sleep(0s);
  co_await sleep(0s);
}

// --- Context

SCENARIO(context_is_captured_by_the_call) {
  variable.set("at call_soon");
  loop.call_soon([] {
    trace(variable.get());
    variable.set("inside");
  });
  loop.call_soon(tell_variable());
  variable.set("at call_later");
  loop.call_later(0s, tell_variable());
  variable.set("later");
  co_await sleep(0s);
  co_await sleep(1ms);
  trace(variable.get());
}

SCENARIO(context_that_is_given) {
  weir::Context context = weir::copy_context();
  context.run([] { variable.set("given"); });
  const weir::CallOptions in_context{.context = &context};
  loop.call_soon(
      [] {
        trace(variable.get());
        variable.set("changed");
      },
      in_context);
  loop.call_soon(tell_variable(), in_context);
  loop.call_soon(tell_variable());
  co_await sleep(0s);
  trace(variable.get(), context.run([] { return variable.get(); }));
}

// --- Running and stopping

LOOP_SCENARIO(stop_before_running) {
  loop.call_soon([&] {
    trace("first");
    loop.call_soon(tell("second"));
  });
  loop.stop();
  loop.run_forever();
  trace("stopped", loop.is_running());
  loop.stop();
  loop.run_forever();
  trace("stopped");
}

LOOP_SCENARIO(stop_in_a_callback) {
  loop.call_soon([&] {
    trace("stop", loop.is_running());
    loop.call_soon(tell("next run"));
    loop.stop();
  });
  loop.call_soon(tell("same batch"));
  loop.call_soon([&] { loop.call_soon(tell("next run too")); });
  loop.run_forever();
  trace("stopped", loop.is_running());
  loop.call_soon([&] { loop.stop(); });
  loop.run_forever();
}

LOOP_SCENARIO(stopped_while_a_task_runs) {
  auto task = loop.create_task([]() -> Coro<int> {
    trace("begun");
    co_await sleep(0s);
    trace("ended");
    co_return 7;
  }());
  loop.call_soon([&] { loop.stop(); });
  trace(outcome([&] { return loop.run_until_complete(task); }));
  trace(task.done());
  trace(outcome([&] { return loop.run_until_complete(task); }));
  trace(outcome([&] { return loop.run_until_complete(task); }));
}

LOOP_SCENARIO(run_until_a_done_future) {
  auto future = loop.create_future<int>();
  future.set_result(3);
  loop.call_soon([&] {
    trace("ready");
    loop.call_soon(tell("later"));
  });
  trace(loop.run_until_complete(future));
  loop.stop();
  loop.run_forever();
}

LOOP_SCENARIO(exceptions_leave_the_run_call) {
  constexpr auto fail = []() -> Coro<void> {
    co_await sleep(0s);
    throw Oops("body");
  };
  trace(outcome([&] { loop.run_until_complete(fail()); }));
  auto future = loop.create_future<void>();
  future.cancel("why");
  trace(outcome([&] { loop.run_until_complete(future); }));
  constexpr auto work = []() -> Coro<std::string> { co_return "still usable"; };
  trace(outcome([&] { return loop.run_until_complete(work()); }));
}

LOOP_SCENARIO(interrupt_leaves_the_run_call) {
  loop.call_soon([] {
    trace("interrupt");
    throw weir::KeyboardInterrupt();
  });
  loop.call_soon(tell("behind it"));
  trace(outcome([&] { loop.run_forever(); }), loop.is_running());
  loop.stop();
  loop.run_forever();
}

LOOP_SCENARIO(running_twice) {
  constexpr auto work = [](EventLoop& loop) -> Coro<void> {
    auto future = loop.create_future<void>();
    trace(outcome([&] { loop.run_until_complete(future); }));
    trace(outcome([&] { loop.close(); }));
    trace(loop.is_running(), loop.is_closed(), &weir::get_running_loop() == &loop);
    co_return;
  };
  loop.run_until_complete(work(loop));
  trace(outcome([&] { return &weir::get_running_loop() == &loop; }));
}

LOOP_SCENARIO(closed) {
  loop.call_soon(tell("never"));
  loop.close();
  loop.close();
  trace(loop.is_closed(), loop.is_running());
  trace(outcome([&] { loop.run_forever(); }));
  trace(outcome([&] { loop.call_soon(tell("never")); }));
  trace(outcome([&] { loop.call_later(1s, tell("never")); }));
  trace(outcome([&] { loop.call_soon_threadsafe(tell("never")); }));
  trace(outcome([&] { loop.run_in_executor(nullptr, [] { return 0; }); }));
}

// --- run() and Runner

LOOP_SCENARIO(run_ends_what_is_left) {
  static constexpr auto left_over = []() -> Coro<void> {
    std::exception_ptr error;
    trace("left over begins");
    try {
      co_await sleep(60s);
    } catch (...) {
      error = std::current_exception();
    }
    co_await sleep(0s);
    trace("left over ends");
    std::rethrow_exception(error);
  };
  constexpr auto items = []() -> weir::AsyncGenerator<int> {
    struct Ending {
      ~Ending() { trace("generator ends"); }
    } const ending;
    co_yield 1;
  };
  std::optional<weir::AsyncGenerator<int>> generator(items());
  const auto main = [](weir::AsyncGenerator<int>& of) -> Coro<std::string> {
    weir::create_task(left_over());
    const std::optional<int> item = co_await of.next();
    trace("item", item.value_or(-1));
    co_await sleep(0s);
    trace("main ends");
    co_return std::string("value");
  };
  trace(weir::run(main(*generator)));
  trace(outcome([&] { return &weir::get_running_loop() == &loop; }));
}

LOOP_SCENARIO(run_with_an_exception) {
  static constexpr auto failing_cleanup = []() -> Coro<void> {
    try {
      co_await sleep(60s);
    } catch (const weir::CancelledError&) {
      throw Oops("cleanup");
    }
  };
  const auto main = []() -> Coro<void> {
    weir::create_task(failing_cleanup());
    co_await sleep(0s);
    throw Oops("main");
  };
  trace(outcome([&] { weir::run(main()); }));
}

LOOP_SCENARIO(run_of_what_is_cancelled) {
  constexpr auto main = []() -> Coro<void> {
    weir::current_task()->cancel("self");
    co_await sleep(60s);
  };
  trace(outcome([&] { weir::run(main()); }));
}

LOOP_SCENARIO(a_runner_runs_several) {
  std::vector<EventLoop*> loops;
  const auto main = [](std::string name, std::vector<EventLoop*>& seen) -> Coro<std::string> {
    trace(name, variable.get());
    variable.set(name);
    seen.push_back(&weir::get_running_loop());
    co_return name;
  };
  weir::Runner runner;
  trace(runner.run(main("first", loops)));
  trace(runner.run(main("second", loops)));
  const weir::Context context = weir::copy_context();
  trace(runner.run(main("third", loops), &context));
  trace(loops[0] == loops[2], &runner.get_loop() == loops[1], loops[0]->is_closed());
  runner.close();
  trace(outcome([&] { return &runner.get_loop() == &loop; }), variable.get());
}

// --- Exceptions

SCENARIO(exception_in_a_callback) {
  loop.call_soon(tell("before"));
  loop.call_soon(throwing("soon"));
  loop.call_soon(tell("behind"));
  loop.call_later(0s, throwing("timer"));
  co_await sleep(0s);
  co_await sleep(0s);
  trace("end");
}

SCENARIO(cancelled_error_in_a_callback) {
  loop.call_soon([] { throw weir::CancelledError("stray"); });
  co_await sleep(0s);
  trace("end");
}

SCENARIO(exception_in_the_handler) {
  loop.set_exception_handler([](EventLoop&, const weir::ExceptionContext& context) {
    trace("handler", context.exception);
    throw Oops("handler");
  });
  loop.call_soon(throwing("callback"));
  loop.call_soon(tell("goes on"));
  co_await sleep(0s);
  loop.set_exception_handler(&on_report);
  loop.call_soon(throwing("again"));
  co_await sleep(0s);
}

SCENARIO(the_default_handler) {
  loop.set_exception_handler(nullptr);
  trace(loop.get_exception_handler() ? "some" : "none");
  loop.call_soon(throwing("callback"));
  co_await sleep(0s);
  weir::ExceptionContext context;
  context.message = "a message";
  loop.call_exception_handler(context);
  context.message = "another";
  loop.default_exception_handler(context);
}

SCENARIO(reports_by_hand) {
  weir::ExceptionContext context;
  context.message = "nothing but this";
  loop.call_exception_handler(context);
  context.message = "with";
  context.exception = std::make_exception_ptr(Oops("hand"));
  loop.call_exception_handler(context);
  auto future = loop.create_future<void>();
  context.message = "about";
  context.exception = nullptr;
  context.future = future.base().get();
  loop.call_exception_handler(context);
  co_return;
}
