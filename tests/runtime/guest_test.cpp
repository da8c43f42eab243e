// LESSON-042: a host's loop drives weir's, in its own thread.
#include "tests/support/host.hpp"

#include "runtime/loop_access.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

bool runs_here(const EventLoop& loop) {
  try {
    return &get_running_loop() == &loop;
  } catch (const RuntimeError&) {
    return false;
  }
}

Coro<int> doubled(int value, Duration pause) {
  co_await sleep(pause);
  co_return 2 * value;
}

Coro<int> children() {
  std::vector<Task<int>> tasks;
  for (int i = 0; i < 10; ++i) {
    tasks.push_back(get_running_loop().create_task(doubled(i, (10 - i) * 1ms)));
  }
  int sum = 0;
  for (Task<int>& task : tasks) {
    sum += co_await task;
  }
  co_return sum;
}

}  // namespace

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 a guest counts as running inside its callbacks and nowhere else") {
  Host host(loop);
  bool inside = false;
  loop.call_soon([&] { inside = runs_here(loop) && loop.is_running(); });
  CHECK_FALSE(runs_here(loop));
  CHECK(host.guest.next_deadline() == TimePoint::min());
  CHECK(host.guest.run_ready());
  CHECK(inside);
  CHECK_FALSE(runs_here(loop));
  CHECK_FALSE(loop.is_running());
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 a turn runs what was ready and leaves the rest to the next") {
  Host host(loop);
  std::string order;
  loop.call_soon([&] {
    order += "a";
    loop.call_soon([&] { order += "c"; });
  });
  loop.call_soon([&] { order += "b"; });
  CHECK(host.until([&] { return !order.empty(); }));
  while (order.size() < 2) {  // sim may cut a batch
    host.guest.run_ready();
  }
  CHECK(order == "ab");
  CHECK(host.guest.next_deadline() == TimePoint::min());
  CHECK(host.until([&] { return order.size() == 3; }));
  CHECK(order == "abc");
}

