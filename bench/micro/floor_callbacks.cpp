// The hand-written minimum: callbacks of one thread, and timers.
#include "bench/micro/floor.hpp"
#include "bench/micro/row.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

namespace {

using bench::FloorLoop;
using bench::Meter;

// Nothing to ask: no descriptor is watched.
struct NoPoll {
  void operator()(int) const noexcept {}
};

// Asks the system each turn, with one descriptor watched that is never ready.
class EpollPoll {
 public:
  EpollPoll() : epoll_(::epoll_create1(0)), silent_(::eventfd(0, EFD_NONBLOCK)) {
    epoll_event event{EPOLLIN, {}};
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, silent_, &event) != 0) {
      std::abort();
    }
  }
  EpollPoll(const EpollPoll&) = delete;
  ~EpollPoll() {
    ::close(silent_);
    ::close(epoll_);
  }
  void operator()(int timeout) const noexcept {
    epoll_event events[64];
    ::epoll_wait(epoll_, events, 64, timeout);
  }

 private:
  int epoll_;
  int silent_;
};

template <class Poll>
class PostChain {
 public:
  explicit PostChain(std::size_t count) : count_(count) {}

  void run(Meter& meter) {
    left_ = count_;
    meter.start();
    loop_.post(&hop, this);
    loop_.run(poll_);
    meter.stop();
  }

 private:
  static void hop(void* object) {
    auto& self = *static_cast<PostChain*>(object);
    if (--self.left_ != 0) {
      self.loop_.post(&hop, object);
    } else {
      self.loop_.stop();
    }
  }

  FloorLoop loop_;
  Poll poll_;
  std::size_t count_;
  std::size_t left_ = 0;
};

class PostBatch {
 public:
  explicit PostBatch(std::size_t count) : count_(count) {}

  void run(Meter& meter) {
    ran_ = 0;
    meter.start();
    for (std::size_t i = 0; i != count_; ++i) {
      loop_.post([](void* object) { ++static_cast<PostBatch*>(object)->ran_; }, this);
    }
    loop_.post([](void* object) { static_cast<PostBatch*>(object)->loop_.stop(); }, this);
    loop_.run(NoPoll());
    meter.stop();
    if (ran_ != count_) {
      std::abort();
    }
  }

 private:
  FloorLoop loop_;
  std::size_t count_;
  std::size_t ran_ = 0;
};

void nothing(void*) {}

class Timers {
 public:
  explicit Timers(std::size_t count) : ids(count) {
    bench::Numbers numbers;
    for (std::size_t i = 0; i != count; ++i) {
      delays.push_back(static_cast<std::int64_t>(numbers.below(hour)));
    }
  }

 protected:
  static constexpr std::uint64_t hour = 3'600'000'000'000;

  void arm() {
    const std::int64_t now = FloorLoop::now();
    for (std::size_t i = 0; i != ids.size(); ++i) {
      ids[i] = heap.add(now + delays[i], {&nothing, nullptr});
    }
  }
  void cancel() {
    for (const bench::TimerHeap::Id id : ids) {
      heap.remove(id);
    }
  }

  bench::TimerHeap heap;
  std::vector<std::int64_t> delays;
  std::vector<bench::TimerHeap::Id> ids;
};

class TimerAdd : public Timers {
 public:
  using Timers::Timers;

  void run(Meter& meter) {
    meter.start();
    arm();
    meter.stop();
    cancel();
  }
};

class TimerCancel : public Timers {
 public:
  using Timers::Timers;

  void run(Meter& meter) {
    arm();
    meter.start();
    cancel();
    meter.stop();
  }
};

class TimerFire {
 public:
  explicit TimerFire(std::size_t count) {
    bench::Numbers numbers;
    for (std::size_t i = 0; i != count; ++i) {
      delays_.push_back(static_cast<std::int64_t>(numbers.below(10'000'000)));
    }
  }

  void run(Meter& meter) {
    left_ = delays_.size();
    meter.start();
    const std::int64_t now = FloorLoop::now();
    for (const std::int64_t delay : delays_) {
      loop_.timers.add(now + delay, {&fire, this});
    }
    loop_.run(poll_);
    meter.stop();
  }

 private:
  static void fire(void* object) {
    auto& self = *static_cast<TimerFire*>(object);
    if (--self.left_ == 0) {
      self.loop_.stop();
    }
  }

  FloorLoop loop_;
  EpollPoll poll_;
  std::vector<std::int64_t> delays_;
  std::size_t left_ = 0;
};

class TimerReset {
 public:
  explicit TimerReset(std::size_t count) : count_(count) {}

  void run(Meter& meter) {
    std::int64_t when = FloorLoop::now();
    const bench::TimerHeap::Id id = heap_.add(when, {&nothing, nullptr});
    meter.start();
    for (std::size_t i = 0; i != count_; ++i) {
      when += 100;
      heap_.move(id, when);
    }
    meter.stop();
    heap_.remove(id);
  }

 private:
  bench::TimerHeap heap_;
  std::size_t count_;
};

const bench::Row<PostChain<NoPoll>> post_chain("post_chain/floor", 1'000'000);
const bench::Row<PostChain<EpollPoll>> post_chain_poll("post_chain_poll/floor", 200'000);
const bench::Row<PostBatch> post_batch("post_batch/floor", 1'000'000);
const bench::Row<TimerAdd> timer_add("timer_add/floor", 1'000'000);
const bench::Row<TimerCancel> timer_cancel("timer_cancel/floor", 1'000'000);
const bench::Row<TimerFire> timer_fire("timer_fire/floor", 1'000'000);
const bench::Row<TimerReset> timer_reset("timer_reset/floor", 10'000'000);

}  // namespace
