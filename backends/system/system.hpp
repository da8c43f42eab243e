// The calls of the system that weir is built for, by one name.
#pragma once

#ifdef _WIN32
#include "backends/windows/files.hpp"
#include "backends/windows/sockets.hpp"
#else
#include "backends/posix/files.hpp"
#include "backends/posix/sockets.hpp"
#endif

namespace weir::inline WEIR_ABI::detail {

#ifdef _WIN32
using SystemFiles = WindowsFiles;
using SystemSockets = WindowsSockets;
#else
using SystemFiles = PosixFiles;
using SystemSockets = PosixSockets;
#endif

}  // namespace weir::inline WEIR_ABI::detail
