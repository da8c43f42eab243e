// PIPE: connect_read_pipe and connect_write_pipe. STRM-024: a reader on a pipe.
#include "tests/net/folder.hpp"
#include "tests/net/net_test.hpp"

#include <weir/net/pipe.hpp>

#if defined(WEIR_TEST_POSIX)
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

struct Ends {
  File reading, writing;
};

// A pipe, blocking as one comes from pipe(2).
Ends make_pipe() {
#if defined(WEIR_TEST_POSIX)
  int ends[2] = {-1, -1};
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  return {File::adopt(ends[0]), File::adopt(ends[1])};
#else
  auto [reading, writing] = File::pipe();
  return {std::move(reading), std::move(writing)};
#endif
}

// A protocol on one end.
class End {
 public:
  End(std::pair<Ref<Transport>, Ref<Recorder>> made)
      : transport(std::move(made.first)), protocol(std::move(made.second)) {}
  Coro<void> lost() {
    co_await until([this] { return protocol->lost == 1; });
  }
  Ref<Transport> transport;
  Ref<Recorder> protocol;
};

constexpr auto recorder = [] { return make_ref<Recorder>(); };

Coro<End> reader_on(EventLoop& loop, File pipe) {
  co_return End(co_await loop.connect_read_pipe(recorder, std::move(pipe)));
}
Coro<End> writer_on(EventLoop& loop, File pipe) {
  co_return End(co_await loop.connect_write_pipe(recorder, std::move(pipe)));
}

