// What the library that a program is linked with can do: the capabilities of its backend on this machine.
#pragma once

#include <weir/config.hpp>

#include <span>
#include <string_view>

namespace weir::inline WEIR_ABI {

// Something that not every backend and not every machine offers. The texts live for ever.
struct CapabilityInfo {
  std::string_view name;     // "real_network": the name that NotSupportedError::capability() gives
  std::string_view meaning;  // in a few words, for people
  bool available;
};

// All that weir knows by name, whether available or not, always in the same order. Any thread.
WEIR_API std::span<const CapabilityInfo> capabilities();

// Is the capability of this name available here? Any thread. Throws std::invalid_argument for a name that
// capabilities() does not list.
WEIR_API bool has_capability(std::string_view name);

}  // namespace weir::inline WEIR_ABI
