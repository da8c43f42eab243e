// SUBP: what a child is made with, and what cannot be started.
#include "tests/net/folder.hpp"
#include "tests/subprocess/child.hpp"
#include "tests/support/system.hpp"

#include <weir/net/file.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#if !defined(_WIN32)
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <csignal>
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

#if !defined(_WIN32)

namespace {

// What the call says that cannot start it; it leaves nothing behind.
Coro<std::string> refusal(EventLoop& loop, std::string_view words, SubprocessOptions options) {
  const std::size_t descriptors = open_descriptors();
  std::string what;
  try {
    co_await start(loop, words, options);
  } catch (const std::system_error& error) {
    what = error.what();
  }
  CHECK(open_descriptors() == descriptors);
  CHECK_FALSE(has_children());
  co_return what;
}

}  // namespace

WEIR_TEST("SUBP-011 working directory, environment and another executable are honoured") {
  if (lacks("SUBP-011", "subprocesses")) {
    co_return;
  }
  SubprocessOptions options;
  options.cwd = "/usr/bin";
  CHECK(co_await output_of(loop, "pwd -P", options) ==
        std::filesystem::canonical("/usr/bin").string() + "\n");
  options = {};
  const std::vector<std::string> variables = {"ONE=1", "EMPTY=", "PATH=/usr/bin:/bin"};
  options.env = variables;
  const Child listing = co_await start(loop, "env", options);
  co_await listing.lost();
  CHECK(listing.protocol->output == "ONE=1\nEMPTY=\nPATH=/usr/bin:/bin\n");
  set_environment("WEIR_TEST_INHERITED", "yes");
  CHECK(co_await output_of(loop, "echo $WEIR_TEST_INHERITED") == "yes\n");
  set_environment("WEIR_TEST_INHERITED", nullptr);
  options = {};
  options.executable = "/bin/sh";
  const std::vector<std::string> args = {"another name", "-c", "echo $0"};
  const Child child = co_await start(loop, args, options);
  co_await child.lost();
  CHECK(child.protocol->output == "another name\n");
}

WEIR_TEST("SUBP-011 the program is looked for in the child's own PATH") {
  if (lacks("SUBP-011", "subprocesses")) {
    co_return;
  }
  const std::filesystem::path folder = make_scratch_folder("weir-subprocess");
  std::ofstream(folder / "weir-test-program") << "#!/bin/sh\necho found\n";
  std::filesystem::permissions(folder / "weir-test-program", std::filesystem::perms::owner_all);
  const std::vector<std::string> variables = {"PATH=/nowhere:" + folder.string() + ":/bin"};
  SubprocessOptions options;
  options.env = variables;
  const Child child = co_await start(loop, "weir-test-program", options);
  co_await child.lost();
  CHECK(child.protocol->output == "found\n");
  std::filesystem::remove_all(folder);
}

WEIR_TEST("SUBP-012 of several files that cannot be started, the one that is there is told") {
  if (lacks("SUBP-012", "subprocesses")) {
    co_return;
  }
  const std::filesystem::path folder = make_scratch_folder("weir-subprocess");
  std::ofstream(folder / "weir-test-program") << "#!/bin/sh\n";
  const std::vector<std::string> variables = {"PATH=" + folder.string() + ":/nowhere"};
  SubprocessOptions options;
  options.env = variables;
  CHECK(co_await refusal(loop, "weir-test-program", options) ==
        "subprocess_exec: exec weir-test-program: Permission denied");
  std::filesystem::remove_all(folder);
}

WEIR_TEST("SUBP-011 session, process group and umask are honoured") {
  if (lacks("SUBP-011", "subprocesses")) {
    co_return;
  }
  // Of /proc/self/stat: pid, name, state, parent, process group, session.
  const std::string command =
      "read pid name state parent group session rest </proc/$$/stat; echo $pid $group $session";
  const auto own = [](int number) { return std::to_string(number); };
  SubprocessOptions options;
  const std::string alike = co_await output_of(loop, command, options);
  CHECK(alike.ends_with(" " + own(::getpgrp()) + " " + own(::getsid(0)) + "\n"));
  options.process_group = 0;
  const Child grouped = co_await shell(loop, command, options);
  co_await grouped.lost();
  const std::string pid = own(grouped.transport->get_pid());
  CHECK(grouped.protocol->output == pid + " " + pid + " " + own(::getsid(0)) + "\n");
  options = {};
  options.start_new_session = true;
  const Child leading = co_await shell(loop, command, options);
  co_await leading.lost();
  const std::string leader = own(leading.transport->get_pid());
  CHECK(leading.protocol->output == leader + " " + leader + " " + leader + "\n");
  options = {};
  options.umask = 0123;
  CHECK(co_await output_of(loop, "umask", options) == "0123\n");
}

WEIR_TEST("SUBP-011 limits are honoured, and whom the child runs as") {
  if (lacks("SUBP-011", "subprocesses")) {
    co_return;
  }
  const ResourceLimit few[] = {{RLIMIT_NOFILE, 40, 50}, {RLIMIT_CORE, 0, 0}};
  SubprocessOptions options;
  options.limits = few;
  CHECK(co_await output_of(loop, "ulimit -Sn; ulimit -Hn; ulimit -c", options) == "40\n50\n0\n");
  options = {};
  const unsigned nobody = 65534;
  const unsigned groups[] = {12, 13};
  options.user = options.group = nobody;
  options.extra_groups = groups;
  if (::geteuid() == 0) {
    CHECK(co_await output_of(loop, "id -u; id -g; id -G", options) == "65534\n65534\n65534 12 13\n");
    options.extra_groups = std::span<const unsigned>();
    CHECK(co_await output_of(loop, "id -G", options) == "65534\n");
  } else {
    CHECK(co_await refusal(loop, "true", options) == "subprocess_exec: setgroups: Operation not permitted");
    options.extra_groups.reset();
    CHECK(co_await refusal(loop, "true", options) == "subprocess_exec: setgid: Operation not permitted");
    options.group.reset();
    CHECK(co_await refusal(loop, "true", options) == "subprocess_exec: setuid: Operation not permitted");
  }
}

