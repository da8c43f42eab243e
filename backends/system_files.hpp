// SystemFiles: the files and pipes of the system that weir is built for.
#pragma once

#ifdef _WIN32
#include "backends/windows/files.hpp"
#else
#include "backends/posix/files.hpp"
#endif

namespace weir::inline WEIR_ABI::detail {

#ifdef _WIN32
using SystemFiles = WindowsFiles;
#else
using SystemFiles = PosixFiles;
#endif

}  // namespace weir::inline WEIR_ABI::detail
