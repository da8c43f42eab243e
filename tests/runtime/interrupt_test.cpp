// RUN-007 and RUN-008: SIGINT and the runner. The signals are real, and the tests run on the main thread.
#include "tests/support/system.hpp"
#include "tests/support/weir_test.hpp"

#include <csignal>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

using Lines = std::vector<std::string>;
// SIGINT is handled like this while it exists; doctest has a handler of its own.
class Disposition {
 public:
  explicit Disposition(SignalHandler handler) : restore_(set_signal_handler(SIGINT, handler)) {}
  Disposition(const Disposition&) = delete;
  Disposition& operator=(const Disposition&) = delete;
  ~Disposition() { restore_(); }

 private:
  std::function<void()> restore_;
};

struct Interruptible {
  Env env;
  Disposition standard{SIG_DFL};
};

volatile std::sig_atomic_t own_handler_calls = 0;
void own_handler(int) {
  stay_signal_handler(SIGINT, &own_handler);
  own_handler_calls = own_handler_calls + 1;
}

Coro<void> for_ever(Lines& lines) {
  try {
    Future<void> never;
    co_await never;
  } catch (const CancelledError&) {
    lines.emplace_back("cancelled");
    throw;
  }
}

Coro<void> interrupt_self(Lines& lines) {
  std::raise(SIGINT);
  co_await for_ever(lines);
}

}  // namespace

TEST_CASE_FIXTURE(Interruptible, "RUN-007 SIGINT cancels main, and run fails with KeyboardInterrupt") {
  Lines lines;
  CHECK_THROWS_AS(run(interrupt_self(lines)), KeyboardInterrupt);
  CHECK(lines == Lines{"cancelled"});
  CHECK((signal_handler(SIGINT) == SIG_DFL));
}

TEST_CASE_FIXTURE(Interruptible, "RUN-007 it wakes a loop that sleeps") {
  Lines lines;
  const Interrupter terminal;
  std::thread interrupter;
  CHECK_THROWS_AS(run([](Lines& to, std::thread& thread, const Interrupter& source) -> Coro<void> {
                    // It may come before the loop sleeps or afterwards; both must end it.
                    thread = std::thread([&source] { source.interrupt(); });
                    co_await for_ever(to);
                  }(lines, interrupter, terminal)),
                  KeyboardInterrupt);
  interrupter.join();
  CHECK(lines == Lines{"cancelled"});
}

TEST_CASE_FIXTURE(Interruptible, "RUN-007 also when another thread takes the signal") {
  Lines lines;
  std::thread interrupter;
  CHECK_THROWS_AS(run([](Lines& to, std::thread& thread) -> Coro<void> {
                    thread = std::thread([] { std::raise(SIGINT); });
                    co_await for_ever(to);
                  }(lines, interrupter)),
                  KeyboardInterrupt);
  interrupter.join();
  CHECK(lines == Lines{"cancelled"});
}

TEST_CASE_FIXTURE(Interruptible, "RUN-007 main may clean up, and other tasks too") {
  Lines lines;
  CHECK_THROWS_AS(run([](Lines& to) -> Coro<void> {
                    create_task(for_ever(to));
                    co_await sleep(0s);
                    std::raise(SIGINT);
                    bool cancelled = false;
                    try {
                      co_await sleep(1h);
                    } catch (const CancelledError&) {
                      cancelled = true;
                    }
                    if (cancelled) {
                      co_await sleep(1ms);
                      to.emplace_back("main cleaned up");
                      throw CancelledError();
                    }
                  }(lines)),
                  KeyboardInterrupt);
  CHECK(lines == Lines{"main cleaned up", "cancelled"});
}

TEST_CASE_FIXTURE(Interruptible, "RUN-007 a main that does not end by the cancellation ends as it likes") {
  Lines lines;
  const int value = run([](Lines& to) -> Coro<int> {
    try {
      co_await interrupt_self(to);
    } catch (const CancelledError&) {
    }
    co_return 7;
  }(lines));
  CHECK(value == 7);
  CHECK_THROWS_WITH_AS(run([](Lines& to) -> Coro<void> {
                         try {
                           co_await interrupt_self(to);
                         } catch (const CancelledError&) {
                           throw std::runtime_error("another end");
                         }
                       }(lines)),
                       "another end", std::runtime_error);
}

TEST_CASE_FIXTURE(Interruptible, "RUN-007 one that comes when main has ended is not lost") {
  // In main's own step, and in the last batch of the loop.
  CHECK_THROWS_AS(run([]() -> Coro<int> {
                    std::raise(SIGINT);
                    co_return 1;
                  }()),
                  KeyboardInterrupt);
  CHECK_THROWS_AS(run([]() -> Coro<int> {
                    get_running_loop().call_soon([] { std::raise(SIGINT); });
                    co_return 1;
                  }()),
                  KeyboardInterrupt);
  CHECK((signal_handler(SIGINT) == SIG_DFL));
}

