// LibeventPoller by itself, with whatever libevent waits with: tests/libevent/meson.build runs it with each.
#include "backends/libevent/poller.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace weir::detail;
using namespace std::chrono_literals;

namespace {

struct Pipe {
  Pipe() { REQUIRE(::pipe(ends.data()) == 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  void fill() const { REQUIRE(::write(ends[1], "x", 1) == 1); }
  std::array<int, 2> ends{};
};

// What is reported now: the tokens and what is ready, as "7r 8w ".
std::string look(LibeventPoller& poller) {
  std::string seen;
  for (const PollEvent& event : poller.poll(TimePoint::min()).events) {
    seen += std::to_string(event.token) + ((event.ready & is_readable) != 0 ? "r" : "") +
            ((event.ready & is_writable) != 0 ? "w" : "") + " ";
  }
  return seen;
}

}  // namespace

TEST_CASE("libevent waits with what the environment leaves it") {
  const LibeventPoller poller;
  const char* const wanted = std::getenv("WEIR_TEST_METHOD");
  if (wanted != nullptr) {
    CHECK(poller.method() == wanted);
  }
}

TEST_CASE("errors of watch() are the same with every method") {
  LibeventPoller poller;
  Pipe pipe;
  const int closed = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(closed);
  CHECK(poller.watch(closed, 1, read_interest) == -EBADF);
  CHECK(poller.watch(-1, 1, read_interest) == -EBADF);
  const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  REQUIRE(file >= 0);
  CHECK(poller.watch(file, 2, read_interest) == -EPERM);
  ::close(file);
  CHECK(look(poller).empty());
  poller.unwatch(closed);
  poller.unwatch(12345);
}

TEST_CASE("a condition is reported as long as it lasts, and to whoever asked last") {
  LibeventPoller poller;
  Pipe pipe;
  REQUIRE(poller.watch(pipe.ends[0], 7, read_interest) == 0);
  REQUIRE(poller.watch(pipe.ends[1], 8, write_interest) == 0);
  CHECK(look(poller) == "8w ");
  REQUIRE(poller.rewatch(pipe.ends[1], 8, read_interest) == 0);
  CHECK(look(poller).empty());
  pipe.fill();
  CHECK(look(poller) == "7r ");
  CHECK(look(poller) == "7r ");
  REQUIRE(poller.watch(pipe.ends[0], 9, read_interest | write_interest) == 0);
  CHECK(look(poller) == "9r ");
  poller.unwatch(pipe.ends[0]);
  CHECK(look(poller).empty());
}

TEST_CASE("a number that was closed and opened again is watched anew") {
  LibeventPoller poller;
  Pipe pipe;
  auto old = std::make_unique<Pipe>();
  const int number = old->ends[0];
  REQUIRE(poller.watch(number, 1, read_interest) == 0);
  for (const bool known : {true, false}) {
    CAPTURE(known);
    old.reset();
    old = std::make_unique<Pipe>();
    REQUIRE(old->ends[0] == number);
    old->fill();
    REQUIRE((known ? poller.rewatch(number, 2, read_interest) : poller.watch(number, 2, read_interest)) == 0);
    CHECK(look(poller) == "2r ");
  }
  poller.unwatch(number);
}

TEST_CASE("numbers from FD_SETSIZE on are refused where select() could not take them") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  if (before.rlim_max <= FD_SETSIZE + 16) {
    return;  // no such number can be had here
  }
  rlimit wanted = before;
  wanted.rlim_cur = FD_SETSIZE + 16;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &wanted) == 0);
  {
    LibeventPoller poller;
    std::vector<std::unique_ptr<Pipe>> pipes;
    do {
      pipes.push_back(std::make_unique<Pipe>());
    } while (pipes.back()->ends[1] < FD_SETSIZE);
    const std::int64_t result = poller.watch(pipes.back()->ends[1], 5, write_interest);
    CHECK(result == (poller.method() == "select" ? -EINVAL : 0));
    CHECK(look(poller) == (result == 0 ? "5w " : ""));
    poller.unwatch(pipes.back()->ends[1]);
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_CASE("a wait is never shorter than its deadline, and a wake ends it") {
  LibeventPoller poller;
  for (const auto left : {1ns, 900ns, 1'500'000ns}) {
    const TimePoint deadline = poller.now() + left;
    while (!poller.poll(deadline).woken && poller.now() < deadline) {
    }
    const auto polled = poller.poll(TimePoint::min());
    CHECK(polled.events.empty());
    CHECK(poller.now() >= deadline);
  }
  std::thread waker([&] { poller.wake(); });
  while (!poller.poll(TimePoint::max()).woken) {
  }
  waker.join();
}
