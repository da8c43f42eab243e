// SUBP-007: the number of a child that was waited for behind our back belongs to a stranger.
#include "tests/subprocess/child.hpp"

#if defined(__linux__)
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <fstream>
#include <system_error>

using namespace weir;
using namespace weir::testing;

namespace {

// A process that lasts, and has this number; 0: somebody else has got it.
int stranger_with(int pid) {
  constexpr int attempts = 100;
  for (int attempt = 0; attempt != attempts; ++attempt) {
    std::ofstream("/proc/sys/kernel/ns_last_pid") << pid - 1;
    const int made = ::fork();
    REQUIRE(made >= 0);
    if (made == 0) {
      while (true) {
        ::pause();
      }
    }
    if (made == pid) {
      return made;
    }
    ::kill(made, SIGKILL);
    ::waitpid(made, nullptr, 0);
  }
  return 0;
}

}  // namespace

WEIR_TEST("SUBP-007 a stranger who has got the child's number is never signalled") {
  if (lacks("subprocess", "subprocesses") || lacks("subprocess", Trait::chosen_pid)) {
    co_return;
  }
  int stranger = 0;
  int refused = 0;
  const auto made = [&] {
    auto protocol = make_ref<ChildRecorder>();
    // Before the loop can see that the child has ended.
    protocol->on_made = [&, self = protocol.get()] {
      REQUIRE(::waitpid(self->transport->get_pid(), nullptr, 0) == self->transport->get_pid());
      stranger = stranger_with(self->transport->get_pid());
      for (const int signal : {SIGTERM, SIGKILL}) {
        try {
          self->transport->send_signal(signal);
        } catch (const std::system_error& error) {
          refused += error.code() == std::errc::no_such_process ? 1 : 0;
        }
      }
      self->transport->close();
    };
    return protocol;
  };
  SubprocessOptions options;
  auto [transport, protocol] = co_await loop.subprocess_shell(made, "exit 7", options);
  const Child child{transport, protocol};
  co_await child.lost();
  REQUIRE(stranger == transport->get_pid());
  CHECK(refused == 2);
  CHECK(::waitpid(stranger, nullptr, WNOHANG) == 0);  // it lives
  ::kill(stranger, SIGKILL);
  ::waitpid(stranger, nullptr, 0);
  if (transport->get_returncode() == 255) {
    env.expect_log("was waited for by somebody else");
  } else {
    CHECK(transport->get_returncode() == 7);
  }
}
#endif
