// ProcessFunctions: all ProcessFunction objects of this program.
#pragma once

#include <weir/subprocess/process_pool.hpp>

#include <string>
#include <string_view>

namespace weir::inline WEIR_ABI::detail {

struct ProcessFunctions {
  // Null: there is none.
  static const ProcessFunction* find(std::string_view name) noexcept;
  // Why they cannot be used, such as two of one name; empty: they can.
  static std::string trouble();

  static void add(const ProcessFunction& function) noexcept;
  static void remove(const ProcessFunction& function) noexcept;
};

}  // namespace weir::inline WEIR_ABI::detail
