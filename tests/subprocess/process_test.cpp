// SUBP: Process, for coroutines: streams, communicate and wait.
#include "tests/subprocess/actor.hpp"
#include "tests/subprocess/child.hpp"

#include <weir/exceptions.hpp>
#include <weir/net/file.hpp>
#include <weir/subprocess/process.hpp>

#include <array>
#include <stdexcept>

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

int killed_returncode() { return has("process_signals") ? -9 : 1; }

SubprocessOptions pipes() {
  SubprocessOptions options;
  options.std_in = options.std_out = options.std_err = Stdio::pipe();
  return options;
}

Coro<Ref<Process>> piped(std::string_view script) { return create_subprocess_exec(actor(script), pipes()); }

Coro<Ref<Process>> reading(std::string_view script) {
  SubprocessOptions options;
  options.std_out = Stdio::pipe();
  return create_subprocess_exec(actor(script), options);
}

// Its connection_lost has been called.
Coro<void> over(Ref<Process> process) {
  co_await until([&] { return process->transport()->get_protocol() == nullptr; });
}

std::string much(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i != size; ++i) {
    text[i] = static_cast<char>('a' + i % 23);
  }
  return text;
}

}  // namespace

WEIR_TEST("SUBP-002 a Process has its child's pipes as streams, and nothing where there is no pipe") {
  if (lacks("SUBP-002", "subprocesses")) {
    co_return;
  }
  const Ref<Process> process = co_await piped("cat; err end; exit 3");
  CHECK(process->pid() == process->transport()->get_pid());
  CHECK_FALSE(process->returncode());
  for (const char* line : {"one\n", "two\n"}) {
    process->std_in()->write(line);
    co_await process->std_in()->drain();
    CHECK(co_await process->std_out()->readline() == line);
  }
  process->std_in()->close();
  CHECK(co_await process->std_err()->read() == "end\n");
  CHECK(co_await process->std_out()->read() == "");
  CHECK(co_await process->wait() == 3);
  CHECK(process->returncode() == 3);
  co_await process->std_in()->wait_closed();
  CHECK_THROWS_AS(process->kill(), std::system_error);
  co_await over(process);

  const std::vector<std::string> args = actor("exit 0");
  const Ref<Process> alone = co_await create_subprocess_exec(args);
  CHECK(alone->std_in() == nullptr);
  CHECK(alone->std_out() == nullptr);
  CHECK(alone->std_err() == nullptr);
  CHECK(co_await alone->wait() == 0);
  co_await over(alone);
}

