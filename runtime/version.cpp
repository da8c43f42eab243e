// Answers for the library what <weir/version.hpp> says of the headers.
#include <weir/version.hpp>

namespace weir::inline WEIR_ABI {

const char* library_version() noexcept { return WEIR_VERSION; }

const char* backend_name() noexcept { return WEIR_BACKEND_NAME; }

}  // namespace weir::inline WEIR_ABI
