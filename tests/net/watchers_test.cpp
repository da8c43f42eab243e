// FDW: add_reader, add_writer and their removal.
#include "tests/net/net_test.hpp"
#include "tests/support/system.hpp"

#if defined(WEIR_TEST_POSIX)
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <unistd.h>
#include <cstdlib>
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// Takes what is there; the watch functions promise readiness, so this is done at once or in the next turns.
Coro<std::string> take(EventLoop& loop, Socket& socket) {
  const Bytes data = co_await loop.sock_recv(socket, 1000);
  co_return data.str();
}

// Fills the socket until it is not writable.
Coro<void> fill(EventLoop& loop, Socket& socket) {
  const std::string text = pattern(clogging);
  auto sending = ensure_future(loop.sock_sendall(socket, text), &loop);
  co_await settle(loop);
  REQUIRE(!sending.done());
  sending.cancel();
  co_await settle(loop);
}

// The same of a socket that nobody watches, until it stays so: the system may make room once more by putting
// what the other end holds closer together.
Coro<void> fill_for_good(EventLoop& loop, Socket& socket) {
  for (int calls = 1; calls != 0;) {
    co_await fill(loop, socket);
    calls = 0;
    loop.add_writer(socket, [&calls] { ++calls; });
    co_await settle(loop);
    loop.remove_writer(socket);
  }
}

}  // namespace

WEIR_TEST("FDW-001 the reader is called again and again while data is left unread") {
  auto s = co_await connected_sockets(loop);
  int calls = 0;
  loop.add_reader(s.near, [&] { ++calls; });
  co_await settle(loop);
  CHECK(calls == 0);
  co_await loop.sock_sendall(s.far, "data");
  co_await until([&] { return calls >= 5; });
  std::string read;
  while (read.size() < 4) {
    read += co_await take(loop, s.near);
  }
  CHECK(read == "data");
  co_await settle(loop);
  calls = 0;
  co_await settle(loop);
  CHECK(calls == 0);
  co_await loop.sock_sendall(s.far, "more");
  co_await until([&] { return calls > 0; });
  CHECK(loop.remove_reader(s.near));
}

WEIR_TEST("FDW-002 the writer is called while the descriptor is writable") {
  auto s = co_await connected_sockets(loop, true);
  int calls = 0;
  loop.add_writer(s.near, [&] { ++calls; });
  co_await until([&] { return calls >= 5; });
  co_await fill(loop, s.near);
  calls = 0;
  co_await settle(loop);
  CHECK(calls == 0);
  auto reading = loop.create_task(read_all(loop, s.far));
  co_await until([&] { return calls > 0; });
  CHECK(loop.remove_writer(s.near));
  s.near.close();
  co_await reading;
}

WEIR_TEST("FDW-003 adding again replaces the callback") {
  auto s = co_await connected_sockets(loop);
  int first = 0;
  int second = 0;
  auto captured = std::make_shared<int>(0);
  loop.add_reader(s.near, [&, captured] { ++first; });
  loop.add_reader(s.near, [&] { ++second; });
  CHECK(captured.use_count() == 1);
  co_await loop.sock_sendall(s.far, "x");
  co_await until([&] { return second >= 3; });
  CHECK(first == 0);
  // Also from inside itself.
  int third = 0;
  loop.add_reader(s.near, [&] {
    ++first;
    loop.add_reader(s.near, [&] { ++third; });
  });
  co_await until([&] { return third >= 3; });
  CHECK(first == 1);
  CHECK(loop.remove_reader(s.near));
  CHECK(!loop.remove_reader(s.near));
}

WEIR_TEST("FDW-004 reader and writer of one descriptor are independent") {
  auto s = co_await connected_sockets(loop);
  int reads = 0;
  int writes = 0;
  loop.add_writer(s.near, [&] { ++writes; });
  loop.add_reader(s.near, [&] { ++reads; });
  co_await loop.sock_sendall(s.far, "x");
  co_await until([&] { return reads > 2 && writes > 2; });
  CHECK(loop.remove_writer(s.near));
  reads = writes = 0;
  co_await until([&] { return reads > 2; });
  CHECK(writes == 0);
  loop.add_writer(s.near, [&] { ++writes; });
  CHECK(loop.remove_reader(s.near));
  reads = 0;
  co_await until([&] { return writes > 2; });
  CHECK(reads == 0);
  CHECK(loop.remove_writer(s.near));
}

