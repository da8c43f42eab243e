// Children on Windows: CreateProcess with a list of the handles that the child gets, and the handle of the
// process for all that comes after.
#include "subprocess/child_process.hpp"

#include "backends/windows/errors.hpp"
#include "backends/windows/winsock.hpp"
#include "net/file_access.hpp"
#include "net/os_error.hpp"
#include "subprocess/command_line.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

namespace {

// As asyncio has it, and the task manager.
constexpr UINT exit_code_of_killed = 1;
constexpr int last_signal_number = 64;

HANDLE handle_of(native_file native) noexcept { return reinterpret_cast<HANDLE>(native); }
File own(HANDLE handle) noexcept { return FileAccess::own(reinterpret_cast<native_file>(handle)); }

[[noreturn]] void fail(const SpawnPlan& plan, std::int64_t error, const std::string& step) {
  throw os_error(error, std::string(plan.call) + ": " + step);
}

// For as long as it lives, the child could inherit a handle that is to be passed to it.
class Inheritable {
 public:
  explicit Inheritable(HANDLE handle) noexcept : handle_(handle) {
    is_known_ = ::GetHandleInformation(handle, &before_) != FALSE &&
                ::SetHandleInformation(handle, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT) != FALSE;
  }
  Inheritable(Inheritable&& other) noexcept
      : handle_(other.handle_), before_(other.before_), is_known_(std::exchange(other.is_known_, false)) {}
  Inheritable& operator=(Inheritable&&) = delete;
  ~Inheritable() {
    if (is_known_) {
      ::SetHandleInformation(handle_, HANDLE_FLAG_INHERIT, before_ & HANDLE_FLAG_INHERIT);
    }
  }
  bool is_known() const noexcept { return is_known_; }
  HANDLE get() const noexcept { return handle_; }

