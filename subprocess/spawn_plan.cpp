// From options to a SpawnPlan: checks and copies.
#include "subprocess/spawn_plan.hpp"

#include "runtime/loop_access.hpp"

#include <weir/exceptions.hpp>

#include <algorithm>
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

void check_capabilities(const SpawnPlan& plan) {
  if (plan.terminal && !Backend::has(Capability::terminals)) {
    throw NotSupportedError(plan.call, "terminals");
  }
  // A new group is another matter than one that is there.
  const bool joins_group = plan.process_group.value_or(0) != 0;
  if ((joins_group || plan.umask || plan.user || plan.group || plan.extra_groups || !plan.limits.empty()) &&
      !Backend::has(Capability::unix_process_options)) {
    throw NotSupportedError(plan.call, "unix_process_options");
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
  check_capabilities(plan);
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
  plan.is_shell = true;
  plan.args = shell_args(command);
  return with_program(std::move(plan), options.executable);
}

}  // namespace weir::inline WEIR_ABI::detail