TEST_CASE_FIXTURE(LoopFixture,
                  "LESSON-042 the next deadline is that of the first timer, and no timer is early") {
  Host host(loop);
  CHECK(host.guest.next_deadline() == TimePoint::max());
  const TimePoint start = loop.time();
  std::vector<int> order;
  TimerHandle third = loop.call_at(start + 9ms, [&] { order.push_back(3); });
  loop.call_at(start + 6ms, [&] {
    CHECK(loop.time() >= start + 6ms);
    order.push_back(2);
  });
  CHECK(host.guest.next_deadline() == start + 6ms);
  TimerHandle first = loop.call_at(start + 3ms, [&] { order.push_back(1); });
  CHECK(host.guest.next_deadline() == start + 3ms);
  first.cancel();
  CHECK(host.guest.next_deadline() == start + 6ms);
  third.reschedule(start + 4ms);
  CHECK(host.guest.next_deadline() == start + 4ms);
  CHECK(host.until([&] { return order.size() == 2; }));
  CHECK(order == std::vector{3, 2});
  CHECK(host.guest.next_deadline() == TimePoint::max());
  if (has("pollable_descriptor")) {
    CHECK(host.rounds < 20);  // it slept in between
  }
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 tasks and their children run to their end") {
  Host host(loop);
  Task<int> task = loop.create_task(children());
  CHECK(host.until([&] { return task.done(); }));
  CHECK(task.result() == 90);
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 posts wake a host that sleeps, and none is lost") {
  Host host(loop);
  constexpr int threads = 4;
  constexpr int posts = 500;
  int ran = 0;
  std::vector<std::thread> posters;
  for (int i = 0; i < threads; ++i) {
    posters.emplace_back([&] {
      for (int n = 0; n < posts; ++n) {
        loop.call_soon_threadsafe([&] { ++ran; });
      }
    });
  }
  // Under sim a host does not learn of other threads by waiting; it has joined them.
  if (!has("real_clock")) {
    for (std::thread& poster : posters) {
      poster.join();
    }
    posters.clear();
  }
  CHECK(host.until([&] { return ran == threads * posts; }));
  for (std::thread& poster : posters) {
    poster.join();
  }
  // One at a time, so that each finds the host asleep or about to be.
  for (int round = 0; round < 200; ++round) {
    const int before = ran;
    std::thread poster([&] { loop.call_soon_threadsafe([&] { ++ran; }); });
    if (!has("real_clock")) {
      poster.join();
    }
    CHECK(host.until([&] { return ran == before + 1; }));
    if (poster.joinable()) {
      poster.join();
    }
  }
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 a job of the executor finds its way back") {
  Host host(loop);
  Future<int> answer = loop.run_in_executor(nullptr, [] { return 42; });
  CHECK(host.until([&] { return answer.done(); }));
  CHECK(answer.result() == 42);
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 stop() ends one turn and is over then") {
  Host host(loop);
  bool ran = false;
  loop.call_soon([&] { loop.stop(); });
  loop.call_soon([&] { ran = true; });
  CHECK_FALSE(host.guest.run_ready());
  CHECK(ran);
  CHECK(host.guest.run_ready());
  loop.stop();
  CHECK(host.guest.next_deadline() == TimePoint::min());
  CHECK_FALSE(host.guest.run_ready());
  CHECK(host.guest.next_deadline() == TimePoint::max());
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 exceptions leave as they leave run_forever") {
  Host host(loop);
  bool later = false;
  loop.call_soon([] { throw std::runtime_error("an ordinary one"); });
  loop.call_soon([] { throw KeyboardInterrupt(); });
  loop.call_soon([&] { later = true; });
  CHECK_THROWS_AS(host.until([&] { return later; }), KeyboardInterrupt);
  env.expect_report("");
  CHECK_FALSE(loop.is_running());
  CHECK_FALSE(runs_here(loop));
  CHECK(host.until([&] { return later; }));
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 a callback that runs the host's loop does not run weir's again") {
  Host host(loop);
  int depth = 0;
  int ran = 0;
  const auto callback = [&] {
    CHECK(++depth == 1);
    loop.call_soon([&] { ++ran; });
    CHECK(host.guest.next_deadline() == TimePoint::max());
    for (int i = 0; i < 3; ++i) {
      CHECK(host.guest.run_ready());
    }
    CHECK(ran == 0);
    --depth;
  };
  loop.call_soon(callback);
  loop.call_soon(callback);
  CHECK(host.until([&] { return ran == 2; }));
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 a guest is run by its host alone") {
  {
    LoopGuest guest(loop);
    CHECK_THROWS_WITH_AS(loop.run_forever(),
                         "run_forever: this event loop is the guest of another one, which runs it",
                         RuntimeError);
    CHECK_THROWS_WITH_AS(LoopGuest{loop}, "LoopGuest: this event loop is attached already", RuntimeError);
    EventLoop other;
    other.call_soon([&] {
      CHECK_THROWS_WITH_AS(guest.run_ready(), "run_ready: another event loop is running in this thread",
                           RuntimeError);
    });
    drain(other);
    std::thread elsewhere([&] {
      CHECK_THROWS_AS(guest.run_ready(), RuntimeError);
      CHECK_THROWS_AS(guest.next_deadline(), RuntimeError);
    });
    elsewhere.join();
    CHECK(guest.is_attached());
  }
  bool ran = false;
  loop.call_soon([&] {
    CHECK_THROWS_WITH_AS(LoopGuest{loop}, "LoopGuest: this event loop is already running", RuntimeError);
    ran = true;
  });
  drain(loop);
  CHECK(ran);
  loop.close();
  CHECK_THROWS_WITH_AS(LoopGuest{loop}, "LoopGuest: the loop is closed", RuntimeError);
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 detaching gives the loop back with what it has to do") {
  auto guest = std::make_unique<LoopGuest>(loop);
  int ran = 0;
  loop.call_soon([&] {
    CHECK_THROWS_AS(loop.close(), RuntimeError);
    ++ran;
    loop.call_soon([&] { ++ran; });
    guest.reset();  // inside its own turn
  });
  guest->run_ready();
  CHECK(ran == 1);
  run_until(loop, [&] { return ran == 2; });
  Host again(loop);
  loop.call_soon([&] { ++ran; });
  CHECK(again.until([&] { return ran == 3; }));
  again.guest.detach();
  again.guest.detach();
  CHECK_THROWS_WITH_AS(again.guest.run_ready(), "run_ready: the loop is not attached any more", RuntimeError);
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 closing the loop detaches it") {
  Host host(loop);
  Task<int> task = loop.create_task(doubled(1, 1h));
  host.guest.run_ready();
  loop.close();
  env.expect_report("Task was destroyed but it is pending");
  CHECK_FALSE(host.guest.is_attached());
  CHECK_THROWS_AS(host.guest.run_ready(), RuntimeError);
  CHECK_THROWS_AS(host.guest.next_deadline(), RuntimeError);
  CHECK_THROWS_AS(host.guest.descriptor(), RuntimeError);
  loop_owner.reset();
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 debug mode knows the host's thread, between turns too") {
  loop.set_debug(true);
  Host host(loop);
  const auto refused = [&] {
    std::thread elsewhere([&] {
      CHECK_THROWS_AS(loop.call_soon([] {}), RuntimeError);
      CHECK_THROWS_AS(loop.call_later(1s, [] {}), RuntimeError);
    });
    elsewhere.join();
  };
  refused();
  bool ran = false;
  loop.call_soon([&] {
    refused();
    ran = true;
  });
  CHECK(host.until([&] { return ran; }));
  loop.set_slow_callback_duration(0s);
  ran = false;
  loop.call_soon([&] { ran = true; });
  CHECK(host.until([&] { return ran; }));
  if (has("real_clock")) {  // a callback takes no virtual time
    env.expect_log("took");
  }
  env.take_logs();
}

TEST_CASE_FIXTURE(LoopFixture, "LESSON-042 the descriptor is readable when there is something to do") {
  Host host(loop);
  if (!has("pollable_descriptor")) {
    CHECK_THROWS_AS(host.guest.descriptor(), NotSupportedError);
    skip("LESSON-042", "pollable_descriptor");
    return;
  }
#if defined(WEIR_TEST_POSIX)
  const auto readable = [&](int milliseconds) {
    pollfd waiting{host.guest.descriptor(), POLLIN, 0};
    return ::poll(&waiting, 1, milliseconds) > 0;
  };
  CHECK_FALSE(readable(0));
  int ran = 0;
  for (int round = 1; round <= 3; ++round) {
    std::thread poster([&] { loop.call_soon_threadsafe([&] { ++ran; }); });
    CHECK(readable(20'000));
    poster.join();
    host.guest.run_ready();
    CHECK(ran == round);
    CHECK_FALSE(readable(0));  // nothing is registered, and the wake is collected all the same
  }
  // From this thread too, without asking for the next deadline.
  loop.call_soon_threadsafe([&] { ++ran; });
  CHECK(readable(0));
  host.guest.run_ready();
  CHECK(ran == 4);
  // A post that comes while the turn runs.
  loop.call_soon([&] {
    std::thread poster([&] { loop.call_soon_threadsafe([&] { ++ran; }); });
    poster.join();
  });
  host.guest.run_ready();
  CHECK((readable(0) || host.guest.next_deadline() == TimePoint::min()));
  host.guest.run_ready();
  CHECK(ran == 5);
  CHECK_FALSE(readable(0));
#endif
}
