// A fuzzer for the syntax of addresses, as libFuzzer knows one. What is read comes back when it is printed,
// and is what another reader makes of it; what is refused is refused with one line that says why.
#include "tests/support/fuzz.hpp"
#include "tools/weir/endpoint.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <string_view>

#include <arpa/inet.h>

using program::Endpoint;
using program::PortZero;

namespace {

void require(bool condition, const char* what, std::string_view text) {
  if (!condition) {
    std::fprintf(stderr, "endpoint_fuzz: %s: '%.*s'\n", what, static_cast<int>(text.size()), text.data());
    std::abort();
  }
}

bool is_number_below(std::string_view digits, unsigned long bound) {
  if (digits.empty() || digits.size() > 9 || (digits.size() > 1 && digits[0] == '0') ||
      digits.find_first_not_of("0123456789") != std::string_view::npos) {
    return false;
  }
  return std::stoul(std::string(digits)) < bound;
}

bool is_numeric_host(int family, std::string host) {
  unsigned char binary[sizeof(in6_addr)];
  if (host.find('\0') != std::string::npos) {
    return false;
  }
  return inet_pton(family, host.c_str(), binary) == 1;
}

// A name by a regular expression, unless its last part is a number.
bool is_name(const std::string& host) {
  static const std::regex name(R"(([\w-]{1,63}\.)*[\w-]{1,63}\.?)");
  static const std::regex numeric(R"((.*\.)?(\d+|0[xX][0-9a-fA-F]*)\.?)");
  const std::size_t size = host.ends_with('.') ? host.size() - 1 : host.size();
  return size <= 253 && host.find('\0') == std::string::npos && std::regex_match(host, name) &&
         !std::regex_match(host, numeric);
}

// The same syntax, read from its end: the last colon begins the port. Slow, and with the system's own reader
// of hosts.
bool is_endpoint(std::string_view text) {
  const std::string_view unix_scheme = "unix://";
  if (text.starts_with(unix_scheme)) {
    const std::string_view path = text.substr(unix_scheme.size());
    return !path.empty() && path != "@" && path.size() <= 107 && path.find('\0') == std::string_view::npos;
  }
  const std::string_view scheme = text.starts_with("tls://") ? "tls://" : "tcp://";
  const std::size_t colon = text.rfind(':');
  if (!text.starts_with(scheme) || colon < scheme.size() || colon == std::string_view::npos ||
      !is_number_below(text.substr(colon + 1), 65536)) {
    return false;
  }
  std::string_view host = text.substr(scheme.size(), colon - scheme.size());
  if (!host.starts_with('[')) {
    return is_numeric_host(AF_INET, std::string(host)) || is_name(std::string(host));
  }
  if (!host.ends_with(']') || host.size() < 2) {
    return false;
  }
  host = host.substr(1, host.size() - 2);
  const std::size_t percent = host.find('%');
  return is_numeric_host(AF_INET6, std::string(host.substr(0, percent)));
}

std::optional<Endpoint> read(std::string_view text, PortZero port_zero) {
  try {
    return program::parse_endpoint(text, port_zero);
  } catch (const std::invalid_argument& error) {
    require(*error.what() != '\0', "no reason is given", text);
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::optional<Endpoint> listen = read(text, PortZero::allowed);
  const std::optional<Endpoint> target = read(text, PortZero::refused);
  require(target.has_value() == (listen && (listen->is_unix() || listen->port != 0)),
          "port 0 is the only difference", text);
  if (!listen) {
    // A scope that this machine has no interface for is an error that only it can know.
    require(!is_endpoint(text) || text.find('%') != std::string_view::npos, "refused", text);
    return 0;
  }
  require(is_endpoint(text), "accepted", text);
  require(!target || *target == *listen, "read in two ways", text);
  const std::string printed = to_text(*listen);
  const std::optional<Endpoint> again = read(printed, PortZero::allowed);
  require(again.has_value() && to_text(*again) == printed, "printed as something else", text);
  require(again->port == listen->port, "another port", text);
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  return {
      "unix:///run/weir",
      "unix://@weir",
      "tcp://127.0.0.1:8888",
      "tcp://0.0.0.0:0",
      "tcp://[::1]:80",
      "tcp://localhost:80",
      "tls://localhost:443",
      "tcp://a-b.c_d.example.:1",
      "tcp://example.0x7f:80",
      "tcp://[fe80::1%1]:65535",
      "tcp://[::]:1",
      "tcp://1.2.3.4:65536",
      "tcp://[::ffff:1.2.3.4]:5",
      "",
  };
}

std::vector<std::string> fuzz_pieces() {
  return {
      "unix://",
      "tcp://",
      "[",
      "]",
      ":",
      "::",
      "%",
      "%lo",
      "0",
      "00",
      "255.",
      "65535",
      "65536",
      "1.2.3.4",
      "@",
      "/",
      "\n",
      " ",
      "udp:",
      "-",
      "+",
      "ffff",
      std::string(1, '\0'),
      std::string(300, 'a'),
  };
}
