// Errors of the system as exceptions: the negated errno of the seam to a backend becomes a std::system_error
// here.
#pragma once

#include "backends/host.hpp"

#include <weir/net/address.hpp>

#include <cstdint>
#include <string>
#include <system_error>

namespace weir::inline WEIR_ABI::detail {

inline std::error_code os_code(std::int64_t result) noexcept {
  return {static_cast<int>(-result), os_category()};
}

// `what` names the call, and the address where there is one.
inline std::system_error os_error(std::int64_t result, const std::string& what) {
  return {os_code(result), what};
}
inline std::system_error os_error(std::int64_t result, const char* call, const Address& address) {
  return os_error(result, std::string(call) + ' ' + address.to_string());
}

// The result, unless it is an error.
inline std::int64_t check(std::int64_t result, const char* call) {
  if (result < 0) [[unlikely]] {
    throw os_error(result, call);
  }
  return result;
}

}  // namespace weir::inline WEIR_ABI::detail
