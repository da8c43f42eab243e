// The hand-written minimum from thread to thread: a locked vector that is taken whole, and an eventfd that is
// written when the vector was empty; and the same spinning on one atomic number.
#include "bench/micro/on_core.hpp"
#include "bench/micro/row.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace {

using bench::Meter;
using bench::OnCore;

struct Callback {
  void (*function)(void*);
  void* object;
};

class InboxLoop {
 public:
  InboxLoop() : epoll_(::epoll_create1(0)), wake_(::eventfd(0, EFD_NONBLOCK)) {
    epoll_event event{EPOLLIN | EPOLLET, {}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event);
  }
  InboxLoop(const InboxLoop&) = delete;
  ~InboxLoop() {
    ::close(wake_);
    ::close(epoll_);
  }

  void post(void (*function)(void*), void* object) {
    bool was_empty;
    {
      const std::lock_guard lock(mutex_);
      was_empty = inbox_.empty();
      inbox_.push_back({function, object});
    }
    if (was_empty) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
    }
  }
  void stop() noexcept { stopping_ = true; }
  void run() {
    stopping_ = false;
    while (!stopping_) {
      {
        const std::lock_guard lock(mutex_);
        batch_.swap(inbox_);
      }
      for (const Callback& callback : batch_) {
        callback.function(callback.object);
      }
      if (batch_.empty()) {
        epoll_event event;
        ::epoll_wait(epoll_, &event, 1, -1);
      }
      batch_.clear();
    }
  }

 private:
  int epoll_;
  int wake_;
  std::mutex mutex_;
  std::vector<Callback> inbox_;
  std::vector<Callback> batch_;
  bool stopping_ = false;
};

class CrossPost {
 public:
  explicit CrossPost(std::size_t count) : count_(count) {}

  void run(Meter& meter) {
    ran_ = 0;
    std::uint64_t allocations = 0;
    const OnCore here(0);
    std::thread poster([this, &allocations] {
      const OnCore there(1);
      const std::uint64_t before = bench::allocations_so_far();
      for (std::size_t i = 0; i != count_; ++i) {
        loop_.post(&count_one, this);
      }
      allocations = bench::allocations_so_far() - before;
    });
    meter.start();
    loop_.run();
    meter.stop();
    poster.join();
    meter.add_allocations(allocations);
  }

 private:
  static void count_one(void* object) {
    auto& self = *static_cast<CrossPost*>(object);
    if (++self.ran_ == self.count_) {
      self.loop_.stop();
    }
  }

  InboxLoop loop_;
  std::size_t count_;
  std::size_t ran_ = 0;
};

class RoundTrip {
 public:
  explicit RoundTrip(std::size_t count)
      : here_core_(0),
        thread_([this] {
          const OnCore there(1);
          there_.run();
        }),
        count_(count) {}
  RoundTrip(const RoundTrip&) = delete;
  ~RoundTrip() {
    there_.post([](void* object) { static_cast<RoundTrip*>(object)->there_.stop(); }, this);
    thread_.join();
  }

  void run(Meter& meter) {
    left_ = count_;
    meter.start();
    go(this);
    here_.run();
    meter.stop();
  }

 private:
  static void go(void* object) {
    auto& self = *static_cast<RoundTrip*>(object);
    if (self.left_-- == 0) {
      self.here_.stop();
      return;
    }
    self.there_.post([](void* there) { static_cast<RoundTrip*>(there)->here_.post(&go, there); }, object);
  }

  InboxLoop here_;
  InboxLoop there_;
  OnCore here_core_;
  std::thread thread_;
  std::size_t count_;
  std::size_t left_ = 0;
};

class SpinningRoundTrip {
 public:
  explicit SpinningRoundTrip(std::size_t count) : count_(count) {}

  void run(Meter& meter) {
    const OnCore here(0);
    std::thread other([this] {
      const OnCore there(1);
      for (std::uint64_t i = 1; i <= count_; ++i) {
        while (there_.load(std::memory_order_acquire) != i) {
        }
        here_.store(i, std::memory_order_release);
      }
    });
    meter.start();
    for (std::uint64_t i = 1; i <= count_; ++i) {
      there_.store(i, std::memory_order_release);
      while (here_.load(std::memory_order_acquire) != i) {
      }
    }
    meter.stop();
    other.join();
    here_ = there_ = 0;
  }

 private:
  alignas(64) std::atomic<std::uint64_t> here_{0};
  alignas(64) std::atomic<std::uint64_t> there_{0};
  std::size_t count_;
};

const bench::Row<CrossPost> xthread_post("xthread_post/floor", 1'000'000);
const bench::Row<RoundTrip> xthread_rtt("xthread_rtt/floor", 2'000);
const bench::Row<SpinningRoundTrip> xthread_rtt_spinning("xthread_rtt/floor_spinning", 100'000);

}  // namespace
