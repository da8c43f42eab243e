// What an actor does, past weir: a child of other making could not do other than what the system offers.
#include "tests/subprocess/actor.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

#if defined(_WIN32)
#include "backends/windows/text.hpp"
#include "backends/windows/winsock.hpp"

#include <shellapi.h>
#else
#include <unistd.h>
#include <cerrno>
#endif

namespace weir::testing {

namespace {

constexpr std::string_view mark = "--weir-actor";

// --- What differs between the systems

#if defined(_WIN32)

// Its standard handles by number, and any other under its own.
HANDLE handle_of(std::uintptr_t number) {
  static constexpr DWORD names[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
  return number < 3 ? ::GetStdHandle(names[number]) : reinterpret_cast<HANDLE>(number);
}

// 0: the end.
std::size_t get(std::uintptr_t number, char* into, std::size_t size) {
  DWORD moved = 0;
  return ::ReadFile(handle_of(number), into, static_cast<DWORD>(size), &moved, nullptr) != FALSE ? moved : 0;
}

bool put_once(std::uintptr_t number, std::string_view& text) {
  DWORD moved = 0;
  const bool done =
      ::WriteFile(handle_of(number), text.data(), static_cast<DWORD>(text.size()), &moved, nullptr) != FALSE;
  text.remove_prefix(moved);
  return done;
}

void close_standard(std::uintptr_t number) { ::CloseHandle(handle_of(number)); }
unsigned long own_number() { return ::GetCurrentProcessId(); }
[[noreturn]] void hang() {
  ::Sleep(INFINITE);
  std::abort();
}
[[noreturn]] void leave_process(int code) { ::ExitProcess(static_cast<UINT>(code)); }

std::vector<std::string> own_args() {
  int count = 0;
  wchar_t** const args = ::CommandLineToArgvW(::GetCommandLineW(), &count);
  std::vector<std::string> found;
  for (int i = 0; i != count; ++i) {
    found.push_back(detail::from_wide(args[i]));
  }
  ::LocalFree(args);
  return found;
}

std::vector<std::string> own_variables() {
  std::vector<std::string> found;
  wchar_t* const block = ::GetEnvironmentStringsW();
  for (const wchar_t* one = block; *one != L'\0'; one += std::wstring_view(one).size() + 1) {
    found.push_back(detail::from_wide(one));
  }
  ::FreeEnvironmentStringsW(block);
  return found;
}

// As other programs start one: whatever can be inherited is, and what was inherited can be.
void leave(const std::string& script) {
  STARTUPINFOW how{};
  how.cb = sizeof how;
  how.dwFlags = STARTF_USESTDHANDLES;
  how.hStdInput = handle_of(0);
  how.hStdOutput = handle_of(1);
  how.hStdError = handle_of(2);
  std::wstring line;
  detail::to_wide('"' + own_path() + "\" " + std::string(mark) + " \"" + script + '"', line);
  PROCESS_INFORMATION made{};
  if (::CreateProcessW(nullptr, line.data(), nullptr, nullptr, TRUE, 0, nullptr, nullptr, &how, &made) ==
      FALSE) {
    leave_process(99);
  }
}

#else

std::size_t get(std::uintptr_t number, char* into, std::size_t size) {
  ssize_t got = 0;
  do {
    got = ::read(static_cast<int>(number), into, size);
  } while (got < 0 && errno == EINTR);
  return got < 0 ? 0 : static_cast<std::size_t>(got);
}

bool put_once(std::uintptr_t number, std::string_view& text) {
  const ssize_t moved = ::write(static_cast<int>(number), text.data(), text.size());
  text.remove_prefix(moved < 0 ? 0 : static_cast<std::size_t>(moved));
  return moved >= 0;
}

void close_standard(std::uintptr_t number) { ::close(static_cast<int>(number)); }
int own_number() { return ::getpid(); }
[[noreturn]] void hang() {
  while (true) {
    ::pause();
  }
}
[[noreturn]] void leave_process(int code) { ::_exit(code); }

std::vector<std::string> own_args() {
  std::vector<std::string> found;
  char piece[4096];
  std::string all;
  if (FILE* const file = std::fopen("/proc/self/cmdline", "rb"); file != nullptr) {
    for (std::size_t got = 0; (got = std::fread(piece, 1, sizeof piece, file)) != 0;) {
      all.append(piece, got);
    }
    std::fclose(file);
  }
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t end = all.find('\0', begin);
    found.push_back(all.substr(begin, end - begin));
    begin = end + 1;
  }
  return found;
}

std::vector<std::string> own_variables() {
  std::vector<std::string> found;
  for (char** one = ::environ; *one != nullptr; ++one) {
    found.emplace_back(*one);
  }
  return found;
}

#endif

// --- The acts

bool put(std::uintptr_t number, std::string_view text) {
  while (!text.empty()) {
    if (!put_once(number, text)) {
      return false;
    }
  }
  return true;
}

// False: the end came before the line's.
bool get_line(std::uintptr_t number) {
  for (char letter = 0; letter != '\n';) {
    if (get(number, &letter, 1) == 0) {
      return false;
    }
  }
  return true;
}

// Up to `most` bytes, or the end.
void copy(std::size_t most, const std::vector<std::uintptr_t>& to) {
  std::string piece(65'536, '\0');
  while (most != 0) {
    const std::size_t got = get(0, piece.data(), std::min(most, piece.size()));
    if (got == 0) {
      return;
    }
    for (const std::uintptr_t number : to) {
      put(number, std::string_view(piece).substr(0, got));
    }
    most -= got;
  }
}

void write_much(std::uintptr_t to, std::size_t size) {
  const std::string piece(65'536, '\0');
  for (; size != 0; size -= std::min(size, piece.size())) {
    put(to, std::string_view(piece).substr(0, std::min(size, piece.size())));
  }
}

void write_for_ever(std::uintptr_t to) {
  std::string piece;
  while (piece.size() < 4096) {
    piece += "y\n";
  }
  while (put(to, piece)) {
  }
  leave_process(13);
}

void write_lines(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    put(1, line + '\n');
  }
}

std::string variable(std::string name) {
  name += '=';
  for (const std::string& one : own_variables()) {
    if (one.starts_with(name)) {
      return one.substr(name.size());
    }
  }
  return "";
}

std::string folder() {
  const std::u8string path = std::filesystem::current_path().u8string();
  return {path.begin(), path.end()};
}

void perform(const std::string& script);

// The word before the first blank, and what is behind it.
std::pair<std::string, std::string> split(const std::string& text) {
  const std::size_t blank = text.find(' ');
  return blank == std::string::npos ? std::pair(text, std::string())
                                    : std::pair(text.substr(0, blank), text.substr(blank + 1));
}

void leave_behind(std::string script) {
  std::ranges::replace(script, ',', ';');
#if defined(_WIN32)
  leave(script);
#else
  if (::fork() == 0) {
    perform(script);
    leave_process(0);
  }
#endif
}

// Numbers may be handles.
std::uintptr_t number_in(const std::string& text) { return std::stoull(text); }

using Act = void (*)(const std::string& rest);

const std::map<std::string, Act>& acts() {
  static constexpr std::size_t all = static_cast<std::size_t>(-1);
  static const std::map<std::string, Act> known = {
      {"out", [](const std::string& text) { put(1, text + '\n'); }},
      {"err", [](const std::string& text) { put(2, text + '\n'); }},
      {"cat", [](const std::string&) { copy(all, {1}); }},
      {"cat-err", [](const std::string&) { copy(all, {2}); }},
      {"sink", [](const std::string&) { copy(all, {}); }},
      {"tee", [](const std::string&) { copy(all, {1, 2}); }},
      {"head", [](const std::string& size) { copy(number_in(size), {1}); }},
      {"line", [](const std::string&) { get_line(0) ? void() : leave_process(0); }},
      {"more", [](const std::string& size) { write_much(1, number_in(size)); }},
      {"more-err", [](const std::string& size) { write_much(2, number_in(size)); }},
      {"yes", [](const std::string&) { write_for_ever(1); }},
      {"yes-err", [](const std::string&) { write_for_ever(2); }},
      {"close-in", [](const std::string&) { close_standard(0); }},
      {"close-out",
       [](const std::string&) {
         close_standard(1);
         close_standard(2);
       }},
      {"pid", [](const std::string&) { put(1, std::to_string(own_number()) + '\n'); }},
      {"exit", [](const std::string& code) { leave_process(std::stoi(code)); }},
      {"hang", [](const std::string&) { hang(); }},
      {"leave", [](const std::string& script) { leave_behind(script); }},
      {"args",
       [](const std::string&) {
         const std::vector<std::string> args = own_args();
         write_lines({args.begin() + 3, args.end()});
       }},
      {"env", [](const std::string&) { write_lines(own_variables()); }},
      {"var", [](const std::string& name) { put(1, variable(name) + '\n'); }},
      {"cwd", [](const std::string&) { put(1, folder() + '\n'); }},
      {"from", [](const std::string& number) { get_line(number_in(number)); }},
      {"to",
       [](const std::string& rest) {
         const auto [number, text] = split(rest);
         put(number_in(number), text + '\n') ? void() : leave_process(9);
       }},
  };
  return known;
}

void perform(const std::string& script) {
  std::istringstream rest(script);
  for (std::string one; std::getline(rest, one, ';');) {
    const auto [name, words] = split(one.substr(std::min(one.find_first_not_of(' '), one.size())));
    const auto found = acts().find(name);
    if (found == acts().end()) {
      leave_process(98);
    }
    found->second(words);
  }
}

[[maybe_unused]] const bool is_hooked = [] {
  run_instead = []() -> std::optional<int> {
    const std::vector<std::string> args = own_args();
    if (args.size() < 3 || args[1] != mark) {
      return {};
    }
    perform(args[2]);
    leave_process(0);
  };
  return true;
}();

}  // namespace

#if defined(_WIN32)
std::string own_path() {
  std::wstring path(32'768, L'\0');
  path.resize(::GetModuleFileNameW(nullptr, path.data(), static_cast<DWORD>(path.size())));
  return detail::from_wide(path);
}
#else
std::string own_path() { return std::filesystem::read_symlink("/proc/self/exe").string(); }
#endif

std::vector<std::string> actor(std::string_view script, const std::vector<std::string>& more) {
  std::vector<std::string> args = {own_path(), std::string(mark), std::string(script)};
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

std::vector<std::string> actor(std::string_view script) { return actor(script, std::vector<std::string>()); }

Coro<Child> act(EventLoop& loop, std::string script, SubprocessOptions options) {
  return start(loop, actor(script), options);
}

Coro<Child> act(EventLoop& loop, std::string script) {
  return act(loop, std::move(script), SubprocessOptions());
}

Coro<std::string> output_of_act(EventLoop& loop, std::string script, SubprocessOptions options) {
  const Child child = co_await act(loop, std::move(script), options);
  co_await child.lost();
  CHECK(child.transport->get_returncode() == 0);
  CHECK(child.protocol->error_output.empty());
  co_return child.protocol->output;
}

Coro<std::string> output_of_act(EventLoop& loop, std::string script) {
  return output_of_act(loop, std::move(script), SubprocessOptions());
}

}  // namespace weir::testing
