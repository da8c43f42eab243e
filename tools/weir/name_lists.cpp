// Reading lists of names.
#include "tools/weir/name_lists.hpp"

#include <weir/net/address.hpp>

#include <stdexcept>

namespace program {

namespace {

constexpr std::string_view letters_and_marks =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> names;
  for (;;) {
    const std::size_t end = text.find(',');
    names.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return names;
    }
    text.remove_prefix(end + 1);
  }
}

bool is_host(std::string_view text) {
  constexpr std::size_t longest = 253;
  if (weir::Address::parse(std::string(text), 0)) {
    return text.find('%') == std::string_view::npos;  // no zone: it means something to one machine only
  }
  if (text.starts_with("*.")) {
    text.remove_prefix(2);
  }
  return !text.empty() && text.size() <= longest && text.front() != '.' && text.back() != '.' &&
         text.front() != '-' && text.find("..") == std::string_view::npos &&
         text.find_first_not_of(letters_and_marks) == std::string_view::npos;
}

}  // namespace

std::vector<std::string> parse_protocols(std::string_view text) {
  constexpr std::size_t longest = 255;
  std::vector<std::string> names = split(text);
  for (const std::string& name : names) {
    if (name.empty() || name.size() > longest) {
      throw std::invalid_argument("the name of a protocol has 1 to 255 bytes; write h2,http/1.1");
    }
  }
  return names;
}

std::vector<std::string> parse_hosts(std::string_view text) {
  std::vector<std::string> names = split(text);
  for (const std::string& name : names) {
    if (!is_host(name)) {
      throw std::invalid_argument("'" + name + "' is neither a host name nor an IP address");
    }
  }
  if (names.front() == "ca" || names.front().ends_with("-key")) {
    throw std::invalid_argument("NAME.pem would be taken for the authority or a key");
  }
  return names;
}

}  // namespace program
