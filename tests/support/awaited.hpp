// Awaited and Latch: what std::atomic's wait() and std::latch do, by a lock. Those of mingw's C++ library
// lose a wake-up now and then (libstdc++ 12, where there is no futex), and a test that waits with them hangs.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace weir::testing {

// A number for several threads that can be waited for.
template <class T>
class Awaited {
 public:
  explicit Awaited(T value) : value_(value) {}
  Awaited(const Awaited&) = delete;
  Awaited& operator=(const Awaited&) = delete;

  T load() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  void store(T value) {
    change([value](T) { return value; });
  }
  void add(T difference) {
    change([difference](T value) { return static_cast<T>(value + difference); });
  }
  // Returns at once unless the value is `old`, and then when it is not any more.
  void wait(T old) const {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return value_ != old; });
  }

 private:
  // Whoever waited may destroy it: nothing is touched after the lock is given back.
  template <class Change>
  void change(Change to) {
    const std::lock_guard lock(mutex_);
    value_ = to(value_);
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  T value_;
};

class Latch {
 public:
  explicit Latch(std::ptrdiff_t count) : left_(count) {}
  void count_down() { left_.add(-1); }
  void wait() const {
    for (std::ptrdiff_t left = left_.load(); left > 0; left = left_.load()) {
      left_.wait(left);
    }
  }
  void arrive_and_wait() {
    count_down();
    wait();
  }

 private:
  Awaited<std::ptrdiff_t> left_;
};

}  // namespace weir::testing
