// HNDL: what a handle of a scheduled callback tells and does.
#include "tests/support/weir_test.hpp"

#include <algorithm>
#include <compare>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<Handle> && !std::is_copy_constructible_v<TimerHandle>,
              "cancelled() has one truth");
static_assert(std::is_nothrow_move_constructible_v<Handle> && std::is_nothrow_move_assignable_v<Handle>);
static_assert(noexcept(std::declval<Handle&>().cancel()) && noexcept(std::declval<TimerHandle&>().cancel()));

namespace {

struct NamedCallback {
  int* count;
  void operator()() const { ++*count; }
};

}  // namespace

TEST_CASE_FIXTURE(LoopFixture, "HNDL-001 cancel() before the callback runs prevents it") {
  int count = 0;
  Context context;
  std::vector<Handle> handles;
  handles.push_back(loop.call_soon([&] { ++count; }));
  handles.push_back(loop.call_soon([&, text = std::string(50, 'x')] { ++count; }));
  handles.push_back(loop.call_soon([&] { ++count; }, {.context = &context}));
  for (Handle& handle : handles) {
    CHECK_FALSE(handle.cancelled());
    handle.cancel();
    CHECK(handle.cancelled());
    handle.cancel();
    CHECK(handle.cancelled());
  }
  bool neighbour = false;
  loop.call_soon([&] { neighbour = true; });
  drain(loop);
  CHECK(count == 0);
  CHECK(neighbour);
}

TEST_CASE_FIXTURE(LoopFixture, "HNDL-001 an earlier callback of the same batch may cancel a later one") {
  bool ran = false;
  Handle later;
  TimerHandle timer;
  loop.call_soon([&] {
    later.cancel();
    timer.cancel();
  });
  later = loop.call_soon([&] { ran = true; });
  timer = loop.call_at(loop.time() - 1s, [&] { ran = true; });
  drain(loop);
  CHECK_FALSE(ran);
}

TEST_CASE_FIXTURE(LoopFixture, "HNDL-001 cancelling after the callback ran does nothing") {
  int count = 0;
  Handle first = loop.call_soon([&] { ++count; });
  drain(loop);
  CHECK_FALSE(first.cancelled());
  // The place in the queue belongs to somebody else by now.
  std::vector<Handle> others;
  for (int i = 0; i != 600; ++i) {
    others.push_back(loop.call_soon([&] { ++count; }));
  }
  first.cancel();
  drain(loop);
  CHECK(count == 601);
}

TEST_CASE_FIXTURE(LoopFixture, "HNDL-001 a dropped or moved handle leaves its callback alone") {
  int count = 0;
  static_cast<void>(loop.call_soon([&] { ++count; }));
  Handle from = loop.call_soon([&] { ++count; });
  Handle to = std::move(from);
  // NOLINTNEXTLINE(clang-analyzer-cplusplus.Move)
  from.cancel();  // NOLINT(bugprone-use-after-move): a moved-from handle is one of nothing
  CHECK_FALSE(from.cancelled());
  Handle overwritten = loop.call_soon([&] { ++count; });
  overwritten = std::move(to);
  overwritten.cancel();
  Handle nothing;
  nothing.cancel();
  CHECK_FALSE(nothing.cancelled());
  CHECK(nothing == Handle());
  drain(loop);
  CHECK(count == 2);
}

TEST_CASE_FIXTURE(LoopFixture, "HNDL-002 cancel() releases what the callback captured at once") {
  auto probe = std::make_shared<int>(1);
  Context context;
  Handle boxed = loop.call_soon([probe] {});
  Handle with_context = loop.call_soon([probe] {}, {.context = &context});
  TimerHandle timer = loop.call_later(1h, [probe] {});
  TimerHandle timer_with_context = loop.call_later(1h, [probe] {}, {.context = &context});
  REQUIRE(probe.use_count() == 5);
  boxed.cancel();
  CHECK(probe.use_count() == 4);
  with_context.cancel();
  CHECK(probe.use_count() == 3);
  timer.cancel();
  CHECK(probe.use_count() == 2);
  timer_with_context.cancel();
  CHECK(probe.use_count() == 1);
  drain(loop);
}

TEST_CASE_FIXTURE(LoopFixture, "HNDL-002 a timer that is due and queued is released too") {
  auto probe = std::make_shared<int>(1);
  TimerHandle timer;
  loop.call_soon([&] {
    timer.cancel();
    CHECK(probe.use_count() == 1);
  });
  timer = loop.call_at(loop.time() - 1s, [probe] {});
  drain(loop);
  CHECK(probe.use_count() == 1);
}

TEST_CASE_FIXTURE(LoopFixture, "HNDL-002 what is released may cancel in turn and schedule") {
  struct Chain {
    EventLoop& loop;
    Handle* next;
    int& destroyed;
    // NOLINTNEXTLINE(bugprone-exception-escape)
    ~Chain() {
      ++destroyed;
      next->cancel();
      for (int i = 0; i != 600; ++i) {  // the queue grows while the cancelled item is in hand
        loop.call_soon([] {});
      }
    }
  };
  int destroyed = 0;
  Handle none;
  Handle second = loop.call_soon([held = std::make_unique<Chain>(loop, &none, destroyed)] {});
  Handle first = loop.call_soon([held = std::make_unique<Chain>(loop, &second, destroyed)] {});
  first.cancel();
  CHECK(destroyed == 2);
  CHECK(second.cancelled());
  drain(loop);
}

