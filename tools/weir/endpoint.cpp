// The parser of addresses. It is strict because a typing error that is silently read as something else costs
// its author an evening.
#include "tools/weir/endpoint.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace program {

namespace {

constexpr std::size_t longest_path = 107;  // that weir::Address::unix_path takes

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument(why); }

std::uint16_t parse_port(std::string_view digits, PortZero port_zero) {
  if (digits.empty()) {
    refuse("the port is missing; write tcp://HOST:PORT");
  }
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  const bool padded = digits.size() > 1 && digits.front() == '0';
  if (error != std::errc() || end != digits.data() + digits.size() || padded || port > 65535) {
    refuse("the port '" + std::string(digits) + "' is not a number from 0 to 65535");
  }
  if (port == 0 && port_zero == PortZero::refused) {
    refuse("port 0 is no place to connect to");
  }
  return static_cast<std::uint16_t>(port);
}

Endpoint parse_unix(std::string_view path) {
  if (path.empty() || path == "@") {
    refuse("the path is missing; write unix:///run/NAME, or unix://@NAME for an abstract name");
  }
  std::string name(path);
  if (path.front() == '@') {
    name.front() = '\0';
  }
  // An abstract name may have a NUL anywhere, but a command line has none.
  if (path.find('\0') != std::string_view::npos || name.size() > longest_path) {
    refuse("the path is longer than " + std::to_string(longest_path) + " bytes or has a NUL in it");
  }
  return {.path = std::move(name)};
}

Endpoint parse_tcp(std::string_view rest, PortZero port_zero) {
  const bool bracketed = rest.starts_with('[');
  const std::size_t host_end = bracketed ? rest.find(']') : rest.rfind(':');
  if (bracketed && host_end == std::string_view::npos) {
    refuse("the bracket '[' is not closed; write tcp://[::1]:PORT");
  }
  const std::string_view host =
      bracketed ? rest.substr(1, host_end - 1) : rest.substr(0, host_end);  // npos: all of it
  if (host.empty()) {
    refuse("the host is missing; write tcp://127.0.0.1:PORT, or tcp://0.0.0.0:PORT for all interfaces");
  }
  if (!bracketed && host.find(':') != std::string_view::npos) {
    refuse("an IPv6 address stands in brackets; write tcp://[::1]:PORT");
  }
  const bool is_ipv6 = host.find(':') != std::string_view::npos;
  if (bracketed != is_ipv6 || !weir::Address::parse(host, 0)) {
    refuse(
        "the host '" + std::string(host) +
        (bracketed ? "' is not an IPv6 address" : "' is not a numeric address such as 127.0.0.1 or [::1]"));
  }
  std::string_view after =
      host_end == std::string_view::npos ? "" : rest.substr(host_end + (bracketed ? 1 : 0));
  if (!after.empty() && !after.starts_with(':')) {
    refuse("'" + std::string(after) + "' after the bracket; write tcp://[::1]:PORT");
  }
  after.remove_prefix(after.empty() ? 0 : 1);
  return {.host = std::string(host), .port = parse_port(after, port_zero)};
}

}  // namespace

Endpoint parse_endpoint(std::string_view text, PortZero port_zero) {
  constexpr std::string_view separator = "://";
  const std::size_t scheme_end = text.find(separator);
  if (scheme_end == std::string_view::npos) {
    refuse("it must begin with tcp:// or unix://");
  }
  const std::string_view scheme = text.substr(0, scheme_end);
  const std::string_view rest = text.substr(scheme_end + separator.size());
  if (scheme == "unix") {
    return parse_unix(rest);
  }
  if (scheme != "tcp") {
    refuse("the scheme '" + std::string(scheme) + "' is unknown; it must be tcp or unix");
  }
  return parse_tcp(rest, port_zero);
}

std::string to_text(const weir::Address& address) {
  if (address.family() != weir::AddressFamily::unix_domain) {
    return "tcp://" + address.to_string();
  }
  std::string path = address.path();
  std::replace(path.begin(), path.end(), '\0', '@');
  return "unix://" + path;
}

weir::Address to_address(const Endpoint& endpoint) {
  return endpoint.is_unix() ? weir::Address::unix_path(endpoint.path)
                            : weir::Address::inet(endpoint.host, endpoint.port);
}

std::string to_text(const Endpoint& endpoint) { return to_text(to_address(endpoint)); }

}  // namespace program
