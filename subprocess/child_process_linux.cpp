// Children on Linux: clone() as vfork() does it, so that a large parent costs nothing and the child can say
// what went wrong in the parent's memory; a pidfd for all that comes after.
#include "subprocess/child_process.hpp"

#include "net/file_access.hpp"
#include "net/os_error.hpp"

#include <weir/log.hpp>

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <new>
#include <system_error>

namespace weir::inline WEIR_ABI::detail {

namespace {

// What the child does runs in the parent's memory, which sanitizers watch: nothing of it may go through
// functions that they replace, nor be instrumented.
#if defined(__clang__)
#define WEIR_IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined"), noinline))
#else
#define WEIR_IN_CHILD __attribute__((no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined")))
#endif

// TSan takes every clone() for a fork(), so there the child gets memory of its own.
#if defined(__SANITIZE_THREAD__)
#define WEIR_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEIR_TSAN 1
#endif
#endif
#ifdef WEIR_TSAN
constexpr int share_memory = 0;
#else
constexpr int share_memory = CLONE_VM;
#endif

constexpr std::size_t stack_size = std::size_t{64} * 1024;
constexpr int last_signal_number = 64;
constexpr unsigned long signal_set_size = 8;  // the kernel's sigset_t, in bytes

enum class Step : std::uint8_t {
  none,
  session,
  terminal,
  process_group,
  umask,
  descriptors,
  pass,
  limits,
  chdir,
  extra_groups,
  group,
  user,
  signals,
  exec,
};

const char* name_of(Step step) noexcept {
  switch (step) {
    case Step::none:
      break;
    case Step::session:
      return "setsid";
    case Step::terminal:
      return "TIOCSCTTY";
    case Step::process_group:
      return "setpgid";
    case Step::umask:
      return "umask";
    case Step::descriptors:
      return "dup";
    case Step::pass:
      return "pass_fds";
    case Step::limits:
      return "setrlimit";
    case Step::chdir:
      return "chdir";
    case Step::extra_groups:
      return "setgroups";
    case Step::group:
      return "setgid";
    case Step::user:
      return "setuid";
    case Step::signals:
      return "signals";
    case Step::exec:
      return "exec";
  }
  return "";
}

// What the child reads, made before it is; and what it leaves when it fails.
struct Start {
  const char* const* args;
  const char* const* env;
  const char* const* candidates;
  const char* cwd;  // null: stay
  const int* pass_fds;
  std::size_t pass_count;
  int standard[3];
  int terminal;  // -1: none
  bool close_fds;
  bool new_session;
  bool has_process_group;
  int process_group;
  bool has_umask;
  unsigned umask;
  const ResourceLimit* limits;
  std::size_t limit_count;
  bool has_extra_groups;
  const unsigned* extra_groups;
  std::size_t extra_group_count;
  bool has_group;
  unsigned group;
  bool has_user;
  unsigned user;

