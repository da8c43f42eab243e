// SUBP-011: children on a terminal of their own.
#include "tests/subprocess/child.hpp"
#include "tests/support/system.hpp"

#include <weir/exceptions.hpp>

#include <stdexcept>

using namespace weir;
using namespace weir::testing;

WEIR_TEST("SUBP-011 a child can have a new terminal, which is written to and read from") {
  if (lacks("subprocess", "terminals")) {
    co_return;
  }
  CHECK(co_await output_of(loop, "echo") == "\n");  // the loop has what it needs
  const std::size_t descriptors = open_descriptors();
  SubprocessOptions options;
  options.terminal = TerminalSize{50, 132};
  const Child child = co_await shell(loop,
                                     "stty -echo; test -t 0 && test -t 1 && test -t 2 && stty size "
                                     "</dev/tty; read line; echo \"<$line>\" >&2; cat",
                                     options);
  CHECK(child.transport->get_pipe_transport(2) == nullptr);
  co_await until([&] { return child.protocol->output == "50 132\r\n"; });
  child.input()->write("typed\n");
  co_await until([&] { return child.protocol->output == "50 132\r\n<typed>\r\n"; });
  child.input()->write("\x04");  // the end of the input, as it is typed
  co_await child.lost();
  CHECK(child.transport->get_returncode() == 0);
  CHECK_FALSE(child.protocol->failed);
  for (const char* end : {"lost0", "lost1"}) {
    CHECK(child.protocol->count(end) == 1);
  }
  CHECK(open_descriptors() == descriptors);
}

WEIR_TEST("SUBP-011 a child learns of its terminal's new size") {
  if (lacks("subprocess", "terminals")) {
    co_return;
  }
  SubprocessOptions options;
  options.terminal = TerminalSize();
  const Child child = co_await shell(
      loop, "trap 'stty size; exit 3' WINCH; stty size; while :; do sleep 0.01; done", options);
  co_await until([&] { return child.protocol->output == "24 80\r\n"; });
  child.transport->set_terminal_size({30, 90});
  co_await child.lost();
  CHECK(child.protocol->output == "24 80\r\n30 90\r\n");
  CHECK(child.transport->get_returncode() == 3);
  CHECK_THROWS_WITH_AS(child.transport->set_terminal_size({30, 90}),
                       "set_terminal_size: the terminal is closed", RuntimeError);
  const Child plain = co_await start(loop, "true");
  CHECK_THROWS_WITH_AS(plain.transport->set_terminal_size({30, 90}),
                       "set_terminal_size: the child has no terminal", RuntimeError);
  co_await plain.lost();
}

WEIR_TEST("SUBP-011 what is said of a descriptor goes before the terminal") {
  if (lacks("subprocess", "terminals")) {
    co_return;
  }
  SubprocessOptions options;
  options.terminal = TerminalSize();
  options.std_out = Stdio::pipe();
  const Child child = co_await shell(loop, "echo plain; echo shown >&2; test -t 0; echo $?", options);
  co_await child.lost();
  CHECK(child.protocol->output == "plain\n0\n");
  CHECK(child.protocol->error_output == "shown\r\n");

  options = {};
  options.std_out = Stdio::terminal();
  std::string refusal;
  try {
    (void)loop.subprocess_exec([] { return make_ref<ChildRecorder>(); }, {"true"}, options);
  } catch (const std::invalid_argument& error) {
    refusal = error.what();
  }
  CHECK(refusal == "subprocess_exec: std_out is the terminal, and there is none");
  options.terminal = TerminalSize();
  options.process_group = 0;
  CHECK_THROWS_AS((void)loop.subprocess_exec([] { return make_ref<ChildRecorder>(); }, {"true"}, options),
                  std::invalid_argument);
}

WEIR_TEST("SUBP-009 closing a child on a terminal ends those who look at it") {
  if (lacks("subprocess", "terminals")) {
    co_return;
  }
  auto [reading, writing] = File::pipe();
  const native_file passed[] = {writing.native_handle()};
  SubprocessOptions options;
  options.terminal = TerminalSize();
  options.pass_fds = passed;
  const Child child = co_await shell(loop, "sleep 1000 & echo started; wait", options);
  writing.close();
  co_await until([&] { return child.protocol->output == "started\r\n"; });
  child.transport->close();
  co_await child.lost();
  CHECK(child.transport->get_returncode() == -9);
  // The other one had the pipe, too.
  co_await until([&] { return is_at_end(reading); });
}
