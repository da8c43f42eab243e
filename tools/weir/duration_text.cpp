// Reading and printing durations.
#include "tools/weir/duration_text.hpp"

#include <array>
#include <cstdio>
#include <stdexcept>

namespace program {

namespace {

struct Unit {
  const char* name;
  double nanoseconds;
};
constexpr std::array<Unit, 4> units{{{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}};

// Takes the number that `text` begins with; -1 where there is none. (libc++ before 20 has no std::from_chars
// for doubles.)
double take_number(std::string_view& text) {
  double digits = 0;
  double scale = 1;
  bool is_number = false;
  bool is_fraction = false;
  for (; !text.empty(); text.remove_prefix(1)) {
    const char one = text.front();
    if (one >= '0' && one <= '9') {
      digits = digits * 10 + (one - '0');
      scale *= is_fraction ? 10 : 1;
      is_number = true;
    } else if (one == '.' && !is_fraction) {
      is_fraction = true;
    } else {
      break;
    }
  }
  return is_number ? digits / scale : -1;
}

}  // namespace

std::chrono::nanoseconds parse_duration(std::string_view text) {
  constexpr const char* advice = "it must be a number and ns, us, ms or s, such as 50us";
  const double number = take_number(text);
  if (!(number >= 0)) {
    throw std::invalid_argument(advice);
  }
  for (const Unit& unit : units) {
    if (text == unit.name) {
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