  Step failed;
  int error;
};

WEIR_IN_CHILD bool fails(Start& start, Step step, long result) {
  if (result >= 0) {
    return false;
  }
  start.failed = step;
  start.error = errno;
  return true;
}

// A descriptor of the parent that is 0, 1 or 2 and goes elsewhere would be overwritten.
WEIR_IN_CHILD bool place_standard(Start& start) {
  for (int fd = 0; fd != 3; ++fd) {
    const int from = start.standard[fd];
    if (from >= 0 && from < 3 && from != fd) {
      const long moved = ::syscall(SYS_fcntl, from, F_DUPFD_CLOEXEC, 3);
      if (fails(start, Step::descriptors, moved)) {
        return false;
      }
      for (int other = fd; other != 3; ++other) {
        if (start.standard[other] == from && other != from) {
          start.standard[other] = static_cast<int>(moved);
        }
      }
    }
  }
  for (int fd = 0; fd != 3; ++fd) {
    const int from = start.standard[fd];
    if (from == fd) {
      if (fails(start, Step::descriptors, ::syscall(SYS_fcntl, fd, F_SETFD, 0))) {
        return false;
      }
    } else if (from >= 0 && fails(start, Step::descriptors, ::syscall(SYS_dup3, from, fd, 0))) {
      return false;
    }
  }
  return true;
}

WEIR_IN_CHILD bool pass_descriptors(Start& start) {
  if (start.close_fds && ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) < 0) {
    rlimit limit{};
    ::syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
    for (rlim_t fd = 3; fd < limit.rlim_cur; ++fd) {
      ::syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
    }
  }
  for (std::size_t i = 0; i != start.pass_count; ++i) {
    // 0, 1 and 2 are what they were made to be.
    if (start.pass_fds[i] > 2 &&
        fails(start, Step::pass, ::syscall(SYS_fcntl, start.pass_fds[i], F_SETFD, 0))) {
      return false;
    }
  }
  return true;
}

// SIG_DFL for every signal. Those that cannot be changed, and those that there are not, say no.
WEIR_IN_CHILD void reset_signals() {
  struct {
    void* handler = nullptr;
    unsigned long flags = 0;
    void* restorer = nullptr;
    unsigned long mask = 0;
  } by_default;
  for (int number = 1; number <= last_signal_number; ++number) {
    ::syscall(SYS_rt_sigaction, number, &by_default, nullptr, signal_set_size);
  }
}

WEIR_IN_CHILD void execute(Start& start) {
  int denied = 0;
  for (const char* const* candidate = start.candidates; *candidate != nullptr; ++candidate) {
    ::syscall(SYS_execve, *candidate, start.args, start.env);
    if (errno == EACCES) {
      denied = errno;
    } else if (errno != ENOENT && errno != ENOTDIR) {
      break;
    }
  }
  start.failed = Step::exec;
  start.error = denied != 0 ? denied : errno;
}

WEIR_IN_CHILD bool join_session(Start& start) {
  if (start.new_session && fails(start, Step::session, ::syscall(SYS_setsid))) {
    return false;
  }
  if (start.terminal >= 0 &&
      fails(start, Step::terminal, ::syscall(SYS_ioctl, start.terminal, TIOCSCTTY, 0))) {
    return false;
  }
  return !start.has_process_group ||
         !fails(start, Step::process_group, ::syscall(SYS_setpgid, 0, start.process_group));
}

WEIR_IN_CHILD bool set_limits(Start& start) {
  for (std::size_t i = 0; i != start.limit_count; ++i) {
    const ResourceLimit& limit = start.limits[i];
    const rlimit64 told = {limit.soft, limit.hard};
    if (fails(start, Step::limits, ::syscall(SYS_prlimit64, 0, limit.resource, &told, nullptr))) {
      return false;
    }
  }
  return true;
}

// The user last: who has changed may not change the groups any more.
WEIR_IN_CHILD bool become_user(Start& start) {
  if (start.has_extra_groups &&
      fails(start, Step::extra_groups,
            ::syscall(SYS_setgroups, start.extra_group_count, start.extra_groups))) {
    return false;
  }
  if (start.has_group &&
      fails(start, Step::group, ::syscall(SYS_setresgid, start.group, start.group, start.group))) {
    return false;
  }
  return !start.has_user ||
         !fails(start, Step::user, ::syscall(SYS_setresuid, start.user, start.user, start.user));
}

WEIR_IN_CHILD void become(Start& start) {
  reset_signals();
  if (!join_session(start)) {
    return;
  }
  if (start.has_umask) {
    ::syscall(SYS_umask, start.umask);
  }
  if (!place_standard(start) || !pass_descriptors(start) || !set_limits(start)) {
    return;
  }
  if (start.cwd != nullptr && fails(start, Step::chdir, ::syscall(SYS_chdir, start.cwd))) {
    return;
  }
  if (!become_user(start)) {
    return;
  }
  const unsigned long none = 0;
  if (fails(start, Step::signals,
            ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, signal_set_size))) {
    return;
  }
  execute(start);
}

WEIR_IN_CHILD int run_child(void* argument) {
  become(*static_cast<Start*>(argument));
  ::syscall(SYS_exit, 127);
  return 127;
}

// All signals, also those that the C library keeps for itself: a handler of the parent must not run in the
// child, whose memory is the parent's.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    const unsigned long all = ~0UL;
    ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before_, signal_set_size);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, nullptr, signal_set_size); }

 private:
  unsigned long before_ = 0;
};

// The child's stack, and at the other end what it is told and answers. A child with a copy of our memory has
// this in common with us all the same; that takes a file of the system's, which is slow.
class Shared {
 public:
  explicit Shared(bool copies)
      : memory_(::mmap(nullptr, stack_size, PROT_READ | PROT_WRITE,
                       (copies ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_STACK, -1, 0)) {}
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() {
    if (memory_ != MAP_FAILED) {
      ::munmap(memory_, stack_size);
    }
  }
  bool failed() const noexcept { return memory_ == MAP_FAILED; }
  Start& start() const noexcept { return *static_cast<Start*>(memory_); }
  // It grows downwards.
  void* stack() const noexcept { return static_cast<char*>(memory_) + stack_size; }

 private:
  void* memory_;
};

std::vector<const char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<const char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) {
    pointers.push_back(text.c_str());
  }
  pointers.push_back(nullptr);
  return pointers;
}

void tell(Start& start, const SpawnPlan& plan) {
  start.pass_fds = plan.pass_fds.data();
  start.pass_count = plan.pass_fds.size();
  start.close_fds = plan.close_fds;
  start.new_session = plan.start_new_session || plan.terminal;
  start.has_process_group = plan.process_group.has_value();
  start.process_group = plan.process_group.value_or(0);
  start.has_umask = plan.umask.has_value();
  start.umask = plan.umask.value_or(0);
  start.limits = plan.limits.data();
  start.limit_count = plan.limits.size();
  start.has_extra_groups = plan.extra_groups.has_value();
  if (plan.extra_groups) {
    start.extra_groups = plan.extra_groups->data();
    start.extra_group_count = plan.extra_groups->size();
  }
  start.has_group = plan.group.has_value();
  start.group = plan.group.value_or(0);
  start.has_user = plan.user.has_value();
  start.user = plan.user.value_or(0);
}

