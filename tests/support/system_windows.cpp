// The machine as Windows shows it.
#include "tests/support/system.hpp"

#include <doctest/doctest.h>

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
// clang-format off
#include <windows.h>
#include <winternl.h>
// clang-format on

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iterator>
#include <string_view>

namespace weir::testing {

namespace {

HANDLE handle_of(std::uintptr_t number) { return reinterpret_cast<HANDLE>(number); }

// What kind of object a handle stands for; empty when there is no such handle.
std::wstring_view type_of(std::uintptr_t number, std::byte (&memory)[1024]) {
  constexpr auto object_type_information = static_cast<OBJECT_INFORMATION_CLASS>(2);
  ULONG size = 0;
  if (::NtQueryObject(handle_of(number), object_type_information, memory, sizeof memory, &size) < 0) {
    return {};
  }
  const auto& name = *reinterpret_cast<const UNICODE_STRING*>(memory);  // the first of what is told
  return {name.Buffer, name.Length / sizeof(wchar_t)};
}

// The system opens devices of its own, and keeps threads and locks; those are no business of a test. What is
// neither on a disk nor a pipe nor a socket, which looks like one, is such a device.
bool is_tests_own(std::uintptr_t number, std::wstring_view type) {
  if (type == L"IoCompletion") {
    return true;
  }
  if (type != L"File") {
    return false;
  }
  const DWORD kind = ::GetFileType(handle_of(number));
  return kind == FILE_TYPE_DISK || kind == FILE_TYPE_PIPE;
}

}  // namespace

// There is no list of the handles, but their numbers are small multiples of four, and it is known how many
// there are. Not under Wine, which gives the lowest number that is free: there a long gap is the end.
std::size_t machine_descriptors() {
  constexpr unsigned long_gap = 256;
  DWORD all = 0;
  ::GetProcessHandleCount(::GetCurrentProcess(), &all);
  std::size_t count = 0;
  std::size_t found = 0;
  unsigned gap = 0;
  alignas(std::max_align_t) std::byte memory[1024];
  for (std::uintptr_t number = 4; (gap < long_gap || found < all) && number < 0x40000; number += 4) {
    const std::wstring_view type = type_of(number, memory);
    gap = type.empty() ? gap + 1 : 0;
    found += type.empty() ? 0U : 1U;
    count += is_tests_own(number, type) ? 1U : 0U;
  }
  REQUIRE(count != 0);  // there are the standard streams at least
  return count;
}

std::filesystem::path make_scratch_folder(const std::string& prefix) {
  static std::atomic<unsigned> last{0};
  for (;;) {
    const auto ticks = std::chrono::steady_clock::now().time_since_epoch().count();
    const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                       (prefix + std::to_string(::GetCurrentProcessId()) + "-" +
                                        std::to_string(ticks) + "-" + std::to_string(last.fetch_add(1)));
    if (std::filesystem::create_directory(path)) {
      return path;
    }
  }
}

void set_environment(const char* name, const char* value) {
  ::_putenv_s(name, value != nullptr ? value : "");  // which is how it is unset
}

std::chrono::nanoseconds thread_cpu_time() {
  FILETIME created{}, ended{}, kernel{}, user{};
  REQUIRE(::GetThreadTimes(::GetCurrentThread(), &created, &ended, &kernel, &user) != FALSE);
  const auto ticks = [](FILETIME time) {
    return static_cast<std::int64_t>(std::uint64_t{time.dwHighDateTime} << 32 | time.dwLowDateTime);
  };
  return std::chrono::nanoseconds((ticks(kernel) + ticks(user)) * 100);
}

void pass_frame() { ::Sleep(1); }

SignalHandler signal_handler(int number) {
  const SignalHandler current = std::signal(number, SIG_DFL);  // there is no other way to look
  std::signal(number, current);
  return current;
}

std::function<void()> set_signal_handler(int number, SignalHandler handler) {
  const SignalHandler before = std::signal(number, handler);
  REQUIRE((before != SIG_ERR));
  return [before, number] { std::signal(number, before); };
}

void stay_signal_handler(int number, SignalHandler handler) { std::signal(number, handler); }

// A console of this process's own, so that nobody else is interrupted.
Interrupter::Interrupter() {
  const DWORD streams[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
  HANDLE before[3] = {};
  std::transform(std::begin(streams), std::end(streams), std::begin(before), &::GetStdHandle);
  ::FreeConsole();
  REQUIRE(::AllocConsole() != FALSE);
  for (std::size_t i = 0; i != std::size(streams); ++i) {
    ::SetStdHandle(streams[i], before[i]);
  }
}
void Interrupter::interrupt() const { CHECK(::GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0) != FALSE); }

MachinePipe::MachinePipe() {
  HANDLE handles[2] = {};
  REQUIRE(::CreatePipe(&handles[0], &handles[1], nullptr, 0) != FALSE);
  ends[0] = reinterpret_cast<native_file>(handles[0]);
  ends[1] = reinterpret_cast<native_file>(handles[1]);
}
MachinePipe::~MachinePipe() {
  ::CloseHandle(handle_of(ends[0]));
  ::CloseHandle(handle_of(ends[1]));
}

bool is_inheritable(native_file native) {
  DWORD flags = 0;
  REQUIRE(::GetHandleInformation(handle_of(native), &flags) != FALSE);
  return (flags & HANDLE_FLAG_INHERIT) != 0;
}

}  // namespace weir::testing
