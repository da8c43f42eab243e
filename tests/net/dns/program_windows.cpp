// Programs under Wine: those of the system under it, which are nobody's children and have no handle.
#include "tests/net/dns/program.hpp"

#include <doctest/doctest.h>

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

#include <cstdint>

namespace weir::testing {

namespace {

constexpr const wchar_t* env_path = LR"(\\?\unix\usr\bin\env)";

bool is_file(HANDLE handle, const BY_HANDLE_FILE_INFORMATION& file) {
  BY_HANDLE_FILE_INFORMATION about{};
  return ::GetFileType(handle) == FILE_TYPE_DISK && ::GetFileInformationByHandle(handle, &about) != FALSE &&
         about.nFileIndexHigh == file.nFileIndexHigh && about.nFileIndexLow == file.nFileIndexLow &&
         about.dwVolumeSerialNumber == file.dwVolumeSerialNumber;
}

// Wine leaves the file open that it looks at to see that it is no program of Windows.
void close_forgotten() {
  const HANDLE file =
      ::CreateFileW(env_path, FILE_READ_ATTRIBUTES, FILE_SHARE_READ, nullptr, OPEN_EXISTING, 0, nullptr);
  REQUIRE((file != INVALID_HANDLE_VALUE));
  BY_HANDLE_FILE_INFORMATION about{};
  REQUIRE(::GetFileInformationByHandle(file, &about) != FALSE);
  for (std::uintptr_t number = 4; number < 0x4000; number += 4) {
    if (const HANDLE handle = reinterpret_cast<HANDLE>(number); is_file(handle, about)) {
      ::CloseHandle(handle);  // ours among them
    }
  }
}

}  // namespace

Program::Program(std::vector<std::string> words) {
  std::wstring line = L"env";  // which finds the others in the system's own PATH
  for (const std::string& one : words) {
    line += L" \"" + std::wstring(one.begin(), one.end()) + L'"';
  }
  STARTUPINFOW how{};
  how.cb = sizeof how;
  PROCESS_INFORMATION made{};
  REQUIRE(::CreateProcessW(env_path, line.data(), nullptr, nullptr, FALSE, 0, nullptr, nullptr, &how,
                           &made) != FALSE);
  close_forgotten();
}

Program::~Program() = default;

}  // namespace weir::testing
