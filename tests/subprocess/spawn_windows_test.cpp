// SUBP on Windows: what a child is made with, what cannot be started, and what is refused; WIN-006.
#include "tests/net/folder.hpp"
#include "tests/subprocess/actor.hpp"
#include "tests/subprocess/child.hpp"
#include "tests/support/system.hpp"

#if defined(WEIR_TEST_WINDOWS)

#include "backends/windows/files.hpp"
#include "backends/windows/winsock.hpp"

#include <weir/exceptions.hpp>
#include <weir/net/file.hpp>
#include <weir/subprocess/process.hpp>

#include <array>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

std::string text_of(const std::filesystem::path& path) {
  const std::u8string text = path.u8string();
  return {text.begin(), text.end()};
}

// What the call says that cannot start it; it leaves nothing behind.
Coro<std::string> refusal(EventLoop& loop, std::vector<std::string> args, SubprocessOptions options) {
  const std::size_t descriptors = open_descriptors();
  std::string what;
  try {
    co_await start(loop, args, options);
  } catch (const std::system_error& error) {
    what = error.what();
  }
  CHECK(open_descriptors() == descriptors);
  co_return what;
}

// What this program writes when it is started under that name, as args[0].
Coro<std::string> output_under(EventLoop& loop, std::string name, std::string script,
                               SubprocessOptions options) {
  std::vector<std::string> args = actor(script);
  args[0] = std::move(name);
  const Child child = co_await start(loop, args, options);
  co_await child.lost();
  co_return child.protocol->output;
}

// What is refused before anything is done, and the capability that it names.
std::string lacking(EventLoop& loop, const SubprocessOptions& options) {
  try {
    (void)loop.subprocess_exec([] { return make_ref<ChildRecorder>(); }, {"x"}, options);
  } catch (const NotSupportedError& error) {
    return error.capability();
  }
  return "";
}

// The end that is written to can be inherited, as other code makes them.
std::pair<File, File> inheritable_pipe() {
  auto ends = pipe_to_child();
  REQUIRE(::SetHandleInformation(reinterpret_cast<HANDLE>(ends.second.native_handle()), HANDLE_FLAG_INHERIT,
                                 HANDLE_FLAG_INHERIT) != FALSE);
  return ends;
}

