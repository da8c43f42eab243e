// Quoting, and the block of the environment.
#include "subprocess/command_line.hpp"

#include "backends/windows/text.hpp"
#include "backends/windows/winsock.hpp"
#include "net/os_error.hpp"

#include <algorithm>

namespace weir::inline WEIR_ABI::detail {

namespace {

// Backslashes mean themselves, but before a quote: there two are one, and an odd one makes the quote a mere
// character.
void append_quoted(std::string& line, std::string_view arg) {
  if (!arg.empty() && arg.find_first_of(" \t\n\v\"") == std::string_view::npos) {
    line += arg;
    return;
  }
  line += '"';
  std::size_t backslashes = 0;
  for (const char letter : arg) {
    if (letter == '"') {
      line.append(backslashes + 1, '\\');
    }
    backslashes = letter == '\\' ? backslashes + 1 : 0;
    line += letter;
  }
  line.append(backslashes, '\\');
  line += '"';
}

int compare_names(std::wstring_view one, std::wstring_view other) {
  const auto name = [](std::wstring_view variable) { return variable.substr(0, variable.find(L'=', 1)); };
  const std::wstring_view left = name(one);
  const std::wstring_view right = name(other);
  return ::CompareStringOrdinal(left.data(), static_cast<int>(left.size()), right.data(),
                                static_cast<int>(right.size()), TRUE);
}

}  // namespace

std::wstring wide(const SpawnPlan& plan, std::string_view text, const std::string& what) {
  std::wstring out;
  if (const std::int64_t error = to_wide(text, out); error < 0) {
    throw os_error(error, std::string(plan.call) + ": " + what);
  }
  return out;
}

std::string command_line_of(const SpawnPlan& plan) {
  std::string line;
  for (std::size_t i = 0; i != plan.args.size(); ++i) {
    if (i != 0) {
      line += ' ';
    }
    if (plan.is_shell && i + 1 == plan.args.size()) {
      line += '"' + plan.args[i] + '"';
    } else {
      append_quoted(line, plan.args[i]);
    }
  }
  return line;
}

std::wstring environment_block(const SpawnPlan& plan, const std::vector<std::string>& variables) {
  std::vector<std::wstring> sorted;
  sorted.reserve(variables.size());
  for (const std::string& variable : variables) {
    sorted.push_back(wide(plan, variable, "env " + variable));
  }
  std::ranges::stable_sort(sorted, [](const std::wstring& one, const std::wstring& other) {
    return compare_names(one, other) == CSTR_LESS_THAN;
  });
  const auto repeated = std::ranges::unique(sorted, [](const std::wstring& one, const std::wstring& other) {
    return compare_names(one, other) == CSTR_EQUAL;
  });
  sorted.erase(repeated.begin(), repeated.end());
  std::wstring block;
  for (const std::wstring& variable : sorted) {
    block += variable;
    block += L'\0';
  }
  block.append(block.empty() ? 2 : 1, L'\0');
  return block;
}

}  // namespace weir::inline WEIR_ABI::detail
