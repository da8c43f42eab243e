// Durations on the command line and in what is printed.
#include "tools/weir/duration_text.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

using program::parse_duration;
using namespace std::chrono_literals;

TEST_CASE("a duration is a number and its unit") {
  CHECK(parse_duration("50us") == 50us);
  CHECK(parse_duration("0s") == 0s);
  CHECK(parse_duration("1.5ms") == 1500us);
  CHECK(parse_duration("7ns") == 7ns);
  CHECK(parse_duration("3600s") == 1h);
}

TEST_CASE("what is not a duration is refused") {
  for (const char* text : {"", "50", "us", "-1us", "50 us", "50us ", " 50us", "50US", "1e3us", "50m", "nans",
                           "infs", "1,5ms", "0x10us", "3601s", "999999999999999999999s"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_duration(text), std::invalid_argument);
  }
}

TEST_CASE("a duration is printed in the unit that suits") {
  CHECK(program::to_text(std::chrono::nanoseconds(0)) == "0 ns");
  CHECK(program::to_text(std::chrono::nanoseconds(950)) == "950 ns");
  CHECK(program::to_text(std::chrono::nanoseconds(12345)) == "12.35 us");
  CHECK(program::to_text(std::chrono::milliseconds(2)) == "2 ms");
  CHECK(program::to_text(std::chrono::milliseconds(1500)) == "1.5 s");
}
