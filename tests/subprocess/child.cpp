// Children that write down what they do.
#include "tests/subprocess/child.hpp"

#include <weir/net/extra.hpp>

#include <algorithm>
#include <iterator>
#include <sstream>
#include <system_error>

#if defined(_WIN32)
#include "backends/windows/files.hpp"
#include "backends/windows/winsock.hpp"
#else
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <cerrno>
#include <csignal>
#endif

namespace weir::testing {

void ChildRecorder::connection_made(Ref<SubprocessTransport> made) {
  transport = std::move(made);
  events.emplace_back("made");
  if (on_made) {
    on_made();
  }
}

void ChildRecorder::pipe_data_received(int fd, std::span<const std::byte> data) {
  CHECK(!data.empty());
  events.push_back("data" + std::to_string(fd));
  (fd == 1 ? output : error_output).append(reinterpret_cast<const char*>(data.data()), data.size());
  if (on_data) {
    on_data(fd, data);
  }
}

void ChildRecorder::pipe_connection_lost(int fd, std::exception_ptr error) {
  failed = failed || error;
  events.push_back("lost" + std::to_string(fd));
}

void ChildRecorder::process_exited() {
  events.emplace_back("exited");
  if (on_exited) {
    on_exited();
  }
}

void ChildRecorder::connection_lost(std::exception_ptr error) {
  failed = failed || error;
  events.emplace_back("lost");
  transport.reset();
  if (on_lost) {
    on_lost();
  }
}

int ChildRecorder::count(const std::string& event) const {
  return static_cast<int>(std::ranges::count(events, event));
}

std::size_t ChildRecorder::place(const std::string& event) const {
  REQUIRE(count(event) == 1);
  return static_cast<std::size_t>(std::ranges::find(events, event) - events.begin());
}

Coro<void> Child::exited() const {
  const Ref<ChildRecorder> watched = protocol;
  co_await until([&] { return watched->count("exited") == 1; });
}

Coro<void> Child::lost() const {
  const Ref<ChildRecorder> watched = protocol;
  co_await until([&] { return watched->count("lost") == 1; });
}

namespace {
Ref<ChildRecorder> make_recorder() { return make_ref<ChildRecorder>(); }
}  // namespace

Coro<Child> start(EventLoop& loop, std::vector<std::string> args, SubprocessOptions options) {
  auto made = co_await loop.subprocess_exec(&make_recorder, args, options);
  co_return Child{std::move(made.first), std::move(made.second)};
}

Coro<Child> start(EventLoop& loop, std::string_view words, SubprocessOptions options) {
  std::istringstream text{std::string(words)};
  return start(loop, std::vector<std::string>(std::istream_iterator<std::string>(text), {}), options);
}

Coro<Child> start(EventLoop& loop, std::string_view words) { return start(loop, words, SubprocessOptions()); }

Coro<Child> shell(EventLoop& loop, std::string command) {
  return shell(loop, std::move(command), SubprocessOptions());
}

Coro<std::string> output_of(EventLoop& loop, std::string command) {
  return output_of(loop, std::move(command), SubprocessOptions());
}

Coro<Child> shell(EventLoop& loop, std::string command, SubprocessOptions options) {
  auto made = co_await loop.subprocess_shell(&make_recorder, command, options);
  co_return Child{std::move(made.first), std::move(made.second)};
}

Coro<std::string> output_of(EventLoop& loop, std::string command, SubprocessOptions options) {
  const Child child = co_await shell(loop, std::move(command), options);
  co_await child.lost();
  CHECK(child.transport->get_returncode() == 0);
  CHECK(child.protocol->error_output.empty());
  co_return child.protocol->output;
}

bool is_at_end(File& pipe) {
  std::byte byte{};
  try {
    return pipe.read({&byte, 1}) == 0;
  } catch (const std::system_error&) {
    return false;  // somebody could write to it
  }
}

#if defined(_WIN32)

namespace {

HANDLE handle_of(native_file native) { return reinterpret_cast<HANDLE>(native); }

// Closes itself; null when there is none.
struct OtherProcess {
  explicit OtherProcess(int pid, DWORD access = SYNCHRONIZE)
      : handle(::OpenProcess(access, FALSE, static_cast<DWORD>(pid))) {}
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;
  ~OtherProcess() {
    if (handle != nullptr) {
      ::CloseHandle(handle);
    }
  }
  HANDLE handle;
};

}  // namespace

// Windows lets a call write as long as less than this waits; what a call has left over waits, too.
bool is_full(const Ref<Transport>& pipe) {
  DWORD waiting = 0;
  REQUIRE(::PeekNamedPipe(handle_of(*pipe->get_extra_info<extra::pipe>()), nullptr, 0, nullptr, &waiting,
                          nullptr) != FALSE);
  return waiting >= 64 * 1024;
}

std::pair<File, File> pipe_to_child() {
  native_file ends[2] = {invalid_file, invalid_file};
  REQUIRE(detail::WindowsFiles::open_pipe_to_child(ends, detail::Direction::read) == 0);
  return {File::adopt(ends[0]), File::adopt(ends[1])};
}

bool process_exists(int pid) {
  const OtherProcess process(pid);
  return process.handle != nullptr && ::WaitForSingleObject(process.handle, 0) == WAIT_TIMEOUT;
}
bool kill_process(int pid) {
  const OtherProcess process(pid, PROCESS_TERMINATE);
  return process.handle != nullptr && ::TerminateProcess(process.handle, 1) != FALSE;
}
// Nobody has to be waited for.
bool has_children() { return false; }

#else

#if defined(__linux__)
bool is_full(const Ref<Transport>& pipe) {
  const native_socket native = *pipe->get_extra_info<extra::pipe>();
  int waiting = 0;
  REQUIRE(::ioctl(native, FIONREAD, &waiting) == 0);
  return waiting == ::fcntl(native, F_GETPIPE_SZ);
}
#else
bool is_full(const Ref<Transport>&) { return false; }
#endif

std::pair<File, File> pipe_to_child() {
  auto ends = File::pipe();
  ends.first.set_non_blocking(false);
  return ends;
}

bool process_exists(int pid) { return ::kill(pid, 0) == 0 || errno == EPERM; }
bool kill_process(int pid) { return ::kill(pid, SIGKILL) == 0; }
bool has_children() { return ::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

#endif

}  // namespace weir::testing
