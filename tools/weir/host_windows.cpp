// The terminal, the limits and the files of Windows.
#include "tools/weir/host.hpp"

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <span>
#include <string_view>

namespace program {

namespace {

bool is_console(DWORD which) noexcept {
  DWORD mode = 0;
  return ::GetConsoleMode(::GetStdHandle(which), &mode) != FALSE;
}

weir::native_file standard_handle(DWORD which) noexcept {
  HANDLE handle = ::GetStdHandle(which);
  return handle != nullptr ? reinterpret_cast<weir::native_file>(handle) : weir::invalid_file;
}

}  // namespace

bool stderr_is_terminal() noexcept { return is_console(STD_ERROR_HANDLE); }
bool stdin_is_terminal() noexcept { return is_console(STD_INPUT_HANDLE); }
weir::native_file standard_input() noexcept { return standard_handle(STD_INPUT_HANDLE); }
weir::native_file standard_output() noexcept { return standard_handle(STD_OUTPUT_HANDLE); }
weir::native_file standard_error() noexcept { return standard_handle(STD_ERROR_HANDLE); }

// For children, which there are none of yet.
std::optional<weir::TerminalSize> terminal_size() noexcept { return std::nullopt; }
int resize_signal() noexcept { return 0; }
std::vector<int> control_signals() { return {}; }
std::vector<int> typed_signals() { return {SIGINT}; }
struct RawTerminal::Before {};
RawTerminal::RawTerminal() noexcept = default;
RawTerminal::~RawTerminal() = default;

// Handles are limited by memory alone.
std::optional<DescriptorLimit> descriptor_limit() noexcept { return std::nullopt; }
void raise_descriptor_limit() noexcept {}
std::optional<std::uint64_t> backlog_limit() noexcept { return std::nullopt; }

namespace {

Opened failed(DWORD error) noexcept {
  switch (error) {
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
      return {.error = std::make_error_code(std::errc::permission_denied)};
    case ERROR_TOO_MANY_OPEN_FILES:
      return {.error = std::make_error_code(std::errc::too_many_files_open)};
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_NO_SYSTEM_RESOURCES:
      return {.error = std::make_error_code(std::errc::not_enough_memory)};
    default:
      return {.error = std::make_error_code(std::errc::no_such_file_or_directory)};
  }
}

HANDLE handle_of(const weir::File& file) noexcept { return reinterpret_cast<HANDLE>(file.native_handle()); }

weir::File open_for_reading(const std::wstring& path) noexcept {
  HANDLE handle = ::CreateFileW(
      path.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
      OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr);  // the flag: a folder may be opened
  return handle != INVALID_HANDLE_VALUE ? weir::File::adopt(reinterpret_cast<weir::native_file>(handle))
                                        : weir::File();
}

std::chrono::sys_seconds time_of(FILETIME time) noexcept {
  constexpr std::int64_t ticks_a_second = 10'000'000;           // of 100 ns
  constexpr std::int64_t seconds_before_1970 = 11'644'473'600;  // since 1601
  const auto ticks = static_cast<std::int64_t>(std::uint64_t{time.dwHighDateTime} << 32 | time.dwLowDateTime);
  return std::chrono::sys_seconds(std::chrono::seconds(ticks / ticks_a_second - seconds_before_1970));
}

// `file` was opened just now, or could not be.
Opened opened(weir::File file) noexcept {
  if (!file.is_open()) {
    return failed(::GetLastError());
  }
  Opened found;
  found.file = std::move(file);
  BY_HANDLE_FILE_INFORMATION about{};
  if (::GetFileType(handle_of(found.file)) != FILE_TYPE_DISK) {
    return found;  // a device or a pipe
  }
  if (::GetFileInformationByHandle(handle_of(found.file), &about) == FALSE) {
    return failed(::GetLastError());
  }
  found.is_folder = (about.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
  found.is_regular = !found.is_folder;
  found.size = std::uint64_t{about.nFileSizeHigh} << 32 | about.nFileSizeLow;
  found.modified = time_of(about.ftLastWriteTime);
  return found;
}

// Where an open file lies, without links and in the form that begins with \\?\; empty when it lies nowhere.
std::wstring place_of(const weir::File& file) {
  std::wstring place(MAX_PATH, L'\0');
  for (;;) {
    const DWORD size = ::GetFinalPathNameByHandleW(handle_of(file), place.data(),
                                                   static_cast<DWORD>(place.size()), FILE_NAME_NORMALIZED);
    if (size < place.size()) {
      place.resize(size);
      return place;
    }
    place.resize(size);  // with the NUL
  }
}

// One part of a path that is a name and nothing else: no way up, no stream of a file, no letter that Windows
// gives a meaning, no end that it would take away.
bool is_plain_name(std::wstring_view name) noexcept {
  const bool has_meaning = std::any_of(name.begin(), name.end(), [](wchar_t letter) {
    return letter < L' ' || std::wstring_view(L"<>:\"/\\|?*").find(letter) != std::wstring_view::npos;
  });
  return !name.empty() && !has_meaning && name.back() != L'.' && name.back() != L' ';
}

// `path` below `place`, or nothing when it has parts that are no plain names.
std::wstring joined(std::wstring place, const std::wstring& path) {
  std::wstring_view left = path;
  while (!left.empty()) {
    const std::size_t size = std::min(left.find(L'/'), left.size());
    const std::wstring_view name = left.substr(0, size);
    left.remove_prefix(std::min(size + 1, left.size()));
    if (name.empty() || name == L".") {
      continue;
    }
    if (!is_plain_name(name)) {
      return {};
    }
    place += L'\\';
    place += name;
  }
  return place;
}

bool is_below(std::wstring_view place, std::wstring_view folder) noexcept {
  return place == folder || (place.size() > folder.size() && place.starts_with(folder) &&
                             (folder.ends_with(L'\\') || place[folder.size()] == L'\\'));
}

}  // namespace

// The names are taken as they are, and what was opened tells where it lies: a link that changes meanwhile
// makes no difference.
Opened open_beneath(const weir::File& folder, const std::string& path) noexcept {
  try {
    const std::wstring root = place_of(folder);
    const std::wstring wanted = root.empty() ? root : joined(root, std::filesystem::path(path).wstring());
    if (wanted.empty()) {
      return failed(ERROR_FILE_NOT_FOUND);
    }
    Opened found = opened(open_for_reading(wanted));
    return found.error || is_below(place_of(found.file), root) ? std::move(found)
                                                               : failed(ERROR_FILE_NOT_FOUND);
  } catch (const std::bad_alloc&) {
    return failed(ERROR_NOT_ENOUGH_MEMORY);
  } catch (const std::exception&) {
    return failed(ERROR_FILE_NOT_FOUND);  // no UTF-8
  }
}

Opened open_file(const std::string& path) noexcept {
  try {
    return opened(open_for_reading(std::filesystem::path(path).wstring()));
  } catch (const std::exception&) {
    return failed(ERROR_FILE_NOT_FOUND);
  }
}

weir::File open_folder(const std::string& path) {
  Opened found = open_file(path);
  if (!found.error && !found.is_folder) {
    found.error = std::make_error_code(std::errc::not_a_directory);
  }
  if (found.error) {
    throw std::system_error(found.error, path);
  }
  return std::move(found.file);
}

void write_new_file(const std::string& path, std::string_view text, Readers) {
  const std::wstring wide = std::filesystem::path(path).wstring();
  HANDLE const handle =
      ::CreateFileW(wide.c_str(), GENERIC_WRITE, 0, nullptr, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (handle == INVALID_HANDLE_VALUE) {
    throw std::system_error(static_cast<int>(::GetLastError()), std::system_category(), path);
  }
  weir::File file = weir::File::adopt(reinterpret_cast<weir::native_file>(handle));
  for (std::span<const std::byte> left = std::as_bytes(std::span(text)); !left.empty();) {
    left = left.subspan(file.write(left));
  }
}

}  // namespace program