template <class F>
std::string argument_error(F&& f) {
  try {
    (void)f();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

template <class F>
bool not_supported(F&& f) {
  try {
    f();
  } catch (const NotSupportedError&) {
    return true;
  }
  return false;
}

#if defined(WEIR_TEST_POSIX)

File open_file(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY);
  REQUIRE(fd >= 0);
  return File::adopt(fd);
}

// The two sides of a pseudo-terminal that changes nothing of what goes through.
std::pair<File, File> open_terminal() {
  File master = File::adopt(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  REQUIRE(master.is_open());
  REQUIRE(::grantpt(master.native_handle()) == 0);
  REQUIRE(::unlockpt(master.native_handle()) == 0);
  File slave = open_file(::ptsname(master.native_handle()), O_RDWR);
  termios raw{};
  REQUIRE(::tcgetattr(slave.native_handle(), &raw) == 0);
  ::cfmakeraw(&raw);
  REQUIRE(::tcsetattr(slave.native_handle(), TCSANOW, &raw) == 0);
  return {std::move(master), std::move(slave)};
}

#endif

}  // namespace

WEIR_TEST("PIPE-001 a read pipe delivers what is written, then its end") {
  Ends ends = make_pipe();
  End reader = co_await reader_on(loop, std::move(ends.reading));
  End writer = co_await writer_on(loop, std::move(ends.writing));
  reader.protocol->on_eof = [] { return true; };  // does not keep a pipe open
  CHECK(reader.transport->is_reading());
  writer.transport->write("one ");
  co_await until([&] { return reader.protocol->received == "one "; });
  writer.transport->write("two");
  writer.transport->close();
  co_await reader.lost();
  CHECK(reader.protocol->received == "one two");
  CHECK(reader.protocol->error == nullptr);
  CHECK(reader.protocol->count("eof") == 1);
  CHECK(reader.protocol->events.front() == "made");
  CHECK(reader.protocol->events.back() == "lost");
  CHECK(reader.transport->is_closing());
  co_await writer.lost();
  CHECK(writer.protocol->error == nullptr);
  CHECK(writer.protocol->count("eof") == 0);
}

WEIR_TEST("PIPE-001 a buffered protocol reads a pipe") {
  Ends ends = make_pipe();
  auto [transport, protocol] =
      co_await loop.connect_read_pipe([] { return make_ref<BufferedRecorder>(); }, std::move(ends.reading));
  End writer = co_await writer_on(loop, std::move(ends.writing));
  const std::string text = pattern(5000);
  writer.transport->write(text);
  writer.transport->write_eof();
  co_await until([&, p = protocol.get()] { return p->lost == 1; });
  CHECK(protocol->received == text);
  co_await writer.lost();
}

WEIR_TEST("PIPE-002 what the system does not take is buffered and sent in order") {
  Ends ends = make_pipe();
  End writer = co_await writer_on(loop, std::move(ends.writing));
  std::string sent;
  for (int i = 0; i != 300; ++i) {
    const std::string piece = pattern(static_cast<std::size_t>(i) * 13 % 5000 + 1);
    if (i % 3 == 0) {
      const std::span<const std::byte> pieces[] = {as_bytes(piece).first(piece.size() / 2),
                                                   as_bytes(piece).subspan(piece.size() / 2)};
      writer.transport->writelines(pieces);
    } else {
      writer.transport->write(piece);
    }
    sent += piece;
  }
  CHECK(writer.transport->get_write_buffer_size() > 0);
  CHECK(writer.protocol->count("pause") == 1);
  End reader = co_await reader_on(loop, std::move(ends.reading));
  co_await until([&] { return reader.protocol->received.size() == sent.size(); });
  CHECK(reader.protocol->received == sent);
  // Where the system writes by itself, the writer hears of it after the reader.
  co_await until([&] { return writer.transport->get_write_buffer_size() == 0; });
  CHECK(writer.protocol->count("resume") == 1);
  writer.transport->close();
  co_await reader.lost();
  co_await writer.lost();
}

WEIR_TEST("PIPE-003 sockets are accepted, and what comes the other way is left alone") {
  auto [near, far] = Socket::pair();
  End writer = co_await writer_on(loop, File::adopt(near.release()));
  co_await loop.sock_sendall(far, "not for you");
  co_await settle(loop);
  CHECK(writer.protocol->events == std::vector<std::string>{"made"});
  writer.transport->write("hello");
  CHECK(co_await read_exactly(loop, far, 5) == "hello");
  far.shutdown_write();
  co_await settle(loop);
  CHECK_FALSE(writer.transport->is_closing());
  if (lacks("PIPE-003", Trait::end_behind_bytes)) {
    writer.transport->close();
  }
  far.close();
  co_await writer.lost();
}

WEIR_TEST("PIPE-003 a closed pipe is refused") {
  CHECK(argument_error([&] { return loop.connect_read_pipe(recorder, File()); }) ==
        "connect_read_pipe: the pipe is closed");
  CHECK(argument_error([&] { return loop.connect_write_pipe(recorder, File()); }) ==
        "connect_write_pipe: the pipe is closed");
  co_return;
}

WEIR_TEST("PIPE a factory that throws, and a task that is cancelled, close the pipe") {
  Ends ends = make_pipe();
  End reader = co_await reader_on(loop, std::move(ends.reading));
  bool thrown = false;
  auto failing = []() -> Ref<Recorder> { throw std::runtime_error("no protocol"); };
  try {
    co_await loop.connect_write_pipe(failing, std::move(ends.writing));
  } catch (const std::runtime_error&) {
    thrown = true;
  }
  CHECK(thrown);
  co_await reader.lost();
  Ends others = make_pipe();
  End writer = co_await writer_on(loop, std::move(others.writing));
  auto connecting = loop.create_task(reader_on(loop, std::move(others.reading)));
  co_await sleep(0s);
  connecting.cancel();
  bool cancelled = false;
  try {
    co_await std::move(connecting);
  } catch (const CancelledError&) {
    cancelled = true;
  }
  CHECK(cancelled);
  co_await writer.lost();
}

WEIR_TEST("PIPE-005 a write pipe notices that nobody reads any more") {
  Ends ends = make_pipe();
  End writer = co_await writer_on(loop, std::move(ends.writing));
  co_await settle(loop);
  CHECK(writer.protocol->lost == 0);
  ends.reading.close();
  co_await writer.lost();
  CHECK(writer.protocol->error == nullptr);
  CHECK(writer.protocol->events == std::vector<std::string>{"made", "lost"});
}

WEIR_TEST("PIPE-005 also when the reader was gone before, or has left something unread") {
  Ends gone = make_pipe();
  gone.reading.close();
  End late = co_await writer_on(loop, std::move(gone.writing));
  co_await late.lost();
  Ends ends = make_pipe();
  End writer = co_await writer_on(loop, std::move(ends.writing));
  End reader = co_await reader_on(loop, std::move(ends.reading));
  reader.transport->pause_reading();
  writer.transport->write("unread");
  co_await settle(loop);
  reader.transport->close();
  co_await writer.lost();
}

WEIR_TEST("PIPE-006 a write error comes with connection_lost, and no report") {
  Ends ends = make_pipe();
  End writer = co_await writer_on(loop, std::move(ends.writing));
  const std::string text = clog(*writer.transport);
  CHECK(writer.transport->get_write_buffer_size() > 0);
  ends.reading.close();
  co_await writer.lost();
  CHECK((writer.protocol->code() == std::errc::broken_pipe ||
         writer.protocol->code() == std::errc::connection_reset));
  CHECK(writer.transport->get_write_buffer_size() == 0);
  CHECK(env.take_reports().empty());
}

#if defined(WEIR_TEST_POSIX)
WEIR_TEST("PIPE-006 a broken pipe is an error and no signal") {
  struct sigaction before{}, after{};
  sigset_t mask_before, mask_after, waiting;
  const struct sigaction fatal = [] {
    struct sigaction action{};
    action.sa_handler = SIG_DFL;
    return action;
  }();
  REQUIRE(::sigaction(SIGPIPE, &fatal, &before) == 0);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &mask_before) == 0);
  for (const bool held : {false, true}) {
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    REQUIRE(::pthread_sigmask(held ? SIG_BLOCK : SIG_UNBLOCK, &pipe, nullptr) == 0);
    Ends ends = make_pipe();
    End writer = co_await writer_on(loop, std::move(ends.writing));
    ends.reading.close();
    writer.transport->write("into the void");
    REQUIRE(::sigpending(&waiting) == 0);
    CHECK(::sigismember(&waiting, SIGPIPE) == 0);
    REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &mask_after) == 0);
    CHECK(::sigismember(&mask_after, SIGPIPE) == (held ? 1 : 0));
    co_await writer.lost();
    CHECK(writer.protocol->code() == std::errc::broken_pipe);
  }
  // One that waited before is still there.
  REQUIRE(::raise(SIGPIPE) == 0);
  Ends ends = make_pipe();
  End writer = co_await writer_on(loop, std::move(ends.writing));
  ends.reading.close();
  writer.transport->write("into the void");
  REQUIRE(::sigpending(&waiting) == 0);
  CHECK(::sigismember(&waiting, SIGPIPE) == 1);
  co_await writer.lost();
  struct sigaction ignored{};
  ignored.sa_handler = SIG_IGN;
  REQUIRE(::sigaction(SIGPIPE, &ignored, &after) == 0);  // drops the signal
  CHECK((after.sa_handler == SIG_DFL));
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &mask_before, nullptr) == 0);
  REQUIRE(::sigaction(SIGPIPE, &before, nullptr) == 0);
}
#endif

