// The fixture: what it collects while a test runs, and what it checks afterwards.
#include "tests/support/weir_test.hpp"

#include "runtime/loop_access.hpp"
#include "tests/support/system.hpp"

#include <weir/sim.hpp>

#include <cstdio>
#include <exception>

namespace weir::testing {

namespace {

unsigned skips = 0;

}  // namespace

std::size_t open_descriptors() {
#if defined(WEIR_BACKEND_SIM)
  return sim::open_sockets();
#else
  return machine_descriptors();
#endif
}

Env::Env() : descriptors_(open_descriptors()), uncaught_(std::uncaught_exceptions()) {
  set_log_sink([this](LogLevel level, std::string_view text) {
    const std::lock_guard lock(mutex_);
    logs_.push_back({level, std::string(text)});
  });
}

void Env::watch(EventLoop& loop) {
  loop.set_exception_handler([this](EventLoop&, const ExceptionContext& context) {
    reports_.push_back({context.message, context.exception, context.handle, context.object,
                        context.task != nullptr, context.future != nullptr, context.transport != nullptr,
                        context.protocol != nullptr, context.source_location});
  });
}

Env::~Env() noexcept(false) {
  set_log_sink({});
  if (std::uncaught_exceptions() == uncaught_) {
    check_end();
  }
}

void Env::check_end() {
  for (const Report& report : reports_) {
    FAIL_CHECK("reported and not expected: " << report.message << " (" << describe_exception(report.exception)
                                             << ")");
  }
  for (const LogLine& line : logs_) {
    FAIL_CHECK("logged and not expected: " << line.text);
  }
  if (descriptors_checked_) {
    CHECK_MESSAGE(open_descriptors() == descriptors_, "descriptors leaked or lost");
  }
}

Report Env::expect_report(std::string_view text) {
  for (auto report = reports_.begin(); report != reports_.end(); ++report) {
    if (report->message.find(text) != std::string::npos) {
      Report taken = *report;
      reports_.erase(report);
      return taken;
    }
  }
  FAIL_CHECK("no report contains: " << std::string(text));
  return {};
}

std::string Env::expect_log(std::string_view text) {
  for (auto line = logs_.begin(); line != logs_.end(); ++line) {
    if (line->text.find(text) != std::string::npos) {
      std::string taken = line->text;
      logs_.erase(line);
      return taken;
    }
  }
  FAIL_CHECK("no line of the log contains: " << std::string(text));
  return {};
}

void turn(EventLoop& loop) {
  loop.stop();
  loop.run_forever();
}

void drain(EventLoop& loop) {
  do {
    turn(loop);
  } while (!detail::LoopAccess::ready(loop).empty());
}

void run_until(EventLoop& loop, const std::function<bool()>& condition, Duration limit) {
  loop.run_until_complete(until(condition, limit));
}

Coro<void> until(std::function<bool()> condition, Duration limit) {
  EventLoop& loop = get_running_loop();
  const TimePoint deadline = loop.time() + limit;
  while (!condition()) {
    if (loop.time() > deadline) {
      FAIL("the condition did not come to hold in time");
    }
    co_await sleep(std::chrono::microseconds(200));
  }
}

bool has(std::string_view capability) {
  for (int value = 0; value <= static_cast<int>(detail::last_capability); ++value) {
    const auto candidate = static_cast<detail::Capability>(value);
    if (detail::capability_name(candidate) == capability) {
      return detail::Backend::has(candidate);
    }
  }
  FAIL("unknown capability: " << std::string(capability));
  return false;
}

namespace {

void record_skip(std::string_view id, std::string_view reason) {
  ++skips;
  std::printf("weir-skip: %.*s %.*s\n", static_cast<int>(id.size()), id.data(),
              static_cast<int>(reason.size()), reason.data());
}

}  // namespace

void skip(std::string_view id, std::string_view capability) {
  REQUIRE_FALSE(has(capability));
  record_skip(id, capability);
}

bool lacks(std::string_view id, std::string_view capability) {
  if (has(capability)) {
    return false;
  }
  record_skip(id, capability);
  return true;
}

bool lacks(std::string_view id, Trait trait) {
  if (machine_has(trait)) {
    return false;
  }
  record_skip(id, trait_name(trait));
  return true;
}

unsigned skip_count() noexcept { return skips; }

namespace {

Coro<void> limited(Coro<void> (*body)(EventLoop&, Env&), EventLoop& loop, Env& env) {
  Task<void> task = loop.create_task(body(loop, env), {.name = "test body"});
  bool timed_out = false;
  TimerHandle limit = loop.call_later(std::chrono::seconds(30), [&] {
    timed_out = true;
    task.cancel("the test took too long");
  });
  try {
    co_await task;
  } catch (const CancelledError&) {
    limit.cancel();
    if (!timed_out) {
      throw;
    }
    FAIL("the test took longer than 30 s");
  }
  limit.cancel();
}

}  // namespace

void run_test_body(Coro<void> (*body)(EventLoop&, Env&)) {
  Env env;
  {
    EventLoop loop;
    env.watch(loop);
    loop.run_until_complete(limited(body, loop, env));
    CHECK_MESSAGE(all_tasks(loop).empty(), "a task was left running");
    loop.close();
  }
}

}  // namespace weir::testing
