// The figures of a latency summary.
#include "tools/weir/latency.hpp"

#include "tools/weir/duration_text.hpp"

#include <algorithm>

namespace program {

LatencySummary summarize(std::vector<std::chrono::nanoseconds> samples) {
  LatencySummary summary;
  summary.count = samples.size();
  if (samples.empty()) {
    return summary;
  }
  std::sort(samples.begin(), samples.end());
  // A sum of nanoseconds overflows after 292 years of latency.
  std::chrono::nanoseconds sum{};
  for (const std::chrono::nanoseconds sample : samples) {
    sum += sample;
  }
  const std::size_t count = samples.size();
  summary.min = samples.front();
  summary.max = samples.back();
  summary.mean = sum / static_cast<std::chrono::nanoseconds::rep>(count);
  summary.median = (samples[(count - 1) / 2] + samples[count / 2]) / 2;
  // The nearest rank: ceil(0.99 * count), counted from one, without the rounding of floating point.
  summary.p99 = samples[(99 * count + 99) / 100 - 1];
  return summary;
}

std::string LatencySummary::to_string() const {
  return "min " + to_text(min) + ", mean " + to_text(mean) + ", median " + to_text(median) + ", p99 " +
         to_text(p99) + ", max " + to_text(max);
}

}  // namespace program