WEIR_TEST("PIPE-007 reading is paused and resumed, as often as one likes") {
  Ends ends = make_pipe();
  End reader = co_await reader_on(loop, std::move(ends.reading));
  End writer = co_await writer_on(loop, std::move(ends.writing));
  reader.transport->resume_reading();
  reader.transport->pause_reading();
  reader.transport->pause_reading();
  CHECK_FALSE(reader.transport->is_reading());
  writer.transport->write("waits");
  co_await settle(loop);
  CHECK(reader.protocol->received.empty());
  reader.transport->resume_reading();
  reader.transport->resume_reading();
  CHECK(reader.transport->is_reading());
  co_await until([&] { return reader.protocol->received == "waits"; });
  reader.transport->close();
  reader.transport->pause_reading();
  reader.transport->resume_reading();
  CHECK_FALSE(reader.transport->is_reading());
  co_await reader.lost();
  reader.transport->resume_reading();
  CHECK(reader.protocol->count("data") >= 1);
  co_await writer.lost();
}

WEIR_TEST("PIPE-008 write_eof and close send what is buffered, abort does not") {
  for (const int way : {0, 1, 2}) {
    Ends ends = make_pipe();
    End writer = co_await writer_on(loop, std::move(ends.writing));
    const std::string text = clog(*writer.transport);
    REQUIRE(writer.transport->get_write_buffer_size() > 0);
    CHECK(writer.transport->can_write_eof());
    if (way == 0) {
      writer.transport->write_eof();
      CHECK(writer.transport->is_closing());
      bool refused = false;
      try {
        writer.transport->write("more");
      } catch (const RuntimeError&) {
        refused = true;
      }
      CHECK(refused);
    } else if (way == 1) {
      writer.transport->close();
    } else {
      writer.transport->abort();
      CHECK(writer.transport->get_write_buffer_size() == 0);
    }
    End reader = co_await reader_on(loop, std::move(ends.reading));
    co_await reader.lost();
    co_await writer.lost();
    CHECK(writer.protocol->error == nullptr);
    if (way == 2) {
      CHECK(reader.protocol->received.size() < text.size());
      CHECK(text.starts_with(reader.protocol->received));
    } else {
      CHECK(reader.protocol->received == text);
    }
  }
}

