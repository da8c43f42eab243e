// Destination address selection. The rules have their numbers in RFC 6724.
#include "net/dns/order.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>

namespace weir::inline WEIR_ABI::detail {

namespace {

using Ip = std::array<std::uint8_t, 16>;

// IPv4 addresses in their mapped form, so that one table serves both families.
Ip as_inet6(const Address& address) noexcept {
  const RawAddress& raw = address.raw();
  if (raw.family == AddressFamily::inet6) {
    return raw.ip;
  }
  Ip ip{};
  ip[10] = ip[11] = 0xff;
  std::copy(raw.ip.begin(), raw.ip.begin() + 4, ip.begin() + 12);
  return ip;
}

unsigned common_bits(const Ip& a, const Ip& b) noexcept {
  for (unsigned i = 0; i != 16; ++i) {
    if (const auto different = static_cast<std::uint8_t>(a[i] ^ b[i]); different != 0) {
      return i * 8 + static_cast<unsigned>(std::countl_zero(different));
    }
  }
  return 128;
}

struct Policy {
  Ip prefix;
  unsigned bits;
  int precedence;
  int label;
};

// Section 2.1, the longest prefix first.
constexpr std::array<Policy, 9> policies{{
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, 50, 0},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 35, 4},
    {{}, 96, 1, 3},
    {{0x20, 0x01}, 32, 5, 5},
    {{0x20, 0x02}, 16, 30, 2},
    {{0x3f, 0xfe}, 16, 1, 12},
    {{0xfe, 0xc0}, 10, 1, 11},
    {{0xfc}, 7, 3, 13},
    {{}, 0, 40, 1},
}};

const Policy& policy_of(const Ip& ip) noexcept {
  return *std::find_if(policies.begin(), policies.end(),
                       [&ip](const Policy& one) { return common_bits(ip, one.prefix) >= one.bits; });
}

constexpr int link_scope = 2;
constexpr int site_scope = 5;
constexpr int global_scope = 14;

int scope_of(const Ip& ip) noexcept {
  if (common_bits(ip, policies[1].prefix) >= 96) {
    return ip[12] == 127 || (ip[12] == 169 && ip[13] == 254) ? link_scope : global_scope;
  }
  if (ip[0] == 0xff) {
    return ip[1] & 0x0f;
  }
  if ((ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80) || ip == policies[0].prefix) {
    return link_scope;
  }
  return ip[0] == 0xfe && (ip[1] & 0xc0) == 0xc0 ? site_scope : global_scope;
}

// What the rules compare, computed once an address.
struct Candidate {
  Destination destination;
  Ip ip{};
  bool reachable = false;
  bool scope_matches = false;
  bool label_matches = false;
  int precedence = 0;
  int scope = 0;
  unsigned shared_prefix = 0;
  std::size_t place = 0;  // 10: equals stay in their order
};

Candidate candidate_for(const Destination& destination) {
  Candidate one;
  one.destination = destination;
  one.ip = as_inet6(destination.address);
  const Policy& policy = policy_of(one.ip);
  one.precedence = policy.precedence;
  one.scope = scope_of(one.ip);
  if (destination.source) {
    const Ip source = as_inet6(*destination.source);
    one.reachable = true;
    one.scope_matches = scope_of(source) == one.scope;
    one.label_matches = policy_of(source).label == policy.label;
    one.shared_prefix = common_bits(source, one.ip);
  }
  return one;
}

bool is_better(const Candidate& a, const Candidate& b) noexcept {
  if (a.reachable != b.reachable) {
    return a.reachable;  // 1
  }
  if (a.scope_matches != b.scope_matches) {
    return a.scope_matches;  // 2
  }
  if (a.label_matches != b.label_matches) {
    return a.label_matches;  // 5
  }
  if (a.precedence != b.precedence) {
    return a.precedence > b.precedence;  // 6
  }
  if (a.scope != b.scope) {
    return a.scope < b.scope;  // 8
  }
  // 9: IPv4 addresses that share a prefix need not be near each other, so it is for IPv6 alone.
  const bool both_inet6 = a.destination.address.family() == AddressFamily::inet6 &&
                          b.destination.address.family() == AddressFamily::inet6;
  if (both_inet6 && a.shared_prefix != b.shared_prefix) {
    return a.shared_prefix > b.shared_prefix;
  }
  return a.place < b.place;
}

}  // namespace

void order_destinations(std::vector<Destination>& destinations) {
  std::vector<Candidate> candidates;
  candidates.reserve(destinations.size());
  for (const Destination& one : destinations) {
    candidates.push_back(candidate_for(one));
    candidates.back().place = candidates.size();
  }
  std::sort(candidates.begin(), candidates.end(), is_better);
  std::transform(candidates.begin(), candidates.end(), destinations.begin(),
                 [](const Candidate& one) { return one.destination; });
}

}  // namespace weir::inline WEIR_ABI::detail
