// Address: an IP address with a port, or the path of a Unix socket. A value; it knows no names of hosts,
// which getaddrinfo turns into addresses.
#pragma once

#include <weir/config.hpp>
#include <weir/detail/raw_address.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace weir::inline WEIR_ABI {

// An IPv4 or IPv6 address and a port, a path, or nothing (family unspecified) when default-made. Any thread.
class WEIR_API Address {
 public:
  Address() noexcept = default;

  // Reads a numeric address: "127.0.0.1", "::1", "fe80::1%2" (the scope by its number). Throws
  // std::invalid_argument, naming the text, for anything else, names of hosts and interfaces included.
  static Address inet(std::string_view host, std::uint16_t port);
  // The same; nothing when `host` is not a numeric address.
  static std::optional<Address> parse(std::string_view host, std::uint16_t port) noexcept;
  // All interfaces (0.0.0.0 or ::), and this machine (127.0.0.1 or ::1). The family must be inet or inet6.
  static Address any(AddressFamily family, std::uint16_t port) noexcept;
  static Address loopback(AddressFamily family, std::uint16_t port) noexcept;

  // A Unix socket: the path of a file, or behind a leading NUL an abstract name of Linux, in which any byte
  // may stand. Throws std::invalid_argument, naming the path, for one that is empty, is longer than 107 bytes
  // or has a NUL in it.
  static Address unix_path(std::string_view path);

  AddressFamily family() const noexcept { return raw_.family; }
  // The port, in the machine's byte order; 0 for a Unix socket.
  std::uint16_t port() const noexcept { return raw_.port; }
  // The number of the interface of a link-local IPv6 address; 0 when there is none.
  std::uint32_t scope_id() const noexcept { return raw_.scope_id; }
  // The flow information of an IPv6 address: traffic class and flow label, in the machine's byte order.
  // Systems ignore it unless they are told to use it.
  std::uint32_t flow_info() const noexcept { return raw_.flow; }
  // The same address with this flow information; others than IPv6 stay as they are.
  Address with_flow_info(std::uint32_t flow) const noexcept {
    Address changed = *this;
    changed.raw_.flow = family() == AddressFamily::inet6 ? flow : 0;
    return changed;
  }
  // The address as text, in the form of RFC 5952 and with its scope: what inet() reads. Empty for a Unix
  // socket and an unspecified address.
  std::string host() const;
  // What unix_path() reads; empty for a Unix socket without a name, as most that connect are, and for an IP
  // address.
  std::string path() const { return std::string(raw_.path_view()); }
  // "127.0.0.1:80", "[::1]:80", "unix:/run/weir", "unix:@abstract" (with @ for each NUL), "unix:" for one
  // without a name; "(no address)" for an unspecified address.
  std::string to_string() const;

  friend bool operator==(const Address&, const Address&) noexcept = default;

  // For weir's own rooms.
  explicit Address(const detail::RawAddress& raw) noexcept : raw_(raw) {}
  const detail::RawAddress& raw() const noexcept { return raw_; }

 private:
  detail::RawAddress raw_;
};

}  // namespace weir::inline WEIR_ABI

// Equal addresses hash equally.
template <>
struct std::hash<weir::Address> {
  WEIR_API std::size_t operator()(const weir::Address& address) const noexcept;
};
