// SFILE: files into connections.
#include "tests/net/net_test.hpp"
#include "tests/net/temporary_file.hpp"

#include <array>
#include <fstream>
#include <iterator>
#include <limits>

#if defined(WEIR_TEST_POSIX)
#include <csignal>
#elif defined(WEIR_BACKEND_SIM)
#include "backends/sim/call_hook.hpp"

#include <cerrno>
#endif

using namespace weir;
using namespace weir::testing;

namespace {

constexpr std::size_t large = 6'000'000;

template <class F>
std::string argument_error(F&& f) {
  try {
    (void)f();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

// Reads to the end of the stream, or until it is broken.
Coro<std::string> receive_all(EventLoop& loop, Socket& socket) {
  std::string text;
  try {
    for (;;) {
      const Bytes part = co_await loop.sock_recv(socket, 100'000);
      if (part.empty()) {
        break;
      }
      text += part.view();
    }
  } catch (const std::system_error&) {
  }
  co_return text;
}

// A transport on one end of a connection, a socket on the other.
struct Half {
  Ref<Transport> transport;
  Ref<Recorder> protocol;
  Socket far;
};

Coro<Half> half(EventLoop& loop) {
  auto s = co_await connected_sockets(loop, true);
  auto [transport, protocol] =
      co_await loop.connect_accepted_socket([] { return make_ref<Recorder>(); }, std::move(s.near), {});
  co_return Half{std::move(transport), std::move(protocol), std::move(s.far)};
}

template <class T>
std::error_code code_of(const Future<T>& future) {
  try {
    std::rethrow_exception(future.exception());
  } catch (const std::system_error& error) {
    return error.code();
  }
}

bool is_connection_error(std::error_code code) {
  return code == std::errc::broken_pipe || code == std::errc::connection_reset ||
         code == std::errc::connection_aborted;
}

}  // namespace

WEIR_TEST("SFILE-001 sock_sendfile sends the whole file and gives the number of bytes") {
  const std::string text = pattern(large);
  const TemporaryFile there(text);
  File file = there.open();
  auto s = co_await connected_sockets(loop, true);
  auto reading = loop.create_task(receive_all(loop, s.far));
  CHECK(co_await loop.sock_sendfile(s.near, file, {}) == large);
  s.near.close();
  CHECK(co_await reading == text);
  CHECK(file.position() == large);
}

WEIR_TEST("SFILE-002 offset and count are honoured, and the position follows") {
  const std::string text = pattern(large);
  const TemporaryFile there(text);
  File file = there.open();
  auto s = co_await connected_sockets(loop, true);
  auto reading = loop.create_task(receive_all(loop, s.far));
  CHECK(co_await loop.sock_sendfile(s.near, file, {.offset = 1000, .count = 2000}) == 2000);
  CHECK(file.position() == 3000);
  CHECK(co_await loop.sock_sendfile(s.near, file, {.offset = large - 5, .count = 100}) == 5);
  CHECK(file.position() == large);
  CHECK(co_await loop.sock_sendfile(s.near, file, {.offset = large + 7}) == 0);
  CHECK(file.position() == large + 7);
  constexpr std::int64_t last = std::numeric_limits<std::int64_t>::max();
  CHECK(co_await loop.sock_sendfile(s.near, file, {.offset = last - 5, .count = 100}) == 0);
  CHECK(co_await loop.sock_sendfile(s.near, file, {.offset = last, .count = 100}) == 0);
  s.near.close();
  CHECK(co_await reading == text.substr(1000, 2000) + text.substr(large - 5));
}

WEIR_TEST("SFILE-002 the position tells what was sent when the call is cancelled") {
  const std::string text = pattern(large);
  const TemporaryFile there(text);
  File file = there.open();
  auto s = co_await connected_sockets(loop, true);
  auto sending = loop.create_task(loop.sock_sendfile(s.near, file, {.offset = 10}));
  const std::string head = co_await read_exactly(loop, s.far, 5000);
  sending.cancel("first");
  sending.cancel("again");  // it is being cancelled
  std::string why;
  try {
    co_await sending;
  } catch (const CancelledError& error) {
    why = error.what();
  }
  CHECK(why == "first");
  s.near.close();
  const std::string rest = co_await receive_all(loop, s.far);
  const std::size_t sent = head.size() + rest.size();
  CHECK(sent < large - 10);
  CHECK(head + rest == text.substr(10, sent));
  CHECK(file.position() == 10 + sent);
}

WEIR_TEST("SFILE-003 an empty file sends nothing") {
  const TemporaryFile there("");
  File file = there.open();
  Half h = co_await half(loop);
  CHECK(co_await loop.sendfile(h.transport, file, {}) == 0);
  CHECK(co_await loop.sendfile(h.transport, file, {.fallback = false}) == 0);
  h.transport->close();
  CHECK(co_await receive_all(loop, h.far) == "");
  co_await until([&] { return h.protocol->lost == 1; });
}

WEIR_TEST("SFILE-003 calls that never have to wait give way to others now and then") {
  const TemporaryFile there("");
  File file = there.open();
  auto s = co_await connected_sockets(loop);
  bool others_ran = false;
  loop.call_soon([&] { others_ran = true; });
  int calls = 0;
  for (; !others_ran && calls != 10'000; ++calls) {
    CHECK(co_await loop.sock_sendfile(s.near, file, {}) == 0);
  }
  CHECK(others_ran);
}

WEIR_TEST("SFILE-004 it mixes with ordinary sends, in order") {
  const std::string text = pattern(300'000);
  const TemporaryFile there(text);
  File file = there.open();
  auto s = co_await connected_sockets(loop, true);
  auto reading = loop.create_task(receive_all(loop, s.far));
  co_await loop.sock_sendall(s.near, "before");
  co_await loop.sock_sendfile(s.near, file, {});
  co_await loop.sock_sendall(s.near, "between");
  co_await loop.sock_sendfile(s.near, file, {.count = 3});
  co_await loop.sock_sendall(s.near, "after");
  s.near.close();
  CHECK(co_await reading == "before" + text + "between" + text.substr(0, 3) + "after");
}

WEIR_TEST("SFILE-004 a second sender at once is refused, and disturbs nobody") {
  const std::string text = pattern(large);
  const TemporaryFile there(text);
  File file = there.open();
  auto s = co_await connected_sockets(loop, true);
  auto sending = ensure_future(loop.sock_sendall(s.near, text), &loop);
  co_await settle(loop);
  CHECK_THROWS_AS((void)loop.sock_sendfile(s.near, file, {}), RuntimeError);
  CHECK((co_await read_exactly(loop, s.far, large) == text));
  co_await sending;
  auto sending_file = loop.create_task(loop.sock_sendfile(s.near, file, {}));
  co_await settle(loop);
  CHECK_THROWS_AS((void)loop.sock_sendfile(s.near, file, {}), RuntimeError);
  CHECK_THROWS_AS(co_await loop.sock_sendall(s.near, "between"), RuntimeError);
  CHECK((co_await read_exactly(loop, s.far, large) == text));
  CHECK(co_await sending_file == large);
  s.near.close();
  CHECK(co_await receive_all(loop, s.far) == "");
}

namespace {

// What no system sends natively: the memory of a process; nor does the simulator send from a device.
struct Unfit {
#if defined(WEIR_BACKEND_SIM)
  const std::string text = std::string(2'000'000, '\0');
  File file = File::open("/dev/zero");
  const std::int64_t offset = 0;
#else
  const std::string text = pattern(2'000'000);
  File file = File::open("/proc/self/mem");
  const std::int64_t offset = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(text.data()));
#endif
  const std::int64_t count = static_cast<std::int64_t>(text.size());
};

}  // namespace

WEIR_TEST("SFILE-005 what cannot be sent natively is read and sent, unless that is refused") {
  if (lacks("SFILE-005", Trait::unsendable_files)) {
    co_return;
  }
  auto s = co_await connected_sockets(loop, true);
  Unfit unfit;
  auto& [text, file, offset, count] = unfit;
  bool was_refused = false;
  try {
    co_await loop.sock_sendfile(s.near, file, {.offset = offset, .count = count, .fallback = false});
  } catch (const NotSupportedError& error) {
    was_refused = std::string_view(error.what()).find("sock_sendfile") != std::string_view::npos;
  }
  CHECK(was_refused);
  auto sending = loop.create_task(loop.sock_sendfile(s.near, file, {.offset = offset, .count = count}));
  co_await settle(loop);  // nobody reads yet: it is taken in pieces
  CHECK_FALSE(sending.done());
  auto reading = loop.create_task(receive_all(loop, s.far));
  CHECK(co_await sending == text.size());
  s.near.close();
  const std::string received = co_await reading;
  CHECK((received == text));
}

WEIR_TEST("SFILE-005 what is read and sent has an end, too") {
#if defined(WEIR_BACKEND_SIM)
  const std::string path = "/dev/null";
#else
  const std::string path = "/proc/self/cmdline";
#endif
  std::ifstream stream(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  File file = File::open(path);
  auto s = co_await connected_sockets(loop);
  CHECK(co_await loop.sock_sendfile(s.near, file, {.count = large}) == text.size());
  CHECK(co_await loop.sock_sendfile(s.near, file, {}) == text.size());
  s.near.close();
  CHECK(co_await receive_all(loop, s.far) == text + text);
}

WEIR_TEST("SFILE-012 a peer that closes while a file is read and sent fails the call") {
  if (lacks("SFILE-012", Trait::unsendable_files)) {
    co_return;
  }
  Unfit unfit;
  Half h = co_await half(loop);
  auto sending = loop.create_task(
      loop.sendfile(h.transport, unfit.file, {.offset = unfit.offset, .count = unfit.count}));
  co_await read_exactly(loop, h.far, 10'000);
  h.far.close();
  co_await until([&] { return sending.done(); });
  CHECK(is_connection_error(code_of(sending)));
  co_await until([&] { return h.protocol->lost == 1; });
  CHECK(is_connection_error(h.protocol->code()));
}

WEIR_TEST("SFILE-006 invalid arguments are refused at the call") {
  const TemporaryFile there("abc");
  File file = there.open();
  File closed;
  File directory = File::open("/");
  auto s = co_await connected_sockets(loop, true);
  Socket datagram = Socket::open(AddressFamily::inet, SocketType::datagram);
  const auto error_of = [&](Socket& socket, File& from, SendFileOptions options) {
    return argument_error([&] { return loop.sock_sendfile(socket, from, options); });
  };
  CHECK(error_of(s.near, file, {.offset = -1}) == "sock_sendfile: the offset is negative");
  CHECK(error_of(s.near, file, {.count = 0}) == "sock_sendfile: the count must be positive");
  CHECK(error_of(s.near, file, {.count = -5}) == "sock_sendfile: the count must be positive");
  CHECK(error_of(s.near, closed, {}) == "sock_sendfile: the file is closed");
  CHECK(error_of(s.near, directory, {}) == "sock_sendfile: the file is a directory");
  CHECK(error_of(datagram, file, {}) == "sock_sendfile: a stream socket was expected");
  CHECK(argument_error([&] { return loop.sendfile(nullptr, file, {}); }) ==
        "sendfile: the transport is null");
}

WEIR_TEST("SFILE-007 what is buffered goes before the file") {
  const std::string text = pattern(large);
  const TemporaryFile there(text);
  File file = there.open();
  Half h = co_await half(loop);
  const std::string before = pattern(2'000'000);
  h.transport->write(before);
  CHECK(h.transport->get_write_buffer_size() != 0);
  auto sending = loop.create_task(loop.sendfile(h.transport, file, {}));
  auto reading = loop.create_task(receive_all(loop, h.far));
  CHECK(co_await sending == large);
  h.transport->write("after");
  h.transport->close();
  const std::string received = co_await reading;
  CHECK((received == before + text + "after"));
  co_await until([&] { return h.protocol->lost == 1; });
  CHECK(h.protocol->error == nullptr);
}

WEIR_TEST("SFILE-007 reading pauses while a file is sent, and goes on") {
  const TemporaryFile there(pattern(large));
  File file = there.open();
  Half h = co_await half(loop);
  auto sending = loop.create_task(loop.sendfile(h.transport, file, {}));
  co_await until([&] { return !h.transport->is_reading(); });
  co_await loop.sock_sendall(h.far, "hello");
  co_await read_exactly(loop, h.far, large / 2);
  CHECK(!sending.done());
  CHECK(h.protocol->received.empty());
  co_await read_exactly(loop, h.far, large - large / 2);
  CHECK(co_await sending == large);
  CHECK(h.transport->is_reading());
  co_await until([&] { return h.protocol->received == "hello"; });
  h.transport->abort();
  co_await until([&] { return h.protocol->lost == 1; });
}

WEIR_TEST("SFILE-007 reading that was paused before stays paused after") {
  const TemporaryFile there("abc");
  File file = there.open();
  Half h = co_await half(loop);
  h.transport->pause_reading();
  co_await loop.sock_sendall(h.far, "hello");
  CHECK(co_await loop.sendfile(h.transport, file, {}) == 3);
  CHECK_FALSE(h.transport->is_reading());
  co_await settle(loop);
  CHECK(h.protocol->received.empty());
  h.transport->resume_reading();
  co_await until([&] { return h.protocol->received == "hello"; });
  h.transport->abort();
  co_await until([&] { return h.protocol->lost == 1; });
}

WEIR_TEST("SFILE-009 a closing transport refuses and sends nothing") {
  const TemporaryFile there("abc");
  File file = there.open();
  Half h = co_await half(loop);
  auto prepared = loop.sendfile(h.transport, file, {});
  h.transport->close();
  CHECK_THROWS_AS((void)loop.sendfile(h.transport, file, {}), RuntimeError);
  bool was_refused = false;
  try {
    co_await std::move(prepared);
  } catch (const RuntimeError&) {
    was_refused = true;
  }
  CHECK(was_refused);
  CHECK(co_await receive_all(loop, h.far) == "");
  CHECK(file.position() == 0);
  co_await until([&] { return h.protocol->lost == 1; });
}

namespace {

class OtherTransport final : public Transport {
 public:
  explicit OtherTransport(EventLoop& loop) : loop_(loop) {}
  void close() noexcept override { closing_ = true; }
  void abort() noexcept override {}
  bool is_closing() const noexcept override { return closing_; }
  Ref<BaseProtocol> get_protocol() const noexcept override { return {}; }
  EventLoop& get_loop() const noexcept override { return loop_; }

 private:
  EventLoop& loop_;
  bool closing_ = false;
};

}  // namespace

WEIR_TEST("SFILE-010 a transport that cannot says so") {
  const TemporaryFile there("abc");
  File file = there.open();
  const Ref<Transport> other = make_ref<OtherTransport>(loop);
  CHECK_THROWS_AS((void)loop.sendfile(other, file, {}), NotSupportedError);
  other->close();
  CHECK_THROWS_AS((void)loop.sendfile(other, file, {}), RuntimeError);
  auto [reader, writer] = File::pipe();
  Half h = co_await half(loop);
  CHECK_THROWS_AS((void)loop.sendfile(h.transport, reader, {}), NotSupportedError);
#if defined(WEIR_TEST_POSIX)
  File socket = File::duplicate(h.far.native_handle());
  CHECK_THROWS_AS((void)loop.sendfile(h.transport, socket, {}), NotSupportedError);
#endif
  EventLoop second;
  CHECK_THROWS_AS((void)second.sendfile(h.transport, file, {}), RuntimeError);
  h.transport->abort();
  co_await until([&] { return h.protocol->lost == 1; });
}

WEIR_TEST("SFILE-011 a peer that closes after it got everything is no error") {
  const std::string text = pattern(large);
  const TemporaryFile there(text);
  File file = there.open();
  Half h = co_await half(loop);
  auto sending = loop.create_task(loop.sendfile(h.transport, file, {.count = large}));
  CHECK((co_await read_exactly(loop, h.far, large) == text));
  h.far.close();
  CHECK(co_await sending == large);
  co_await until([&] { return h.protocol->lost == 1; });
  CHECK(h.protocol->error == nullptr);
}

WEIR_TEST("SFILE-012 a peer that closes in the middle fails the call and closes the transport") {
  const TemporaryFile there(pattern(large * 10));
  File file = there.open();
  Half h = co_await half(loop);
  auto sending = loop.create_task(loop.sendfile(h.transport, file, {}));
  co_await read_exactly(loop, h.far, 100'000);
  h.far.close();
  co_await until([&] { return sending.done(); });
  CHECK(is_connection_error(code_of(sending)));
  CHECK(h.transport->is_closing());
  co_await until([&] { return h.protocol->lost == 1; });
  CHECK(is_connection_error(h.protocol->code()));
  CHECK(file.position() >= 100'000);
  CHECK(file.position() < large * 10);
}

// The system may take a part, meet the end, raise the signal, and tell the part only.
WEIR_TEST("SFILE-012 a peer that is gone raises no SIGPIPE, also behind what was taken") {
  const TemporaryFile there(pattern(large));
  File file = there.open();
  for (int i = 0; i != 20; ++i) {
    SocketPair s = co_await connected_sockets(loop);
    co_await loop.sock_sendall(s.far, "unread, so that closing resets");
    s.far.close();
    auto sending = loop.create_task(loop.sock_sendfile(s.near, file, {}));
    co_await until([&] { return sending.done(); });
    CHECK(is_connection_error(code_of(sending)));
    auto [near, far] = Socket::pair();
    far.close();
    auto to_nobody = loop.create_task(loop.sock_sendfile(near, file, {}));
    co_await until([&] { return to_nobody.done(); });
    CHECK(is_connection_error(code_of(to_nobody)));
  }
}

#if defined(WEIR_TEST_POSIX)

WEIR_TEST("SFILE-012 a SIGPIPE that was waiting before goes on waiting") {
  const TemporaryFile there(pattern(1000));
  File file = there.open();
  sigset_t only_it, before, pending;
  sigemptyset(&only_it);
  sigaddset(&only_it, SIGPIPE);
  REQUIRE(::pthread_sigmask(SIG_BLOCK, &only_it, &before) == 0);
  for (const bool is_waiting : {true, false}) {
    if (is_waiting) {
      REQUIRE(std::raise(SIGPIPE) == 0);
    }
    auto [near, far] = Socket::pair();
    far.close();
    auto sending = loop.create_task(loop.sock_sendfile(near, file, {}));
    co_await until([&] { return sending.done(); });
    CHECK(is_connection_error(code_of(sending)));
    REQUIRE(::sigpending(&pending) == 0);
    CHECK(sigismember(&pending, SIGPIPE) == (is_waiting ? 1 : 0));
    if (is_waiting) {
      int taken = 0;
      REQUIRE(::sigwait(&only_it, &taken) == 0);
    }
  }
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
}

#endif

#if defined(WEIR_BACKEND_SIM)

WEIR_TEST("SFILE-012 an error of the file fails the call and is none of the connection's") {
  const TemporaryFile there("abc");
  File file = there.open();
  Half h = co_await half(loop);
  detail::call_hook() = [](detail::NetworkCall call) noexcept -> detail::CallVerdict {
    return {call == detail::NetworkCall::send_file ? EIO : 0};
  };
  auto sending = loop.create_task(loop.sendfile(h.transport, file, {.fallback = false}));
  co_await until([&] { return sending.done(); });
  detail::call_hook() = nullptr;
  CHECK(code_of(sending) == std::errc::io_error);
  CHECK_FALSE(h.transport->is_closing());
  h.transport->write("goes on");
  CHECK(co_await read_exactly(loop, h.far, 7) == "goes on");
  h.transport->abort();
  co_await until([&] { return h.protocol->lost == 1; });
  CHECK(h.protocol->error == nullptr);
}

#endif

WEIR_TEST("SFILE-012 a transport that is closed in the middle fails the call") {
  const TemporaryFile there(pattern(large * 10));
  File file = there.open();
  for (const bool by_abort : {false, true}) {
    Half h = co_await half(loop);
    auto sending = loop.create_task(loop.sendfile(h.transport, file, {}));
    co_await read_exactly(loop, h.far, 100'000);
    by_abort ? h.transport->abort() : h.transport->close();
    co_await until([&] { return sending.done(); });
    CHECK(code_of(sending) == std::errc::bad_file_descriptor);
    co_await until([&] { return h.protocol->lost == 1; });
    CHECK(h.protocol->error == nullptr);
    const std::string rest = co_await receive_all(loop, h.far);
    CHECK(file.position() == 100'000 + rest.size());
  }
}

WEIR_TEST("SFILE-013 writing meanwhile is a usage error") {
  const std::string text = pattern(large);
  const TemporaryFile there(text);
  File file = there.open();
  Half h = co_await half(loop);
  auto sending = loop.create_task(loop.sendfile(h.transport, file, {}));
  co_await until([&] { return !h.transport->is_reading(); });
  const std::array<std::span<const std::byte>, 1> pieces{as_bytes("x")};
  CHECK_THROWS_AS(h.transport->write("x"), RuntimeError);
  CHECK_THROWS_AS(h.transport->write(Bytes("x")), RuntimeError);
  CHECK_THROWS_AS(h.transport->writelines(pieces), RuntimeError);
  CHECK_THROWS_AS((void)loop.sendfile(h.transport, file, {}), RuntimeError);
  h.transport->write_eof();
  const std::string received = co_await receive_all(loop, h.far);
  CHECK((received == text));
  CHECK(co_await sending == large);
  CHECK_THROWS_AS(h.transport->write("x"), RuntimeError);
  h.transport->abort();
  co_await until([&] { return h.protocol->lost == 1; });
}

WEIR_TEST("SFILE-013 the end of writing comes behind what was buffered and the file, and then no file goes") {
  const std::string text = pattern(large);
  const TemporaryFile there(text);
  File file = there.open();
  Half h = co_await half(loop);
  const std::string before = pattern(2'000'000);
  h.transport->write(before);
  REQUIRE(h.transport->get_write_buffer_size() != 0);
  auto sending = loop.create_task(loop.sendfile(h.transport, file, {}));
  co_await until([&] { return !h.transport->is_reading(); });
  h.transport->write_eof();
  const std::string received = co_await receive_all(loop, h.far);
  CHECK((received == before + text));
  CHECK(co_await sending == large);
  CHECK_THROWS_AS((void)loop.sendfile(h.transport, file, {}), RuntimeError);
  h.transport->abort();
  co_await until([&] { return h.protocol->lost == 1; });
}

WEIR_TEST("SFILE-001 a file that is cut meanwhile ends the call early") {
  const TemporaryFile there(pattern(large * 10));
  File file = there.open();
  Half h = co_await half(loop);
  auto sending = loop.create_task(loop.sendfile(h.transport, file, {.count = large * 10}));
  co_await read_exactly(loop, h.far, 1000);
  std::filesystem::resize_file(there.path(), 1000);
  auto reading = loop.create_task(receive_all(loop, h.far));
  const std::uint64_t sent = co_await sending;
  CHECK(sent >= 1000);
  CHECK(sent < large * 10);
  CHECK(file.position() == sent);
  h.transport->close();
  CHECK((co_await reading).size() == sent - 1000);
  co_await until([&] { return h.protocol->lost == 1; });
}
