// SIG: the signals that a loop watches. They are real; SIGTERM and SIGINT are those that every system has.
#include "tests/support/system.hpp"
#include "tests/support/weir_test.hpp"

#include <csignal>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

using Lines = std::vector<std::string>;

// Signals have the system's dispositions while it exists; doctest has handlers of its own.
class StandardSignals {
 public:
  StandardSignals() : restore_{set_signal_handler(SIGTERM, SIG_DFL), set_signal_handler(SIGINT, SIG_DFL)} {}
  StandardSignals(const StandardSignals&) = delete;
  StandardSignals& operator=(const StandardSignals&) = delete;
  ~StandardSignals() {
    for (const auto& restore : restore_) {
      restore();
    }
  }

 private:
  std::function<void()> restore_[2];
};

struct SignalFixture {
  StandardSignals standard;
  LoopFixture fixture;
  EventLoop& loop = fixture.loop;
  Env& env = fixture.env;
  Lines lines;

  auto noting(std::string line) {
    return [this, line = std::move(line)] { lines.push_back(line); };
  }
};

volatile std::sig_atomic_t host_calls = 0;
void host_handler(int number) {
  stay_signal_handler(number, &host_handler);
  host_calls = host_calls + 1;
}

template <class F>
concept CanHandle = requires(EventLoop& loop, F f) { loop.add_signal_handler(SIGTERM, f); };

}  // namespace

TEST_CASE_FIXTURE(SignalFixture, "SIG-001 the handler is called on the loop's thread, as a normal callback") {
  std::thread::id thread;
  loop.add_signal_handler(SIGTERM, [&] {
    thread = std::this_thread::get_id();
    lines.emplace_back("handler");
    CHECK(&get_running_loop() == &loop);
  });
  loop.call_soon([&] {
    std::raise(SIGTERM);
    lines.emplace_back("raised");
  });
  run_until(loop, [&] { return lines.size() == 2; });
  CHECK(lines == Lines{"raised", "handler"});
  std::thread([] { std::raise(SIGTERM); }).join();
  run_until(loop, [&] { return lines.size() == 3; });
  CHECK(thread == std::this_thread::get_id());
  drain(loop);
  CHECK(lines.size() == 3);
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-001 it runs in the context of its creation, and may create tasks") {
  const ContextVar<int> variable("variable", 0);
  Context context = copy_context();
  context.run([&] { variable.set(7); });
  int seen = 0;
  int seen_by_task = 0;
  const auto look = [](const ContextVar<int>& from, int& to) -> Coro<void> {
    to = from.get();
    co_return;
  };
  const auto handler = [&] {
    seen = variable.get();
    create_task(look(variable, seen_by_task));
  };
  loop.add_signal_handler(SIGTERM, handler, {.context = &context});
  std::raise(SIGTERM);
  run_until(loop, [&] { return seen_by_task != 0; });
  CHECK(seen == 7);
  CHECK(seen_by_task == 7);
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-001 an exception of a handler is reported, and the handler stays") {
  loop.add_signal_handler(SIGTERM, [this] {
    lines.emplace_back("handler");
    throw std::runtime_error("of the handler");
  });
  for (const std::size_t times : {1, 2}) {
    std::raise(SIGTERM);
    run_until(loop, [&] { return lines.size() == times; });
    drain(loop);
    CHECK(env.expect_report("Exception in callback").exception != nullptr);
  }
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-002 a signal wakes a loop that is blocked in its poll") {
  auto woken = loop.create_future<void>();
  loop.add_signal_handler(SIGTERM, [&] { woken.set_result(); });
  // It may come before the loop sleeps or afterwards; both must end it.
  std::thread sender([] { std::raise(SIGTERM); });
  loop.run_until_complete(woken);
  sender.join();
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-003 adding again replaces the handler") {
  loop.add_signal_handler(SIGTERM, noting("first"));
  loop.add_signal_handler(SIGTERM, noting("second"));
  std::raise(SIGTERM);
  run_until(loop, [&] { return !lines.empty(); });
  drain(loop);
  CHECK(lines == Lines{"second"});
  CHECK(loop.remove_signal_handler(SIGTERM));
  CHECK((signal_handler(SIGTERM) == SIG_DFL));
}

