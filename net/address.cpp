// Addresses as text. Reads what inet_pton reads, and writes RFC 5952; paths.
#include <weir/net/address.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <span>
#include <stdexcept>
#include <system_error>

namespace weir::inline WEIR_ABI {

namespace {

using Ip = std::array<std::uint8_t, 16>;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// All of `text` as a number without sign or leading zero, at most `most`.
template <class T>
bool read_number(std::string_view text, T& number, T most) noexcept {
  if (text.empty() || !is_digit(text[0]) || (text.size() > 1 && text[0] == '0')) {
    return false;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number <= most;
}

bool read_inet(std::string_view text, std::uint8_t* out) noexcept {
  for (int part = 0; part != 4; ++part) {
    const std::size_t dot = part == 3 ? text.size() : text.find('.');
    unsigned number = 0;
    if (dot == std::string_view::npos || !read_number(text.substr(0, dot), number, 255U)) {
      return false;
    }
    out[part] = static_cast<std::uint8_t>(number);
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return true;
}

// Groups of hexadecimal digits, from the front of `text`, as many as there are. What follows "::" is put
// behind by the caller.
class Inet6Reader {
 public:
  bool read(std::string_view text, Ip& out) noexcept {
    if (text.starts_with("::")) {
      gap_ = 0;
      text.remove_prefix(2);
    } else if (text.empty() || text.front() == ':') {
      return false;
    }
    while (!text.empty()) {
      const std::size_t end = std::min(text.find(':'), text.size());
      if (!read_group(text.substr(0, end), end == text.size())) {
        return false;
      }
      text.remove_prefix(end);
      if (!text.empty() && !read_colon(text)) {
        return false;
      }
    }
    return spread(out);
  }

 private:
  bool read_group(std::string_view group, bool is_last) noexcept {
    if (is_last && group.find('.') != std::string_view::npos) {
      if (count_ + 2 > 8 || !read_inet(group, &bytes_[count_ * 2])) {
        return false;
      }
      count_ += 2;
      return true;
    }
    unsigned value = 0;
    if (count_ == 8 || group.empty() || group.size() > 4) {
      return false;
    }
    const auto [end, error] = std::from_chars(group.data(), group.data() + group.size(), value, 16);
    if (error != std::errc() || end != group.data() + group.size()) {
      return false;
    }
    bytes_[count_ * 2] = static_cast<std::uint8_t>(value >> 8);
    bytes_[count_ * 2 + 1] = static_cast<std::uint8_t>(value);
    ++count_;
    return true;
  }

  // After a group: one colon and another group, or two, once.
  bool read_colon(std::string_view& text) noexcept {
    text.remove_prefix(1);
    if (!text.starts_with(':')) {
      return !text.empty();
    }
    text.remove_prefix(1);
    if (gap_ >= 0) {
      return false;
    }
    gap_ = static_cast<int>(count_);
    return true;
  }

  // "::" stands for at least one group.
  bool spread(Ip& out) const noexcept {
    if (gap_ < 0 ? count_ != 8 : count_ == 8) {
      return false;
    }
    const auto before =
        static_cast<std::ptrdiff_t>(gap_ < 0 ? count_ * 2 : static_cast<std::size_t>(gap_) * 2);
    const auto all = static_cast<std::ptrdiff_t>(count_ * 2);
    out.fill(0);
    std::copy(bytes_.begin(), bytes_.begin() + before, out.begin());
    std::copy(bytes_.begin() + before, bytes_.begin() + all, out.end() - (all - before));
    return true;
  }

  Ip bytes_{};
  std::size_t count_ = 0;  // groups read
  int gap_ = -1;           // how many of them stand before "::"
};

std::string write_inet(const std::uint8_t* ip) {
  std::string text = std::to_string(ip[0]);
  for (int part = 1; part != 4; ++part) {
    text += '.';
    text += std::to_string(ip[part]);
  }
  return text;
}

// The longest run of zero groups, the first one of several, if it is longer than one: [first, last).
std::pair<std::size_t, std::size_t> longest_run(const std::array<unsigned, 8>& groups) noexcept {
  std::pair<std::size_t, std::size_t> best{8, 8};
  for (std::size_t first = 0; first != 8; ++first) {
    std::size_t last = first;
    while (last != 8 && groups[last] == 0) {
      ++last;
    }
    if (last - first > std::max<std::size_t>(best.second - best.first, 1)) {
      best = {first, last};
    }
  }
  return best;
}

std::string write_inet6(const Ip& ip) {
  std::array<unsigned, 8> groups{};
  for (std::size_t i = 0; i != 8; ++i) {
    groups[i] = static_cast<unsigned>(ip[i * 2] << 8 | ip[i * 2 + 1]);
  }
  if (std::all_of(groups.begin(), groups.begin() + 5, [](unsigned group) { return group == 0; }) &&
      groups[5] == 0xffff) {
    return "::ffff:" + write_inet(&ip[12]);
  }
  const auto [first, last] = longest_run(groups);
  std::string text;
  for (std::size_t i = 0; i != 8; ++i) {
    if (i == first) {
      text += "::";
      i = last - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') {
      text += ':';
    }
    char digits[4];
    const auto end = std::to_chars(digits, digits + 4, groups[i], 16).ptr;
    text.append(digits, end);
  }
  return text;
}

}  // namespace

std::optional<Address> Address::parse(std::string_view host, std::uint16_t port) noexcept {
  Address address;
  address.raw_.port = port;
  if (read_inet(host, address.raw_.ip.data())) {
    address.raw_.family = AddressFamily::inet;
    return address;
  }
  address.raw_.ip.fill(0);
  address.raw_.family = AddressFamily::inet6;
  if (const std::size_t percent = host.find('%'); percent != std::string_view::npos) {
    if (!read_number(host.substr(percent + 1), address.raw_.scope_id, ~std::uint32_t{0})) {
      return std::nullopt;
    }
    host = host.substr(0, percent);
  }
  if (!Inet6Reader().read(host, address.raw_.ip)) {
    return std::nullopt;
  }
  return address;
}

Address Address::inet(std::string_view host, std::uint16_t port) {
  if (const std::optional<Address> address = parse(host, port)) {
    return *address;
  }
  throw std::invalid_argument("Address::inet: '" + std::string(host) + "' is not a numeric address");
}

Address Address::unix_path(std::string_view path) {
  const auto refuse = [path](const char* why) {
    std::string shown(path);
    std::replace(shown.begin(), shown.end(), '\0', '@');
    throw std::invalid_argument("Address::unix_path: '" + shown + "' " + why);
  };
  if (path.empty()) {
    refuse("is empty");
  }
  if (path.size() >= detail::RawAddress::most_path) {
    refuse("is longer than 107 bytes");
  }
  if (path.front() != '\0' && path.find('\0') != std::string_view::npos) {
    refuse("has a NUL in it");
  }
  Address address;
  address.raw_.family = AddressFamily::unix_domain;
  address.raw_.path_size = static_cast<std::uint8_t>(path.size());
  std::copy(path.begin(), path.end(), address.raw_.path.begin());
  return address;
}

Address Address::any(AddressFamily family, std::uint16_t port) noexcept {
  assert(family == AddressFamily::inet || family == AddressFamily::inet6);
  Address address;
  address.raw_.family = family;
  address.raw_.port = port;
  return address;
}

Address Address::loopback(AddressFamily family, std::uint16_t port) noexcept {
  Address address = any(family, port);
  if (family == AddressFamily::inet) {
    address.raw_.ip[0] = 127;
    address.raw_.ip[3] = 1;
  } else {
    address.raw_.ip[15] = 1;
  }
  return address;
}

std::string Address::host() const {
  switch (raw_.family) {
    case AddressFamily::inet:
      return write_inet(raw_.ip.data());
    case AddressFamily::inet6:
      return write_inet6(raw_.ip) +
             (raw_.scope_id != 0 ? '%' + std::to_string(raw_.scope_id) : std::string());
    case AddressFamily::unix_domain:
    case AddressFamily::unspecified:
      break;
  }
  return {};
}

std::string Address::to_string() const {
  switch (raw_.family) {
    case AddressFamily::inet:
      return host() + ':' + std::to_string(raw_.port);
    case AddressFamily::inet6:
      return '[' + host() + "]:" + std::to_string(raw_.port);
    case AddressFamily::unix_domain: {
      std::string text = "unix:" + path();
      std::replace(text.begin(), text.end(), '\0', '@');
      return text;
    }
    case AddressFamily::unspecified:
      break;
  }
  return "(no address)";
}

}  // namespace weir::inline WEIR_ABI

// FNV-1a.
std::size_t std::hash<weir::Address>::operator()(const weir::Address& address) const noexcept {
  const weir::detail::RawAddress& raw = address.raw();
  std::uint64_t hash = 14695981039346656037U;
  const auto mix = [&hash](std::uint64_t value) { hash = (hash ^ value) * 1099511628211U; };
  mix(static_cast<std::uint64_t>(raw.family));
  mix(raw.port);
  mix(raw.scope_id);
  mix(raw.flow);
  for (const std::uint8_t byte : raw.ip) {
    mix(byte);
  }
  for (const char byte : raw.path_view()) {
    mix(static_cast<unsigned char>(byte));
  }
  return static_cast<std::size_t>(hash);
}
