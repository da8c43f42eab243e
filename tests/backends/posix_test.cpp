// What only real descriptors show, under every poller: pipes, duplicates in other processes, numbers closed
// behind our back, urgent data, and running out of descriptors.
#include "tests/contract/connected.hpp"

#include "backends/posix/wake_fd.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <ctime>

using namespace contract;

namespace {

struct Pipe {
  Pipe() { REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0); }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  int ends[2];
};

double cpu_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

}  // namespace

TEST_CASE("posix: watches pipes and event descriptors, level-triggered") {
  Loop loop;
  Pipe pipe;
  WakeFd event;
  Watching reader(Direction::read);
  Watching writer(Direction::write);
  Watching events(Direction::read);
  REQUIRE(loop.backend.watch(pipe.ends[0], reader) == 0);
  REQUIRE(loop.backend.watch(pipe.ends[1], writer) == 0);
  REQUIRE(loop.backend.watch(event.fd(), events) == 0);
  REQUIRE(loop.until([&] { return writer.calls > 2; }));
  CHECK(reader.calls == 0);
  loop.backend.unwatch(writer);
  CHECK(::write(pipe.ends[1], "x", 1) == 1);
  event.wake();
  REQUIRE(loop.until([&] { return reader.calls > 2 && events.calls > 2; }));
  char byte;
  CHECK(::read(pipe.ends[0], &byte, 1) == 1);
  event.drain();
  loop.turn();
  const int calls = reader.calls + events.calls;
  loop.pass();
  CHECK(reader.calls + events.calls == calls);
  loop.backend.unwatch(reader);
  loop.backend.unwatch(events);
  CHECK(loop.backend.find(pipe.ends[0]) == nullptr);
}

TEST_CASE("posix: an error alone wakes the writer of a full pipe") {
  Loop loop;
  Pipe pipe;
  const std::string block(4096, 'x');
  while (::write(pipe.ends[1], block.data(), block.size()) > 0) {
  }
  Watching writer(Direction::write);
  REQUIRE(loop.backend.watch(pipe.ends[1], writer) == 0);
  loop.pass(1ms);
  CHECK(writer.calls == 0);
  ::close(std::exchange(pipe.ends[0], -1));
  REQUIRE(loop.until([&] { return writer.calls > 0; }, 5s));
  loop.backend.unwatch(writer);
}

TEST_CASE("posix: the writer of a pipe that has lost its reader before is woken, as long as it waits") {
  Loop loop;
  Pipe pipe;
  ::close(std::exchange(pipe.ends[0], -1));
  Watching writer(Direction::write);
  REQUIRE(loop.backend.watch(pipe.ends[1], writer) == 0);
  REQUIRE(loop.until([&] { return writer.calls > 2; }, 5s));
  loop.backend.unwatch(writer);
  const int calls = writer.calls;
  CHECK(loop.pass(1ms) < 100);
  CHECK(writer.calls == calls);

  BackendHandle* handle = loop.backend.attach(pipe.ends[1], &handle);
  loop.backend.set_pipe(handle, Direction::write);
  Reading reading;
  REQUIRE(loop.begin(reading, handle) == Started::pending);
  REQUIRE(loop.until([&] { return reading.ends > 0; }, 5s));
  CHECK(reading.result == 0);
  loop.backend.detach(handle);
}

TEST_CASE("posix: a number closed and opened again behind our back is watched anew") {
  Loop loop;
  Watching reader(Direction::read);
  Watching writer(Direction::write);
  int number;
  {
    Pipe first;
    number = first.ends[0];
    REQUIRE(loop.backend.watch(number, reader) == 0);
    loop.turn();
  }
  // Here the registration is gone, and we do not know.
  Pipe second;
  REQUIRE(second.ends[0] == number);
  reader.calls = 0;
  SUBCASE("by a watch of the other direction, which merges") {
    loop.backend.watch(number, writer);  // a reading end: nothing to write, but it is a registration
    CHECK(::write(second.ends[1], "x", 1) == 1);
    REQUIRE(loop.until([&] { return reader.calls > 0; }));
    loop.backend.unwatch(writer);
    loop.backend.unwatch(reader);
  }
  SUBCASE("by removing and adding") {
    loop.backend.unwatch(reader);
    REQUIRE(loop.backend.watch(number, reader) == 0);
    CHECK(::write(second.ends[1], "x", 1) == 1);
    REQUIRE(loop.until([&] { return reader.calls > 0; }));
    loop.backend.unwatch(reader);
  }
  loop.pass(1ms);
}

TEST_CASE("posix: a socket whose number was watched for an earlier descriptor") {
  Loop loop;
  Watching reader(Direction::read);
  native_socket first[2];
  REQUIRE(Sockets::open_pair(first) == 0);
  REQUIRE(loop.backend.watch(first[0], reader) == 0);
  loop.turn();
  Sockets::close(first[0]);
  native_socket second[2];
  REQUIRE(Sockets::open_pair(second) == 0);
  REQUIRE(second[0] == first[0]);
  {
    End end(loop, second[0]);
    Reading reading;
    REQUIRE(loop.begin(reading, end.handle) == Started::pending);
    CHECK(::send(second[1], "x", 1, 0) == 1);
    REQUIRE(loop.until([&] { return reading.text == "x"; }));
  }
  Sockets::close(first[1]);
  Sockets::close(second[1]);
}

