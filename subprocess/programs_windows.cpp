// Where programs are found, and what the shell is, on Windows. The folder of this program, the working
// directory and those of the system, which CreateProcess would look into first, count when PATH names them.
#include "subprocess/spawn_plan.hpp"

#include "backends/windows/text.hpp"
#include "backends/windows/winsock.hpp"

#include <optional>
#include <stdexcept>
#include <string_view>

namespace weir::inline WEIR_ABI::detail {

namespace {

std::optional<std::string> own_variable(const wchar_t* name) {
  std::wstring value;
  DWORD size = ::GetEnvironmentVariableW(name, nullptr, 0);
  while (size > value.size()) {  // somebody may set it meanwhile
    value.resize(size);
    size = ::GetEnvironmentVariableW(name, value.data(), size);
  }
  if (size == 0) {
    return {};
  }
  value.resize(size);
  return from_wide(value);
}

std::string system_folder() {
  wchar_t path[MAX_PATH];
  const UINT size = ::GetSystemDirectoryW(path, MAX_PATH);
  return from_wide(std::wstring_view(path, size < MAX_PATH ? size : 0));
}

char lower(char letter) noexcept {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

bool ends_with(std::string_view text, std::string_view small) noexcept {
  if (text.size() < small.size()) {
    return false;
  }
  text.remove_prefix(text.size() - small.size());
  for (std::size_t i = 0; i != small.size(); ++i) {
    if (lower(text[i]) != small[i]) {
      return false;
    }
  }
  return true;
}

// The PATH of the environment that the child gets.
std::string search_path(const SpawnPlan& plan) {
  constexpr std::string_view name = "path=";
  if (!plan.env) {
    return own_variable(L"PATH").value_or(system_folder());
  }
  for (const std::string& variable : *plan.env) {
    if (variable.size() >= name.size() &&
        ends_with(std::string_view(variable).substr(0, name.size()), name)) {
      return variable.substr(name.size());
    }
  }
  return system_folder();
}

// A folder with a semicolon in its name stands between quotes.
std::vector<std::string> folders_of(const std::string& path) {
  std::vector<std::string> folders(1);
  bool is_quoted = false;
  for (const char letter : path) {
    if (letter == '"') {
      is_quoted = !is_quoted;
    } else if (letter == ';' && !is_quoted) {
      folders.emplace_back();
    } else {
      folders.back() += letter;
    }
  }
  std::erase(folders, std::string());
  return folders;
}

std::string_view last_part(std::string_view path) noexcept {
  const std::size_t separator = path.find_last_of("/\\:");
  return separator == std::string_view::npos ? path : path.substr(separator + 1);
}

bool is_relative(std::string_view path) noexcept {
  return path.find_first_of("/\\") != 0 && path.find(':') == std::string_view::npos;
}

// ".exe" may be left out.
void add_candidates(std::vector<std::string>& found, const std::string& path) {
  const bool has_dot = last_part(path).find('.') != std::string_view::npos;
  found.push_back(has_dot ? path : path + ".exe");
  if (!ends_with(path, ".exe")) {
    found.push_back(has_dot ? path + ".exe" : path);
  }
}

// The system would run cmd.exe for it, which takes the arguments for commands, however they are quoted. It
// does not see dots and blanks at the end of a name.
void refuse_batch_file(const SpawnPlan& plan, std::string_view program) {
  const std::string_view name = program.substr(0, program.find_last_not_of(". ") + 1);
  if (ends_with(name, ".bat") || ends_with(name, ".cmd")) {
    throw std::invalid_argument(std::string(plan.call) + ": " + std::string(program) +
                                " is a batch file, which a shell alone can start");
  }
}

}  // namespace

std::vector<std::string> candidates_for(const SpawnPlan& plan, const std::string& program) {
  refuse_batch_file(plan, program);
  std::vector<std::string> found;
  if (last_part(program).size() != program.size()) {
    add_candidates(found, !plan.cwd.empty() && is_relative(program) ? plan.cwd + '\\' + program : program);
    return found;
  }
  for (const std::string& folder : folders_of(search_path(plan))) {
    add_candidates(found, folder + '\\' + program);
  }
  return found;
}

// Without what the user has every shell do (/d), and with the quotes around the command taken away and no
// others (/s).
std::vector<std::string> shell_args(std::string_view command) {
  return {own_variable(L"ComSpec").value_or(system_folder() + "\\cmd.exe"), "/d", "/s", "/c",
          std::string(command)};
}

}  // namespace weir::inline WEIR_ABI::detail
