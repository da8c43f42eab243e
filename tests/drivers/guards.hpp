// Counts what must go: a Guard lies in every frame, callback and protocol of a scenario, and Guards knows
// which of them are alive. Protocols that hold a CallOrder find out when they are called out of order.
#pragma once

#include <doctest/doctest.h>

#include <weir/config.hpp>

#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_set>

namespace weir::testing {

// Fails the test with this text unless `condition`; costs nothing when it holds.
inline void expect(bool condition, const char* text) {
  if (!condition) {
    FAIL_CHECK(std::string(text));
  }
}

// Any thread: an executor's job may end on its worker.
class Guards {
 public:
  Guards() = default;
  Guards(const Guards&) = delete;
  Guards& operator=(const Guards&) = delete;

  std::size_t alive() const {
    const std::lock_guard lock(mutex_);
    return alive_.size();
  }
  std::size_t made() const {
    const std::lock_guard lock(mutex_);
    return made_;
  }

 private:
  friend class Guard;
  void add(const void* guard) {
    const std::lock_guard lock(mutex_);
    ++made_;
    expect(alive_.insert(guard).second, "a guard was made where another one lives");
  }
  void remove(const void* guard) {
    const std::lock_guard lock(mutex_);
    expect(alive_.erase(guard) == 1, "something was destroyed twice");
  }

  mutable std::mutex mutex_;
  std::unordered_set<const void*> alive_;
  std::size_t made_ = 0;
};

class Guard {
 public:
  explicit Guard(Guards& guards) : guards_(&guards) { guards_->add(this); }
  Guard(const Guard& other) : Guard(*other.guards_) {}
  Guard& operator=(const Guard&) = delete;
  ~Guard() { guards_->remove(this); }

 private:
  Guards* guards_;
};

// The order in which a protocol may be called: made, then anything, at most one end of file and no data after
// it, then lost, then nothing.
class CallOrder {
 public:
  void made() {
    expect(!made_ && !lost_, "connection_made twice, or after connection_lost");
    made_ = true;
  }
  void data() { expect(made_ && !lost_ && !ended_, "data before made, or after the end"); }
  void eof() {
    data();
    ended_ = true;
  }
  void paused() {
    expect(made_ && !lost_ && !paused_, "pause_writing out of order");
    paused_ = true;
  }
  void resumed() {
    expect(made_ && !lost_ && paused_, "resume_writing out of order");
    paused_ = false;
  }
  void lost() {
    expect(made_ && !lost_, "connection_lost twice, or without connection_made");
    lost_ = true;
  }
  bool is_lost() const noexcept { return lost_; }
  // Is connection_lost still to come?
  bool is_open() const noexcept { return made_ && !lost_; }

 private:
  bool made_ = false;
  bool ended_ = false;
  bool paused_ = false;
  bool lost_ = false;
};

}  // namespace weir::testing