TEST_CASE_FIXTURE(Interruptible, "RUN-007 a second one ends the run at once") {
  Lines lines;
  CHECK_THROWS_AS(run([](Lines& to) -> Coro<void> {
                    bool cancelled = false;
                    try {
                      co_await interrupt_self(to);
                    } catch (const CancelledError&) {
                      cancelled = true;
                    }
                    if (cancelled) {
                      co_await interrupt_self(to);  // the cleanup hangs
                    }
                  }(lines)),
                  KeyboardInterrupt);
  CHECK(lines == Lines{"cancelled", "cancelled"});  // the second by close()
  CHECK((signal_handler(SIGINT) == SIG_DFL));
}

TEST_CASE_FIXTURE(Interruptible, "RUN-007 a runner can be used after an interrupt, and interrupted again") {
  Lines lines;
  Runner runner;
  for (int i = 0; i != 3; ++i) {
    CHECK_THROWS_AS(runner.run(interrupt_self(lines)), KeyboardInterrupt);
    CHECK(runner.run([]() -> Coro<int> {
      co_await sleep(1ms);
      co_return 5;
    }()) == 5);
  }
  CHECK(lines.size() == 3);
}

TEST_CASE_FIXTURE(Interruptible, "RUN-007 it reaches the loop that runs, not the runners that wait") {
  Lines lines;
  Runner waiting;
  waiting.run([]() -> Coro<void> { co_return; }());
  CHECK_THROWS_AS(run(interrupt_self(lines)), KeyboardInterrupt);
  CHECK(waiting.run([]() -> Coro<int> {
    co_await sleep(1ms);
    co_return 5;
  }()) == 5);
}

TEST_CASE_FIXTURE(Interruptible, "RUN-008 the handler is there during run and gone afterwards") {
  CHECK(run([]() -> Coro<bool> { co_return signal_handler(SIGINT) != SIG_DFL; }()));
  CHECK((signal_handler(SIGINT) == SIG_DFL));
  CHECK_THROWS_AS(run([]() -> Coro<void> {
                    throw std::runtime_error("main failed");
                    co_return;
                  }()),
                  std::runtime_error);
  CHECK((signal_handler(SIGINT) == SIG_DFL));
  // A loop that is run by itself does not touch it, nor does a runner that is not running.
  EventLoop loop;
  CHECK(loop.run_until_complete([]() -> Coro<bool> { co_return signal_handler(SIGINT) == SIG_DFL; }()));
  Runner runner;
  runner.get_loop();
  CHECK((signal_handler(SIGINT) == SIG_DFL));
}

TEST_CASE_FIXTURE(Interruptible, "RUN-008 it is not touched off the main thread") {
  bool untouched = false;
  std::thread([&] {
    untouched = run([]() -> Coro<bool> { co_return signal_handler(SIGINT) == SIG_DFL; }());
  }).join();
  CHECK(untouched);
}

TEST_CASE("RUN-008 a handler that is installed already stays and gets the signal") {
  Env env;
  const Disposition own(&own_handler);
  own_handler_calls = 0;
  const int value = run([]() -> Coro<int> {
    std::raise(SIGINT);
    co_await sleep(1ms);
    CHECK((signal_handler(SIGINT) == &own_handler));
    co_return 3;
  }());
  CHECK(value == 3);
  CHECK(own_handler_calls == 1);
  CHECK((signal_handler(SIGINT) == &own_handler));
}

TEST_CASE("RUN-008 an ignored SIGINT stays ignored") {
  Env env;
  const Disposition ignored(SIG_IGN);
  CHECK(run([]() -> Coro<int> {
          std::raise(SIGINT);
          co_await sleep(1ms);
          co_return 3;
        }()) == 3);
  CHECK((signal_handler(SIGINT) == SIG_IGN));
}

TEST_CASE_FIXTURE(Interruptible, "RUN-008 a handler that main installs stays after the run") {
  own_handler_calls = 0;
  run([]() -> Coro<void> {
    set_signal_handler(SIGINT, &own_handler);
    std::raise(SIGINT);
    co_await sleep(1ms);
  }());
  CHECK(own_handler_calls == 1);
  CHECK((signal_handler(SIGINT) == &own_handler));
}

TEST_CASE_FIXTURE(Interruptible, "RUN-008 it does not fail when it cannot watch SIGINT") {
  // More loops than the process's table has room for.
  std::vector<std::unique_ptr<Runner>> runners;
  for (int i = 0; i != 80; ++i) {
    runners.push_back(std::make_unique<Runner>());
    CHECK(runners.back()->run([](int value) -> Coro<int> { co_return value; }(i)) == i);
  }
  CHECK((signal_handler(SIGINT) == SIG_DFL));
  runners.clear();
  Lines lines;
  CHECK_THROWS_AS(run(interrupt_self(lines)), KeyboardInterrupt);
}