TEST_CASE_FIXTURE(SignalFixture,
                  "SIG-004 removing restores the disposition; there is nothing to remove twice") {
  CHECK_FALSE(loop.remove_signal_handler(SIGTERM));
  loop.add_signal_handler(SIGTERM, [] {});
  CHECK((signal_handler(SIGTERM) != SIG_DFL));
  CHECK(loop.remove_signal_handler(SIGTERM));
  CHECK((signal_handler(SIGTERM) == SIG_DFL));
  CHECK_FALSE(loop.remove_signal_handler(SIGTERM));
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-005 what is no signal, or cannot be caught, is refused") {
  for (const int number : {-15, 0, 65, 1'000'000}) {
    CAPTURE(number);
    CHECK_THROWS_AS(loop.add_signal_handler(number, [] {}), std::invalid_argument);
    CHECK_THROWS_AS((void)loop.remove_signal_handler(number), std::invalid_argument);
  }
  CHECK_THROWS_WITH_AS(loop.add_signal_handler(99, [] {}),
                       "add_signal_handler: 99 is no signal: they are 1 to 64", std::invalid_argument);
  constexpr int kill_number = 9;
  constexpr int stop_number = 19;
  CHECK_THROWS_WITH_AS(loop.add_signal_handler(kill_number, [] {}),
                       "add_signal_handler: signal 9 cannot be caught", RuntimeError);
  CHECK_THROWS_AS(loop.add_signal_handler(stop_number, [] {}), RuntimeError);
  CHECK_FALSE(loop.remove_signal_handler(kill_number));
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-005 so many loops watch signals, and one more is refused") {
  const auto others = std::make_unique<EventLoop[]>(64);
  for (int i = 0; i != 64; ++i) {
    others[static_cast<std::size_t>(i)].add_signal_handler(SIGTERM, [] {});
  }
  CHECK_THROWS_WITH_AS(loop.add_signal_handler(SIGTERM, noting("too many")),
                       "add_signal_handler: more than 64 loops watch signals", RuntimeError);
  CHECK_FALSE(loop.remove_signal_handler(SIGTERM));
  others[7].close();
  loop.add_signal_handler(SIGTERM, noting("handler"));
  std::raise(SIGTERM);
  run_until(loop, [&] { return lines == Lines{"handler"}; });
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-006 coroutines and empty callables are no handlers") {
  static_assert(CanHandle<void (*)()>);
  static_assert(!CanHandle<Coro<void> (*)()>);
  CHECK_THROWS_AS(loop.add_signal_handler(SIGTERM, std::function<void()>()), std::invalid_argument);
  CHECK_THROWS_AS(loop.add_signal_handler(SIGTERM, static_cast<void (*)()>(nullptr)), std::invalid_argument);
  CHECK((signal_handler(SIGTERM) == SIG_DFL));
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-007 close removes all handlers") {
  auto probe = std::make_shared<int>(1);
  loop.add_signal_handler(SIGTERM, [probe] {});
  loop.add_signal_handler(SIGINT, [probe] {});
  loop.close();
  CHECK(probe.use_count() == 1);
  CHECK((signal_handler(SIGTERM) == SIG_DFL));
  CHECK((signal_handler(SIGINT) == SIG_DFL));
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-007 also with a signal that nobody was told of yet") {
  loop.add_signal_handler(SIGTERM, noting("handler"));
  loop.call_soon([&] {
    std::raise(SIGTERM);
    loop.stop();
  });
  loop.run_forever();
  loop.close();
  CHECK(lines.empty());
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-008 a signal that came before its handler was removed is ignored") {
  loop.add_signal_handler(SIGINT, noting("kept"));
  loop.add_signal_handler(SIGTERM, noting("removed"));
  std::raise(SIGTERM);
  CHECK(loop.remove_signal_handler(SIGTERM));
  SUBCASE("for ever") {}
  SUBCASE("although there is another one again") { loop.add_signal_handler(SIGTERM, noting("late")); }
  std::raise(SIGINT);
  run_until(loop, [&] { return !lines.empty(); });
  drain(loop);
  CHECK(lines == Lines{"kept"});
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-008 also when it is removed in the turn in which it would be called") {
  loop.add_signal_handler(SIGTERM, noting("removed"));
  loop.add_signal_handler(SIGINT, [&] {
    lines.emplace_back("removes");
    loop.remove_signal_handler(SIGTERM);
  });
  std::raise(SIGTERM);
  std::raise(SIGINT);  // has the smaller number, and is told first
  run_until(loop, [&] { return !lines.empty(); });
  drain(loop);
  CHECK(lines == Lines{"removes"});
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-009 two loops on two threads watch the same signal, and both get it") {
  loop.add_signal_handler(SIGTERM, noting("here"));
  bool is_there = false;
  auto watching = loop.create_future<void>();
  std::thread other([&, from_there = loop.remote()] {
    EventLoop second;
    auto got = second.create_future<void>();
    second.add_signal_handler(SIGTERM, [&] { got.set_result(); });
    from_there.post([&] { watching.set_result(); });
    second.run_until_complete(got);
    is_there = true;
  });
  loop.run_until_complete(watching);
  std::raise(SIGTERM);
  other.join();
  CHECK(is_there);
  run_until(loop, [&] { return !lines.empty(); });
  CHECK((signal_handler(SIGTERM) != SIG_DFL));  // the first loop still watches
  CHECK(loop.remove_signal_handler(SIGTERM));
  CHECK((signal_handler(SIGTERM) == SIG_DFL));
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-009 a storm of one signal hides no other one") {
  const auto restore = set_signal_handler(SIGTERM, &host_handler);
  loop.add_signal_handler(SIGTERM, noting("storm"));
  loop.add_signal_handler(SIGINT, noting("one"));
  loop.call_soon([] {
    for (int i = 0; i != 50'000; ++i) {
      std::raise(SIGTERM);
    }
    std::raise(SIGINT);
    for (int i = 0; i != 50'000; ++i) {
      std::raise(SIGTERM);
    }
  });
  run_until(loop, [&] { return lines.size() == 2; });
  drain(loop);
  CHECK(lines == Lines{"one", "storm"});
  loop.remove_signal_handler(SIGTERM);
  CHECK((signal_handler(SIGTERM) == &host_handler));
  restore();
}