WEIR_TEST("FDW-005 removing tells whether there was something to remove") {
  auto s = co_await connected_sockets(loop);
  CHECK(!loop.remove_reader(s.near));
  CHECK(!loop.remove_writer(s.near));
  loop.add_reader(s.near, [] {});
  CHECK(!loop.remove_writer(s.near));
  CHECK(loop.remove_reader(s.near));
  CHECK(!loop.remove_reader(s.near));
  CHECK(!loop.remove_reader(native_socket{987654}));
  CHECK(!loop.remove_writer(native_socket{987654}));
  // A socket that was closed under its reader.
  loop.add_reader(s.far, [] {});
  const native_socket native = s.far.native_handle();
  co_await loop.sock_sendall(s.far, "x");
  s.far.close();
  CHECK(!loop.remove_reader(native));
}

WEIR_TEST("FDW-006 after remove_reader the callback is not called, even if the event was reported already") {
  auto a = co_await connected_sockets(loop);
  auto b = co_await connected_sockets(loop);
  int calls = 0;
  int after_removal = 0;
  bool removed = false;
  // Whichever of the two comes first in a turn in which both are readable removes the other.
  const auto reader = [&](Socket& other) {
    return [&] {
      ++calls;
      after_removal += removed ? 1 : 0;
      loop.remove_reader(other);
      removed = true;
    };
  };
  co_await loop.sock_sendall(a.far, "x");
  co_await loop.sock_sendall(b.far, "x");
  co_await settle(loop);
  loop.add_reader(a.near, reader(b.near));
  loop.add_reader(b.near, reader(a.near));
  co_await until([&] { return removed; });
  const bool a_is_left = loop.remove_reader(a.near);
  const bool b_is_left = loop.remove_reader(b.near);
  CHECK(a_is_left != b_is_left);
  // And one that was removed between the poll and its own turn.
  calls = 0;
  loop.add_reader(a.near, [&] { ++calls; });
  loop.call_soon([&] { loop.call_soon([&] { loop.remove_reader(a.near); }); });
  co_await settle(loop);
  const int at_removal = calls;
  co_await settle(loop);
  CHECK(calls == at_removal);
}

WEIR_TEST("FDW-007 it is fine to close the descriptor right after the removal") {
  auto s = co_await connected_sockets(loop);
  int calls = 0;
  for (int i = 0; i != 20; ++i) {
    auto other = co_await connected_sockets(loop);
    loop.add_reader(other.near, [&] { ++calls; });
    loop.add_writer(other.near, [&] { ++calls; });
    co_await settle(loop);
    CHECK(loop.remove_reader(other.near));
    CHECK(loop.remove_writer(other.near));
    other.near.close();
    calls = 0;
    // The next one probably has the same number.
    Socket next = Socket::open(AddressFamily::inet);
    co_await settle(loop);
    CHECK(calls == 0);
  }
}

WEIR_TEST("FDW-008 a negative descriptor and a closed one are refused") {
  CHECK_THROWS_AS(loop.add_reader(static_cast<native_socket>(-1), [] {}), std::invalid_argument);
  CHECK_THROWS_AS(loop.add_writer(static_cast<native_socket>(-1), [] {}), std::invalid_argument);
#if !defined(WEIR_TEST_WINDOWS)  // where -1 is the only one that is nobody's
  CHECK_THROWS_AS(loop.add_writer(native_socket{-2}, [] {}), std::invalid_argument);
#endif
  Socket socket = Socket::open(AddressFamily::inet);
  const native_socket native = socket.native_handle();
  socket.close();
  CHECK(error_of([&] { loop.add_reader(native, [] {}); }) == std::errc::bad_file_descriptor);
  CHECK(error_of([&] { loop.add_writer(native, [] {}); }) == std::errc::bad_file_descriptor);
  CHECK(!loop.remove_reader(native));
  CHECK_THROWS_AS(loop.add_reader(native, std::function<void()>()), std::invalid_argument);
  co_return;
}

