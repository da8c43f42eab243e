// SUBP: what goes into a child and what comes out of it.
#include "tests/net/net_test.hpp"
#include "tests/subprocess/actor.hpp"
#include "tests/subprocess/child.hpp"

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

WEIR_TEST("SUBP-001 subprocess_exec gives transport and protocol after connection_made") {
  if (lacks("SUBP-001", "subprocesses")) {
    co_return;
  }
  const std::vector<std::string> args = actor("cat");
  SubprocessOptions options;
  auto [transport, protocol] =
      co_await loop.subprocess_exec([] { return make_ref<ChildRecorder>(); }, args, options);
  CHECK(protocol->events == std::vector<std::string>{"made"});
  CHECK(protocol->transport == transport);
  CHECK(transport->get_protocol() == protocol);
  CHECK(&transport->get_loop() == &loop);
  CHECK(transport->get_pid() > 0);
  CHECK(process_exists(transport->get_pid()));
  CHECK_FALSE(transport->get_returncode());
  CHECK_FALSE(transport->is_closing());
  for (int fd = 0; fd != 3; ++fd) {
    CHECK(transport->get_pipe_transport(fd) != nullptr);
  }
  CHECK(transport->get_pipe_transport(3) == nullptr);
  CHECK(transport->get_pipe_transport(-1) == nullptr);
  transport->close();
  co_await until([&] { return protocol->count("lost") == 1; });
}

WEIR_TEST("SUBP-001 subprocess_shell runs a command by the shell") {
  if (lacks("SUBP-001", "subprocesses")) {
    co_return;
  }
#if defined(_WIN32)
  CHECK(co_await output_of(loop, "echo one& echo t w o") == "one\r\nt w o\r\n");
  CHECK(co_await output_of(loop, "echo \"one\" two \"three\"") == "\"one\" two \"three\"\r\n");
  const Child child = co_await shell(loop, "echo wrong>&2& exit 3");
  const std::string wrong = "wrong\r\n";
#else
  CHECK(co_await output_of(loop, "echo one; echo 't w o'") == "one\nt w o\n");
  const Child child = co_await shell(loop, "echo wrong >&2; exit 3");
  const std::string wrong = "wrong\n";
#endif
  co_await child.lost();
  CHECK(child.protocol->error_output == wrong);
  CHECK(child.transport->get_returncode() == 3);
}

WEIR_TEST("SUBP-002 input reaches the child, its output comes by descriptor, and each pipe's end is told") {
  if (lacks("SUBP-002", "subprocesses")) {
    co_return;
  }
  const Child child = co_await act(loop, "cat; err to the end");
  child.input()->write("in and ");
  child.input()->write("out");
  co_await until([&] { return child.protocol->output == "in and out"; });
  CHECK(child.protocol->count("lost1") == 0);
  child.input()->write_eof();
  co_await child.lost();
  CHECK(child.protocol->error_output == "to the end\n");
  for (const char* end : {"lost0", "lost1", "lost2"}) {
    CHECK(child.protocol->count(end) == 1);
  }
  CHECK_FALSE(child.protocol->failed);
  CHECK(child.transport->get_pipe_transport(1) == nullptr);
}

