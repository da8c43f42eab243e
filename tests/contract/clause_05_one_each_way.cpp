// Clause 5: one reading and one writing operation per handle.
#include "tests/contract/connected.hpp"

#ifdef __unix__
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#endif

using namespace contract;

TEST_CASE("clause 5: a reading and a writing operation work side by side, and pending() names them") {
  Loop loop;
  Pair pair(loop);
  CHECK(loop.backend.pending(pair.server.handle, Direction::read) == nullptr);
  CHECK(loop.backend.pending(pair.server.handle, Direction::write) == nullptr);

  const std::string block = pattern(1 << 20);
  const ConstBuffer buffer = std::as_bytes(std::span(block));
  Waited<SendOp> sending;
  std::size_t sent = clog(pair.server, sending, buffer);
  std::array<std::byte, 16> memory;
  Waited<RecvOp> receiving;
  receiving.into = memory;
  REQUIRE_FALSE(loop.start(receiving, pair.server.handle));
  CHECK(loop.backend.pending(pair.server.handle, Direction::read) == &receiving);
  CHECK(loop.backend.pending(pair.server.handle, Direction::write) == &sending);

  pair.client.send_all("in");
  REQUIRE(loop.until([&] { return receiving.is_answered(); }));
  CHECK(receiving.result > 0);
  CHECK(loop.backend.pending(pair.server.handle, Direction::read) == nullptr);
  CHECK(sending.state == OpState::pending);

  std::size_t received = 0;
  while (!sending.is_answered() || received < sent) {
    std::string text;
    REQUIRE(pair.client.receive(text) > 0);
    received += text.size();
    if (sending.is_answered() && sending.result > 0) {
      sent += static_cast<std::size_t>(std::exchange(sending.result, 0));
    }
  }
  CHECK(sending.answers == 1);
  CHECK(received == sent);
  CHECK(loop.backend.pending(pair.server.handle, Direction::write) == nullptr);
}

#if defined(__unix__) && !defined(NDEBUG)
TEST_CASE("clause 5: a second reading operation is an assertion") {
  Loop loop;
  Pair pair(loop);
  std::array<std::byte, 16> memory;
  Waited<RecvOp> first;
  first.into = memory;
  REQUIRE_FALSE(loop.start(first, pair.server.handle));
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    close(2);  // the assertion's message
    Waited<RecvOp> second;
    second.into = memory;
    second.handle = pair.server.handle;
    loop.backend.start(second);
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
  CHECK(first.state == OpState::pending);
  loop.backend.cancel(first);
  loop.pass(1ms);
}
#endif