 private:
  HANDLE handle_;
  DWORD before_ = 0;
  bool is_known_ = false;
};

// The handles that the child has. Made under `starting`: a child that another thread starts just now, and
// that gets whatever can be inherited, must not get these.
class Handles {
 public:
  Handles(const SpawnPlan& plan, const ChildProcess::Given& given) {
    static constexpr DWORD standard_names[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
    for (std::size_t fd = 0; fd != standard_.size(); ++fd) {
      const std::size_t source = fd == 2 && given.is_merged ? 1 : fd;
      const native_file from = given.standard[source];
      HANDLE handle = from != invalid_file ? handle_of(from) : ::GetStdHandle(standard_names[source]);
      if (handle != nullptr && handle != INVALID_HANDLE_VALUE) {  // a program with windows may have none
        standard_[fd] = duplicate(plan, handle);
      }
    }
    for (const native_file native : plan.pass_fds) {
      if (is_passed(handle_of(native))) {
        continue;  // the second one would take what the first did for what was before
      }
      passed_.emplace_back(handle_of(native));
      if (!passed_.back().is_known()) {
        fail(plan, last_error(), "pass_fds");
      }
    }
  }

  HANDLE standard(std::size_t fd) const noexcept {
    return standard_[fd].is_open() ? handle_of(standard_[fd].native_handle()) : nullptr;
  }
  // Each is there once, as the system wants it.
  std::vector<HANDLE> all() const {
    std::vector<HANDLE> handles;
    for (std::size_t fd = 0; fd != standard_.size(); ++fd) {
      if (standard_[fd].is_open()) {
        handles.push_back(standard(fd));
      }
    }
    for (const Inheritable& passed : passed_) {
      handles.push_back(passed.get());
    }
    return handles;
  }

 private:
  bool is_passed(HANDLE handle) const noexcept {
    return std::ranges::any_of(passed_, [handle](const Inheritable& one) { return one.get() == handle; });
  }
  static File duplicate(const SpawnPlan& plan, HANDLE handle) {
    HANDLE process = ::GetCurrentProcess();
    HANDLE copy = nullptr;
    if (::DuplicateHandle(process, handle, process, &copy, 0, TRUE, DUPLICATE_SAME_ACCESS) == FALSE) {
      fail(plan, last_error(), "dup");
    }
    return own(copy);
  }

  std::array<File, 3> standard_;
  std::vector<Inheritable> passed_;
};

std::mutex& starting() noexcept {
  static std::mutex mutex;
  return mutex;
}

// What a child is started with beyond STARTUPINFO. What it is told of stays in place meanwhile.
class Attributes {
 public:
  Attributes(const SpawnPlan& plan, DWORD count) {
    SIZE_T size = 0;
    ::InitializeProcThreadAttributeList(nullptr, count, 0, &size);
    memory_ = std::make_unique<std::byte[]>(size);
    if (::InitializeProcThreadAttributeList(get(), count, 0, &size) == FALSE) {
      memory_.reset();
      fail(plan, last_error(), "InitializeProcThreadAttributeList");
    }
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  ~Attributes() {
    if (memory_ != nullptr) {
      ::DeleteProcThreadAttributeList(get());
    }
  }

  void set(const SpawnPlan& plan, DWORD_PTR attribute, HANDLE* handles, std::size_t count) {
    if (::UpdateProcThreadAttribute(get(), 0, attribute, handles, count * sizeof(HANDLE), nullptr, nullptr) ==
        FALSE) {
      fail(plan, last_error(), "UpdateProcThreadAttribute");
    }
  }
  LPPROC_THREAD_ATTRIBUTE_LIST get() const noexcept {
    return reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(memory_.get());
  }

 private:
  std::unique_ptr<std::byte[]> memory_;
};

constexpr DWORD_PTR handle_list_attribute = 0x20002;  // PROC_THREAD_ATTRIBUTE_HANDLE_LIST
constexpr DWORD_PTR job_list_attribute = 0x2000D;     // PROC_THREAD_ATTRIBUTE_JOB_LIST

DWORD flags_for(const SpawnPlan& plan) noexcept {
  return CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT |
         (plan.process_group ? CREATE_NEW_PROCESS_GROUP : 0) |
         (plan.start_new_session ? CREATE_NO_WINDOW : 0);
}

// What all attempts to start the program have in common.
struct Start {
  std::wstring command_line;
  std::wstring environment;
  std::wstring cwd;
  BOOL inherits = TRUE;
  DWORD flags = 0;
  STARTUPINFOEXW how{};
};

// NO_ERROR, or what CreateProcess says.
DWORD start_one(Start& start, const std::wstring& program, PROCESS_INFORMATION& made) {
  std::wstring line = start.command_line;  // CreateProcess may write into it
  const BOOL done =
      ::CreateProcessW(program.c_str(), line.data(), nullptr, nullptr, start.inherits, start.flags,
                       start.environment.empty() ? nullptr : start.environment.data(),
                       start.cwd.empty() ? nullptr : start.cwd.c_str(), &start.how.StartupInfo, &made);
  return done != FALSE ? NO_ERROR : ::GetLastError();
}

bool is_folder(const std::wstring& path) noexcept {
  const DWORD attributes = ::GetFileAttributesW(path.c_str());
  return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

// Of a folder Windows says that access is denied, Wine that it is no handle.
std::int64_t error_of_start(DWORD error, const std::wstring& program) noexcept {
  return error == ERROR_FILENAME_EXCED_RANGE ? -E2BIG : is_folder(program) ? -EACCES : negated_error(error);
}

PROCESS_INFORMATION start_first(const SpawnPlan& plan, Start& start) {
  const std::string& name = plan.candidates.size() == 1 ? plan.candidates.front() : plan.args.front();
  const std::string step = "exec " + name;
  std::int64_t told = -ENOENT;
  for (const std::string& candidate : plan.candidates) {
    PROCESS_INFORMATION made{};
    const std::wstring program = wide(plan, candidate, step);
    const DWORD error = start_one(start, program, made);
    if (error == NO_ERROR) {
      return made;
    }
    const std::int64_t result = error_of_start(error, program);
    if (error == ERROR_DIRECTORY && !plan.cwd.empty()) {
      fail(plan, result, "chdir " + plan.cwd);
    }
    if (result == -EACCES) {
      told = result;
    } else if (result != -ENOENT && result != -ENOTDIR) {
      fail(plan, result, step);
    }
  }
  fail(plan, told, step);
}

// Asked beforehand: of a folder that is not there CreateProcess says only that it is none.
void check_folder(const SpawnPlan& plan, const std::wstring& cwd) {
  if (cwd.empty()) {
    return;
  }
  if (::GetFileAttributesW(cwd.c_str()) == INVALID_FILE_ATTRIBUTES) {
    fail(plan, last_error(), "chdir " + plan.cwd);
  }
  if (!is_folder(cwd)) {
    fail(plan, -ENOTDIR, "chdir " + plan.cwd);
  }
}

File make_job(const SpawnPlan& plan) {
  HANDLE job = ::CreateJobObjectW(nullptr, nullptr);
  if (job == nullptr) {
    fail(plan, last_error(), "CreateJobObject");
  }
  return own(job);
}

PROCESS_INFORMATION start_process(const SpawnPlan& plan, const ChildProcess::Given& given, HANDLE job) {
  Start start;
  start.command_line = wide(plan, command_line_of(plan), "exec " + plan.args.front());
  start.cwd = wide(plan, plan.cwd, "chdir " + plan.cwd);
  check_folder(plan, start.cwd);
  if (plan.env) {
    start.environment = environment_block(plan, *plan.env);
  }
  start.flags = flags_for(plan);
  const std::lock_guard lock(starting());
  const Handles handles(plan, given);
  std::vector<HANDLE> list = handles.all();
  Attributes attributes(plan, 2);
  if (plan.close_fds) {
    start.inherits = list.empty() ? FALSE : TRUE;
    if (!list.empty()) {
      attributes.set(plan, handle_list_attribute, list.data(), list.size());
    }
  }
  if (job != nullptr) {
    attributes.set(plan, job_list_attribute, &job, 1);
  }
  start.how.lpAttributeList = attributes.get();
  STARTUPINFOW& info = start.how.StartupInfo;
  info.cb = sizeof start.how;
  info.dwFlags = STARTF_USESTDHANDLES;
  info.hStdInput = handles.standard(0);
  info.hStdOutput = handles.standard(1);
  info.hStdError = handles.standard(2);
  if (plan.is_shell) {  // a program with windows would have one more come up
    info.dwFlags |= STARTF_USESHOWWINDOW;
    info.wShowWindow = SW_HIDE;
  }
  return start_first(plan, start);
}

bool has_ended(native_file process) noexcept {
  return ::WaitForSingleObject(handle_of(process), 0) == WAIT_OBJECT_0;
}

}  // namespace

const int killed_returncode = exit_code_of_killed;

ChildProcess::ChildProcess(const SpawnPlan& plan, const Given& given)
    : job_(plan.is_shell ? make_job(plan) : File()), leads_group_(plan.process_group.has_value()) {
  const PROCESS_INFORMATION made =
      start_process(plan, given, job_.is_open() ? handle_of(job_.native_handle()) : nullptr);
  ::CloseHandle(made.hThread);
  process_ = own(made.hProcess);
  pid_ = static_cast<int>(made.dwProcessId);
}

std::optional<int> ChildProcess::reap() noexcept {
  DWORD code = 0;
  if (!has_ended(descriptor()) || ::GetExitCodeProcess(handle_of(descriptor()), &code) == FALSE) {
    return {};
  }
  return static_cast<int>(code);
}

void ChildProcess::end() noexcept {
  if (process_.is_open() && is_ours()) {
    send_signal(kill_signal);
    ::WaitForSingleObject(handle_of(descriptor()), INFINITE);
  }
  forget();
}

std::int64_t ChildProcess::send_signal(int signal) const noexcept {
  if (signal < 0 || signal > last_signal_number) {
    return -EINVAL;
  }
  const bool is_break = signal == SIGBREAK && leads_group_;
  if (signal != 0 && signal != SIGTERM && signal != kill_signal && !is_break) {
    return -ENOTSUP;
  }
  if (signal == 0 || has_ended(descriptor())) {
    return 0;
  }
  // Its number is its own for as long as we have its handle.
  const BOOL done = is_break ? ::GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, static_cast<DWORD>(pid_))
                    : job_.is_open()
                        ? ::TerminateJobObject(handle_of(job_.native_handle()), exit_code_of_killed)
                        : ::TerminateProcess(handle_of(descriptor()), exit_code_of_killed);
  if (done != FALSE) {
    return 0;
  }
  const std::int64_t error = last_error();
  return has_ended(descriptor()) ? 0 : error;  // it did so by itself in the meantime
}

}  // namespace weir::inline WEIR_ABI::detail