WEIR_TEST("SUBP-005 all data of a pipe comes before its end") {
  if (lacks("SUBP-005", "subprocesses")) {
    co_return;
  }
  const Child child = co_await act(loop, "more 300000; more-err 200000");
  co_await child.lost();
  CHECK(child.protocol->output.size() == 300'000);
  CHECK(child.protocol->error_output.size() == 200'000);
  const auto& events = child.protocol->events;
  for (const auto& [data, end] : {std::pair("data1", "lost1"), std::pair("data2", "lost2")}) {
    const auto last = std::ranges::find(events.rbegin(), events.rend(), data).base() - events.begin() - 1;
    CHECK(static_cast<std::size_t>(last) < child.protocol->place(end));
  }
}

WEIR_TEST("SUBP-008 a child sees the end of its input, and a broken pipe for its output") {
  if (lacks("SUBP-008", "subprocesses")) {
    co_return;
  }
  const Child reading = co_await act(loop, "cat; out end");
  reading.input()->close();
  co_await reading.lost();
  CHECK(reading.protocol->output == "end\n");

  const Child writing = co_await act(loop, "yes");
  co_await until([&] { return !writing.protocol->output.empty(); });
  writing.transport->get_pipe_transport(1)->close();
  co_await writing.lost();
  CHECK(writing.transport->get_returncode() == (has("process_signals") ? -13 : 13));
  CHECK_FALSE(writing.protocol->failed);
}

WEIR_TEST("SUBP-010 each of the three is a pipe, inherited, the null device, a file, or merged") {
  if (lacks("SUBP-010", "subprocesses")) {
    co_return;
  }
  SubprocessOptions options;
  options.std_in = Stdio::devnull();
  options.std_err = Stdio::merged();
  CHECK(co_await output_of_act(loop, "cat; out out; err err; out out", options) == "out\nerr\nout\n");

  auto [reading, writing] = File::pipe();
  options = {};
  options.std_out = Stdio::file(writing.native_handle());
  options.std_err = Stdio::merged();
  const Child child = co_await act(loop, "out out; err err", options);
  CHECK(child.transport->get_pipe_transport(1) == nullptr);
  CHECK(child.transport->get_pipe_transport(2) == nullptr);
  co_await child.lost();
  std::array<std::byte, 100> got;
  CHECK(as_text(std::span(got).first(reading.read(got))) == "out\nerr\n");
  CHECK(writing.is_open());

  options = {};
  options.std_in = options.std_out = options.std_err = Stdio::inherit();
#if defined(_WIN32)
  const Child alone = co_await act(loop, "exit 0", options);
#else
  const Child alone = co_await shell(loop,
                                     "test /proc/self/fd/0 -ef /proc/$PPID/fd/0 && "
                                     "test /proc/self/fd/1 -ef /proc/$PPID/fd/1 && "
                                     "test /proc/self/fd/2 -ef /proc/$PPID/fd/2",
                                     options);
#endif
  co_await alone.lost();
  CHECK(alone.transport->get_returncode() == 0);
  CHECK(alone.protocol->events == std::vector<std::string>{"made", "exited", "lost"});
}

#if !defined(_WIN32)
WEIR_TEST("SUBP-010 what is merged goes where an inherited output goes") {
  if (lacks("SUBP-010", "subprocesses")) {
    co_return;
  }
  SubprocessOptions options;
  options.std_out = Stdio::inherit();
  options.std_err = Stdio::merged();
  const Child child = co_await shell(loop, "test /proc/self/fd/2 -ef /proc/$PPID/fd/1", options);
  co_await child.lost();
  CHECK(child.transport->get_returncode() == 0);
}
#endif

WEIR_TEST("SUBP-017 output can be read after the child has exited") {
  if (lacks("SUBP-017", "subprocesses")) {
    co_return;
  }
  const Child child = co_await act(loop, "more 50000; err err");
  for (int fd : {1, 2}) {
    child.transport->get_pipe_transport(fd)->pause_reading();
  }
  co_await child.exited();
  const std::size_t before = child.protocol->output.size();
  for (int fd : {1, 2}) {
    child.transport->get_pipe_transport(fd)->resume_reading();
  }
  co_await child.lost();
  CHECK(before < 50'000);
  CHECK(child.protocol->output.size() == 50'000);
  CHECK(child.protocol->error_output == "err\n");
}

WEIR_TEST("SUBP-018 a child blocks when its output is not read") {
  if (lacks("SUBP-018", "subprocesses")) {
    co_return;
  }
  const Child child = co_await act(loop, "more 10000000; err done");
  const Ref<Transport> output = child.transport->get_pipe_transport(1);
  output->pause_reading();
  co_await until([&] { return is_full(output); });
  const std::size_t held = child.protocol->output.size();
  CHECK(held < 1'000'000);
  CHECK_FALSE(child.transport->get_returncode());
  CHECK(child.protocol->error_output.empty());
  output->resume_reading();
  co_await child.lost();
  CHECK(child.protocol->output.size() == 10'000'000);
}

WEIR_TEST("SUBP-018 what the child does not read pauses the protocol's writing") {
  if (lacks("SUBP-018", "subprocesses")) {
    co_return;
  }
  auto [reading, writing] = pipe_to_child();
  const native_file passed[] = {reading.native_handle()};
  SubprocessOptions options;
  options.pass_fds = passed;
  const Child slow = co_await act(loop, "from " + std::to_string(passed[0]) + "; sink", options);
  slow.input()->write(std::string(1'000'000, 'x'));
  CHECK(slow.protocol->count("pause") == 1);
  writing.write(as_bytes("go\n"));
  co_await until([&] { return slow.protocol->count("resume") == 1; });
  slow.input()->write_eof();
  co_await slow.lost();
  CHECK(slow.transport->get_returncode() == 0);
}

WEIR_TEST("CTX-007 the callbacks of a subprocess protocol run in the context of its creation") {
  if (lacks("CTX-007", "subprocesses")) {
    co_return;
  }
  const ContextVar<int> variable("variable", 0);
  variable.set(7);
  std::vector<int> seen;
  const auto look = [&] { seen.push_back(variable.get()); };
  const auto made = [&] {
    auto protocol = make_ref<ChildRecorder>();
    protocol->on_made = protocol->on_exited = protocol->on_lost = look;
    protocol->on_data = [&](int, std::span<const std::byte>) { look(); };
    return protocol;
  };
  SubprocessOptions options;
  auto [transport, protocol] = co_await loop.subprocess_exec(made, actor("out one"), options);
  variable.set(8);
  co_await until([&] { return protocol->count("lost") == 1; });
  CHECK(seen == std::vector<int>(4, 7));
}

WEIR_TEST("SUBP-013 what contradicts itself is an invalid argument") {
  if (lacks("SUBP-013", "subprocesses")) {
    co_return;
  }
  const auto refusal = [&](const std::vector<std::string>& args,
                           const SubprocessOptions& options) -> std::string {
    try {
      (void)loop.subprocess_exec([] { return make_ref<ChildRecorder>(); }, args, options);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  const std::vector<std::string> fine = {"true"};
  SubprocessOptions options;
  CHECK(refusal({}, options) == "subprocess_exec: there are no arguments: the first one is the program");
  CHECK(refusal({""}, options) == "subprocess_exec: the program has no name");
  CHECK(refusal({"a", std::string("b\0c", 3)}, options) == "subprocess_exec: an argument with a NUL in it");
  options.std_out = Stdio::merged();
  CHECK(refusal(fine, options) == "subprocess_exec: std_out cannot be merged: std_err alone can");
  options = {};
  options.std_in = Stdio::file(invalid_file);
  CHECK(refusal(fine, options) == "subprocess_exec: std_in is a closed file");
  options = {};
  const std::vector<std::string> variables = {"A=1", "B"};
  options.env = variables;
  CHECK(refusal(fine, options) == "subprocess_exec: 'B' in env is not of the form NAME=value");
  options = {};
  options.process_group = -1;
  CHECK(refusal(fine, options) == "subprocess_exec: the process_group is negative");
  options.process_group = 0;
  options.start_new_session = true;
  CHECK(refusal(fine, options) == "subprocess_exec: process_group and a new session contradict each other");
  options = {};
  const native_file passed[] = {invalid_file};
  options.pass_fds = passed;
  CHECK(refusal(fine, options) == "subprocess_exec: a negative descriptor in pass_fds");
  const native_file other[] = {3};
  options.pass_fds = other;
  options.close_fds = false;
  CHECK(refusal(fine, options) == "subprocess_exec: pass_fds needs close_fds");
  options = {};
  options.cwd = std::string_view("a\0b", 3);
  CHECK(refusal(fine, options) == "subprocess_exec: a cwd with a NUL in it");
  const Child child = co_await act(loop, "exit 0");
  CHECK_THROWS_AS(child.transport->set_protocol({}), std::invalid_argument);
  CHECK_THROWS_AS(child.transport->set_protocol(make_ref<Recorder>()), std::invalid_argument);
  const auto second = make_ref<ChildRecorder>();
  child.transport->set_protocol(second);
  co_await until([&] { return second->count("lost") == 1; });
  CHECK(child.protocol->count("lost") == 0);
  child.protocol->transport.reset();
}

WEIR_TEST("SUBP-001 where there are no children, the call says so") {
  if (has("subprocesses")) {
    co_return;
  }
  const std::vector<std::string> args = {"true"};
  SubprocessOptions options;
  std::string refusal;
  try {
    co_await loop.subprocess_exec([] { return make_ref<ChildRecorder>(); }, args, options);
  } catch (const NotSupportedError& error) {
    refusal = error.what();
  }
  CHECK(refusal.find("subprocesses") != std::string::npos);
}
