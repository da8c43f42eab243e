// The test double of kqueue(2) is as strict as the kernels that it stands for.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Events = std::vector<struct kevent>;

struct Queue {
  Queue() : number(::kqueue()) { REQUIRE(number >= 0); }
  ~Queue() { ::close(number); }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // One change: 0 or its errno.
  int change(std::uintptr_t ident, int filter, unsigned flags, unsigned notes = 0,
             void* data = nullptr) const {
    struct kevent change;
    EV_SET(&change, ident, filter, flags, notes, 0, data);
    return ::kevent(number, &change, 1, nullptr, 0, nullptr) == 0 ? 0 : errno;
  }
  Events take(std::chrono::milliseconds limit = {}) const {
    Events events(16);
    const timespec timeout{limit.count() / 1000, (limit.count() % 1000) * 1'000'000};
    const int count = ::kevent(number, nullptr, 0, events.data(), 16, &timeout);
    REQUIRE(count >= 0);
    events.resize(static_cast<std::size_t>(count));
    return events;
  }
  int number;
};

struct Pipe {
  Pipe() { REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0); }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  void close_end(int which) {
    if (ends[which] >= 0) {
      ::close(std::exchange(ends[which], -1));
    }
  }
  void write(const std::string& text) const {
    REQUIRE(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  std::uintptr_t reader() const { return static_cast<std::uintptr_t>(ends[0]); }
  std::uintptr_t writer() const { return static_cast<std::uintptr_t>(ends[1]); }
  int ends[2];
};

struct Tcp {
  Tcp()
      : listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
        client(::socket(AF_INET, SOCK_STREAM, 0)) {
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener, 8) == 0);
    REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  }
  ~Tcp() {
    for (const int fd : {listener, client, server}) {
      if (fd >= 0) {
        ::close(fd);
      }
    }
  }
  void connect() { REQUIRE(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0); }
  void accept() {
    server = ::accept(listener, nullptr, nullptr);
    REQUIRE(server >= 0);
  }
  sockaddr_in address{};
  int listener, client, server = -1;
};

std::uintptr_t ident(int fd) { return static_cast<std::uintptr_t>(fd); }

}  // namespace