WEIR_TEST("PIPE-009 the pipe is taken over, made non-blocking, and closed in the end") {
  Ends ends = make_pipe();
  End reader = co_await reader_on(loop, std::move(ends.reading));
  CHECK_FALSE(ends.reading.is_open());
  const std::optional<native_socket> native = reader.transport->get_extra_info<extra::pipe>();
  REQUIRE(native);
  CHECK_FALSE(reader.transport->get_extra_info<extra::socket>());
  CHECK_FALSE(reader.transport->get_extra_info<extra::peername>());
#if defined(WEIR_TEST_POSIX)
  CHECK((::fcntl(*native, F_GETFL) & O_NONBLOCK) != 0);
  CHECK((::fcntl(*native, F_GETFD) & FD_CLOEXEC) != 0);
#endif
  End writer = co_await writer_on(loop, std::move(ends.writing));
  bool open_when_lost = false;
  reader.protocol->on_lost = [&] {
    open_when_lost = reader.transport->get_extra_info<extra::pipe>().has_value();
  };
  reader.transport->close();
  co_await reader.lost();
  CHECK(open_when_lost);
  CHECK_FALSE(reader.transport->get_extra_info<extra::pipe>());
  co_await writer.lost();  // nobody else had it open
}

WEIR_TEST("PIPE-010 both ends in one program, more data than the pipe holds") {
  Ends ends = make_pipe();
  End reader = co_await reader_on(loop, std::move(ends.reading));
  End writer = co_await writer_on(loop, std::move(ends.writing));
  const std::string text = pattern(8'000'000);
  writer.transport->write(text);
  writer.transport->close();
  co_await reader.lost();
  CHECK(reader.protocol->received == text);
  co_await writer.lost();
}

WEIR_TEST("PIPE what the other direction has is not supported") {
  Ends ends = make_pipe();
  End reader = co_await reader_on(loop, std::move(ends.reading));
  End writer = co_await writer_on(loop, std::move(ends.writing));
  Transport& reading = *reader.transport;
  Transport& writing = *writer.transport;
  CHECK(not_supported([&] { reading.write("x"); }));
  CHECK(not_supported([&] { reading.write(""); }));
  CHECK(not_supported([&] { reading.write(Bytes("x")); }));
  CHECK(not_supported([&] { reading.writelines({}); }));
  CHECK(not_supported([&] { reading.write_eof(); }));
  CHECK(not_supported([&] { reading.set_write_buffer_limits(1); }));
  CHECK_FALSE(reading.can_write_eof());
  CHECK(reading.get_write_buffer_limits() == WriteBufferLimits{});
  CHECK(not_supported([&] { writing.pause_reading(); }));
  CHECK(not_supported([&] { writing.resume_reading(); }));
  CHECK_FALSE(writing.is_reading());
  writing.close();
  co_await reader.lost();
  co_await writer.lost();
}

