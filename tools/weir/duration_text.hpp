// Durations on the command line, "50us", and in what the program prints, "12.3 us".
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace program {

// Reads a whole or decimal number directly followed by ns, us, ms or s, at most an hour. Throws
// std::invalid_argument with a text that says how to write it.
std::chrono::nanoseconds parse_duration(std::string_view text);

// Four significant digits at most, in the unit that suits: "950 ns", "12.34 us", "1.5 s".
std::string to_text(std::chrono::nanoseconds duration);

}  // namespace program
