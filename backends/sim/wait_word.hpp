// A word that one thread waits for and any thread or signal handler changes: std::atomic's own wait(), which
// loses wake-ups in mingw's C++ library (libstdc++ 12, where there is no futex), or what Windows has instead.
#pragma once

#include <weir/config.hpp>

#include <atomic>
#include <cstddef>

#ifdef _WIN32
extern "C" {
// As <synchapi.h> declares them: <windows.h> would bring its macros into the simulator.
__declspec(dllimport) int __stdcall WaitOnAddress(volatile void* address, void* compare, std::size_t size,
                                                  unsigned long milliseconds);
__declspec(dllimport) void __stdcall WakeByAddressSingle(void* address);
}
#endif

namespace weir::inline WEIR_ABI::detail {

// Returns when the word is, or may be, another than `value`.
inline void wait_while(std::atomic<int>& word, int value) noexcept {
#ifdef _WIN32
  constexpr unsigned long for_ever = 0xFFFFFFFF;
  ::WaitOnAddress(&word, &value, sizeof value, for_ever);
#else
  word.wait(value);
#endif
}

// Wakes the one who waits for the word, which has been changed.
inline void wake_waiter(std::atomic<int>& word) noexcept {
#ifdef _WIN32
  ::WakeByAddressSingle(&word);
#else
  word.notify_one();
#endif
}

}  // namespace weir::inline WEIR_ABI::detail
