// EXCH: the exception handler and the default one; set_log_sink.
#include "tests/runtime/report_helpers.hpp"

#include <array>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// A loop with the default handler.
struct DefaultHandler : LoopFixture {
  DefaultHandler() { loop.set_exception_handler(nullptr); }

  // The one line that was logged, as an error.
  std::string logged() {
    const std::vector<LogLine> lines = env.take_logs();
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].level == LogLevel::error);
    CHECK_FALSE(lines[0].text.ends_with('\n'));
    return lines[0].text;
  }
};

Coro<void> fail(const char* what) {
  co_await sleep(0s);
  throw std::runtime_error(what);
}

}  // namespace

TEST_CASE_FIXTURE(DefaultHandler, "EXCH-001 an exception of a callback is logged with its type and text") {
  loop.call_soon([] { throw std::runtime_error("broken callback"); });
  drain(loop);
  const std::string text = logged();
  CHECK(contains(text, "Exception in callback"));
  CHECK(contains(text, "std::runtime_error: broken callback"));
  CHECK_FALSE(contains(text, "callback \n"));
}

TEST_CASE_FIXTURE(DefaultHandler, "EXCH-001 in debug mode the callback and its place are named") {
  loop.set_debug(true);
  const auto broken = [] { throw std::runtime_error("broken callback"); };
  const std::string place = here(1);
  loop.call_soon(broken);
  drain(loop);
  std::string text = logged();
  CHECK(contains(text, place));
  CHECK(contains(text, detail::type_name(typeid(broken))));

  const std::string timer_place = here(1);
  loop.call_later(0s, broken);
  const TimePoint due = loop.time();
  run_until(loop, [&] { return loop.time() > due + 1ms; });
  text = logged();
  CHECK(contains(text, timer_place));

  std::thread([&] { loop.call_soon_threadsafe(broken); }).join();
  drain(loop);
  text = logged();
  CHECK(contains(text, detail::type_name(typeid(broken))));

  Future<void> future = loop.create_future<void>();
  future.add_done_callback(broken);
  future.set_result();
  drain(loop);
  text = logged();
  CHECK(contains(text, "done callback"));
}

TEST_CASE_FIXTURE(DefaultHandler, "EXCH-001 a task's exception nobody retrieved is logged with the task") {
  {
    Task<void> task = loop.create_task(fail("lost"), {.name = "the lost one"});
    run_until(loop, [&] { return task.done(); });
  }
  const std::string text = logged();
  CHECK(contains(text, "Task exception was never retrieved"));
  CHECK(contains(text, "std::runtime_error: lost"));
  CHECK(contains(text, "name='the lost one'"));
  CHECK_FALSE(contains(text, "created at"));
}

TEST_CASE_FIXTURE(DefaultHandler, "EXCH-001 in debug mode with the place where it was created") {
  loop.set_debug(true);
  const std::string task_place = "\n  created at " + here(1);
  auto task = std::make_unique<Task<void>>(loop.create_task(fail("lost")));
  run_until(loop, [&] { return task->done(); });
  task.reset();
  CHECK(contains(logged(), task_place));

  const std::string future_place = "\n  created at " + here(1);
  auto future = std::make_unique<Future<int>>(loop.create_future<int>());
  future->set_exception(std::logic_error("lost too"));
  future.reset();
  const std::string text = logged();
  CHECK(contains(text, "Future exception was never retrieved"));
  CHECK(contains(text, "std::logic_error: lost too"));
  CHECK(contains(text, future_place));
}

TEST_CASE_FIXTURE(DefaultHandler, "EXCH-001 exceptions of any type, and none") {
  loop.call_soon([] { throw 42; });
  drain(loop);
  CHECK(contains(logged(), "exception of type int"));
  loop.call_soon([] { throw CancelledError("an order"); });
  drain(loop);
  CHECK(contains(logged(), "weir::CancelledError: an order"));
  ExceptionContext context;
  loop.call_exception_handler(context);
  CHECK(logged() == "Unhandled exception in event loop");
}

TEST_CASE_FIXTURE(DefaultHandler, "EXCH-001 everything in the context is in the text") {
  Future<void> future = loop.create_future<void>();
  ExceptionContext context;
  context.message = "the message";
  context.exception = std::make_exception_ptr(std::runtime_error("the exception"));
  context.handle = "the handle";
  context.future = future.base().get();
  context.object = "the object";
  const std::string place = here(1);
  context.source_location = std::source_location::current();
  loop.default_exception_handler(context);
  const std::string text = logged();
  for (const std::string& part :
       {std::string("the message"), std::string("the exception"), std::string("handle: the handle"),
        std::string("<Future pending"), std::string("object: the object"), place}) {
    CHECK_MESSAGE(contains(text, part), part);
  }
}

