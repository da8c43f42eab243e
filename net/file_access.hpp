// What the other files of net/ may do to a File.
#pragma once

#include <weir/net/file.hpp>

namespace weir::inline WEIR_ABI::detail {

struct FileAccess {
  // A descriptor that is close-on-exec already.
  static File own(native_file native) noexcept { return File(native); }
};

}  // namespace weir::inline WEIR_ABI::detail