TEST_CASE_FIXTURE(SignalFixture,
                  "SIG-010 a handler may remove itself, replace itself, close things and stop the loop") {
  auto probe = std::make_shared<int>(1);
  loop.add_signal_handler(SIGTERM, [&, held = probe] {
    CHECK(loop.remove_signal_handler(SIGTERM));
    lines.emplace_back("removed itself " + std::to_string(*held));  // its captures are still there
  });
  std::raise(SIGTERM);
  run_until(loop, [&] { return lines.size() == 1; });
  CHECK(probe.use_count() == 1);
  CHECK((signal_handler(SIGTERM) == SIG_DFL));

  loop.add_signal_handler(SIGTERM, [&, held = probe] {
    loop.add_signal_handler(SIGTERM, noting("the new one"));
    lines.emplace_back("replaced itself " + std::to_string(*held));
  });
  for (const std::size_t size : {2, 3}) {
    std::raise(SIGTERM);
    run_until(loop, [&] { return lines.size() == size; });
  }
  CHECK(probe.use_count() == 1);

  EventLoop victim;
  loop.add_signal_handler(SIGTERM, [&] {
    victim.close();
    loop.stop();
  });
  std::raise(SIGTERM);
  loop.run_forever();
  CHECK(victim.is_closed());
  CHECK(lines == Lines{"removed itself 1", "replaced itself 1", "the new one"});
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-011 different signals that arrive together are all delivered") {
  loop.add_signal_handler(SIGTERM, noting("SIGTERM"));
  loop.add_signal_handler(SIGINT, noting("SIGINT"));
  loop.call_soon([] {
    std::raise(SIGTERM);
    std::raise(SIGINT);
  });
  run_until(loop, [&] { return lines.size() == 2; });
  drain(loop);
  CHECK(lines == Lines{"SIGINT", "SIGTERM"});
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-012 the disposition that was there before comes back") {
  for (const SignalHandler before : {SIG_IGN, SignalHandler(&host_handler)}) {
    const auto restore = set_signal_handler(SIGTERM, before);
    host_calls = 0;
    loop.add_signal_handler(SIGTERM, noting("ours"));
    std::raise(SIGTERM);
    run_until(loop, [&] { return !lines.empty(); });
    CHECK(host_calls == 0);
    CHECK(loop.remove_signal_handler(SIGTERM));
    CHECK((signal_handler(SIGTERM) == before));
    std::raise(SIGTERM);
    CHECK(host_calls == (before == SIG_IGN ? 0 : 1));
    drain(loop);
    CHECK(std::exchange(lines, {}) == Lines{"ours"});
    restore();
  }
}

