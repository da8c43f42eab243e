// The two conversions, done by the system.
#include "backends/windows/text.hpp"

#include "backends/windows/winsock.hpp"

#include <cerrno>
#include <limits>
#include <new>

namespace weir::inline WEIR_ABI::detail {

std::int64_t to_wide(std::string_view text, std::wstring& out) noexcept {
  if (text.empty()) {
    out.clear();
    return 0;
  }
  if (text.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return -ENOMEM;
  }
  const int size = static_cast<int>(text.size());
  const int needed = ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, nullptr, 0);
  if (needed == 0) {
    return -EILSEQ;
  }
  try {
    out.resize(static_cast<std::size_t>(needed));
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, out.data(), needed);
  return 0;
}

std::string from_wide(std::wstring_view text) {
  if (text.empty()) {
    return {};
  }
  const int size = static_cast<int>(text.size());
  const int needed = ::WideCharToMultiByte(CP_UTF8, 0, text.data(), size, nullptr, 0, nullptr, nullptr);
  std::string out(static_cast<std::size_t>(needed), '\0');
  ::WideCharToMultiByte(CP_UTF8, 0, text.data(), size, out.data(), needed, nullptr, nullptr);
  return out;
}

}  // namespace weir::inline WEIR_ABI::detail