// LESSONS: epoll watches open file descriptions, and a child's duplicate keeps one alive.
TEST_CASE("posix: closed sockets that live on in a child do not wake the loop") {
  Loop loop;
  constexpr int count = 8;
  std::vector<std::unique_ptr<Pair>> pairs;
  std::vector<std::unique_ptr<Reading>> readings;
  std::vector<std::unique_ptr<Watching>> watches;
  for (int i = 0; i < count; ++i) {
    pairs.push_back(std::make_unique<Pair>(loop));
    readings.push_back(std::make_unique<Reading>());
    REQUIRE(loop.begin(*readings.back(), pairs.back()->server.handle) == Started::pending);
    if (i % 2 == 0) {
      watches.push_back(std::make_unique<Watching>(Direction::read));
      REQUIRE(loop.backend.watch(pairs.back()->server.native, *watches.back()) == 0);
    }
  }
  loop.turn();
  Pipe alive;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(alive.ends[1]);
    pollfd until{alive.ends[0], POLLIN, 0};
    ::poll(&until, 1, -1);  // until the parent's end is closed
    ::_exit(0);
  }
  for (int i = 0; i < count; ++i) {
    pairs[static_cast<std::size_t>(i)]->client.send("unread");
    pairs[static_cast<std::size_t>(i)]->server.close();
  }
  loop.pass();
  const double before = cpu_seconds();
  const int turns = loop.pass(300ms);
  CHECK(turns < 20);
  CHECK(cpu_seconds() - before < 0.1);
  ::close(std::exchange(alive.ends[1], -1));
  ::waitpid(child, nullptr, 0);
}

#ifndef WEIR_BACKEND_KQUEUE  // whose kernels do not tell of the mark
TEST_CASE("posix: data behind TCP's urgent mark is read") {
  Loop loop;
  Pair pair(loop);
  Reading reading;
  REQUIRE(loop.begin(reading, pair.server.handle) == Started::pending);
  loop.pass(1ms);
  for (int round = 0; round < 50; ++round) {
    reading.text.clear();
    CHECK(::send(pair.client.native, "before", 6, MSG_NOSIGNAL) == 6);
    if (round % 2 == 0) {
      loop.turn();
    }
    CHECK(::send(pair.client.native, "!", 1, MSG_OOB | MSG_NOSIGNAL) == 1);
    if (round % 3 == 0) {
      loop.turn();
    }
    CHECK(::send(pair.client.native, "after", 5, MSG_NOSIGNAL) == 5);
    REQUIRE(loop.until([&] { return reading.text == "beforeafter"; }, 5s));
  }
}
#endif

TEST_CASE("posix: out of descriptors, an accept stream ends; later it goes on with those who wait") {
  Loop loop;
  Listener listener(loop);
  Accepting accepting;
  REQUIRE(loop.begin(accepting, listener.handle) == Started::pending);
  End client(loop);
  Waited<ConnectOp> connecting;
  connecting.address = listener.address;
  loop.start(connecting, client.handle);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{3, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const bool is_over = loop.until([&] { return accepting.ends > 0; });
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(is_over);
  CHECK(accepting.result == -EMFILE);
  REQUIRE(loop.begin(accepting, listener.handle) == Started::pending);
  REQUIRE(loop.until([&] { return accepting.sockets.size() == 1; }));
  Sockets::close(accepting.sockets[0]);
  REQUIRE(loop.until([&] { return connecting.is_answered(); }));
}

TEST_CASE("posix: sockets are non-blocking, closed on exec, and say what they are") {
  for (const auto family : {AddressFamily::inet, AddressFamily::inet6}) {
    if (family == AddressFamily::inet6 && !Backend::has(Capability::ipv6)) {
      continue;
    }
    for (const auto type : {SocketType::stream, SocketType::datagram}) {
      const auto native = static_cast<native_socket>(Sockets::open(family, type, 0));
      REQUIRE(native >= 0);
      CHECK(Sockets::is_blocking(native) == 0);
      CHECK((::fcntl(native, F_GETFD) & FD_CLOEXEC) != 0);
      CHECK(Sockets::family(native) == static_cast<std::int64_t>(family));
      CHECK(Sockets::type(native) == static_cast<std::int64_t>(type));
      RawAddress address;
      address.family = family;
      address.ip = family == AddressFamily::inet
                       ? std::array<std::uint8_t, 16>{127, 0, 0, 1}
                       : std::array<std::uint8_t, 16>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
      CHECK(Sockets::bind(native, address) == 0);
      RawAddress local;
      CHECK(Sockets::local_address(native, local) == 0);
      CHECK(local.family == family);
      CHECK(local.ip == address.ip);
      CHECK(local.port != 0);
      CHECK(Sockets::peer_address(native, local) == -ENOTCONN);
      Sockets::close(native);
    }
  }
  const auto native = open();
  for (const auto option : {SocketOption::reuse_address, SocketOption::reuse_port, SocketOption::no_delay,
                            SocketOption::keep_alive, SocketOption::broadcast, SocketOption::linger_abort}) {
    CHECK(Sockets::get_option(native, option) == 0);
    CHECK(Sockets::set_option(native, option, 1) == 0);
    CHECK(Sockets::get_option(native, option) == 1);
  }
  CHECK(Sockets::set_option(native, SocketOption::send_buffer, 65536) == 0);
  CHECK(Sockets::get_option(native, SocketOption::send_buffer) >= 65536);
  Sockets::close(native);

  Pipe pipe;
  CHECK(::fcntl(pipe.ends[0], F_SETFL, 0) == 0);
  CHECK(Sockets::is_blocking(pipe.ends[0]) == 1);
  CHECK(Sockets::adopt(pipe.ends[0]) == 0);
  CHECK(Sockets::is_blocking(pipe.ends[0]) == 0);
  CHECK(Sockets::type(pipe.ends[0]) == -ENOTSOCK);
  CHECK(Sockets::adopt(-1) == -EBADF);
}
