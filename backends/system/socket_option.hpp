// The system's names of a socket's options, which POSIX and Windows share.
#pragma once

#include <weir/detail/op.hpp>

namespace weir::inline WEIR_ABI::detail {

struct OptionName {
  int level;
  int name;
};

// Level -1: the system has no such option, or (multicast) a name for each family.
OptionName option_name(SocketOption option) noexcept;

constexpr bool is_multicast(SocketOption option) noexcept { return option >= SocketOption::multicast_ttl; }

}  // namespace weir::inline WEIR_ABI::detail