// Whoever may look into the memory of the user that the child becomes must not see ours.
int flags_for(const SpawnPlan& plan) noexcept {
  const bool changes = plan.user || plan.group || plan.extra_groups;
  return (changes ? 0 : share_memory) | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
}

std::string what_failed(const SpawnPlan& plan, Step step) {
  std::string what = std::string(plan.call) + ": " + name_of(step);
  if (step == Step::exec) {
    what += ' ' + (plan.candidates.size() == 1 ? plan.candidates.front() : plan.args.front());
  } else if (step == Step::chdir) {
    what += ' ' + plan.cwd;
  }
  return what;
}

// Linux 6.15 tells how a child ended to whoever holds its pidfd, even when somebody else has reaped it, or
// nobody had to because SIGCHLD is ignored. <linux/pidfd.h> of older systems does not know it.
struct PidfdInfo {
  std::uint64_t mask;
  std::uint64_t cgroup;
  std::uint32_t ids[11];
  std::int32_t status;
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr std::uint64_t info_exit = 1U << 3U;

std::optional<int> status_told_twice(native_file process) noexcept {
  PidfdInfo info{};
  info.mask = info_exit;
  if (::ioctl(process, _IOWR(0xFF, 11, PidfdInfo), &info) < 0 || (info.mask & info_exit) == 0) {
    return {};
  }
  return WIFSIGNALED(info.status) ? -WTERMSIG(info.status) : WEXITSTATUS(info.status);
}

constexpr auto process_of_descriptor = static_cast<idtype_t>(3);  // P_PIDFD

int wait_for(native_file process, siginfo_t& info, int flags) noexcept {
  int result = 0;
  do {
    result = ::waitid(process_of_descriptor, static_cast<id_t>(process), &info, flags);
  } while (result < 0 && errno == EINTR);
  return result;
}

}  // namespace

const int killed_returncode = -kill_signal;

ChildProcess::ChildProcess(const SpawnPlan& plan, const Given& given) {
  const std::vector<const char*> args = pointers_to(plan.args);
  const std::vector<const char*> env = plan.env ? pointers_to(*plan.env) : std::vector<const char*>();
  const std::vector<const char*> candidates = pointers_to(plan.candidates);
  const int flags = flags_for(plan);
  const Shared shared((flags & CLONE_VM) == 0);
  if (shared.failed()) {
    throw os_error(-std::int64_t{errno}, std::string(plan.call) + ": mmap");
  }
  Start& start = *new (&shared.start()) Start{};
  start.args = args.data();
  start.env = plan.env ? env.data() : ::environ;
  start.candidates = candidates.data();
  start.cwd = plan.cwd.empty() ? nullptr : plan.cwd.c_str();
  tell(start, plan);
  for (std::size_t fd = 0; fd != given.standard.size(); ++fd) {
    start.standard[fd] = given.standard[fd];
  }
  if (given.is_merged) {
    start.standard[2] = given.standard[1] != invalid_file ? given.standard[1] : 1;
  }
  start.terminal = given.terminal;
  int process = -1;
  int error = 0;
  {
    const SignalsBlocked blocked;
    pid_ = ::clone(&run_child, shared.stack(), flags, &start, &process);
    error = errno;
  }
  if (pid_ < 0) {
    throw os_error(-std::int64_t{error}, std::string(plan.call) + ": clone");
  }
  process_ = FileAccess::own(process);
  if (start.failed != Step::none) {
    end();
    throw os_error(-std::int64_t{start.error}, what_failed(plan, start.failed));
  }
}

std::optional<int> ChildProcess::reap() noexcept {
  siginfo_t info{};
  if (wait_for(descriptor(), info, WEXITED | WNOHANG) == 0) {
    if (info.si_pid == 0) {
      return {};
    }
    return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
  }
  if (const std::optional<int> told = status_told_twice(descriptor())) {
    return told;
  }
  log(LogLevel::warning, "child process " + std::to_string(pid_) +
                             " was waited for by somebody else: its return code is reported as 255");
  return 255;
}

void ChildProcess::end() noexcept {
  if (process_.is_open() && is_ours()) {
    siginfo_t info{};
    send_signal(kill_signal);
    wait_for(descriptor(), info, WEXITED);
  }
  process_.close();
}

std::int64_t ChildProcess::send_signal(int signal) const noexcept {
  if (!is_ours()) {
    return -ESRCH;
  }
  return ::syscall(SYS_pidfd_send_signal, descriptor(), signal, nullptr, 0) < 0 ? -std::int64_t{errno} : 0;
}

}  // namespace weir::inline WEIR_ABI::detail
