// SUBP: how children end, by themselves and by signals, and who hears of it.
#include "tests/subprocess/actor.hpp"
#include "tests/subprocess/child.hpp"
#include "tests/support/system.hpp"

#include <weir/exceptions.hpp>
#include <weir/net/file.hpp>

#include <csignal>
#include <cstdio>
#include <system_error>
#include <thread>

#if defined(_WIN32)
#include "backends/windows/winsock.hpp"
#else
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

std::error_code error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::system_error& error) {
    return error.code();
  }
  return {};
}

// The return code of a child that was ended by a signal.
int killed_by(int signal) { return has("process_signals") ? -signal : 1; }

}  // namespace

WEIR_TEST("SUBP-003 process_exited comes once, with the return code known") {
  if (lacks("SUBP-003", "subprocesses")) {
    co_return;
  }
  std::optional<int> known;
  const auto made = [&] {
    auto protocol = make_ref<ChildRecorder>();
    protocol->on_exited = [&known, self = protocol.get()] { known = self->transport->get_returncode(); };
    return protocol;
  };
  SubprocessOptions options;
  auto [transport, protocol] = co_await loop.subprocess_exec(made, actor("exit 5"), options);
  const Child child{transport, protocol};
  co_await child.lost();
  CHECK(known == 5);
  CHECK(child.protocol->count("exited") == 1);
  CHECK(child.transport->get_returncode() == 5);
}

WEIR_TEST("SUBP-004 connection_lost comes after process_exited and the ends of all pipes") {
  if (lacks("SUBP-004", "subprocesses")) {
    co_return;
  }
  // What the child leaves behind holds the pipes until its input ends.
  const Child child = co_await act(loop, "leave cat; exit 0");
  co_await child.exited();
  child.input()->write("still here");
  co_await until([&] { return child.protocol->output == "still here"; });
  CHECK(child.protocol->count("lost") == 0);
  CHECK_FALSE(child.transport->is_closing());
  child.transport->close();
  co_await child.lost();
  const std::size_t lost = child.protocol->place("lost");
  CHECK(lost == child.protocol->events.size() - 1);
  for (const char* before : {"exited", "lost0", "lost1", "lost2"}) {
    CHECK(child.protocol->place(before) < lost);
  }
  CHECK(child.transport->is_closing());
  CHECK(child.transport->get_protocol() == nullptr);
  CHECK_FALSE(child.protocol->failed);
}