TEST_CASE_FIXTURE(SignalFixture, "SIG-012 what somebody installed meanwhile stays") {
  loop.add_signal_handler(SIGTERM, [] {});
  const auto restore = set_signal_handler(SIGTERM, &host_handler);
  CHECK(loop.remove_signal_handler(SIGTERM));
  CHECK((signal_handler(SIGTERM) == &host_handler));
  set_signal_handler(SIGTERM, SIG_DFL);
}

TEST_CASE_FIXTURE(SignalFixture,
                  "SIG-012 while run() watches SIGINT, a handler takes its place and gives it back") {
  run([](Lines& to) -> Coro<void> {
    EventLoop& running = get_running_loop();
    auto handled = running.create_future<void>();
    running.add_signal_handler(SIGINT, [&] { handled.set_result(); });
    std::raise(SIGINT);
    co_await handled;
    to.emplace_back("handled");
    CHECK(running.remove_signal_handler(SIGINT));
    std::raise(SIGINT);
    try {
      co_await sleep(1h);
    } catch (const CancelledError&) {
      to.emplace_back("cancelled");
    }
  }(lines));
  CHECK(lines == Lines{"handled", "cancelled"});
  CHECK((signal_handler(SIGINT) == SIG_DFL));
  // One that nobody removed goes with the loop.
  run([]() -> Coro<void> {
    get_running_loop().add_signal_handler(SIGINT, [] {});
    co_return;
  }());
  CHECK((signal_handler(SIGINT) == SIG_DFL));
}

TEST_CASE_FIXTURE(SignalFixture, "LOOP-016 a closed loop watches no signal") {
  auto probe = std::make_shared<int>(1);
  loop.close();
  CHECK_THROWS_WITH_AS(loop.add_signal_handler(SIGTERM, [probe] {}), "add_signal_handler: the loop is closed",
                       RuntimeError);
  CHECK(probe.use_count() == 1);
  CHECK((signal_handler(SIGTERM) == SIG_DFL));
}

TEST_CASE_FIXTURE(SignalFixture, "LOOP-017 on a closed loop there is no signal handler to remove") {
  SUBCASE("that was ever added") {}
  SUBCASE("that was there when it closed") {
    loop.add_signal_handler(SIGTERM, [] {});
  }
  loop.close();
  CHECK_FALSE(loop.remove_signal_handler(SIGTERM));
}

TEST_CASE_FIXTURE(SignalFixture, "FORK-004 a signal to a forked child is not the parent's") {
  if (lacks("FORK-004", Trait::fork)) {
    return;
  }
#if !defined(_WIN32)
  loop.add_signal_handler(SIGTERM, noting("parent"));
  loop.add_signal_handler(SIGINT, noting("own"));
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::raise(SIGTERM);  // as if no loop had ever watched: the child ends by it
    ::_exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGTERM);
  std::raise(SIGINT);
  run_until(loop, [&] { return !lines.empty(); });
  drain(loop);
  CHECK(lines == Lines{"own"});
#endif
}

TEST_CASE_FIXTURE(SignalFixture,
                  "FORK-004 a child that watches for itself gets its own, and leaves its parent's alone") {
  if (lacks("FORK-004", Trait::fork)) {
    return;
  }
#if !defined(_WIN32)
  loop.add_signal_handler(SIGTERM, noting("parent"));
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    bool got = false;
    {
      EventLoop own;
      own.add_signal_handler(SIGTERM, [&] {
        got = true;
        own.stop();
      });
      std::raise(SIGTERM);
      own.run_forever();
    }
    loop.close();  // what it inherited is inert
    ::_exit(got && signal_handler(SIGTERM) == SIG_DFL ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  drain(loop);
  CHECK(lines.empty());
  std::raise(SIGTERM);
  run_until(loop, [&] { return lines == Lines{"parent"}; });
#endif
}
