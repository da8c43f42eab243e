// LatencySummary: what `weir ping` tells about its round trips.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace program {

// All zero for no samples.
struct LatencySummary {
  std::size_t count = 0;
  std::chrono::nanoseconds min{};
  std::chrono::nanoseconds mean{};
  std::chrono::nanoseconds median{};  // the mean of the middle two for an even count
  std::chrono::nanoseconds p99{};     // the least sample that 99% of the samples do not exceed
  std::chrono::nanoseconds max{};

  // "min 10 us, mean 12 us, median 11 us, p99 20 us, max 51 us".
  std::string to_string() const;
};

// Takes the samples to sort them.
LatencySummary summarize(std::vector<std::chrono::nanoseconds> samples);

}  // namespace program
