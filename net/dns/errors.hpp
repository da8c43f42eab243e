// Throwing the resolver's errors.
#pragma once

#include <weir/net/resolver.hpp>

#include <string>

namespace weir::inline WEIR_ABI::detail {

// `what` names the call and the name that was looked up.
[[noreturn]] void throw_resolver_error(ResolverErrc code, const std::string& what);

}  // namespace weir::inline WEIR_ABI::detail