TEST_CASE_FIXTURE(LoopFixture, "EXCH-002 the handler gets the loop and the context") {
  EventLoop* seen_loop = nullptr;
  std::string message;
  std::string what;
  loop.set_exception_handler([&](EventLoop& from, const ExceptionContext& context) {
    seen_loop = &from;
    message = context.message;
    what = describe_exception(context.exception);
  });
  loop.call_soon([] { throw std::runtime_error("broken"); });
  drain(loop);
  CHECK(seen_loop == &loop);
  CHECK(contains(message, "Exception in callback"));
  CHECK(contains(what, "broken"));
  CHECK(env.take_logs().empty());
}

TEST_CASE_FIXTURE(LoopFixture, "EXCH-002 setting none restores the default; get_exception_handler tells") {
  int calls = 0;
  loop.set_exception_handler([&calls](EventLoop&, const ExceptionContext&) { ++calls; });
  REQUIRE(loop.get_exception_handler());
  loop.get_exception_handler()(loop, {});
  CHECK(calls == 1);
  const auto break_once = [this] {
    loop.call_soon([] { throw std::runtime_error("broken"); });
    drain(loop);
  };
  break_once();
  CHECK(calls == 2);
  loop.set_exception_handler(nullptr);
  CHECK_FALSE(loop.get_exception_handler());
  break_once();
  CHECK(calls == 2);
  CHECK(contains(env.expect_log("Exception in callback"), "broken"));
  loop.set_exception_handler(ExceptionHandler());
  CHECK_FALSE(loop.get_exception_handler());
  CHECK_FALSE(EventLoop().get_exception_handler());
}

TEST_CASE_FIXTURE(LoopFixture, "EXCH-002 a handler may replace itself, and hand on to the default one") {
  auto alive = std::make_shared<int>(1);
  std::vector<std::string> seen;
  loop.set_exception_handler([alive, &seen](EventLoop& from, const ExceptionContext& context) {
    from.set_exception_handler(
        [&seen](EventLoop&, const ExceptionContext& later) { seen.push_back("second " + later.message); });
    seen.push_back("first " + context.message + std::to_string(*alive));
    from.default_exception_handler(context);
  });
  ExceptionContext context;
  context.message = "m";
  loop.call_exception_handler(context);
  CHECK(alive.use_count() == 1);
  loop.call_exception_handler(context);
  CHECK(seen == std::vector<std::string>{"first m1", "second m"});
  env.expect_log("m");
}

namespace {

template <class H>
concept MayBeHandler = requires(EventLoop& loop, H handler) { loop.set_exception_handler(handler); };
struct WrongArguments {
  void operator()(int) const;
};
static_assert(MayBeHandler<void (*)(EventLoop&, const ExceptionContext&)>);
static_assert(MayBeHandler<std::nullptr_t>);
static_assert(!MayBeHandler<int>);
static_assert(!MayBeHandler<const char*>);
static_assert(!MayBeHandler<WrongArguments>);
static_assert(!MayBeHandler<void (*)()>);

}  // namespace

TEST_CASE_FIXTURE(LoopFixture,
                  "EXCH-003 an invalid handler is refused at compile time, an empty one is none") {
  void (*null)(EventLoop&, const ExceptionContext&) = nullptr;
  loop.set_exception_handler(null);
  CHECK_FALSE(loop.get_exception_handler());
}

TEST_CASE_FIXTURE(LoopFixture,
                  "EXCH-004 a handler that throws is logged with the original, and the loop goes on") {
  int calls = 0;
  loop.set_exception_handler([&calls](EventLoop&, const ExceptionContext&) {
    if (++calls == 1) {
      throw std::logic_error("the handler's own");
    }
    throw 7;  // NOLINT: a handler may throw anything
  });
  bool went_on = false;
  loop.call_soon([] { throw std::runtime_error("the original"); });
  loop.call_soon([&] { went_on = true; });
  drain(loop);
  CHECK(went_on);
  const std::string text = env.expect_log("error in exception handler");
  CHECK(contains(text, "the original"));
  CHECK(contains(text, "the handler's own"));
  CHECK(contains(text, "Exception in callback"));
  // It stays installed.
  loop.call_soon([] { throw std::runtime_error("another"); });
  drain(loop);
  CHECK(calls == 2);
  CHECK(contains(env.expect_log("error in exception handler"), "exception of type int"));
}

