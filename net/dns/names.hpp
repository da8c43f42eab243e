// What a host's text is before anybody is asked: a numeric address, a name that may exist, or nonsense.
#pragma once

#include <weir/net/address.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace weir::inline WEIR_ABI::detail {

// Reads what the system's getaddrinfo takes for a numeric host: beside Address::parse, the old forms of IPv4
// ("127.1", "0x7f000001") and a scope by the name of its interface.
std::optional<Address> read_numeric_host(std::string_view host, std::uint16_t port);

// Has it characters outside of ASCII?
bool is_international(std::string_view name) noexcept;
// Letters, digits, '-' and '_' in labels of 1 to 63, 253 characters in all; one dot may stand at the end.
bool is_host_name(std::string_view name) noexcept;
// "localhost", and whatever ends in ".localhost" (RFC 6761).
bool is_localhost(std::string_view name);
// Ends in ".local": multicast DNS (RFC 6762).
bool is_multicast_name(std::string_view name);

// In lower case and without the dot at its end: how tables know it.
std::string table_name(std::string_view name);
// The IPv4 address inside ::ffff:a.b.c.d, and the other way round. The port stays.
std::optional<Address> unmapped(const Address& address) noexcept;
Address mapped(const Address& address) noexcept;

}  // namespace weir::inline WEIR_ABI::detail