WEIR_TEST("SUBP-012 what cannot be started fails the call with the step and the system's error") {
  if (lacks("SUBP-012", "subprocesses")) {
    co_return;
  }
  const std::size_t warm = (co_await output_of(loop, "echo")).size();  // the loop has what it needs
  CHECK(warm == 1);
  SubprocessOptions options;
  CHECK(co_await refusal(loop, "/no/such", options) ==
        "subprocess_exec: exec /no/such: No such file or directory");
  CHECK(co_await refusal(loop, "weir-no-such", options) ==
        "subprocess_exec: exec weir-no-such: No such file or directory");
  CHECK(co_await refusal(loop, "/etc/passwd", options) ==
        "subprocess_exec: exec /etc/passwd: Permission denied");
  CHECK(co_await refusal(loop, "/bin", options) == "subprocess_exec: exec /bin: Permission denied");
  options.cwd = "/no/where";
  CHECK(co_await refusal(loop, "true", options) ==
        "subprocess_exec: chdir /no/where: No such file or directory");
  options = {};
  options.process_group = 1;
  CHECK(co_await refusal(loop, "true", options) == "subprocess_exec: setpgid: Operation not permitted");
  options = {};
  options.std_out = Stdio::file(999);
  CHECK(co_await refusal(loop, "true", options) == "subprocess_exec: dup: Bad file descriptor");
  options = {};
  const native_file passed[] = {999};
  options.pass_fds = passed;
  CHECK(co_await refusal(loop, "true", options) == "subprocess_exec: pass_fds: Bad file descriptor");
  options = {};
  const ResourceLimit backwards[] = {{RLIMIT_CORE, 2, 1}};
  options.limits = backwards;
  CHECK(co_await refusal(loop, "true", options) == "subprocess_exec: setrlimit: Invalid argument");
}

WEIR_TEST("SUBP-014 descriptors are not inherited unless asked for") {
  if (lacks("SUBP-014", "subprocesses")) {
    co_return;
  }
  int open[2] = {-1, -1};
  REQUIRE(::pipe(open) == 0);  // not close-on-exec, as other code makes them
  const File reading = File::adopt(open[0]);
  const File writing = File::adopt(open[1]);
  REQUIRE(::fcntl(open[0], F_SETFD, 0) == 0);
  REQUIRE(::fcntl(open[1], F_SETFD, 0) == 0);
  const std::string command = "cd /proc/$$/fd; for fd in *; do test -e $fd && echo -n \"$fd \"; done; true";
  SubprocessOptions options;
  // A shell opens what it likes above 9.
  CHECK(co_await output_of(loop, command, options) == "0 1 2 ");
  const native_file passed[] = {open[1]};
  options.pass_fds = passed;
  CHECK(co_await output_of(loop, command, options) == "0 1 2 " + std::to_string(open[1]) + " ");
  options = {};
  options.close_fds = false;
  const std::string all = co_await output_of(loop, command, options);
  CHECK(all.find(" " + std::to_string(open[0]) + " ") != std::string::npos);
  CHECK(all.find(" " + std::to_string(open[1]) + " ") != std::string::npos);
}

WEIR_TEST("SUBP-014 standard descriptors may change places") {
  if (lacks("SUBP-014", "subprocesses")) {
    co_return;
  }
  // The child's output is what the parent has as its error output, and the other way round.
  SubprocessOptions options;
  options.std_in = Stdio::devnull();
  options.std_out = Stdio::file(2);
  options.std_err = Stdio::file(1);
  const Child child = co_await shell(
      loop, "test /proc/self/fd/1 -ef /proc/$PPID/fd/2 && test /proc/self/fd/2 -ef /proc/$PPID/fd/1",
      options);
  co_await child.lost();
  CHECK(child.transport->get_returncode() == 0);
}

WEIR_TEST("SUBP-025 the child has no signal blocked, and the system's dispositions") {
  if (lacks("SUBP-025", "subprocesses")) {
    co_return;
  }
  const auto usual_pipe = set_signal_handler(SIGPIPE, SIG_IGN);
  const auto usual_hangup = set_signal_handler(SIGHUP, SIG_IGN);
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const Child child = co_await start(loop, "grep ^Sig[BI] /proc/self/status");
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  usual_hangup();
  usual_pipe();
  co_await child.lost();
  CHECK(child.protocol->output == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

#else

// What Windows has otherwise: spawn_windows_test.cpp.
TEST_CASE("SUBP-025 signals that are blocked or ignored") { skip("SUBP-025", "process_signals"); }
#if !defined(WEIR_TEST_WINDOWS)
TEST_CASE("SUBP-011 SUBP-012 SUBP-014 what a child is made with") {
  for (const char* id : {"SUBP-011", "SUBP-012", "SUBP-014"}) {
    skip(id, "subprocesses");
  }
}
#endif

#endif