TEST_CASE("kqueue double: what no kernel takes is rejected") {
  Queue queue;
  Pipe pipe;
  CHECK(queue.change(pipe.reader(), -99, EV_ADD) == EINVAL);
  CHECK(queue.change(pipe.reader(), 0, EV_ADD) == EINVAL);
  CHECK(queue.change(pipe.reader(), EVFILT_READ, EV_ADD | 0x0100) == EINVAL);
  CHECK(queue.change(pipe.reader(), EVFILT_READ, EV_ADD, NOTE_TRIGGER) == EINVAL);
  CHECK(queue.change(9999, EVFILT_READ, EV_ADD) == EBADF);
  CHECK(queue.change(~std::uintptr_t{0}, EVFILT_WRITE, EV_ADD) == EBADF);
  for (const unsigned flags : {EV_DELETE, EV_ENABLE, EV_DISABLE, 0}) {
    CHECK(queue.change(pipe.reader(), EVFILT_READ, flags) == ENOENT);
    CHECK(queue.change(1, EVFILT_USER, flags) == ENOENT);
  }
  CHECK(queue.change(1, EVFILT_USER, 0, NOTE_TRIGGER) == ENOENT);
  CHECK(queue.change(99'999'999, EVFILT_PROC, EV_ADD, NOTE_EXIT) == ESRCH);
  struct kevent event{};
  CHECK((::kevent(queue.number, nullptr, -1, nullptr, 0, nullptr) == -1 && errno == EINVAL));
  const timespec bad{0, 1'000'000'000};
  CHECK((::kevent(queue.number, nullptr, 0, &event, 1, &bad) == -1 && errno == EINVAL));
  CHECK((::kevent(pipe.ends[0], nullptr, 0, &event, 1, nullptr) == -1 && errno == EBADF));
}

TEST_CASE("kqueue double: answers to changes come in order, and instead of events") {
  Queue queue;
  Pipe pipe;
  pipe.write("ready");
  REQUIRE(queue.change(pipe.reader(), EVFILT_READ, EV_ADD) == 0);
  std::array<struct kevent, 3> changes;
  EV_SET(&changes[0], pipe.reader(), EVFILT_WRITE, EV_DELETE | EV_RECEIPT, 0, 0, nullptr);
  EV_SET(&changes[1], pipe.writer(), EVFILT_WRITE, EV_ADD | EV_RECEIPT, 0, 0, &queue);
  EV_SET(&changes[2], 9999, EVFILT_READ, EV_ADD, 0, 0, nullptr);
  std::array<struct kevent, 8> out;
  const timespec at_once{};
  REQUIRE(::kevent(queue.number, changes.data(), 3, out.data(), 8, &at_once) == 3);
  for (const auto& one : {out[0], out[1], out[2]}) {
    CHECK(one.flags == EV_ERROR);
  }
  CHECK(out[0].data == ENOENT);
  CHECK(out[1].data == 0);
  CHECK(out[1].udata == &queue);
  CHECK(out[2].data == EBADF);
  CHECK(queue.take().size() == 2);
}

TEST_CASE("kqueue double: one knote a descriptor and filter, and how it triggers stays") {
  Queue queue;
  Pipe pipe;
  int first = 0;
  int second = 0;
  REQUIRE(queue.change(pipe.reader(), EVFILT_READ, EV_ADD | EV_CLEAR, 0, &first) == 0);
  REQUIRE(queue.change(pipe.reader(), EVFILT_READ, EV_ADD, 0, &second) == 0);
  pipe.write("abc");
  const Events events = queue.take();
  REQUIRE(events.size() == 1);
  CHECK(events[0].udata == &second);
  CHECK(events[0].data == 3);
  CHECK(queue.take().empty());  // EV_CLEAR still
  REQUIRE(queue.change(pipe.reader(), EVFILT_READ, EV_DELETE) == 0);
  CHECK(queue.change(pipe.reader(), EVFILT_READ, EV_DELETE) == ENOENT);
  REQUIRE(queue.change(pipe.reader(), EVFILT_READ, EV_ADD) == 0);
  CHECK(queue.take().size() == 1);
  CHECK(queue.take().size() == 1);  // as long as it lasts
}

TEST_CASE("kqueue double: EV_CLEAR, EV_ONESHOT, EV_DISPATCH, EV_DISABLE") {
  Queue queue;
  Pipe pipe;
  pipe.write("a");
  SUBCASE("EV_CLEAR: anew with more data") {
    REQUIRE(queue.change(pipe.reader(), EVFILT_READ, EV_ADD | EV_CLEAR) == 0);
    CHECK(queue.take().size() == 1);
    CHECK(queue.take().empty());
    pipe.write("b");
    const Events events = queue.take();
    REQUIRE(events.size() == 1);
    CHECK(events[0].data == 2);
  }
  SUBCASE("EV_ONESHOT: once, and it is gone") {
    REQUIRE(queue.change(pipe.reader(), EVFILT_READ, EV_ADD | EV_ONESHOT) == 0);
    CHECK(queue.take().size() == 1);
    CHECK(queue.take().empty());
    CHECK(queue.change(pipe.reader(), EVFILT_READ, EV_ENABLE) == ENOENT);
  }
  SUBCASE("EV_DISPATCH: once, until it is enabled") {
    REQUIRE(queue.change(pipe.reader(), EVFILT_READ, EV_ADD | EV_DISPATCH) == 0);
    CHECK(queue.take().size() == 1);
    CHECK(queue.take().empty());
    REQUIRE(queue.change(pipe.reader(), EVFILT_READ, EV_ENABLE) == 0);
    CHECK(queue.take().size() == 1);
  }
  SUBCASE("EV_DISABLE: silent, until it is enabled or added") {
    REQUIRE(queue.change(pipe.reader(), EVFILT_READ, EV_ADD | EV_DISABLE) == 0);
    CHECK(queue.take().empty());
    REQUIRE(queue.change(pipe.reader(), EVFILT_READ, EV_ADD) == 0);
    CHECK(queue.take().size() == 1);
    REQUIRE(queue.change(pipe.reader(), EVFILT_READ, EV_DISABLE) == 0);
    CHECK(queue.take().empty());
  }
}

TEST_CASE("kqueue double: knotes go when the descriptor is closed, whatever duplicates it has") {
  Queue queue;
  Pipe pipe;
  const int number = pipe.ends[0];
  const int duplicate = ::dup(number);
  REQUIRE(queue.change(pipe.reader(), EVFILT_READ, EV_ADD) == 0);
  pipe.write("unread");
  SUBCASE("by close()") {
    pipe.close_end(0);
    CHECK(queue.take().empty());
    CHECK(queue.change(ident(number), EVFILT_READ, EV_DELETE) == EBADF);
    CHECK(::dup2(duplicate, number) == number);
    CHECK(queue.change(ident(number), EVFILT_READ, EV_DELETE) == ENOENT);
    pipe.ends[0] = number;
  }
  SUBCASE("by dup2()") {
    Pipe other;
    REQUIRE(::dup2(other.ends[0], number) == number);
    CHECK(queue.take().empty());
    CHECK(queue.change(ident(number), EVFILT_READ, EV_DELETE) == ENOENT);
  }
  ::close(duplicate);
}

TEST_CASE("kqueue double: pipes, their room and their ends") {
  Queue queue;
  Pipe pipe;
  REQUIRE(queue.change(pipe.writer(), EVFILT_WRITE, EV_ADD) == 0);
  Events events = queue.take();
  REQUIRE(events.size() == 1);
  CHECK(events[0].data >= 4096);
  CHECK((events[0].flags & EV_EOF) == 0);
  pipe.close_end(0);
  events = queue.take();
  REQUIRE(events.size() == 1);
  CHECK((events[0].flags & EV_EOF) != 0);
  REQUIRE(queue.change(pipe.writer(), EVFILT_WRITE, EV_DELETE) == 0);
  CHECK(queue.change(pipe.writer(), EVFILT_WRITE, EV_ADD) == EPIPE);

  Pipe other;
  other.write("last");
  REQUIRE(queue.change(other.reader(), EVFILT_READ, EV_ADD) == 0);
  other.close_end(1);
  events = queue.take();
  REQUIRE(events.size() == 1);
  CHECK((events[0].flags & EV_EOF) != 0);
  CHECK(events[0].data == 4);
}

TEST_CASE("kqueue double: sockets, their backlog, their ends and their errors") {
  Queue queue;
  Tcp tcp;
  // To a BSD kernel an unconnected socket is neither readable nor writable.
  REQUIRE(queue.change(ident(tcp.client), EVFILT_WRITE, EV_ADD) == 0);
  REQUIRE(queue.change(ident(tcp.client), EVFILT_READ, EV_ADD) == 0);
  REQUIRE(queue.change(ident(tcp.listener), EVFILT_READ, EV_ADD) == 0);
  CHECK(queue.take().empty());
  tcp.connect();
  bool is_writable = false;
  bool is_waiting = false;
  for (const auto& event : queue.take(std::chrono::seconds(5))) {
    is_writable = is_writable || (event.ident == ident(tcp.client) && event.filter == EVFILT_WRITE);
    is_waiting = is_waiting || (event.ident == ident(tcp.listener) && event.data == 1);
  }
  CHECK(is_writable);
  CHECK(is_waiting);
  tcp.accept();
  REQUIRE(queue.change(ident(tcp.client), EVFILT_WRITE, EV_DELETE) == 0);
  SUBCASE("the peer's end, behind its data") {
    REQUIRE(::send(tcp.server, "bye", 3, 0) == 3);
    REQUIRE(::shutdown(tcp.server, SHUT_WR) == 0);
    const Events events = queue.take(std::chrono::seconds(5));
    REQUIRE(events.size() == 1);
    CHECK((events[0].flags & EV_EOF) != 0);
    CHECK(events[0].fflags == 0);
    CHECK(events[0].data == 3);
  }
  SUBCASE("a reset") {
    const linger abort{1, 0};
    REQUIRE(::setsockopt(tcp.server, SOL_SOCKET, SO_LINGER, &abort, sizeof abort) == 0);
    REQUIRE(::send(tcp.client, "x", 1, 0) == 1);
    ::close(std::exchange(tcp.server, -1));
    REQUIRE(queue.change(ident(tcp.client), EVFILT_WRITE, EV_ADD) == 0);
    const Events events = queue.take(std::chrono::seconds(5));
    REQUIRE(events.size() == 2);
    for (const auto& event : events) {
      CHECK((event.flags & EV_EOF) != 0);
      CHECK(event.fflags == ECONNRESET);
    }
  }
}

TEST_CASE("kqueue double: EVFILT_USER is triggered by any thread, and once for many") {
  Queue queue;
  REQUIRE(queue.change(7, EVFILT_USER, EV_ADD | EV_CLEAR, 0, &queue) == 0);
  CHECK(queue.take().empty());
  std::thread other([&] {
    queue.change(7, EVFILT_USER, 0, NOTE_TRIGGER, &queue);
    queue.change(7, EVFILT_USER, 0, NOTE_TRIGGER, &queue);
  });
  const Events events = queue.take(std::chrono::seconds(5));
  other.join();
  REQUIRE(events.size() == 1);
  CHECK(events[0].filter == EVFILT_USER);
  CHECK(events[0].udata == &queue);
  queue.take();
  CHECK(queue.take().empty());
}

TEST_CASE("kqueue double: EVFILT_PROC tells once of the end of a process") {
  Queue queue;
  Pipe until;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(until.ends[1]);
    char byte;
    ::fcntl(until.ends[0], F_SETFL, 0);
    const bool is_over = ::read(until.ends[0], &byte, 1) == 0;
    // A queue is not inherited.
    struct kevent event{};
    const timespec at_once{};
    const bool is_gone = ::kevent(queue.number, nullptr, 0, &event, 1, &at_once) < 0 && errno == EBADF;
    ::_exit(is_over && is_gone ? 42 : 1);
  }
  REQUIRE(queue.change(static_cast<std::uintptr_t>(child), EVFILT_PROC, EV_ADD, NOTE_EXIT) == 0);
  CHECK(queue.take().empty());
  until.close_end(1);
  const Events events = queue.take(std::chrono::seconds(5));
  REQUIRE(events.size() == 1);
  CHECK(events[0].fflags == NOTE_EXIT);
  CHECK(WEXITSTATUS(events[0].data) == 42);
  CHECK(queue.take().empty());
  CHECK(queue.change(static_cast<std::uintptr_t>(child), EVFILT_PROC, EV_DELETE) == ENOENT);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE("kqueue double: a wait ends with its time, and no earlier") {
  Queue queue;
  const auto start = std::chrono::steady_clock::now();
  CHECK(queue.take(std::chrono::milliseconds(5)).empty());
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(5));
}