WEIR_TEST("FDW-009 a transport's descriptor is refused") {
  auto w = co_await wire(loop);
  const native_socket native = w.transport->get_extra_info<extra::socket>()->native_handle();
  CHECK_THROWS_AS(loop.add_reader(native, [] {}), RuntimeError);
  CHECK_THROWS_AS(loop.add_writer(native, [] {}), RuntimeError);
  CHECK_THROWS_AS(loop.remove_reader(native), RuntimeError);
  CHECK_THROWS_AS(loop.remove_writer(native), RuntimeError);
  co_await finish(w);
  CHECK(!loop.remove_reader(native));
}

WEIR_TEST("FDW-010 a hang-up or an error wakes reader and writer") {
  auto s = co_await connected_sockets(loop, true);
  co_await fill_for_good(loop, s.near);
  int reads = 0;
  int writes = 0;
  loop.add_reader(s.near, [&] { ++reads; });
  loop.add_writer(s.near, [&] { ++writes; });
  co_await settle(loop);
  CHECK(reads + writes == 0);
  s.far.set_linger_abort();
  s.far.close();
  co_await until([&] { return reads > 0 && writes > 0; });
  CHECK(loop.remove_reader(s.near));
  CHECK(loop.remove_writer(s.near));
  std::error_code code;
  try {
    co_await take(loop, s.near);
  } catch (const std::system_error& e) {
    code = e.code();
  }
  CHECK(code == std::errc::connection_reset);
}

WEIR_TEST("FDW-010 a hang-up together with data delivers the data, then the end") {
  auto s = co_await connected_sockets(loop);
  std::string read;
  bool ended = false;
  bool readable = false;
  loop.add_reader(s.near, [&] { readable = true; });
  co_await loop.sock_sendall(s.far, "the last words");
  s.far.close();
  while (!ended) {
    co_await until([&] { return readable; });
    const std::string part = co_await take(loop, s.near);
    ended = part.empty();
    read += part;
    readable = false;
  }
  CHECK(read == "the last words");
  CHECK(loop.remove_reader(s.near));
}

WEIR_TEST("FDW-011 the callback may remove itself, its sibling, or any other watcher") {
  auto a = co_await connected_sockets(loop);
  auto b = co_await connected_sockets(loop);
  co_await loop.sock_sendall(a.far, "x");
  co_await loop.sock_sendall(b.far, "x");
  co_await settle(loop);
  int calls = 0;
  auto alive = std::make_shared<int>(0);
  loop.add_reader(a.near, [&calls, &loop, &a, alive] {
    ++calls;
    CHECK(loop.remove_reader(a.near));
    CHECK(alive.use_count() == 2);  // what runs is still there
  });
  co_await until([&] { return calls == 1; });
  CHECK(alive.use_count() == 1);
  loop.add_reader(a.near, [&] {
    ++calls;
    loop.remove_reader(a.near);
    loop.remove_writer(a.near);
    loop.remove_reader(b.near);
    loop.remove_writer(b.near);
  });
  int others = 0;
  loop.add_writer(a.near, [&] { ++others; });
  loop.add_reader(b.near, [&] { ++others; });
  loop.add_writer(b.near, [&] { ++others; });
  co_await until([&] { return calls == 2; });
  others = 0;
  co_await settle(loop);
  CHECK(others == 0);
  CHECK(calls == 2);
}

WEIR_TEST("FDW: an exception of a reader is reported, and the reader goes on") {
  auto s = co_await connected_sockets(loop);
  int calls = 0;
  loop.add_reader(s.near, [&] {
    ++calls;
    throw std::domain_error("reader");
  });
  co_await loop.sock_sendall(s.far, "x");
  co_await until([&] { return calls >= 2; });
  CHECK(loop.remove_reader(s.near));
  std::vector<Report> reports = env.take_reports();
  REQUIRE(static_cast<int>(reports.size()) == calls);
  CHECK(message_of(reports[0].exception) == "reader");
  CHECK(reports[0].message.find("Exception in callback") != std::string::npos);
}

