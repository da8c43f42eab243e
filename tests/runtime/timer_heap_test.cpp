// The timer heap by itself: against a sorted model, and what cancelled timers leave behind.
#include "tests/support/weir_test.hpp"

#include "runtime/loop_access.hpp"
#include "runtime/timer_heap.hpp"

#include <weir/detail/ready_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;
using detail::ReadyItem;
using detail::ReadyQueue;
using detail::TimerHeap;
using detail::TimerSlot;

namespace {

// Which timer, and what is left of it: the callback holds one of these.
struct Owner {
  explicit Owner(std::size_t& count) : alive(&count) { ++count; }
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
  ~Owner() { --*alive; }
  std::size_t* alive;
};

// The heap's operations on both the heap and an ordered map, compared at every step.
class Comparison {
 public:
  explicit Comparison(EventLoop& loop) : heap_(loop) {}

  void add(std::int64_t when) {
    const std::size_t number = timers_.size();
    auto owner = std::make_shared<Owner>(alive_);
    TimerSlot* slot = heap_.add(at(when), [this, number, owner] { fired_.push_back(number); }, {});
    timers_.push_back({slot, slot->id, {}});
    enter(number, when);
  }

  void cancel_any(std::mt19937& random) {
    if (timers_.empty()) {
      return;
    }
    const std::size_t number = random() % timers_.size();
    Timer& timer = timers_[number];
    REQUIRE(heap_.cancel(timer.slot, timer.id) == timer.is_live());
    leave(number);
  }

  void reschedule_any(std::mt19937& random, std::int64_t when) {
    if (timers_.empty()) {
      return;
    }
    const std::size_t number = random() % timers_.size();
    Timer& timer = timers_[number];
    const bool live = timer.is_live();
    REQUIRE(heap_.reschedule(timer.slot, timer.id, at(when)) == live);
    if (live) {
      leave(number);
      enter(number, when);
    }
  }

  // Queues what is due; then cancels and moves some of it before it is run.
  void pass(std::int64_t now, std::mt19937& random) {
    heap_.queue_due(at(now), ready_);
    std::vector<std::size_t> expected;
    while (!order_.empty() && order_.begin()->first.first <= now) {
      expected.push_back(order_.begin()->second);
      order_.erase(order_.begin());
    }
    std::vector<bool> gone(expected.size());
    for (std::size_t i = 0; i != expected.size(); ++i) {
      Timer& timer = timers_[expected[i]];
      if (random() % 8 == 0) {
        REQUIRE(heap_.cancel(timer.slot, timer.id));
        timer.place = {};
        gone[i] = true;
      } else if (random() % 8 == 0) {
        const std::int64_t when = now + static_cast<std::int64_t>(random() % 1000) - 100;
        REQUIRE(heap_.reschedule(timer.slot, timer.id, at(when)));
        enter(expected[i], when);
        gone[i] = true;
      }
    }
    fired_.clear();
    REQUIRE(ready_.size() == expected.size());
    std::vector<std::size_t> expected_to_fire;
    for (std::size_t i = 0; i != expected.size(); ++i) {
      run_one();
      if (!gone[i]) {
        expected_to_fire.push_back(expected[i]);
        timers_[expected[i]].place = {};
      }
    }
    REQUIRE(fired_ == expected_to_fire);
  }

  void check() {
    REQUIRE(heap_.next_deadline() == (order_.empty() ? TimePoint::max() : at(order_.begin()->first.first)));
    REQUIRE(alive_ == order_.size());
    if (order_.empty()) {
      REQUIRE(heap_.empty());
    }
    REQUIRE(heap_.entry_count() <= 2 * order_.size() + 64);
  }

  std::size_t live() const { return order_.size(); }
  void clear() { heap_.clear(); }
  std::size_t alive() const { return alive_; }

 private:
  using Place = std::pair<std::int64_t, std::uint64_t>;  // deadline, order of scheduling
  struct Timer {
    TimerSlot* slot;
    std::uint64_t id;
    Place place;
    bool is_live() const { return place.second != 0; }
  };

  static TimePoint at(std::int64_t when) { return TimePoint(std::chrono::nanoseconds(when)); }
  void enter(std::size_t number, std::int64_t when) {
    timers_[number].place = {when, ++scheduled_};
    order_.emplace(timers_[number].place, number);
  }
  void leave(std::size_t number) {
    order_.erase(timers_[number].place);
    timers_[number].place = {};
  }
  // What run_timer() does, on this heap.
  void run_one() {
    const ReadyItem item = ready_.pop();
    detail::Callback callback;
    Context context;
    if (heap_.take(static_cast<TimerSlot*>(item.object), item.words[0], callback, context)) {
      callback();
    }
  }