TEST_CASE_FIXTURE(DefaultHandler, "EXCH-005 a log sink that throws is contained, and the text is not lost") {
  set_log_sink([](LogLevel, std::string_view) { throw std::runtime_error("disk full"); });
  bool went_on = false;
  loop.call_soon([] { throw std::runtime_error("the original"); });
  loop.call_soon([&] { went_on = true; });
  CapturedStderr captured;
  drain(loop);
  const std::string text = captured.text();
  CHECK(went_on);
  CHECK(contains(text, "the original"));
  CHECK(contains(text, "log sink threw"));
}

TEST_CASE_FIXTURE(LoopFixture, "EXCH-005 also when the handler threw before") {
  set_log_sink([](LogLevel, std::string_view) { throw 1; });
  loop.set_exception_handler([](EventLoop&, const ExceptionContext&) { throw std::logic_error("handler"); });
  CapturedStderr captured;
  loop.call_soon([] { throw std::runtime_error("the original"); });
  drain(loop);
  const std::string text = captured.text();
  CHECK(contains(text, "the original"));
  CHECK(contains(text, "handler"));
}

WEIR_TEST("EXCH-006 a user's call reaches the handler with everything in it") {
  Future<int> future = loop.create_future<int>();
  ExceptionContext context;
  context.message = "mine";
  context.exception = std::make_exception_ptr(std::runtime_error("why"));
  context.future = future.base().get();
  context.task = current_task().get();
  context.handle = "handle";
  context.object = "object";
  context.source_location = std::source_location::current();
  loop.call_exception_handler(context);
  const Report report = env.expect_report("mine");
  CHECK(contains(describe_exception(report.exception), "why"));
  CHECK(report.has_future);
  CHECK(report.has_task);
  CHECK(report.handle == "handle");
  CHECK(report.object == "object");
  CHECK(report.source_location.line() == context.source_location.line());
  co_return;
}

TEST_CASE_FIXTURE(LoopFixture, "EXCH-006 it may be called on a loop that does not run, and after close") {
  static_assert(noexcept(loop.call_exception_handler(ExceptionContext())));
  ExceptionContext context;
  context.message = "early";
  loop.call_exception_handler(context);
  env.expect_report("early");
  loop.close();
  context.message = "late";
  loop.call_exception_handler(context);
  env.expect_log("late");  // the handler went with the loop
}

TEST_CASE_FIXTURE(LoopFixture, "EXCH-006 from inside the handler") {
  int depth = 0;
  loop.set_exception_handler([&depth](EventLoop& from, const ExceptionContext& context) {
    if (++depth < 3) {
      from.call_exception_handler(context);
    }
  });
  ExceptionContext context;
  context.message = "nested";
  loop.call_exception_handler(context);
  CHECK(depth == 3);
}

TEST_CASE("set_log_sink: replaces the sink, an empty one restores stderr") {
  std::vector<LogLine> lines;
  set_log_sink([&](LogLevel level, std::string_view text) { lines.push_back({level, std::string(text)}); });
  detail::log(LogLevel::debug, "one");
  detail::log(LogLevel::warning, "two");
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].level == LogLevel::debug);
  CHECK(lines[0].text == "one");
  CHECK(lines[1].level == LogLevel::warning);
  set_log_sink({});
  CapturedStderr captured;
  detail::log(LogLevel::error, "three");
  detail::log(LogLevel::warning, "four");
  CHECK(captured.text() == "weir error: three\nweir warning: four\n");
  CHECK(lines.size() == 2);
}

TEST_CASE("set_log_sink: a sink may replace itself and log") {
  std::vector<std::string> lines;
  auto alive = std::make_shared<int>(0);
  set_log_sink([&lines, alive](LogLevel, std::string_view text) {
    lines.push_back("first " + std::string(text));
    set_log_sink(
        [&lines](LogLevel, std::string_view later) { lines.push_back("second " + std::string(later)); });
    detail::log(LogLevel::debug, "inner" + std::to_string(*alive));
  });
  detail::log(LogLevel::debug, "outer");
  CHECK(lines == std::vector<std::string>{"first outer", "second inner0"});
  CHECK(alive.use_count() == 1);
  set_log_sink({});
}

TEST_CASE("set_log_sink: lines and replacements from several threads") {
  std::atomic<int> count{0};
  const auto counting = [&count](LogLevel, std::string_view) { count.fetch_add(1); };
  set_log_sink(counting);
  std::array<std::thread, 4> threads;
  for (std::thread& thread : threads) {
    thread = std::thread([&] {
      for (int i = 0; i != 1000; ++i) {
        detail::log(LogLevel::debug, "line");
        if (i % 100 == 0) {
          set_log_sink(counting);
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(count == 4000);
  set_log_sink({});
}