WEIR_TEST("SUBP-006 the return code is the exit code, or the negative signal number") {
  if (lacks("SUBP-006", "subprocesses")) {
    co_return;
  }
  for (const int code : {0, 7, 255}) {
    const Child child = co_await act(loop, "exit " + std::to_string(code));
    co_await child.lost();
    CHECK(child.transport->get_returncode() == code);
  }
#if !defined(_WIN32)
  for (const auto& [command, code] : {std::pair("kill -9 $$", -9), std::pair("kill -15 $$", -15)}) {
    const Child child = co_await shell(loop, command);
    co_await child.lost();
    CHECK(child.transport->get_returncode() == code);
  }
#else
  // Of codes with 32 bits all count.
  for (const int code : {-1073741510, 70'000}) {
    const Child child = co_await act(loop, "exit " + std::to_string(code));
    co_await child.lost();
    CHECK(child.transport->get_returncode() == code);
  }
#endif
}

WEIR_TEST("SUBP-007 send_signal, terminate and kill reach the child, and nobody once it has ended") {
  if (lacks("SUBP-007", "subprocesses")) {
    co_return;
  }
  const Child terminated = co_await act(loop, "cat");
  terminated.transport->terminate();
  co_await terminated.lost();
  CHECK(terminated.transport->get_returncode() == killed_by(SIGTERM));
  const Child killed = co_await act(loop, "cat");
  CHECK(error_of([&] { killed.transport->send_signal(1000); }) == std::errc::invalid_argument);
  if (!has("process_signals")) {
    CHECK_THROWS_WITH_AS(killed.transport->send_signal(SIGINT), doctest::Contains("send_signal 2"),
                         NotSupportedError);
  }
  killed.transport->kill();
  co_await killed.lost();
  CHECK(killed.transport->get_returncode() == killed_by(9));
  for (const auto call : {&SubprocessTransport::terminate, &SubprocessTransport::kill}) {
    CHECK(error_of([&] { (*killed.transport.*call)(); }) == std::errc::no_such_process);
  }
}

#if !defined(_WIN32)
WEIR_TEST("SUBP-007 a signal reaches the child's handler") {
  if (lacks("SUBP-007", "subprocesses")) {
    co_return;
  }
  const Child trapped =
      co_await shell(loop, "trap 'echo got it; exit 4' USR1; echo ready; while :; do sleep 0.01; done");
  co_await until([&] { return trapped.protocol->output == "ready\n"; });
  trapped.transport->send_signal(SIGUSR1);
  co_await trapped.exited();
  CHECK(trapped.transport->get_returncode() == 4);
  co_await until([&] { return trapped.protocol->output == "ready\ngot it\n"; });
  trapped.transport->close();
  co_await trapped.lost();
}
#else
WEIR_TEST("SUBP-007 SIGBREAK is for a child that leads a process group") {
  if (lacks("SUBP-007", "subprocesses")) {
    co_return;
  }
  const Child child = co_await act(loop, "cat");
  CHECK_THROWS_AS(child.transport->send_signal(SIGBREAK), NotSupportedError);
  child.transport->close();
  co_await child.lost();
  SubprocessOptions options;
  options.process_group = 0;
  const Child leading = co_await act(loop, "out ready; cat", options);
  co_await until([&] { return leading.protocol->output == "ready\n"; });
  // Who is started without a console has no way to the child, and neither has the child.
  const bool has_console = ::GetConsoleCP() != 0;
  const std::error_code error = error_of([&] { leading.transport->send_signal(SIGBREAK); });
  CHECK(!error == has_console);
  if (error) {
    leading.transport->terminate();
  }
  co_await leading.lost();
  constexpr int ended_by_break = -1073741510;  // STATUS_CONTROL_C_EXIT
  CHECK(leading.transport->get_returncode() == (error ? 1 : ended_by_break));
}
#endif

WEIR_TEST("SUBP-009 close kills a running child, reaps it and closes its pipes") {
  if (lacks("SUBP-009", "subprocesses")) {
    co_return;
  }
  CHECK(co_await output_of_act(loop, "out") == "\n");  // the loop has what it needs
  const std::size_t descriptors = open_descriptors();
#if defined(_WIN32)
  const Child child = co_await act(loop, "out ready; hang");
#else
  const Child child = co_await shell(loop, "trap '' TERM HUP; echo ready; exec sleep 1000");
#endif
  co_await until([&] { return child.protocol->output == "ready\n"; });
  const int pid = child.transport->get_pid();
  child.input()->write(std::string(1'000'000, 'x'));
  child.transport->close();
  CHECK(child.transport->is_closing());
  child.transport->close();
  co_await child.lost();
  CHECK(child.transport->get_returncode() == killed_by(9));
  CHECK(child.protocol->count("exited") == 1);
  CHECK_FALSE(process_exists(pid));
  CHECK(open_descriptors() == descriptors);

  const Child ended = co_await act(loop, "leave cat; exit 6");
  co_await ended.exited();
  ended.transport->close();
  co_await ended.lost();
  CHECK(ended.transport->get_returncode() == 6);
}

WEIR_TEST("SUBP-009 close in each callback is in order") {
  if (lacks("SUBP-009", "subprocesses")) {
    co_return;
  }
  for (const char* when : {"made", "data", "exited"}) {
    const std::string at = when;
    const auto close_at = [at] {
      auto protocol = make_ref<ChildRecorder>();
      const auto close = [self = protocol.get()] { self->transport->close(); };
      if (at == "made") {
        protocol->on_made = close;
      } else if (at == "exited") {
        protocol->on_exited = close;
      } else {
        protocol->on_data = [close](int, std::span<const std::byte>) { close(); };
      }
      return protocol;
    };
    SubprocessOptions options;
    auto [transport, protocol] = co_await loop.subprocess_exec(close_at, actor("out one; cat"), options);
    if (at == "exited") {
      transport->get_pipe_transport(0)->close();
    }
    co_await until([&protocol = protocol] { return protocol->count("lost") == 1; });
    CHECK(transport->get_returncode().has_value());
  }
}

TEST_CASE_FIXTURE(LoopFixture, "SUBP-009 a loop that closes kills its children and says so") {
  if (lacks("SUBP-009", "subprocesses")) {
    return;
  }
  Child child = loop.run_until_complete(act(loop, "hang"));
  const int pid = child.transport->get_pid();
  child.protocol->transport.reset();
  loop.close();
  CHECK_FALSE(process_exists(pid));
  CHECK(child.protocol->count("lost") == 0);
  CHECK(child.transport->is_closing());
  CHECK(child.transport->get_protocol() == nullptr);
  child.transport->close();
  CHECK(error_of([&] { child.transport->kill(); }) == std::errc::no_such_process);
  env.expect_log("unclosed subprocess " + std::to_string(pid));
  for (int pipe = 0; pipe != 3; ++pipe) {
    env.expect_log("unclosed transport");
  }
}

WEIR_TEST("SUBP-021 children are started and awaited from any loop on any thread") {
  if (lacks("SUBP-021", "subprocesses")) {
    co_return;
  }
  std::vector<std::string> outputs(4);
  std::vector<std::thread> threads;
  for (std::string& output : outputs) {
    threads.emplace_back([&output] {
      EventLoop own;
      output = own.run_until_complete(output_of_act(own, "out from a thread"));
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::string& output : outputs) {
    CHECK(output == "from a thread\n");
  }
  const SignalHandler before = signal_handler(SIGTERM);
  CHECK(co_await output_of_act(loop, "out here") == "here\n");
  CHECK((signal_handler(SIGTERM) == before));
}

WEIR_TEST("SUBP-022 a child that ends at once is noticed") {
  if (lacks("SUBP-022", "subprocesses")) {
    co_return;
  }
  for (int i = 0; i != 50; ++i) {
    SubprocessOptions options;
    options.std_in = options.std_out = options.std_err = Stdio::devnull();
#if defined(_WIN32)
    const Child child = co_await act(loop, "exit 0", options);
#else
    const Child child = co_await start(loop, "true", options);  // is sooner there than an actor
#endif
    co_await child.lost();
    CHECK(child.transport->get_returncode() == 0);
  }
}

WEIR_TEST("SUBP-023 many children that end at the same moment are all reaped and reported") {
  if (lacks("SUBP-023", "subprocesses")) {
    co_return;
  }
#if defined(_WIN32)
  constexpr int many = 100;  // a thread of the system waits for 63 at most
  const std::string script = "sink; exit ";
  constexpr auto begin = static_cast<Coro<Child> (*)(EventLoop&, std::string, SubprocessOptions)>(&act);
#else
  constexpr int many = 200;
  const std::string script = "read end; exit ";
  constexpr auto begin = static_cast<Coro<Child> (*)(EventLoop&, std::string, SubprocessOptions)>(&shell);
#endif
  auto [reading, writing] = pipe_to_child();
  SubprocessOptions options;
  options.std_in = Stdio::file(reading.native_handle());
  std::vector<Child> children;
  for (int i = 0; i != many; ++i) {
    children.push_back(co_await begin(loop, script + std::to_string(i), options));
  }
  writing.close();
  for (int i = 0; i != many; ++i) {
    const Child& child = children[static_cast<std::size_t>(i)];
    co_await child.lost();
    CHECK(child.transport->get_returncode() == i);
    CHECK_FALSE(process_exists(child.transport->get_pid()));
  }
  CHECK_FALSE(has_children());
}

#if !defined(_WIN32)
WEIR_TEST("SUBP-024 children of other code in the process are left to it") {
  if (lacks("SUBP-024", "subprocesses")) {
    co_return;
  }
  const int foreign = ::fork();
  if (foreign == 0) {
    ::_exit(9);
  }
  CHECK(co_await output_of(loop, "echo mine") == "mine\n");
  int status = 0;
  CHECK(::waitpid(foreign, &status, 0) == foreign);
  CHECK(WEXITSTATUS(status) == 9);
}

WEIR_TEST("SUBP-024 a child that other code waited for, or nobody because SIGCHLD is ignored, is noticed") {
  if (lacks("SUBP-024", "subprocesses")) {
    co_return;
  }
  // Before the loop can look for it.
  pid_t stolen = 0;
  const auto made = [&] {
    auto protocol = make_ref<ChildRecorder>();
    protocol->on_made = [&stolen, self = protocol.get()] {
      stolen = ::waitpid(self->transport->get_pid(), nullptr, 0);
    };
    return protocol;
  };
  SubprocessOptions options;
  auto [transport, protocol] = co_await loop.subprocess_shell(made, "exit 7", options);
  const Child child{transport, protocol};
  CHECK(stolen == transport->get_pid());
  co_await child.lost();
  // Linux tells it twice from 6.15 on.
  const std::optional<int> first = child.transport->get_returncode();
  CHECK((first == 7 || first == 255));
  const auto restore = set_signal_handler(SIGCHLD, SIG_IGN);
  const Child ignored = co_await shell(loop, "exit 8");
  co_await ignored.lost();
  restore();
  const std::optional<int> second = ignored.transport->get_returncode();
  CHECK((second == 8 || second == 255));
  for (const std::optional<int>& code : {first, second}) {
    if (code == 255) {
      env.expect_log("was waited for by somebody else");
    }
  }
}
#else
WEIR_TEST("SUBP-024 children of other code in the process are left to it") {
  if (lacks("SUBP-024", "subprocesses")) {
    co_return;
  }
  FILE* const foreign = ::_popen("exit 9", "r");
  REQUIRE(foreign != nullptr);
  CHECK(co_await output_of_act(loop, "out mine") == "mine\n");
  CHECK(::_pclose(foreign) == 9);
}
#endif

WEIR_TEST("SUBP-026 cancelling subprocess_exec while it starts kills and reaps the child") {
  if (lacks("SUBP-026", "subprocesses")) {
    co_return;
  }
  auto protocol = make_ref<ChildRecorder>();
  const std::vector<std::string> args = actor("hang");
  SubprocessOptions options;
  auto starting = create_task(loop.subprocess_exec([&] { return protocol; }, args, options));
  protocol->on_made = [&] { starting.cancel(); };
  CHECK_THROWS_AS(co_await starting, CancelledError);
  const int pid = protocol->transport->get_pid();
  co_await until([&] { return protocol->count("lost") == 1; });
  CHECK(protocol->count("exited") == 1);
  CHECK_FALSE(process_exists(pid));
}
