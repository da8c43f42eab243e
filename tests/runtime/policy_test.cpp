// POL: policies and the current loop. What a backend lacks: unsupported_test.cpp.
#include "tests/support/weir_test.hpp"

#include <weir/policy.hpp>

#include <memory>
#include <string>
#include <thread>
#include <typeinfo>
#include <utility>

using namespace weir;
using namespace weir::testing;

namespace {

template <class L>
concept MayBeLoop = requires(L loop) { set_event_loop(loop); };
static_assert(MayBeLoop<EventLoop*>);
static_assert(MayBeLoop<std::nullptr_t>);
static_assert(!MayBeLoop<int>);
static_assert(!MayBeLoop<const EventLoop*>);
static_assert(!MayBeLoop<std::unique_ptr<EventLoop>>);
static_assert(!MayBeLoop<AbstractEventLoopPolicy*>);

template <class P>
concept MayBePolicy = requires(P policy) { set_event_loop_policy(std::move(policy)); };
static_assert(MayBePolicy<std::shared_ptr<DefaultEventLoopPolicy>>);
static_assert(MayBePolicy<std::nullptr_t>);
static_assert(!MayBePolicy<std::shared_ptr<EventLoop>>);
static_assert(!MayBePolicy<DefaultEventLoopPolicy*>);
static_assert(!MayBePolicy<int>);

// Counts what is asked of it.
struct CountingPolicy final : DefaultEventLoopPolicy {
  int gets = 0;
  int sets = 0;
  int news = 0;
  EventLoop& get_event_loop() override {
    ++gets;
    return DefaultEventLoopPolicy::get_event_loop();
  }
  void set_event_loop(EventLoop* loop) override {
    ++sets;
    DefaultEventLoopPolicy::set_event_loop(loop);
  }
  std::unique_ptr<EventLoop> new_event_loop() override {
    ++news;
    return DefaultEventLoopPolicy::new_event_loop();
  }
};

// The thread's loop and the policy are as they were when the test ends, also when it fails.
struct Restored : LoopFixture {
  ~Restored() {
    set_event_loop_policy(nullptr);
    set_event_loop(nullptr);
  }
};

Coro<EventLoop*> current() { co_return &get_event_loop(); }

}  // namespace

TEST_CASE_FIXTURE(Restored, "POL-001 new_event_loop makes a loop of the backend chosen at build time") {
  const std::unique_ptr<EventLoop> made = new_event_loop();
  REQUIRE(made != nullptr);
  CHECK(std::string(typeid(*made).name()).find("on_" WEIR_BACKEND_NAME) != std::string::npos);
  CHECK_FALSE(made->is_running());
  CHECK_FALSE(made->is_closed());
  CHECK(made->run_until_complete(current()) == made.get());
  // Each is a new one, and none becomes the thread's by being made.
  CHECK(new_event_loop().get() != made.get());
  CHECK_THROWS_AS(get_event_loop(), RuntimeError);
}

TEST_CASE_FIXTURE(Restored, "POL-002 set_event_loop sets the thread's loop, none clears it") {
  CHECK_THROWS_AS(get_event_loop(), RuntimeError);
  set_event_loop(&loop);
  CHECK(&get_event_loop() == &loop);
  CHECK_THROWS_AS(get_running_loop(), RuntimeError);
  EventLoop second;
  set_event_loop(&second);
  CHECK(&get_event_loop() == &second);
  set_event_loop(nullptr);
  CHECK_THROWS_AS(get_event_loop(), RuntimeError);
}

TEST_CASE_FIXTURE(Restored, "POL-003 the current loop is per thread") {
  set_event_loop(&loop);
  bool other_sees_none = false;
  bool other_sees_own = false;
  std::thread([&] {
    try {
      get_event_loop();
    } catch (const RuntimeError&) {
      other_sees_none = true;
    }
    EventLoop own;
    set_event_loop(&own);
    other_sees_own = &get_event_loop() == &own;
    set_event_loop(nullptr);
  }).join();
  CHECK(other_sees_none);
  CHECK(other_sees_own);
  CHECK(&get_event_loop() == &loop);
}