TEST_CASE_FIXTURE(LoopFixture, "HNDL-003 a handle may be cancelled from inside its own callback") {
  auto probe = std::make_shared<int>(0);
  Context context;
  Handle inline_handle, boxed, with_context;
  TimerHandle timer;
  bool inline_ran = false;
  inline_handle = loop.call_soon([&] {
    inline_handle.cancel();
    inline_ran = true;
  });
  boxed = loop.call_soon([probe, &boxed] {
    boxed.cancel();
    ++*probe;  // the callback is still whole
    CHECK(boxed.cancelled());
  });
  with_context = loop.call_soon(
      [probe, &with_context] {
        with_context.cancel();
        ++*probe;
      },
      {.context = &context});
  timer = loop.call_at(loop.time() - 1s, [probe, &timer] {
    timer.cancel();
    ++*probe;
    CHECK(timer.cancelled());
  });
  drain(loop);
  CHECK(inline_ran);
  CHECK(*probe == 3);
  CHECK(probe.use_count() == 1);  // released on return (HNDL-002)
}

TEST_CASE_FIXTURE(LoopFixture, "HNDL-004 in debug mode a description names the callback and its place") {
  int count = 0;
  loop.set_debug(true);
  const std::string here = std::source_location::current().file_name();
  const unsigned line = std::source_location::current().line();
  Handle handle = loop.call_soon(NamedCallback{&count});           // line + 1
  TimerHandle timer = loop.call_later(1h, NamedCallback{&count});  // line + 2
  TimerHandle at = loop.call_at(loop.time() + 1h, NamedCallback{&count});
  CHECK(handle.describe().find("NamedCallback") != std::string::npos);
  CHECK(handle.describe().find(here + ":" + std::to_string(line + 1)) != std::string::npos);
  CHECK(timer.describe().find("NamedCallback") != std::string::npos);
  CHECK(timer.describe().find(here + ":" + std::to_string(line + 2)) != std::string::npos);
  CHECK(at.describe().find(here + ":" + std::to_string(line + 3)) != std::string::npos);
  drain(loop);
  CHECK(count == 1);
  CHECK(handle.describe() == "<Handle>");
  timer.cancel();
  CHECK(timer.describe() == "<TimerHandle cancelled>");
  at.cancel();
}

TEST_CASE_FIXTURE(LoopFixture, "HNDL-004 without debug mode a description says at least the state") {
  Handle handle = loop.call_soon([] {});
  CHECK(handle.describe() == "<Handle callback>");
  handle.cancel();
  CHECK(handle.describe() == "<Handle cancelled>");
  CHECK(Handle().describe() == "<Handle>");
  CHECK(TimerHandle().describe() == "<TimerHandle>");
}

TEST_CASE_FIXTURE(LoopFixture, "HNDL-005 timer handles order by deadline") {
  const TimePoint now = loop.time();
  std::vector<TimerHandle> handles;
  for (const int seconds : {5, 1, 4, 2, 3}) {
    handles.push_back(loop.call_at(now + std::chrono::seconds(seconds), [] {}));
  }
  std::sort(handles.begin(), handles.end());
  for (std::size_t i = 0; i != handles.size(); ++i) {
    CHECK(handles[i].when() == now + std::chrono::seconds(i + 1));
  }
  CHECK(handles[0] < handles[1]);
  CHECK(handles[1] > handles[0]);
  CHECK(handles[0] <= handles[0]);
  handles[0].reschedule(now + 10s);
  CHECK(handles[0] > handles[1]);
  for (TimerHandle& handle : handles) {
    handle.cancel();
  }
  CHECK(handles[0] > handles[1]);  // the deadline is still known
}

TEST_CASE_FIXTURE(LoopFixture, "HNDL-005 equality of handles is identity") {
  const auto callback = [] {};
  Handle a = loop.call_soon(callback);
  Handle b = loop.call_soon(callback);
  CHECK(a == a);
  CHECK(a != b);
  const TimePoint when = loop.time() + 1s;
  TimerHandle first = loop.call_at(when, callback);
  TimerHandle second = loop.call_at(when, callback);
  CHECK(first == first);
  CHECK(first != second);
  CHECK((first <=> second) == std::partial_ordering::unordered);
  CHECK_FALSE(first < second);
  CHECK_FALSE(first > second);
  first.cancel();
  second.cancel();
  CHECK(first != second);
  // A timer's place is used again; the new one is another handle.
  TimerHandle third = loop.call_at(when, callback);
  CHECK(third != first);
  CHECK(third != second);
  first.cancel();
  CHECK_FALSE(third.cancelled());
  third.cancel();

  EventLoop other;
  env.watch(other);
  Handle of_other = other.call_soon(callback);
  Handle of_this = loop.call_soon(callback);
  CHECK(of_other != of_this);
  other.close();
}