WEIR_TEST("STRM-024 a reader reads a pipe to its end") {
  Ends ends = make_pipe();
  auto reader = make_ref<StreamReader>(loop);
  auto protocol = make_ref<StreamReaderProtocol>(reader);
  auto [transport, same] =
      co_await loop.connect_read_pipe([&protocol] { return protocol; }, std::move(ends.reading));
  End writer = co_await writer_on(loop, std::move(ends.writing));
  const std::string text = pattern(500'000);
  writer.transport->write("a line\n");
  const Bytes line = co_await reader->readline();
  CHECK(line == "a line\n");
  writer.transport->write(text);
  writer.transport->close();
  const Bytes rest = co_await reader->read();
  CHECK(rest == text);
  CHECK(reader->at_eof());
  co_await until([&] { return transport->get_protocol() == nullptr; });
  co_await writer.lost();
}

#if defined(WEIR_TEST_POSIX)

WEIR_TEST("PIPE-003 FIFOs are accepted") {
  const Folder folder;
  const std::string path = folder.file("fifo");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  End reader = co_await reader_on(loop, open_file(path, O_RDONLY | O_NONBLOCK));
  End writer = co_await writer_on(loop, open_file(path, O_WRONLY | O_NONBLOCK));
  writer.transport->write("through a fifo");
  writer.transport->close();
  co_await reader.lost();
  CHECK(reader.protocol->received == "through a fifo");
  co_await writer.lost();
}

WEIR_TEST("PIPE-003 regular files and directories are refused, and closed") {
  const Folder folder;
  const std::string path = folder.file("file");
  open_file(path, O_RDWR | O_CREAT).close();
  CHECK(argument_error([&] { return loop.connect_read_pipe(recorder, open_file(path, O_RDONLY)); }) ==
        "connect_read_pipe: a pipe, a character device or a socket was expected, not a regular file");
  CHECK(argument_error([&] { return loop.connect_write_pipe(recorder, open_file(path, O_WRONLY)); }) ==
        "connect_write_pipe: a pipe, a character device or a socket was expected, not a regular file");
  CHECK(argument_error([&] { return loop.connect_read_pipe(recorder, open_file("/tmp", O_RDONLY)); }) ==
        "connect_read_pipe: a pipe, a character device or a socket was expected, not a directory");
  co_return;
}

WEIR_TEST("PIPE-003 devices that cannot be waited for are always ready") {
  End empty = co_await reader_on(loop, open_file("/dev/null", O_RDONLY));
  co_await empty.lost();
  CHECK(empty.protocol->events == std::vector<std::string>{"made", "eof", "lost"});
  End zeros = co_await reader_on(loop, open_file("/dev/zero", O_RDONLY));
  int other = 0;  // others get their turn
  for (; zeros.protocol->received.size() < 1'000'000; ++other) {
    co_await sleep(0s);
  }
  CHECK(other > 10);
  zeros.transport->pause_reading();
  const std::size_t before = zeros.protocol->received.size();
  co_await settle(loop);
  CHECK(zeros.protocol->received.size() == before);
  zeros.transport->resume_reading();
  co_await until([&] { return zeros.protocol->received.size() > before; });
  zeros.transport->close();
  co_await zeros.lost();
  End sink = co_await writer_on(loop, open_file("/dev/null", O_WRONLY));
  sink.transport->write(pattern(1'000'000));
  CHECK(sink.transport->get_write_buffer_size() == 0);
  co_await settle(loop);
  CHECK(sink.protocol->lost == 0);
  sink.transport->close();
  co_await sink.lost();
  CHECK(sink.protocol->error == nullptr);
  End full = co_await writer_on(loop, open_file("/dev/full", O_WRONLY));
  full.transport->write("no room");
  co_await full.lost();
  CHECK(full.protocol->code() == std::errc::no_space_on_device);
}

WEIR_TEST("PIPE-003 a device that cannot be waited for does not keep the loop awake") {
  End sink = co_await writer_on(loop, open_file("/dev/null", O_WRONLY));
  End zeros = co_await reader_on(loop, open_file("/dev/zero", O_RDONLY));
  zeros.transport->pause_reading();
  co_await settle(loop);
  timespec before{}, after{};
  REQUIRE(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before) == 0);
  co_await sleep(300ms);
  REQUIRE(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after) == 0);
  const auto used = std::chrono::seconds(after.tv_sec - before.tv_sec) +
                    std::chrono::nanoseconds(after.tv_nsec - before.tv_nsec);
  CHECK(used < 100ms);
  sink.transport->close();
  zeros.transport->close();
  co_await sink.lost();
  co_await zeros.lost();
}

WEIR_TEST("PIPE-004 terminals are read and written, from both sides") {
  auto [master, slave] = open_terminal();
  File master_again = File::duplicate(master.native_handle());
  File slave_again = File::duplicate(slave.native_handle());
  End typing = co_await writer_on(loop, std::move(master));
  End screen = co_await reader_on(loop, std::move(master_again));
  End input = co_await reader_on(loop, std::move(slave));
  End output = co_await writer_on(loop, std::move(slave_again));
  const std::string text = pattern(200'000);
  typing.transport->write("typed");
  output.transport->write(text);
  co_await until(
      [&] { return input.protocol->received == "typed" && screen.protocol->received.size() == text.size(); });
  CHECK(screen.protocol->received == text);
  // The last one to have the terminal open lets go: a hang-up, which read(2) calls EIO.
  input.transport->close();
  output.transport->close();
  co_await screen.lost();
  CHECK(screen.protocol->error == nullptr);
  CHECK(screen.protocol->count("eof") == 1);
  co_await typing.lost();
  CHECK(typing.protocol->error == nullptr);
  co_await input.lost();
  co_await output.lost();
}

WEIR_TEST("PIPE-004 a terminal whose other side goes away ends for its program") {
  auto [master, slave] = open_terminal();
  End input = co_await reader_on(loop, std::move(slave));
  co_await settle(loop);
  CHECK(input.protocol->lost == 0);
  master.close();
  co_await input.lost();
  CHECK(input.protocol->error == nullptr);
  CHECK(input.protocol->count("eof") == 1);
}

#else

WEIR_TEST("PIPE-004 terminals") {
  skip("PIPE-004", "native_descriptors");
  co_return;
}

WEIR_TEST("PIPE-003 a real descriptor is refused by a simulated loop") {
  std::string text;
  try {
    co_await loop.connect_read_pipe(recorder, File::open("/dev/null"));
  } catch (const NotSupportedError& error) {
    text = error.what();
  }
  CHECK(text.find("native_descriptors") != std::string::npos);
}

#endif