TEST_CASE_FIXTURE(Restored, "POL-003 the running loop is per thread too") {
  bool other_sees_none = false;
  loop.call_soon([&] {
    std::thread([&] {
      try {
        get_running_loop();
      } catch (const RuntimeError&) {
        other_sees_none = true;
      }
    }).join();
  });
  drain(loop);
  CHECK(other_sees_none);
}

TEST_CASE_FIXTURE(Restored, "POL-004 in a callback or coroutine the current loop is the running one") {
  EventLoop other;
  set_event_loop(&other);
  EventLoop* in_callback = nullptr;
  EventLoop* after_setting = nullptr;
  loop.call_soon([&] {
    in_callback = &get_event_loop();
    set_event_loop(nullptr);
    after_setting = &get_event_loop();
    CHECK(&get_running_loop() == &loop);
    set_event_loop(&other);
  });
  drain(loop);
  CHECK(in_callback == &loop);
  CHECK(after_setting == &loop);
  CHECK(loop.run_until_complete(current()) == &loop);
  CHECK(&get_event_loop() == &other);
  CHECK_THROWS_AS(get_running_loop(), RuntimeError);
}

TEST_CASE_FIXTURE(Restored,
                  "POL-004 the policy is not even asked, and a run that fails leaves no loop behind") {
  auto policy = std::make_shared<CountingPolicy>();
  set_event_loop_policy(policy);
  CHECK(loop.run_until_complete(current()) == &loop);
  CHECK(policy->gets == 0);
  CHECK_THROWS_AS(loop.run_until_complete([]() -> Coro<void> {
    throw std::runtime_error("main failed");
    co_return;
  }()),
                  std::runtime_error);
  CHECK_THROWS_AS(get_running_loop(), RuntimeError);
}

TEST_CASE_FIXTURE(Restored, "POL-005 set_event_loop_policy replaces the policy, none restores the default") {
  AbstractEventLoopPolicy& standard = get_event_loop_policy();
  auto policy = std::make_shared<CountingPolicy>();
  set_event_loop_policy(policy);
  CHECK(&get_event_loop_policy() == policy.get());
  set_event_loop(&loop);
  CHECK(&get_event_loop() == &loop);
  CHECK(new_event_loop() != nullptr);
  CHECK(run(current()) != nullptr);
  CHECK(policy->sets == 1);
  CHECK(policy->gets == 1);
  CHECK(policy->news == 2);  // run() makes its loop by the policy too
  set_event_loop_policy(nullptr);
  CHECK(&get_event_loop_policy() == &standard);
  CHECK(new_event_loop() != nullptr);
  CHECK(policy->news == 2);
  CHECK(policy.use_count() == 1);
}

TEST_CASE_FIXTURE(Restored, "POL-005 the policy is one for all threads") {
  auto policy = std::make_shared<CountingPolicy>();
  set_event_loop_policy(policy);
  AbstractEventLoopPolicy* seen = nullptr;
  std::thread([&] { seen = &get_event_loop_policy(); }).join();
  CHECK(seen == policy.get());
}

TEST_CASE_FIXTURE(Restored, "POL-005 a policy may look at its successor while it goes") {
  struct Last final : DefaultEventLoopPolicy {
    AbstractEventLoopPolicy** seen;
    explicit Last(AbstractEventLoopPolicy** to) : seen(to) {}
    ~Last() override { *seen = &get_event_loop_policy(); }
  };
  AbstractEventLoopPolicy* seen = nullptr;
  set_event_loop_policy(std::make_shared<Last>(&seen));
  auto successor = std::make_shared<CountingPolicy>();
  set_event_loop_policy(successor);
  CHECK(seen == successor.get());
}
