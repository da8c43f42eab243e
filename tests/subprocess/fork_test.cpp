// FORK: children of a forked child, and those of its parent, which are none of its business.
#include "tests/subprocess/child.hpp"
#include "tests/support/system.hpp"

#include <csignal>

#if !defined(_WIN32)
#include "tests/support/forked.hpp"
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

#if defined(_WIN32)

TEST_CASE("FORK-003 a forked child starts children") { (void)lacks("FORK-003", Trait::fork); }

#else

namespace {

void start_own(Findings& findings) {
  EventLoop own;
  const std::string output = own.run_until_complete(output_of(own, "echo grandchild"));
  findings.check(output == "grandchild\n", "a child of the forked child said: " + output);
  const auto killed = [](EventLoop& loop) -> Coro<std::optional<int>> {
    const Child child = co_await start(loop, "sleep 1000");
    child.transport->kill();
    co_await child.lost();
    co_return child.transport->get_returncode();
  };
  findings.check(own.run_until_complete(killed(own)) == -SIGKILL, "its end was not seen");
  own.close();
  findings.check(!has_children(), "a child was left");
}

}  // namespace

WEIR_TEST("FORK-003 a forked child starts children on its own loop, and waits for them") {
  if (lacks("FORK-003", "subprocesses")) {
    co_return;
  }
  CHECK(in_child(&start_own) == "");
  // Also where the parent has children and waits for one.
  const Child child = co_await shell(loop, "cat");
  CHECK(in_child(&start_own) == "");
  child.input()->write("parent\n");
  child.input()->write_eof();
  co_await child.lost();
  CHECK(child.protocol->output == "parent\n");
  CHECK(child.transport->get_returncode() == 0);
}

TEST_CASE_FIXTURE(LoopFixture, "FORK-003 to a forked child the children of its parent are nobody's") {
  if (lacks("FORK-003", "subprocesses")) {
    return;
  }
  Child child = loop.run_until_complete(shell(loop, "cat"));
  const auto work = [&](Findings& findings) {
    const std::vector<std::string> args = {"true"};
    SubprocessOptions options;
    std::string refusal;
    try {
      (void)loop.subprocess_exec([] { return make_ref<ChildRecorder>(); }, args, options);
    } catch (const RuntimeError& error) {
      refusal = error.what();
    }
    findings.check(refusal.find("inherited from the parent") != std::string::npos,
                   "subprocess_exec said: " + refusal);
    findings.check(child.transport->is_closing(), "the transport is not closing");
    for (const int signal : {SIGTERM, SIGKILL}) {
      bool refused = false;
      try {
        child.transport->send_signal(signal);
      } catch (const std::exception&) {
        refused = true;
      }
      findings.check(refused, "a signal was sent");
    }
    if (const Ref<Transport> input = child.input()) {
      input->write("forked\n");
      input->abort();
    }
    child.transport->close();
    loop.close();
    loop_owner.reset();
    child = Child();
    start_own(findings);
  };
  CHECK(in_child(work) == "");
  CHECK(in_child(work, Leaving::by_exit) == "");
  child.input()->write("parent\n");
  child.input()->write_eof();
  loop.run_until_complete(child.lost());
  CHECK(child.protocol->output == "parent\n");
  CHECK(child.transport->get_returncode() == 0);
  child = Child();
}

#endif