  std::size_t alive_ = 0;
  TimerHeap heap_;
  ReadyQueue ready_;
  std::vector<Timer> timers_;
  std::map<Place, std::size_t> order_;
  std::vector<std::size_t> fired_;
  std::uint64_t scheduled_ = 0;
};

}  // namespace

TEST_CASE_FIXTURE(LoopFixture, "timer heap: random scheduling agrees with a sorted model") {
  for (const unsigned seed : {1U, 2U, 3U, 4U, 5U}) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    Comparison comparison(loop);
    std::int64_t now = 0;
    for (int step = 0; step != 30'000; ++step) {
      // Few distinct deadlines, so that many are equal; phases that fill, and phases that cancel most.
      const auto when = now + static_cast<std::int64_t>(random() % 500) - 50;
      const bool filling = step / 3'000 % 2 == 0;
      const unsigned what = random() % 100;
      if (what < (filling ? 60U : 20U)) {
        comparison.add(when);
      } else if (what < (filling ? 75U : 80U)) {
        comparison.cancel_any(random);
      } else if (what < 95U) {
        comparison.reschedule_any(random, when);
      } else {
        now += static_cast<std::int64_t>(random() % 100);
        comparison.pass(now, random);
      }
      comparison.check();
    }
    comparison.pass(now + 1'000'000, random);
    comparison.check();
    comparison.add(now + 1);
    comparison.clear();
    CHECK(comparison.alive() == 0);
  }
}

TEST_CASE_FIXTURE(LoopFixture, "timer heap: cancelled and moved timers do not pile up") {
  TimerHeap& heap = detail::LoopAccess::timers(loop);
  std::size_t most = 0;
  TimerHandle kept = loop.call_later(1h, [] {});
  for (int i = 0; i != 100'000; ++i) {
    loop.call_later(2h, [] {}).cancel();
    kept.reschedule(kept.when() + 1ns);
    most = std::max(most, heap.entry_count());
  }
  CHECK(most <= 2 + 64);
  // Nor those that are cancelled when they are due already.
  TimerHandle due;
  for (int i = 0; i != 1'000; ++i) {
    loop.call_soon([&] { due.cancel(); });
    due = loop.call_at(TimePoint(), [] {});
    turn(loop);
    most = std::max(most, heap.entry_count());
  }
  CHECK(most <= 2 + 64);
  // Also when many are, and the heap is swept while their items are still queued.
  std::vector<TimerHandle> many;
  loop.call_soon([&] {
    for (TimerHandle& handle : many) {
      handle.cancel();
    }
    for (int i = 0; i != 60; ++i) {
      loop.call_later(2h, [] {}).cancel();
    }
  });
  for (int i = 0; i != 1'000; ++i) {
    many.push_back(loop.call_at(TimePoint(), [] {}));
  }
  turn(loop);
  for (int i = 0; i != 63; ++i) {
    loop.call_later(2h, [] {}).cancel();
    most = std::max(most, heap.entry_count());
  }
  CHECK(most <= 2 + 64);
  kept.cancel();
  CHECK(heap.next_deadline() == TimePoint::max());
}

TEST_CASE_FIXTURE(LoopFixture, "timer heap: a callback's destructor may use the heap") {
  struct Meddler {
    EventLoop& loop;
    std::vector<TimerHandle>& others;
    int& made;
    ~Meddler() {
      if (!others.empty()) {
        TimerHandle next = std::move(others.back());
        others.pop_back();
        next.cancel();  // a chain of destructors
      }
      loop.call_later(1h, [&made = made] { ++made; });
    }
  };
  int made = 0;
  std::vector<TimerHandle> others;
  for (int i = 0; i != 500; ++i) {
    others.push_back(loop.call_later(1h, [held = std::make_unique<Meddler>(loop, others, made)] {}));
  }
  TimerHandle first = std::move(others.back());
  others.pop_back();
  first.cancel();
  CHECK(others.empty());
  if (!has("real_clock")) {  // an hour passes at once
    loop.call_later(2h, [&] { loop.stop(); });
    loop.run_forever();
    CHECK(made == 500);
  }
}
