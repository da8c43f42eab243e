// Reading and printing durations.
#include "tools/weir/duration_text.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <stdexcept>
#include <system_error>

namespace program {

namespace {

struct Unit {
  const char* name;
  double nanoseconds;
};
constexpr std::array<Unit, 4> units{{{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}};

}  // namespace

std::chrono::nanoseconds parse_duration(std::string_view text) {
  constexpr const char* advice = "it must be a number and ns, us, ms or s, such as 50us";
  double number = 0;
  const char* const begin = text.data();
  const char* const text_end = begin + text.size();
  const auto [end, error] = std::from_chars(begin, text_end, number, std::chars_format::fixed);
  if (error != std::errc() || !(number >= 0)) {
    throw std::invalid_argument(advice);
  }
  for (const Unit& unit : units) {
    if (std::string_view(end, static_cast<std::size_t>(text_end - end)) == unit.name) {
      const double nanoseconds = number * unit.nanoseconds;
      if (!(nanoseconds <= 3600e9)) {
        throw std::invalid_argument("it is longer than an hour");
      }
      return std::chrono::nanoseconds(static_cast<std::chrono::nanoseconds::rep>(nanoseconds + 0.5));
    }
  }
  throw std::invalid_argument(advice);
}

std::string to_text(std::chrono::nanoseconds duration) {
  const auto count = static_cast<double>(duration.count());
  const Unit* unit = &units.front();
  for (const Unit& larger : units) {
    if (count >= larger.nanoseconds) {
      unit = &larger;
    }
  }
  char text[48];
  std::snprintf(text, sizeof text, "%.4g %s", count / unit->nanoseconds, unit->name);
  return text;
}

}  // namespace program
