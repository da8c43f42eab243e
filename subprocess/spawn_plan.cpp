// From options to a SpawnPlan: checks, copies, and where the program is looked for.
#include "subprocess/spawn_plan.hpp"

#include "runtime/loop_access.hpp"

#include <weir/exceptions.hpp>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

[[noreturn]] void refuse(const char* call, const std::string& why) {
  throw std::invalid_argument(std::string(call) + ": " + why);
}

void check_text(const char* call, std::string_view text, const char* what) {
  if (text.find('\0') != std::string_view::npos) {
    refuse(call, std::string(what) + " with a NUL in it");
  }
}

// As os.get_exec_path(): the PATH of the environment that the child gets.
std::string search_path(const SpawnPlan& plan) {
  constexpr std::string_view name = "PATH=";
  if (plan.env) {
    for (const std::string& variable : *plan.env) {
      if (variable.starts_with(name)) {
        return variable.substr(name.size());
      }
    }
    return "/bin:/usr/bin";
  }
  const char* const path = std::getenv("PATH");
  return path != nullptr ? path : "/bin:/usr/bin";
}

std::vector<std::string> candidates_for(const SpawnPlan& plan, const std::string& program) {
  if (program.find('/') != std::string::npos) {
    return {program};
  }
  std::vector<std::string> found;
  const std::string path = search_path(plan);
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const std::string folder = path.substr(begin, end - begin);
    found.push_back((folder.empty() ? "." : folder) + '/' + program);
    begin = end + 1;
  }
  return found;
}

void check_stdio(const SpawnPlan& plan) {
  static constexpr const char* names[] = {"std_in", "std_out", "std_err"};
  for (int fd = 0; fd != 3; ++fd) {
    const Stdio stdio = plan.stdio[static_cast<std::size_t>(fd)];
    if (stdio.kind() == Stdio::Kind::merged && fd != 2) {
      refuse(plan.call, std::string(names[fd]) + " cannot be merged: std_err alone can");
    }
    if (stdio.kind() == Stdio::Kind::terminal && !plan.terminal) {
      refuse(plan.call, std::string(names[fd]) + " is the terminal, and there is none");
    }
    if (stdio.kind() == Stdio::Kind::file && stdio.native() == invalid_file) {
      refuse(plan.call, std::string(names[fd]) + " is a closed file");
    }
  }
}

SpawnPlan make_plan(EventLoop& loop, SpawnCall its_call, const SubprocessOptions& options) {
  const char* const call = its_call.name;
  LoopAccess::check_open(loop, call);
  if (!Backend::has(Capability::subprocesses)) {
    throw NotSupportedError(call, "subprocesses");
  }
  SpawnPlan plan;
  plan.call = call;
  plan.stdio = {options.std_in, options.std_out, options.std_err};
  plan.terminal = options.terminal;
  for (Stdio& stdio : plan.stdio) {
    if (stdio.kind() == Stdio::Kind::by_default) {
      stdio = plan.terminal ? Stdio::terminal() : its_call.stdio;
    }
  }
  check_stdio(plan);
  check_text(call, options.cwd, "a cwd");
  plan.cwd = options.cwd;
  if (options.env) {
    plan.env.emplace(options.env->begin(), options.env->end());
    for (const std::string& variable : *plan.env) {
      check_text(call, variable, "a variable of env");
      if (const std::size_t equals = variable.find('='); equals == 0 || equals == std::string::npos) {
        refuse(call, "'" + variable + "' in env is not of the form NAME=value");
      }
    }
  }
  plan.pass_fds.assign(options.pass_fds.begin(), options.pass_fds.end());
  if (std::ranges::any_of(plan.pass_fds, [](native_file native) {
        return native == invalid_file || std::cmp_less(native, 0);
      })) {
    refuse(call, "a negative descriptor in pass_fds");
  }
  if (!plan.pass_fds.empty() && !options.close_fds) {
    refuse(call, "pass_fds needs close_fds");
  }
  plan.close_fds = options.close_fds;
  plan.start_new_session = options.start_new_session;
  plan.process_group = options.process_group;
  if (plan.process_group && *plan.process_group < 0) {
    refuse(call, "the process_group is negative");
  }
  if (plan.process_group && (plan.start_new_session || plan.terminal)) {
    refuse(call, "process_group and a new session contradict each other");
  }
  plan.umask = options.umask;
  plan.user = options.user;
  plan.group = options.group;
  if (options.extra_groups) {
    plan.extra_groups.emplace(options.extra_groups->begin(), options.extra_groups->end());
  }
  plan.limits.assign(options.limits.begin(), options.limits.end());
  return plan;
}

std::shared_ptr<const SpawnPlan> with_program(SpawnPlan plan, std::string_view executable) {
  check_text(plan.call, executable, "an executable");
  const std::string program = executable.empty() ? plan.args.front() : std::string(executable);
  if (program.empty()) {
    refuse(plan.call, "the program has no name");
  }
  plan.candidates = candidates_for(plan, program);
  return std::make_shared<const SpawnPlan>(std::move(plan));
}

}  // namespace

std::shared_ptr<const SpawnPlan> plan_exec(EventLoop& loop, SpawnCall call,
                                           const std::vector<std::string>& args,
                                           const SubprocessOptions& options) {
  SpawnPlan plan = make_plan(loop, call, options);
  if (args.empty()) {
    refuse(plan.call, "there are no arguments: the first one is the program");
  }
  for (const std::string& arg : args) {
    check_text(plan.call, arg, "an argument");
  }
  plan.args = args;
  return with_program(std::move(plan), options.executable);
}

std::shared_ptr<const SpawnPlan> plan_shell(EventLoop& loop, SpawnCall call, std::string_view command,
                                            const SubprocessOptions& options) {
  SpawnPlan plan = make_plan(loop, call, options);
  check_text(plan.call, command, "a command");
  plan.args = {"/bin/sh", "-c", std::string(command)};
  return with_program(std::move(plan), options.executable);
}

}  // namespace weir::inline WEIR_ABI::detail
