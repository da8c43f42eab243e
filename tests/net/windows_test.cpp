// WIN: what a system of completed operations asks of a backend.
#include "tests/net/net_test.hpp"
#include "tests/support/system.hpp"

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "backends/chosen.hpp"
#include "runtime/loop_access.hpp"

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

bool is_overlapped(EventLoop& loop) {
  const Socket probe = Socket::open(AddressFamily::inet);
  return detail::LoopAccess::backend(loop).poller().adopt(probe.native_handle());
}

std::size_t pending_operations(EventLoop& loop) {
  return detail::LoopAccess::backend(loop).poller().pending_operations();
}

}  // namespace

WEIR_TEST("WIN-005 Ctrl-C and Ctrl-Break wake a loop that is blocked in its poll") {
  const Interrupter terminal;
  for (const int number : {SIGINT, SIGBREAK}) {
    CAPTURE(number);
    auto woken = loop.create_future<void>();
    loop.add_signal_handler(number, [&] { woken.set_result(); });
    // It may come before the loop sleeps or afterwards; both must end it. Wine has no key for SIGBREAK.
    std::thread keyboard([&] { number == SIGINT ? terminal.interrupt() : (void)std::raise(number); });
    co_await woken;
    keyboard.join();
    CHECK(loop.remove_signal_handler(number));
  }
}

TEST_CASE(
    "WIN-007 closing the loop waits for the operations that the system has, and frees their memory then") {
  Env env;
  auto memory = std::make_unique<std::string>(pattern(clogging));
  {
    EventLoop loop;
    env.watch(loop);
    std::optional<SocketPair> pair;
    loop.run_until_complete([](EventLoop& its_loop, std::optional<SocketPair>& made) -> Coro<void> {
      made.emplace(co_await connected_sockets(its_loop, true));
    }(loop, pair));
    auto sending = ensure_future(loop.sock_sendall(pair->near, *memory), &loop);
    auto receiving = ensure_future(loop.sock_recv(pair->near, 10), &loop);
    drain(loop);
    CHECK_FALSE(sending.done());
    CHECK((pending_operations(loop) != 0) == is_overlapped(loop));
    detail::LoopAccess::backend(loop).close_all();  // the first thing that a backend's end does
    CHECK(pending_operations(loop) == 0);
    memory.reset();
    loop.close();
    env.expect_report("awaiting sock_sendall");
    env.expect_report("awaiting sock_recv");
  }
}

WEIR_TEST("WIN-008 sockets are watched, and what is no socket is refused by name") {
  auto s = co_await connected_sockets(loop);
  int reads = 0;
  loop.add_reader(s.near, [&] {
    ++reads;
    loop.remove_reader(s.near);
  });
  co_await loop.sock_sendall(s.far, "x");
  co_await until([&] { return reads == 1; });
  const MachinePipe pipe;
  for (const native_file end : pipe.ends) {
    CHECK_THROWS_AS(loop.add_reader(end, [] {}), NotSupportedError);
    CHECK_THROWS_AS(loop.add_writer(end, [] {}), NotSupportedError);
  }
  const Bytes read = co_await loop.sock_recv(s.near, 10);
  CHECK(read.str() == "x");
}

WEIR_TEST("WIN-009 a read that is reset while closing is no error; otherwise connection_lost gets it") {
  for (const bool is_closing : {false, true}) {
    CAPTURE(is_closing);
    auto w = co_await wire(loop);
    w.peer->socket().set_linger_abort();
    if (is_closing) {
      w.transport->close();
    }
    w.peer->socket().close();
    co_await until([&] { return w.protocol->lost == 1; });
    CHECK((w.protocol->code() == std::errc::connection_reset) == !is_closing);
    CHECK((w.protocol->error == nullptr) == is_closing);
  }
}