// Another handle of a process.
class OwnedProcess {
 public:
  explicit OwnedProcess(int pid)
      : handle_(
            ::OpenProcess(SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION, FALSE, static_cast<DWORD>(pid))) {
    REQUIRE(handle_ != nullptr);
  }
  OwnedProcess(const OwnedProcess&) = delete;
  OwnedProcess& operator=(const OwnedProcess&) = delete;
  ~OwnedProcess() { ::CloseHandle(handle_); }
  native_socket native() const noexcept { return reinterpret_cast<native_socket>(handle_); }
  void wait() const { CHECK(::WaitForSingleObject(handle_, 20'000) == WAIT_OBJECT_0); }

 private:
  HANDLE handle_;
};

}  // namespace

WEIR_TEST("SUBP-011 arguments reach the child as they are") {
  const std::vector<std::string> args = {"",
                                         "plain",
                                         "two words",
                                         "tab\tin it",
                                         "\"quoted\"",
                                         "back\\slash\\",
                                         "at the end\\",
                                         "\\\"",
                                         "\\\\\" \\\\",
                                         "%PATH%",
                                         "a&b|c>d^e",
                                         "*",
                                         "g\u00fcnstig \u4e2d\U0001F300"};
  const Child child = co_await start(loop, actor("args", args), SubprocessOptions());
  co_await child.lost();
  std::string expected;
  for (const std::string& arg : args) {
    expected += arg + '\n';
  }
  CHECK(child.protocol->output == expected);
  const std::vector<std::string> broken = {own_path(), "\xff"};
  const std::string refused = co_await refusal(loop, broken, SubprocessOptions());
  CHECK(refused.starts_with("subprocess_exec: exec " + own_path() + ": "));
}

WEIR_TEST("SUBP-011 working directory, environment and another executable are honoured") {
  const std::filesystem::path folder = make_scratch_folder("weir-subprocess-\u4e2d");
  SubprocessOptions options;
  const std::string cwd = text_of(folder);
  options.cwd = cwd;
  const std::string seen = co_await output_of_act(loop, "cwd", options);
  CHECK(std::filesystem::equivalent(std::filesystem::path(std::u8string(seen.begin(), seen.end() - 1)),
                                    folder));
  std::filesystem::remove_all(folder);

  options = {};
  // Of two that differ in nothing but case the first counts.
  const std::vector<std::string> variables = {"zwei=2", "Eins=g\u00fcnstig", "EMPTY=", "EINS=other"};
  options.env = variables;
  const std::string listed = co_await output_of_act(loop, "env", options);
  CHECK(listed.find("Eins=g\u00fcnstig\n") != std::string::npos);
  CHECK(listed.find("EMPTY=\n") != std::string::npos);
  CHECK(listed.find("zwei=2\n") != std::string::npos);
  CHECK(listed.find("EINS=other") == std::string::npos);
  CHECK(listed.find("PATH=") == std::string::npos);
  CHECK(listed.find("Eins") < listed.find("EMPTY"));
  CHECK(listed.find("EMPTY") < listed.find("zwei"));
  options.env = std::span<const std::string>();
  CHECK((co_await output_of_act(loop, "env", options)).find("PATH=") == std::string::npos);
  set_environment("WEIR_TEST_INHERITED", "yes");
  CHECK(co_await output_of_act(loop, "var WEIR_TEST_INHERITED") == "yes\n");
  set_environment("WEIR_TEST_INHERITED", nullptr);

  options = {};
  const std::string program = own_path();
  options.executable = program;
  CHECK(co_await output_under(loop, "another name", "out runs", options) == "runs\n");
}

WEIR_TEST("SUBP-011 the program is looked for in the child's own PATH, with or without .exe") {
  const std::filesystem::path folder = make_scratch_folder("weir-subprocess");
  std::filesystem::copy_file(own_path(), folder / "weir-test-program.exe");
  const std::vector<std::string> variables = {"Path=C:\\no;\"" + text_of(folder) + "\";C:\\where"};
  SubprocessOptions options;
  options.env = variables;
  for (const char* name : {"weir-test-program", "weir-test-program.exe", "Weir-Test-Program.EXE"}) {
    CAPTURE(name);
    CHECK(co_await output_under(loop, name, "out found", options) == "found\n");
  }
  // Relative to the child's folder, as where a child looks for itself.
  options = {};
  const std::string cwd = text_of(folder);
  options.cwd = cwd;
  CHECK(co_await output_under(loop, ".\\weir-test-program", "out relative", options) == "relative\n");
  std::filesystem::remove_all(folder);
}

WEIR_TEST("SUBP-012 what cannot be started fails the call with the step and the system's error") {
  const std::size_t warm = (co_await output_of_act(loop, "out")).size();  // the loop has what it needs
  CHECK(warm == 1);
  const std::filesystem::path folder = make_scratch_folder("weir-subprocess");
  const std::string text = text_of(folder / "text.exe");
  std::ofstream(folder / "text.exe") << "no program";
  SubprocessOptions options;
  const auto refused = [&](std::string program) { return refusal(loop, {std::move(program)}, options); };
  const auto what = [](const char* step, std::errc error) {
    return std::string("subprocess_exec: ") + step + ": " +
           std::system_error(std::make_error_code(error)).what();
  };
  CHECK(co_await refused("C:\\no\\such") == what("exec C:\\no\\such", std::errc::no_such_file_or_directory));
  CHECK(co_await refused("weir-no-such") == what("exec weir-no-such", std::errc::no_such_file_or_directory));
  CHECK(co_await refused(text) == what(("exec " + text).c_str(), std::errc::executable_format_error));
  CHECK(co_await refused(text_of(folder)) ==
        what(("exec " + text_of(folder)).c_str(), std::errc::permission_denied));
  options.cwd = "C:\\no\\where";
  CHECK(co_await refused("cmd") == what("chdir C:\\no\\where", std::errc::no_such_file_or_directory));
  options.cwd = text;
  CHECK(co_await refused("cmd") == what(("chdir " + text).c_str(), std::errc::not_a_directory));
  options = {};
  options.std_out = Stdio::file(0x7ffffffc);
  CHECK(co_await refused("cmd") == what("dup", std::errc::bad_file_descriptor));
  options = {};
  const native_file passed[] = {0x7ffffffc};
  options.pass_fds = passed;
  CHECK(co_await refused("cmd") == what("pass_fds", std::errc::bad_file_descriptor));
  options = {};
  const std::vector<std::string> broken = {"A=\xff"};
  options.env = broken;
  CHECK((co_await refused("cmd")).starts_with("subprocess_exec: env A="));
  std::filesystem::remove_all(folder);
}

WEIR_TEST("SUBP-013 what Windows has not got is refused before anything is started, by name") {
  SubprocessOptions options;
  options.umask = 022;
  CHECK(lacking(loop, options) == "unix_process_options");
  options = {};
  options.user = 1000;
  CHECK(lacking(loop, options) == "unix_process_options");
  options = {};
  options.group = 1000;
  CHECK(lacking(loop, options) == "unix_process_options");
  options = {};
  options.extra_groups = std::span<const unsigned>();
  CHECK(lacking(loop, options) == "unix_process_options");
  options = {};
  const ResourceLimit limits[] = {{1, 2, 3}};
  options.limits = limits;
  CHECK(lacking(loop, options) == "unix_process_options");
  options = {};
  options.process_group = 17;
  CHECK(lacking(loop, options) == "unix_process_options");
  options = {};
  options.terminal = TerminalSize();
  CHECK(lacking(loop, options) == "terminals");
  // Its arguments would be commands. The system passes over what stands behind the last letter.
  options = {};
  for (const char* name : {"a.bat", "C:\\a.CMD", "a.bat. ."}) {
    CAPTURE(name);
    const std::vector<std::string> args = {name};
    CHECK_THROWS_AS((void)loop.subprocess_exec([] { return make_ref<ChildRecorder>(); }, args, options),
                    std::invalid_argument);
  }
  co_await sleep(0s);
}

WEIR_TEST("SUBP-014 handles are not inherited unless asked for") {
  auto [reading, writing] = inheritable_pipe();
  const std::string command = "to " + std::to_string(writing.native_handle()) + " told";
  SubprocessOptions options;
  const Child without = co_await act(loop, "out ready; cat", options);
  co_await until([&] { return without.protocol->output == "ready\n"; });
  const native_file passed[] = {writing.native_handle()};
  options.pass_fds = passed;
  std::array<std::byte, 100> got;
  CHECK(co_await output_of_act(loop, command, options) == "");
  CHECK(as_text(std::span(got).first(reading.read(got))) == "told\n");
  CHECK(is_inheritable(writing.native_handle()));  // as it was
  options = {};
  options.close_fds = false;
  CHECK(co_await output_of_act(loop, command, options) == "");
  CHECK(as_text(std::span(got).first(reading.read(got))) == "told\n");
  // Whoever had it still would hold the pipe open.
  writing.close();
  CHECK(reading.read(got) == 0);
  without.input()->close();
  co_await without.lost();
}

WEIR_TEST("SUBP-014 what cannot be inherited is passed all the same, and stays as it is") {
  auto [reading, writing] = pipe_to_child();
  REQUIRE_FALSE(is_inheritable(writing.native_handle()));
  const native_file passed[] = {writing.native_handle(), writing.native_handle()};
  SubprocessOptions options;
  options.pass_fds = passed;
  const std::string script = "to " + std::to_string(writing.native_handle()) + " told";
  CHECK(co_await output_of_act(loop, script, options) == "");
  std::array<std::byte, 100> got;
  CHECK(as_text(std::span(got).first(reading.read(got))) == "told\n");
  CHECK_FALSE(is_inheritable(writing.native_handle()));
}

WEIR_TEST("SUBP-011 a child in a session of its own has pipes like any other") {
  SubprocessOptions options;
  options.start_new_session = true;
  CHECK(co_await output_of_act(loop, "out alone", options) == "alone\n");
}

WEIR_TEST("SUBP-009 killing a shell ends what its command has started") {
  const std::string own = own_path();
  SubprocessOptions options;
  const Child child = co_await shell(loop, '"' + own + "\" --weir-actor \"pid; hang\"", options);
  co_await until([&] { return child.protocol->output.ends_with("\n"); });
  const int pid = std::stoi(child.protocol->output);
  CHECK(pid != child.transport->get_pid());
  CHECK(process_exists(pid));
  child.transport->kill();
  co_await child.lost();
  CHECK(child.transport->get_returncode() == 1);
  co_await until([&] { return !process_exists(pid); });
}

WEIR_TEST("WIN-008 a process is watched: it is readable once it has ended, and stays so") {
  const Child child = co_await act(loop, "cat");
  const OwnedProcess process(child.transport->get_pid());
  int told = 0;
  loop.add_reader(process.native(), [&] { ++told; });
  loop.add_writer(process.native(), [] { FAIL("nobody can write to a process"); });
  child.input()->write("x");
  co_await until([&] { return child.protocol->output == "x"; });
  CHECK(told == 0);
  child.input()->close();
  co_await until([&] { return told >= 3; });
  loop.remove_writer(process.native());
  loop.remove_reader(process.native());
  const int before = told;
  for (int turn = 0; turn != 5; ++turn) {
    co_await sleep(0s);
  }
  CHECK(told == before);
  loop.add_reader(process.native(), [&] { ++told; });  // that has ended before
  co_await until([&] { return told > before; });
  loop.remove_reader(process.native());
  co_await child.lost();
}

WEIR_TEST("WIN-008 the watch of a process ends at any time, also while the process does") {
  const Child lasting = co_await act(loop, "cat");
  const OwnedProcess other(lasting.transport->get_pid());
  for (int round = 0; round != 30; ++round) {
    const Child child = co_await act(loop, "sink");
    const OwnedProcess process(child.transport->get_pid());
    bool was_told = false;
    loop.add_reader(process.native(), [&] { was_told = true; });
    child.transport->kill();
    // Sooner and later than the end: the packet is on the way, or was never posted, or lies in the port.
    for (int turn = 0; turn != round * 20 && !was_told; ++turn) {
      co_await sleep(0s);
    }
    if (round % 3 == 0) {
      process.wait();
    }
    loop.remove_reader(process.native());
    was_told = false;
    // A packet that is still on its way says nothing about another process.
    bool was_told_of_other = false;
    loop.add_reader(other.native(), [&] { was_told_of_other = true; });
    co_await child.lost();
    CHECK_FALSE(was_told);
    CHECK_FALSE(was_told_of_other);
    loop.remove_reader(other.native());
  }
  lasting.transport->close();
  co_await lasting.lost();
}

TEST_CASE_FIXTURE(LoopFixture, "WIN-007 a loop that closes lets go of the processes that it watches") {
  Child child = loop.run_until_complete(act(loop, "hang"));
  const OwnedProcess process(child.transport->get_pid());
  loop.add_reader(process.native(), [] {});
  child.protocol->transport.reset();
  loop.close();
  process.wait();  // it is killed
  env.expect_log("unclosed subprocess");
  for (int pipe = 0; pipe != 3; ++pipe) {
    env.expect_log("unclosed transport");
  }
}

TEST_CASE("WIN-006 a loop on a thread that is not the main one has subprocesses") {
  std::string output;
  int returncode = 0;
  std::thread other([&] {
    EventLoop own;
    const auto talk = [](std::string& out, int& code) -> Coro<void> {
      SubprocessOptions options;
      options.std_in = options.std_out = Stdio::pipe();
      const std::vector<std::string> args = actor("cat; exit 3");
      const Ref<Process> process = co_await create_subprocess_exec(args, options);
      const auto got = co_await process->communicate("from another thread");
      out = got.first.str();
      code = co_await process->wait();
      co_await until([&] { return process->transport()->get_protocol() == nullptr; });
    };
    own.run_until_complete(talk(output, returncode));
    own.close();
  });
  other.join();
  CHECK(output == "from another thread");
  CHECK(returncode == 3);
}

#endif
