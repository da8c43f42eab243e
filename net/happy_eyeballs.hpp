// Connecting to one of several addresses: one after the other, or in a race (RFC 8305).
#pragma once

#include <weir/net/connect.hpp>

#include <cstddef>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// The addresses with their families alternating, beginning with `first_count` of the first one; each family
// keeps its order.
std::vector<Address> interleave(const std::vector<Address>& addresses, int first_count);

// Gives a socket that is connected to one of plan.targets. All others are closed then. Throws one error for
// all attempts when none succeeds. The plan is used until then.
Coro<weir::Socket> connect_to_one(EventLoop& loop, const ConnectionPlan& plan);

}  // namespace weir::inline WEIR_ABI::detail
