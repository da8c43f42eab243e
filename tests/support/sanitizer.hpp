// Is this a build for the address or the thread sanitizer? g++ and clang say so in different ways.
#pragma once

#if defined(__has_feature)
#define WEIR_TEST_HAS_FEATURE(feature) __has_feature(feature)
#else
#define WEIR_TEST_HAS_FEATURE(feature) 0
#endif

namespace weir::testing {

#if defined(__SANITIZE_ADDRESS__) || WEIR_TEST_HAS_FEATURE(address_sanitizer)
inline constexpr bool under_address_sanitizer = true;
#else
inline constexpr bool under_address_sanitizer = false;
#endif

#if defined(__SANITIZE_THREAD__) || WEIR_TEST_HAS_FEATURE(thread_sanitizer)
inline constexpr bool under_thread_sanitizer = true;
#else
inline constexpr bool under_thread_sanitizer = false;
#endif

inline constexpr bool under_sanitizer = under_address_sanitizer || under_thread_sanitizer;

}  // namespace weir::testing

#undef WEIR_TEST_HAS_FEATURE
