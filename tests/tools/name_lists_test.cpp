// Lists of names: protocols, and whom a certificate is for.
#include "tools/weir/name_lists.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <vector>

using program::parse_hosts;
using program::parse_protocols;
using Names = std::vector<std::string>;

TEST_CASE("protocols stand between commas") {
  CHECK(parse_protocols("h2") == Names{"h2"});
  CHECK(parse_protocols("h2,http/1.1") == Names{"h2", "http/1.1"});
  CHECK(parse_protocols(std::string(255, 'x')) == Names{std::string(255, 'x')});
  for (const std::string& text :
       {std::string(), std::string(","), std::string("h2,"), std::string(256, 'x')}) {
    CHECK_THROWS_AS(parse_protocols(text), std::invalid_argument);
  }
}

TEST_CASE("a certificate is for names and addresses") {
  CHECK(parse_hosts("localhost,127.0.0.1,::1") == Names{"localhost", "127.0.0.1", "::1"});
  CHECK(parse_hosts("*.example.org") == Names{"*.example.org"});
  CHECK(parse_hosts("x,ca,a-key") == Names{"x", "ca", "a-key"});
  for (const char* text : {"", ",", "a,", "../a", "a/b", ".a", "a.", "a..b", "-a", "a b", "*", "a*.b",
                           "fe80::1%2", "a:80", "*.*.a"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_hosts(text), std::invalid_argument);
  }
}

TEST_CASE("no certificate takes the file of another's key or of the authority") {
  CHECK_THROWS_AS(parse_hosts("ca"), std::invalid_argument);
  CHECK_THROWS_AS(parse_hosts("a-key"), std::invalid_argument);
  CHECK_THROWS_AS(parse_hosts("ca,b"), std::invalid_argument);
}