WEIR_TEST("SUBP-018 a StreamReader that is not read makes the child block") {
  if (lacks("SUBP-018", "subprocesses")) {
    co_return;
  }
  SubprocessOptions options;
  options.std_out = Stdio::pipe();
  const std::vector<std::string> args = actor("more 10000000");
  const Ref<Process> process = co_await create_subprocess_exec(args, options, 1000);
  const Ref<Transport> pipe = process->transport()->get_pipe_transport(1);
  co_await until([&] { return !pipe->is_reading() && is_full(pipe); });
  CHECK_FALSE(process->returncode());
  std::size_t size = 0;
  while (const std::size_t more = (co_await process->std_out()->read(100'000)).size()) {
    size += more;
  }
  CHECK(size == 10'000'000);
  CHECK(co_await process->wait() == 0);
  co_await over(process);
}

WEIR_TEST("SUBP-018 the limit is that of the readers") {
  if (lacks("SUBP-018", "subprocesses")) {
    co_return;
  }
  const Ref<Process> process = co_await create_subprocess_exec(actor("out 0123456789; cat-err"), pipes(), 4);
  CHECK_THROWS_AS(co_await process->std_out()->readline(), std::invalid_argument);
  process->std_in()->write("0123456789\n");
  CHECK_THROWS_AS(co_await process->std_err()->readline(), std::invalid_argument);
  process->std_in()->close();
  co_await over(process);
}

WEIR_TEST("SUBP-018 drain waits for a child that does not read") {
  if (lacks("SUBP-018", "subprocesses")) {
    co_return;
  }
  auto [go, signal] = pipe_to_child();
  const native_file passed[] = {go.native_handle()};
  SubprocessOptions options = pipes();
  options.pass_fds = passed;
  const std::vector<std::string> args = actor("from " + std::to_string(passed[0]) + "; sink");
  const Ref<Process> process = co_await create_subprocess_exec(args, options);
  process->std_in()->write(much(1'000'000));
  constexpr auto drained = [](Ref<StreamWriter> writer) -> Coro<void> { co_await writer->drain(); };
  auto draining = create_task(drained(process->std_in()));
  for (int turn = 0; turn != 3; ++turn) {
    co_await sleep(0s);
  }
  CHECK_FALSE(draining.done());
  signal.write(as_bytes("\n"));
  co_await draining;
  process->std_in()->close();
  CHECK(co_await process->wait() == 0);
  co_await over(process);
}

WEIR_TEST("SUBP-004 a Process is over with its outputs, whoever could still read its input") {
  if (lacks("SUBP-004", "subprocesses")) {
    co_return;
  }
  auto [reading, writing] = File::pipe();
  const native_file passed[] = {writing.native_handle()};
  SubprocessOptions options = pipes();
  options.pass_fds = passed;
  const std::vector<std::string> args = actor("leave close-out, sink; exit 0");
  const Ref<Process> process = co_await create_subprocess_exec(args, options);
  writing.close();
  co_await over(process);
  CHECK(process->std_in()->is_closing());
  co_await until([&] { return is_at_end(reading); });  // the other one has ended, too
}

WEIR_TEST("SUBP-015 communicate feeds the input and collects both outputs, whatever their sizes") {
  if (lacks("SUBP-015", "subprocesses")) {
    co_return;
  }
  for (const std::size_t size : {0, 1, 65'536, 3'000'000}) {
    CAPTURE(size);
    const std::string input = much(size);
    const Ref<Process> process = co_await piped("tee");
    const auto [output, error_output] = co_await process->communicate(input);
    CHECK((output == input && error_output == input));
    CHECK(process->returncode() == 0);
    co_await over(process);
  }
  // All of the output comes before the input is read.
  const std::string input = much(1'000'000);
  const Ref<Process> late = co_await piped("more 1000000; more-err 1000000; cat; exit 4");
  const auto [output, error_output] = co_await late->communicate(input);
  CHECK(output.size() == 2'000'000);
  CHECK(output.view().substr(1'000'000) == input);
  CHECK(error_output.size() == 1'000'000);
  CHECK(late->returncode() == 4);
  co_await over(late);

  const Ref<Process> silent = co_await reading("out one");
  const auto [one, nothing] = co_await silent->communicate();
  CHECK(one == "one\n");
  CHECK(nothing.empty());
  co_await over(silent);
  CHECK_THROWS_AS((void)silent->communicate("for nobody"), std::invalid_argument);
  // Without an input it ends that of the child all the same.
  const Ref<Process> waiting = co_await piped("cat; out end");
  CHECK((co_await waiting->communicate()).first == "end\n");
  co_await over(waiting);
}

WEIR_TEST("SUBP-015 communicate kills a child that takes too long or writes too much") {
  if (lacks("SUBP-015", "subprocesses")) {
    co_return;
  }
  CommunicateOptions options;
  options.timeout = 50ms;
  // What is left behind holds the pipes.
  const Ref<Process> slow = co_await piped("leave pid, hang; hang");
  const Bytes line = co_await slow->std_out()->readline();
  CHECK_THROWS_WITH_AS(co_await slow->communicate({}, options), "communicate: timed out", TimeoutError);
  CHECK(slow->returncode() == killed_returncode());
  CHECK_FALSE(process_exists(slow->pid()));
  CHECK(kill_process(std::stoi(line.str())));
  co_await over(slow);

  options = {};
  options.max_output = 1000;
  const std::string input = much(1'000'000);
  for (const char* command : {"yes", "yes-err"}) {
    const Ref<Process> loud = co_await piped(command);
    CHECK_THROWS_WITH_AS(co_await loud->communicate(input, options),
                         "communicate: more than 1000 bytes of output", LimitOverrunError);
    CHECK_FALSE(process_exists(loud->pid()));
    co_await over(loud);
  }
  const Ref<Process> just = co_await piped("more 1000");
  CHECK((co_await just->communicate({}, options)).first.size() == 1000);
  CHECK(just->returncode() == 0);
  co_await over(just);
}

WEIR_TEST("SUBP-016 a child that closes its input early does not make communicate fail") {
  if (lacks("SUBP-016", "subprocesses")) {
    co_return;
  }
  const std::string input = much(3'000'000);
  for (const auto& [command, expected] :
       {std::pair("close-in; out closed", "closed\n"), std::pair("head 3", "abc"), std::pair("exit 0", "")}) {
    CAPTURE(command);
    const Ref<Process> process = co_await piped(command);
    const auto [output, error_output] = co_await process->communicate(input);
    CHECK(output == expected);
    CHECK(error_output.empty());
    CHECK(process->returncode() == 0);
    co_await over(process);
  }
}

WEIR_TEST("SUBP-019 all tasks that wait for a child get its return code") {
  if (lacks("SUBP-019", "subprocesses")) {
    co_return;
  }
  const Ref<Process> process = co_await piped("line; exit 7");
  std::vector<Task<int>> waiting;
  for (int i = 0; i != 5; ++i) {
    waiting.push_back(create_task(process->wait()));
  }
  co_await sleep(0s);
  process->std_in()->write("end\n");
  for (Task<int>& wait : waiting) {
    CHECK(co_await wait == 7);
  }
  CHECK(co_await process->wait() == 7);
  co_await over(process);
}

WEIR_TEST("SUBP-019 wait does not wait for those who inherited the child's pipes") {
  if (lacks("SUBP-019", "subprocesses")) {
    co_return;
  }
  const Ref<Process> process = co_await piped("leave cat; exit 5");
  CHECK(co_await process->wait() == 5);
  process->std_in()->write("still there");
  CHECK(co_await process->std_out()->readexactly(11) == "still there");
  process->std_in()->close();
  CHECK(co_await process->std_out()->read() == "");
  co_await over(process);
}

WEIR_TEST("SUBP-020 cancelling a wait leaves the child running and waitable") {
  if (lacks("SUBP-020", "subprocesses")) {
    co_return;
  }
  const Ref<Process> process = co_await piped("line; exit 6");
  auto other = create_task(process->wait());
  for (int i = 0; i != 3; ++i) {
    auto wait = create_task(process->wait());
    co_await sleep(0s);
    wait.cancel();
    CHECK_THROWS_AS(co_await wait, CancelledError);
  }
  CHECK_FALSE(process->returncode());
  CHECK_FALSE(other.done());
  auto talk = create_task(process->communicate());
  co_await sleep(0s);
  talk.cancel();
  CHECK_THROWS_AS(co_await talk, CancelledError);
  CHECK_FALSE(process->transport()->is_closing());
  process->kill();
  CHECK(co_await other == killed_returncode());
  CHECK(co_await process->wait() == killed_returncode());
  co_await over(process);
}

WEIR_TEST("SUBP-021 a Process that nobody holds goes on to its end") {
  if (lacks("SUBP-021", "subprocesses")) {
    co_return;
  }
  auto [from_child, to_parent] = pipe_to_child();
  SubprocessOptions options = pipes();
  options.std_out = Stdio::file(to_parent.native_handle());
  Ref<Process> process = co_await create_subprocess_exec(actor("cat-err; out done"), options);
  const Ref<SubprocessTransport> transport = process->transport();
  const Ref<StreamWriter> input = process->std_in();
  process.reset();
  input->write("some");
  input->close();
  co_await until([&] { return transport->get_protocol() == nullptr; });
  CHECK(transport->get_returncode() == 0);
  std::array<std::byte, 10> got;
  CHECK(as_text(std::span(got).first(from_child.read(got))) == "done\n");
}

TEST_CASE("SUBP-013 create_subprocess_exec refuses what contradicts itself") {
  const std::vector<std::string> args = {"true"};
  CHECK_THROWS_AS((void)create_subprocess_exec(args), RuntimeError);
  CHECK_THROWS_AS((void)create_subprocess_shell("true"), RuntimeError);
  if (lacks("SUBP-013", "subprocesses")) {
    return;
  }
  Runner runner;
  runner.get_loop().call_soon([&] {
    CHECK_THROWS_AS((void)create_subprocess_exec(args, {}, 0), std::invalid_argument);
    CHECK_THROWS_AS((void)create_subprocess_shell("true", {}, -1), std::invalid_argument);
    CHECK_THROWS_WITH_AS((void)create_subprocess_exec({}),
                         "create_subprocess_exec: there are no arguments: the first one is the program",
                         std::invalid_argument);
    SubprocessOptions options;
    options.std_in = Stdio::merged();
    CHECK_THROWS_WITH_AS((void)create_subprocess_shell("true", options),
                         "create_subprocess_shell: std_in cannot be merged: std_err alone can",
                         std::invalid_argument);
    runner.get_loop().stop();
  });
  runner.get_loop().run_forever();
}
