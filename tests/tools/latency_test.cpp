// The figures of a latency summary.
#include "tools/weir/latency.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <vector>

using program::LatencySummary;
using program::summarize;
using std::chrono::nanoseconds;

namespace {

// `count` samples of 1, 2, 3, … ns, in a bad order.
std::vector<nanoseconds> descending(int count) {
  std::vector<nanoseconds> samples;
  for (int i = count; i != 0; --i) {
    samples.emplace_back(i);
  }
  return samples;
}

}  // namespace

TEST_CASE("no samples give zeros") {
  const LatencySummary summary = summarize({});
  CHECK(summary.count == 0);
  CHECK(summary.max == nanoseconds(0));
}

TEST_CASE("one sample is all of its summary") {
  const LatencySummary summary = summarize({nanoseconds(7)});
  CHECK(summary.count == 1);
  for (const nanoseconds figure : {summary.min, summary.mean, summary.median, summary.p99, summary.max}) {
    CHECK(figure == nanoseconds(7));
  }
}

TEST_CASE("the median is the middle, or between the middle two") {
  CHECK(summarize(descending(5)).median == nanoseconds(3));
  CHECK(summarize({nanoseconds(10), nanoseconds(40), nanoseconds(20), nanoseconds(30)}).median ==
        nanoseconds(25));
}

TEST_CASE("the 99th percentile is the least sample that 99 of 100 do not exceed") {
  CHECK(summarize(descending(100)).p99 == nanoseconds(99));
  CHECK(summarize(descending(99)).p99 == nanoseconds(99));
  CHECK(summarize(descending(101)).p99 == nanoseconds(100));
  CHECK(summarize(descending(1000)).p99 == nanoseconds(990));
  CHECK(summarize(descending(2)).p99 == nanoseconds(2));
}

TEST_CASE("minimum, mean and maximum") {
  const LatencySummary summary = summarize({nanoseconds(30), nanoseconds(10), nanoseconds(50)});
  CHECK(summary.min == nanoseconds(10));
  CHECK(summary.mean == nanoseconds(30));
  CHECK(summary.max == nanoseconds(50));
  CHECK(summary.to_string() == "min 10 ns, mean 30 ns, median 30 ns, p99 50 ns, max 50 ns");
}
