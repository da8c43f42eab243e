// Texts as JSON has them.
#include "tools/weir/json_text.hpp"

#include <doctest/doctest.h>

using program::json_text;

TEST_CASE("json_text: quotes, backslashes and control characters are escaped") {
  CHECK(json_text("") == R"("")");
  CHECK(json_text("a \"b\" \\c/") == R"("a \"b\" \\c/")");
  CHECK(json_text("line\n\ttab\x7f") == R"("line\u000a\u0009tab\u007f")");
  CHECK(json_text(std::string_view("\0", 1)) == R"("\u0000")");
}

TEST_CASE("json_text: UTF-8 stays as it is, and what is none is replaced byte by byte") {
  for (const char* text :
       {"é", "€", "\xF0\x9F\x8C\x8A", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF", "\xE0\xA0\x80"}) {
    CHECK(json_text(text) == '"' + std::string(text) + '"');
  }
  const std::string one = R"(\ufffd)";
  CHECK(json_text("a\xFF") == "\"a" + one + "\"");
  CHECK(json_text("\xC3") == '"' + one + '"');            // cut off
  CHECK(json_text("\xC0\xAF") == '"' + one + one + '"');  // longer than need be
  CHECK(json_text("\xE0\x9F\x80") == '"' + one + one + one + '"');
  CHECK(json_text("\xF0\x8F\x80\x80") == '"' + one + one + one + one + '"');
  CHECK(json_text("\xED\xA0\x80") == '"' + one + one + one + '"');  // half of a pair
  CHECK(json_text("\xF4\x90\x80\x80") == '"' + one + one + one + one + '"');
  CHECK(json_text("\xC3z") == '"' + one + "z\"");
  CHECK(json_text("\x80") == '"' + one + '"');
}
