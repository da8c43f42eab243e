// What a row of the table is made of: its name, how many operations a batch has, and the fixture that runs a
// batch. The rows stand in the files beside this one; main.cpp hands them to google-benchmark.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace benchmark {
class State;
}

namespace bench {

// Allocations of this thread since it began: malloc and its relatives, and so operator new.
std::uint64_t allocations_so_far() noexcept;

// Measures the part of a batch that lies between start() and stop(): its allocations, and, under
// google-benchmark, its time.
class Meter {
 public:
  explicit Meter(benchmark::State* state = nullptr) noexcept : state_(state) {}
  void start();
  void stop();
  // What another thread allocated meanwhile.
  void add_allocations(std::uint64_t count) noexcept { allocations_ += count; }
  std::uint64_t allocations() const noexcept { return allocations_; }

 private:
  benchmark::State* state_;
  std::uint64_t allocations_ = 0;
};

// Runs one batch.
using Batch = std::function<void(Meter&)>;

struct Entry {
  std::string name;       // "post_chain/weir"
  std::size_t count = 0;  // operations a batch
  std::function<Batch(std::size_t count)> make;
};

std::vector<Entry>& entries();

// A row: `Fixture(count)` is made once a run, and its run(Meter&) is one batch of `count` operations.
template <class Fixture>
class Row {
 public:
  Row(const char* name, std::size_t count) {
    entries().push_back({name, count, [](std::size_t operations) -> Batch {
                           const auto fixture = std::make_shared<Fixture>(operations);
                           return [fixture](Meter& meter) { fixture->run(meter); };
                         }});
  }
};

// Numbers that are the same in every run, for deadlines.
class Numbers {
 public:
  std::uint64_t below(std::uint64_t limit) noexcept {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % limit;
  }

 private:
  std::uint64_t state_ = 0x9e3779b97f4a7c15;
};

}  // namespace bench
