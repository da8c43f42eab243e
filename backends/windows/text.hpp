// UTF-8, which is weir's, to the UTF-16 of Windows and back.
#pragma once

#include <weir/config.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::inline WEIR_ABI::detail {

// 0, -EILSEQ for what is no UTF-8, or -ENOMEM.
std::int64_t to_wide(std::string_view text, std::wstring& out) noexcept;
// What has no place in Unicode becomes U+FFFD.
std::string from_wide(std::wstring_view text);

}  // namespace weir::inline WEIR_ABI::detail
