// Telling numeric hosts from names.
#include "net/dns/names.hpp"

#include "backends/chosen.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>

namespace weir::inline WEIR_ABI::detail {

namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// A number as C writes it: decimal, octal after 0, hexadecimal after 0x.
std::optional<std::uint64_t> read_c_number(std::string_view text) noexcept {
  int base = 10;
  if (text.size() > 2 && text[0] == '0' && lower(text[1]) == 'x') {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
    text.remove_prefix(1);
  }
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

// inet_aton: one to four numbers, of which the last fills the bytes that remain.
std::optional<Address> read_old_inet(std::string_view text, std::uint16_t port) noexcept {
  if (text.empty() || !is_digit(text[0])) {
    return std::nullopt;
  }
  RawAddress raw;
  raw.family = AddressFamily::inet;
  raw.port = port;
  for (std::size_t part = 0; part != 4; ++part) {
    const std::size_t dot = text.find('.');
    const std::optional<std::uint64_t> number = read_c_number(text.substr(0, dot));
    const std::size_t bytes = dot == std::string_view::npos ? 4 - part : 1;
    if (!number || *number >> (8 * bytes) != 0) {
      return std::nullopt;
    }
    for (std::size_t i = 0; i != bytes; ++i) {
      raw.ip[part + i] = static_cast<std::uint8_t>(*number >> (8 * (bytes - 1 - i)));
    }
    if (dot == std::string_view::npos) {
      return Address(raw);
    }
    text.remove_prefix(dot + 1);
  }
  return std::nullopt;
}

// "localhost" itself ends in it as well.
bool ends_in(std::string_view name, std::string_view domain) {
  const std::string plain = table_name(name);
  return plain == domain || (plain.size() > domain.size() && plain.ends_with(domain) &&
                             plain[plain.size() - domain.size() - 1] == '.');
}

}  // namespace

std::optional<Address> read_numeric_host(std::string_view host, std::uint16_t port) {
  if (const std::optional<Address> address = Address::parse(host, port)) {
    return address;
  }
  const std::size_t percent = host.find('%');
  if (percent == std::string_view::npos) {
    return read_old_inet(host, port);
  }
  const std::optional<Address> address = Address::parse(host.substr(0, percent), port);
  const std::optional<std::uint32_t> scope = interface_number(std::string(host.substr(percent + 1)));
  if (!address || !scope || address->family() != AddressFamily::inet6) {
    return std::nullopt;
  }
  RawAddress raw = address->raw();
  raw.scope_id = *scope;
  return Address(raw);
}

bool is_international(std::string_view name) noexcept {
  return std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) > 127; });
}

bool is_host_name(std::string_view name) noexcept {
  if (name.ends_with('.')) {
    name.remove_suffix(1);
  }
  if (name.empty() || name.size() > 253) {
    return false;
  }
  std::size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) {
        return false;
      }
      label = 0;
      continue;
    }
    const char plain = lower(c);
    if (!(is_digit(c) || (plain >= 'a' && plain <= 'z') || c == '-' || c == '_') || ++label > 63) {
      return false;
    }
  }
  return label != 0;
}

bool is_localhost(std::string_view name) { return ends_in(name, "localhost"); }
bool is_multicast_name(std::string_view name) { return ends_in(name, "local"); }

std::string table_name(std::string_view name) {
  if (name.ends_with('.')) {
    name.remove_suffix(1);
  }
  std::string plain(name);
  std::transform(plain.begin(), plain.end(), plain.begin(), lower);
  return plain;
}

std::optional<Address> unmapped(const Address& address) noexcept {
  constexpr std::array<std::uint8_t, 12> prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  RawAddress raw = address.raw();
  if (raw.family != AddressFamily::inet6 || !std::equal(prefix.begin(), prefix.end(), raw.ip.begin())) {
    return std::nullopt;
  }
  std::copy(raw.ip.begin() + 12, raw.ip.end(), raw.ip.begin());
  std::fill(raw.ip.begin() + 4, raw.ip.end(), std::uint8_t{0});
  raw.family = AddressFamily::inet;
  raw.scope_id = 0;
  return Address(raw);
}

Address mapped(const Address& address) noexcept {
  RawAddress raw = address.raw();
  if (raw.family == AddressFamily::inet) {
    std::copy(raw.ip.begin(), raw.ip.begin() + 4, raw.ip.begin() + 12);
    std::fill(raw.ip.begin(), raw.ip.begin() + 10, std::uint8_t{0});
    raw.ip[10] = raw.ip[11] = 0xff;
    raw.family = AddressFamily::inet6;
  }
  return Address(raw);
}

}  // namespace weir::inline WEIR_ABI::detail
