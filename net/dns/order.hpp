// The order of several addresses of one host: RFC 6724, section 6.
#pragma once

#include <weir/net/address.hpp>

#include <optional>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// An address with the one that packets to it would come from, if there is a route.
struct Destination {
  Address address;
  std::optional<Address> source;
};

// Best first; equals stay in the order given. Rules 3, 4 and 7 need what no system tells, and are left out as
// they are elsewhere.
void order_destinations(std::vector<Destination>& destinations);

}  // namespace weir::inline WEIR_ABI::detail
