// The signals of Windows: Ctrl-C and Ctrl-Break in the console, which the C library turns into SIGINT and
// SIGBREAK. As signals, and not by a console handler of weir's own, they are what raise() and the program's
// own handlers mean by them, and whoever installed one is seen. (A console handler of the program's cannot be
// seen; it is asked before the C library's if it came later.)
#include "runtime/signals.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <mutex>

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

// How a signal was handled before it was taken, and by how many it is.
struct Taken {
  unsigned users = 0;
  void (*before)(int) = SIG_DFL;
  std::atomic<bool> is_kept{false};
};
std::mutex taking;
constinit std::array<Taken, last_signal + 1> taken;

// On a thread of the system's for Ctrl-C, on the caller's for raise(). The C library forgets a handler when
// it calls it.
extern "C" void weir_on_signal(int number) {
  if (taken[static_cast<std::size_t>(number)].is_kept.load()) {
    std::signal(number, &weir_on_signal);
  }
  const DWORD error = ::GetLastError();
  tell_loops_of_signal(number);
  ::SetLastError(error);
}

// The console is closed, which the C library does not tell of as SIGTERM. The process ends when this returns,
// or some seconds later: the loop has those.
BOOL WINAPI on_console_event(DWORD event) {
  if (event != CTRL_CLOSE_EVENT) {
    return FALSE;
  }
  tell_loops_of_signal(SIGTERM);
  ::Sleep(INFINITE);
  return TRUE;
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

int take_signal(int number, bool if_default) noexcept {
  if (number != SIGINT && number != SIGBREAK && number != SIGTERM) {
    return -EINVAL;  // the others are faults of the thread they come in, or never come
  }
  const std::scoped_lock lock(taking);
  Taken& signal = taken[static_cast<std::size_t>(number)];
  if (if_default && signal.users != 0) {
    return -EBUSY;
  }
  signal.is_kept.store(true);
  // There is no way to look without changing it.
  const auto before = std::signal(number, &weir_on_signal);
  if (before == SIG_ERR || (if_default && before != SIG_DFL)) {
    if (before != SIG_ERR) {
      std::signal(number, before);
    }
    signal.is_kept.store(signal.users != 0);
    return before == SIG_ERR ? -EINVAL : -EBUSY;
  }
  if (before != &weir_on_signal) {
    signal.before = before;
  }
  if (++signal.users == 1 && number == SIGTERM) {
    ::SetConsoleCtrlHandler(&on_console_event, TRUE);
  }
  return 0;
}

void give_signal_back(int number) noexcept {
  const std::scoped_lock lock(taking);
  Taken& signal = taken[static_cast<std::size_t>(number)];
  if (--signal.users != 0) {
    return;
  }
  if (number == SIGTERM) {
    ::SetConsoleCtrlHandler(&on_console_event, FALSE);
  }
  signal.is_kept.store(false);
  const auto last = std::signal(number, signal.before);
  if (last != &weir_on_signal && last != SIG_DFL && last != SIG_ERR) {
    std::signal(number, last);
  }
}

}  // namespace weir::inline WEIR_ABI::detail
