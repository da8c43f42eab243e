// The version of weir: of these headers as macros, of the library that was linked as functions.
#pragma once

#include <weir/config.hpp>

#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0

/// The version of these headers, as text: "major.minor.patch".
#define WEIR_VERSION "0.1.0"

namespace weir::inline WEIR_ABI {

/// The version of the library that this program runs with; differs from WEIR_VERSION when a shared library
/// was exchanged. Any thread; the text lives for ever.
WEIR_API const char* library_version() noexcept;

/// The backend that the library was built for, "epoll" or "sim" for example. Any thread; the text lives for
/// ever.
WEIR_API const char* backend_name() noexcept;

}  // namespace weir::inline WEIR_ABI
