// The parser of addresses. It is strict because a typing error that is silently read as something else costs
// its author an evening.
#include "tools/weir/endpoint.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace program {

namespace {

constexpr std::size_t longest_path = 107;  // that weir::Address::unix_path takes

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument(why); }

std::uint16_t parse_port(const std::string& scheme, std::string_view text, PortZero port_zero) {
  if (text.empty()) {
    refuse("the port is missing; write " + scheme + "://HOST:PORT");
  }
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool padded = text.size() > 1 && text.front() == '0';
  if (error != std::errc() || end != text.data() + text.size() || padded || port > 65535) {
    refuse("the port '" + std::string(text) + "' is not a number from 0 to 65535");
  }
  if (port == 0 && port_zero == PortZero::refused) {
    refuse("port 0 is no place to connect to");
  }
  return static_cast<std::uint16_t>(port);
}

bool is_all(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

constexpr std::string_view digits = "0123456789";
constexpr std::string_view hex_digits = "0123456789abcdefABCDEF";
constexpr std::string_view letters_and_marks =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// A name that may be looked up. One that ends in a number is none: somebody has mistyped an IPv4 address.
bool is_name(std::string_view host) {
  constexpr std::size_t longest_name = 253, longest_label = 63;
  if (host.ends_with('.')) {
    host.remove_suffix(1);
  }
  if (host.empty() || host.size() > longest_name) {
    return false;
  }
  for (;;) {
    const std::string_view label = host.substr(0, host.find('.'));
    if (label.size() > longest_label || !is_all(label, letters_and_marks)) {
      return false;
    }
    if (label.size() == host.size()) {
      const bool is_hex = (label.starts_with("0x") || label.starts_with("0X")) &&
                          (label.size() == 2 || is_all(label.substr(2), hex_digits));
      return !is_all(label, digits) && !is_hex;
    }
    host.remove_prefix(label.size() + 1);
  }
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

// `scheme` is "tcp", "tls" or "udp", which are written alike.
Endpoint parse_ip(const std::string& scheme, std::string_view rest, PortZero port_zero) {
  const std::string bracket_hint = "; write " + scheme + "://[::1]:PORT";
  const bool bracketed = rest.starts_with('[');
  const std::size_t host_end = bracketed ? rest.find(']') : rest.rfind(':');
  if (bracketed && host_end == std::string_view::npos) {
    refuse("the bracket '[' is not closed" + bracket_hint);
  }
  const std::string_view host =
      bracketed ? rest.substr(1, host_end - 1) : rest.substr(0, host_end);  // npos: all of it
  if (host.empty()) {
    refuse("the host is missing; write " + scheme + "://127.0.0.1:PORT, or " + scheme +
           "://0.0.0.0:PORT for all interfaces");
  }
  if (!bracketed && host.find(':') != std::string_view::npos) {
    refuse("an IPv6 address stands in brackets" + bracket_hint);
  }
  const bool is_ipv6 = host.find(':') != std::string_view::npos;
  if (bracketed != is_ipv6 || !(weir::Address::parse(host, 0) || (!bracketed && is_name(host)))) {
    refuse("the host '" + std::string(host) +
           (bracketed ? "' is not an IPv6 address"
                      : "' is neither a name nor a numeric address such as 127.0.0.1 or [::1]"));
  }
  std::string_view after =
      host_end == std::string_view::npos ? "" : rest.substr(host_end + (bracketed ? 1 : 0));
  if (!after.empty() && !after.starts_with(':')) {
    refuse(std::string("'").append(after) + "' after the bracket" + bracket_hint);
  }
  after.remove_prefix(after.empty() ? 0 : 1);
  return {.host = std::string(host),
          .port = parse_port(scheme, after, port_zero),
          .is_udp = scheme == "udp",
          .is_tls = scheme == "tls"};
}

}  // namespace

Endpoint parse_endpoint(std::string_view text, PortZero port_zero, Udp udp) {
  constexpr std::string_view separator = "://";
  const std::size_t scheme_end = text.find(separator);
  if (scheme_end == std::string_view::npos) {
    refuse("it must begin with tcp://, tls:// or unix://");
  }
  const std::string_view scheme = text.substr(0, scheme_end);
  const std::string_view rest = text.substr(scheme_end + separator.size());
  if (scheme == "unix") {
    return parse_unix(rest);
  }
  if (scheme == "udp" && udp == Udp::refused) {
    refuse("this needs connections, which udp has not; the scheme must be tcp, tls or unix");
  }
  if (scheme != "tcp" && scheme != "tls" && scheme != "udp") {
    refuse("the scheme '" + std::string(scheme) + "' is unknown; it must be tcp, tls, udp or unix");
  }
  return parse_ip(std::string(scheme), rest, port_zero);
}

std::string to_text(const weir::Address& address, std::string_view scheme) {
  if (address.family() != weir::AddressFamily::unix_domain) {
    return std::string(scheme) + "://" + address.to_string();
  }
  std::string path = address.path();
  std::replace(path.begin(), path.end(), '\0', '@');
  return "unix://" + path;
}

std::string to_text(const Endpoint& endpoint) {
  if (endpoint.is_unix()) {
    return to_text(weir::Address::unix_path(endpoint.path));
  }
  if (const std::optional<weir::Address> address = weir::Address::parse(endpoint.host, endpoint.port)) {
    return to_text(*address, endpoint.scheme());
  }
  return std::string(endpoint.scheme()) + "://" + endpoint.host + ':' + std::to_string(endpoint.port);
}

}  // namespace program