WEIR_TEST("FDW: a reader runs in the context of its adding, or in the one it is given") {
  static ContextVar<int> variable("variable", 0);
  auto s = co_await connected_sockets(loop);
  std::vector<int> seen;
  variable.set(1);
  loop.add_writer(s.near, [&] { seen.push_back(variable.get()); });
  variable.set(2);
  co_await until([&] { return !seen.empty(); });
  CHECK(seen[0] == 1);
  Context own;
  own.run([] { variable.set(7); });
  seen.clear();
  loop.add_writer(s.near, [&] { seen.push_back(variable.get()); }, {.context = &own});
  co_await until([&] { return !seen.empty(); });
  CHECK(seen[0] == 7);
  CHECK(loop.remove_writer(s.near));
}

TEST_CASE("FDW: closing the loop destroys the callbacks") {
  const Env env;
  auto captured = std::make_shared<int>(0);
  auto [a, b] = Socket::pair();
  {
    EventLoop loop;
    loop.add_reader(a, [captured] {});
    loop.add_writer(b, [captured] {});
    CHECK(captured.use_count() == 3);
    loop.close();
    CHECK(captured.use_count() == 1);
    CHECK(!loop.remove_reader(a));
    CHECK_THROWS_AS(loop.add_reader(a, [] {}), RuntimeError);
  }
  CHECK(a.is_open());
}

WEIR_TEST(
    "FDW-012 pipes, terminals and event descriptors can be watched, a regular file as the system has it") {
  if (!has("native_descriptors")) {
    const MachinePipe pipe;
    CHECK_THROWS_AS(loop.add_reader(pipe.ends[0], [] {}), NotSupportedError);
    skip("FDW-012", "native_descriptors");
    co_return;
  }
#if defined(WEIR_TEST_POSIX)
  int pipe[2];
  REQUIRE(::pipe2(pipe, O_NONBLOCK | O_CLOEXEC) == 0);
  int calls = 0;
  loop.add_reader(pipe[0], [&] { ++calls; });
  co_await settle(loop);
  CHECK(calls == 0);
  REQUIRE(::write(pipe[1], "x", 1) == 1);
  co_await until([&] { return calls >= 3; });
  CHECK(loop.remove_reader(pipe[0]));
  int writes = 0;
  loop.add_writer(pipe[1], [&] { ++writes; });
  co_await until([&] { return writes >= 3; });
  CHECK(loop.remove_writer(pipe[1]));
  ::close(pipe[0]);
  ::close(pipe[1]);

  const int event = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  REQUIRE(event >= 0);
  calls = 0;
  loop.add_reader(event, [&] {
    ++calls;
    std::uint64_t value = 0;
    CHECK(::read(event, &value, sizeof value) == sizeof value);
  });
  const std::uint64_t one = 1;
  REQUIRE(::write(event, &one, sizeof one) == sizeof one);
  co_await until([&] { return calls == 1; });
  CHECK(loop.remove_reader(event));
  ::close(event);

  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(terminal >= 0);
  REQUIRE((::grantpt(terminal) == 0 && ::unlockpt(terminal) == 0));
  const int other_side = ::open(::ptsname(terminal), O_RDWR | O_NOCTTY | O_NONBLOCK);
  REQUIRE(other_side >= 0);
  calls = 0;
  loop.add_reader(terminal, [&] { ++calls; });
  REQUIRE(::write(other_side, "x", 1) == 1);
  co_await until([&] { return calls >= 2; });
  CHECK(loop.remove_reader(terminal));
  ::close(other_side);
  ::close(terminal);

  const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  REQUIRE(file >= 0);
#ifdef WEIR_BACKEND_POLL
  calls = 0;
  loop.add_reader(file, [&] { ++calls; });
  co_await until([&] { return calls >= 2; });
  CHECK(loop.remove_reader(file));
#else
  CHECK(error_of([&] { loop.add_reader(file, [] {}); }) == std::errc::operation_not_permitted);
  CHECK(!loop.remove_reader(file));
#endif
  ::close(file);
#endif
}
