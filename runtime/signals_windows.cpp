// SIGINT of Windows: Ctrl-C in the console, which the C library turns into the signal. As a signal, and not
// by a console handler of weir's own, it is what raise() and the program's own handlers mean by it, and
// whoever installed one is seen. (A console handler of the program's cannot be seen; it is asked before the C
// library's if it came later.) Ctrl-Break ends the program, as in asyncio.
#include "runtime/signals.hpp"

#include <csignal>
#include <cstdint>

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
// clang-format off
#include <windows.h>
#include <tlhelp32.h>
// clang-format on

namespace weir::inline WEIR_ABI::detail {

namespace {

// On a thread of the system's for Ctrl-C, on the caller's for raise(). The C library forgets a handler when
// it calls it.
extern "C" void weir_on_signal(int number) {
  std::signal(number, &weir_on_signal);
  const DWORD error = ::GetLastError();
  tell_loops_of_signal(number);
  ::SetLastError(error);
}

// When a thread began; never, when it is gone.
std::uint64_t beginning_of(DWORD thread) noexcept {
  FILETIME created{};
  FILETIME others[3] = {};
  HANDLE handle = ::OpenThread(THREAD_QUERY_LIMITED_INFORMATION, FALSE, thread);
  if (handle == nullptr) {
    return UINT64_MAX;
  }
  const bool is_known = ::GetThreadTimes(handle, &created, &others[0], &others[1], &others[2]) != FALSE;
  ::CloseHandle(handle);
  return is_known ? std::uint64_t{created.dwHighDateTime} << 32 | created.dwLowDateTime : UINT64_MAX;
}

// The system has no word for the main thread: it is the oldest. Of two that are equally old it is the one
// that the system tells first. The current thread when the system does not tell them.
DWORD find_main_thread() noexcept {
  DWORD main_thread = ::GetCurrentThreadId();
  HANDLE all = ::CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
  if (all == INVALID_HANDLE_VALUE) {
    return main_thread;
  }
  std::uint64_t oldest = UINT64_MAX;
  THREADENTRY32 entry{};
  entry.dwSize = sizeof entry;
  for (BOOL is_one = ::Thread32First(all, &entry); is_one != FALSE; is_one = ::Thread32Next(all, &entry)) {
    if (entry.th32OwnerProcessID != ::GetCurrentProcessId()) {
      continue;
    }
    if (const std::uint64_t beginning = beginning_of(entry.th32ThreadID); beginning < oldest) {
      oldest = beginning;
      main_thread = entry.th32ThreadID;
    }
  }
  ::CloseHandle(all);
  return main_thread;
}

}  // namespace

bool on_main_thread() noexcept {
  static const DWORD main_thread = find_main_thread();
  return ::GetCurrentThreadId() == main_thread;
}

bool install_interrupt_handler() noexcept {
  // There is no way to look without changing it.
  const auto before = std::signal(SIGINT, &weir_on_signal);
  if (before == SIG_DFL) {
    return true;
  }
  if (before != SIG_ERR) {
    std::signal(SIGINT, before);
  }
  return false;
}

void restore_interrupt_handler() noexcept {
  const auto before = std::signal(SIGINT, SIG_DFL);
  if (before != &weir_on_signal && before != SIG_ERR) {
    std::signal(SIGINT, before);
  }
}

}  // namespace weir::inline WEIR_ABI::detail
