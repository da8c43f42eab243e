// UNIX-011, UNIX-012: descriptors over Unix sockets, and who is at their other end.
#include "tests/net/folder.hpp"
#include "tests/net/net_test.hpp"

#include <weir/net/descriptors.hpp>

#include <array>
#include <cstdint>

#if defined(WEIR_TEST_POSIX)
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstddef>
#include <cstring>
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

// Pairs of sockets of which one end is sent away. Whoever has it can say which one it is.
class Tokens {
 public:
  explicit Tokens(std::size_t count) {
    for (std::size_t i = 0; i != count; ++i) {
      auto [mine, theirs] = Socket::pair();
      kept_.push_back(std::move(mine));
      away_.push_back(std::move(theirs));
      numbers_.push_back(away_.back().native_handle());
    }
  }
  std::span<const native_socket> numbers(std::size_t first, std::size_t count) const {
    return std::span(numbers_).subspan(first, count);
  }
  std::span<const native_socket> numbers() const { return numbers_; }
  std::size_t size() const { return kept_.size(); }
  // Closes its own descriptors of what was sent.
  void forget() { away_.clear(); }
  // Which of them is it? Leaves the answer's byte nowhere.
  Coro<std::size_t> index_of(EventLoop& loop, File& file) {
    Socket socket = Socket::adopt(file.release());
    co_await loop.sock_sendall(socket, "x");
    std::size_t found = kept_.size();
    co_await until([&] {
      for (std::size_t i = 0; i != kept_.size(); ++i) {
        if (heard_[i]) {
          found = i;
        }
      }
      return found != kept_.size();
    });
    heard_[found] = false;
    co_return found;
  }
  // Begins to note who is spoken to, and whose other end is gone.
  void listen(EventLoop& loop) {
    heard_.assign(kept_.size(), false);
    gone_.assign(kept_.size(), false);
    for (std::size_t i = 0; i != kept_.size(); ++i) {
      tasks_.push_back(loop.create_task(hear(loop, i)));
    }
  }
  // Until nobody has any of the ends that were sent.
  Coro<void> all_gone() {
    co_await until([this] { return std::count(gone_.begin(), gone_.end(), true) == std::ssize(gone_); });
    for (const Task<void>& task : tasks_) {
      co_await task;
    }
  }
  std::ptrdiff_t gone() const { return std::count(gone_.begin(), gone_.end(), true); }

 private:
  Coro<void> hear(EventLoop& loop, std::size_t i) {
    for (;;) {
      const Bytes data = co_await loop.sock_recv(kept_[i], 10);
      if (data.empty()) {
        gone_[i] = true;
        co_return;
      }
      heard_[i] = true;
    }
  }

  std::vector<Socket> kept_, away_;
  std::vector<native_socket> numbers_;
  std::vector<bool> heard_, gone_;
  std::vector<Task<void>> tasks_;
};

bool refused_here(const char* id) {
  if (has("descriptor_passing")) {
    return false;
  }
  skip(id, "descriptor_passing");
  return true;
}

Task<void> start_sending_fds(EventLoop& loop, Socket& socket, std::string text,
                             std::span<const native_socket> fds) {
  return loop.create_task(
      [](EventLoop& on, Socket& to, std::string data, std::span<const native_socket> with) -> Coro<void> {
        co_await to.send_fds(on, as_bytes(data), with);
      }(loop, socket, std::move(text), fds));
}

// The code of what the call throws; none when it returns.
Coro<std::error_code> receive_error(EventLoop& loop, Socket& socket, std::size_t max_fds) {
  try {
    const ReceivedDescriptors received = co_await socket.recv_fds(loop, 100, max_fds);
    co_return std::error_code();
  } catch (const std::system_error& error) {
    co_return error.code();
  }
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

}  // namespace

WEIR_TEST("UNIX-011 a hundred descriptors, in messages of all sizes, received byte by byte and more") {
  if (refused_here("UNIX-011")) {
    co_return;
  }
  constexpr std::size_t count = 100;
  Tokens tokens(count);
  tokens.listen(loop);
  auto [near, far] = Socket::pair();
  std::string sent;
  std::vector<Task<void>> sending;
  for (std::size_t first = 0, size = 1; first < count; first += size, size = size % 13 + 1) {
    const std::string text = pattern(size * 7 % 23 + 1);
    sent += text;
    co_await near.send_fds(loop, as_bytes(text), tokens.numbers(first, std::min(size, count - first)));
    co_await loop.sock_sendall(near, "-plain-");
    sent += "-plain-";
  }
  near.shutdown_write();
  tokens.forget();
  std::string received;
  std::vector<File> files;
  for (std::size_t most = 1;; most = most % 40 + 1) {
    ReceivedDescriptors part = co_await far.recv_fds(loop, most, 20);
    CHECK(part.data.size() <= most);
    CHECK(part.files.size() <= 13);  // never those of two messages
    if (part.data.empty()) {
      break;
    }
    received += part.data.view();
    std::move(part.files.begin(), part.files.end(), std::back_inserter(files));
  }
  CHECK(received == sent);
  REQUIRE(files.size() == count);
  for (std::size_t i = 0; i != count; ++i) {
#if defined(WEIR_TEST_POSIX)
    CHECK((::fcntl(files[i].native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
#endif
    CHECK(tokens.gone() == static_cast<std::ptrdiff_t>(i));
    const std::size_t index = co_await tokens.index_of(loop, files[i]);
    CHECK(index == i);
    co_await until([&] { return tokens.gone() == static_cast<std::ptrdiff_t>(i) + 1; });
  }
  co_await tokens.all_gone();
}

WEIR_TEST("UNIX-011 data that the system takes in pieces carries its descriptors once") {
  if (refused_here("UNIX-011")) {
    co_return;
  }
  Tokens tokens(3);
  tokens.listen(loop);
  auto [near, far] = Socket::pair();
  near.set_send_buffer_size(4096);
  const std::string text = pattern(2'000'000);
  Task<void> sending = start_sending_fds(loop, near, text, tokens.numbers());
  std::string received;
  std::vector<File> files;
  while (received.size() != text.size()) {
    ReceivedDescriptors part = co_await far.recv_fds(loop, 10'000, 50);
    REQUIRE_FALSE(part.data.empty());
    CHECK((part.files.empty() || received.empty()));
    received += part.data.view();
    std::move(part.files.begin(), part.files.end(), std::back_inserter(files));
  }
  co_await sending;
  CHECK(received == text);
  CHECK(files.size() == 3);
  tokens.forget();
  files.clear();
  co_await tokens.all_gone();
}

WEIR_TEST("UNIX-011 nothing leaks when the receiver closes early, and nothing is left open by the sender") {
  if (refused_here("UNIX-011")) {
    co_return;
  }
  Tokens tokens(20);
  tokens.listen(loop);
  auto [near, far] = Socket::pair();
  for (std::size_t i = 0; i != 20; i += 5) {
    co_await near.send_fds(loop, as_bytes("abc"), tokens.numbers(i, 5));
  }
  {
    const ReceivedDescriptors part = co_await far.recv_fds(loop, 3, 5);
    CHECK(part.files.size() == 5);
  }
  tokens.forget();
  co_await until([&] { return tokens.gone() == 5; });
  co_await settle(loop);
  CHECK(tokens.gone() == 5);  // the others are under way
  far.close();
  co_await tokens.all_gone();
}

WEIR_TEST("UNIX-011 what there is no room for is closed and reported") {
  if (refused_here("UNIX-011")) {
    co_return;
  }
  Tokens tokens(4);
  tokens.listen(loop);
  auto [near, far] = Socket::pair();
  co_await near.send_fds(loop, as_bytes("a"), tokens.numbers(0, 2));
  co_await near.send_fds(loop, as_bytes("b"), tokens.numbers(2, 2));
  tokens.forget();
  CHECK(co_await receive_error(loop, far, 1) == std::errc::message_size);
  co_await until([&] { return tokens.gone() == 2; });
  CHECK(co_await receive_error(loop, far, 0) == std::errc::message_size);
  co_await tokens.all_gone();
}

WEIR_TEST("UNIX-011 what is received otherwise drops descriptors and keeps the bytes") {
  if (refused_here("UNIX-011")) {
    co_return;
  }
  Tokens tokens(4);
  tokens.listen(loop);
  auto [near, far] = Socket::pair();
  co_await near.send_fds(loop, as_bytes("one "), tokens.numbers(0, 2));
  co_await near.send_fds(loop, as_bytes("two "), tokens.numbers(2, 1));
  CHECK(co_await read_exactly(loop, far, 8) == "one two ");
  auto protocol = make_ref<Recorder>();
  auto [transport, same] =
      co_await loop.create_unix_connection([&protocol] { return protocol; }, {.sock = &far});
  co_await near.send_fds(loop, as_bytes("three"), tokens.numbers(3, 1));
  co_await until([&] { return protocol->received == "three"; });
  tokens.forget();
  co_await tokens.all_gone();
  transport->abort();
  co_await until([&] { return protocol->lost == 1; });
}

WEIR_TEST("UNIX-011 a cancelled call loses neither bytes nor descriptors") {
  if (refused_here("UNIX-011")) {
    co_return;
  }
  Tokens tokens(40);
  tokens.listen(loop);
  auto [near, far] = Socket::pair();
  std::size_t bytes = 0, files = 0;
  for (std::size_t i = 0; i != tokens.size(); ++i) {
    Task<ReceivedDescriptors> receiving = loop.create_task(far.recv_fds(loop, 10, 5));
    co_await settle(loop);  // it waits
    // Before, together with, and after what it waits for.
    if (i % 3 == 0) {
      receiving.cancel();
    }
    co_await near.send_fds(loop, as_bytes("x"), tokens.numbers(i, 1));
    if (i % 3 == 1) {
      receiving.cancel();
    } else if (i % 3 == 2) {
      co_await sleep(0s);
      receiving.cancel();
    }
    bool cancelled = false;
    try {
      const ReceivedDescriptors received = co_await std::move(receiving);
      bytes += received.data.size();
      files += received.files.size();
    } catch (const CancelledError&) {
      cancelled = true;
    }
    if (cancelled) {
      const ReceivedDescriptors received = co_await far.recv_fds(loop, 10, 5);
      bytes += received.data.size();
      files += received.files.size();
    }
  }
  CHECK(bytes == tokens.size());
  CHECK(files == tokens.size());
  tokens.forget();
  co_await tokens.all_gone();
}

WEIR_TEST("UNIX-011 a call that waits when its loop is closed") {
  if (refused_here("UNIX-011")) {
    co_return;
  }
  auto [near, far] = Socket::pair();
  Task<ReceivedDescriptors> receiving = loop.create_task(far.recv_fds(loop, 10, 5));
  co_await settle(loop);
  far.close();
  std::error_code code;
  try {
    const ReceivedDescriptors received = co_await std::move(receiving);
  } catch (const std::system_error& error) {
    code = error.code();
  }
  CHECK(code == std::errc::bad_file_descriptor);
  Socket none;
  code.clear();
  try {
    co_await none.send_fds(loop, as_bytes("x"), {});
  } catch (const std::system_error& error) {
    code = error.code();
  }
  CHECK(code == std::errc::bad_file_descriptor);
}

WEIR_TEST("UNIX-011 room for more than can ever come is no memory") {
  if (refused_here("UNIX-011")) {
    co_return;
  }
  auto [near, far] = Socket::pair();
  co_await near.send_fds(loop, as_bytes("x"), std::array{near.native_handle()});
  const ReceivedDescriptors received = co_await far.recv_fds(loop, 10, SIZE_MAX);
  CHECK(received.data == "x");
  CHECK(received.files.size() == 1);
}

WEIR_TEST("UNIX-011 the end of the stream, bytes without descriptors, and a gone receiver") {
  if (refused_here("UNIX-011")) {
    co_return;
  }
  Tokens tokens(1);
  tokens.listen(loop);
  auto [near, far] = Socket::pair();
  co_await near.send_fds(loop, as_bytes("p"), {});
  near.shutdown_write();
  const ReceivedDescriptors plain = co_await far.recv_fds(loop, 10, 5);
  CHECK(plain.data == "p");
  CHECK(plain.files.empty());
  const ReceivedDescriptors end = co_await far.recv_fds(loop, 10, 5);
  CHECK(end.data.empty());
  CHECK(end.files.empty());
  near.close();
  std::error_code code;
  for (int attempts = 0; !code && attempts != 10; ++attempts) {
    co_await settle(loop);
    try {
      co_await far.send_fds(loop, as_bytes("x"), tokens.numbers());
    } catch (const std::system_error& error) {
      code = error.code();
    }
  }
  CHECK(code == std::errc::broken_pipe);
  tokens.forget();
  co_await tokens.all_gone();
}

WEIR_TEST("UNIX-011 what is refused") {
  if (refused_here("UNIX-011")) {
    co_return;
  }
  auto [near, far] = Socket::pair();
  Socket tcp = Socket::open(AddressFamily::inet);
  const std::vector<native_socket> many(254, near.native_handle());
  CHECK(argument_error([&] { return near.send_fds(loop, {}, many); }) ==
        "send_fds: descriptors travel with at least one byte");
  CHECK(argument_error([&] { return near.send_fds(loop, as_bytes("x"), many); }) ==
        "send_fds: more than 253 descriptors");
  CHECK(argument_error([&] { return near.recv_fds(loop, 0, 1); }) ==
        "recv_fds: descriptors come with at least one byte");
  CHECK(argument_error([&] { return tcp.send_fds(loop, as_bytes("x"), {}); }) ==
        "send_fds: a Unix stream socket was expected");
  CHECK(argument_error([&] { return tcp.recv_fds(loop, 1, 1); }) ==
        "recv_fds: a Unix stream socket was expected");
  Socket datagram = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  CHECK(argument_error([&] { return datagram.send_fds(loop, as_bytes("x"), {}); }) ==
        "send_fds: a Unix stream socket was expected");
  std::error_code code;
  const native_socket closed = [] { return Socket::pair().first.native_handle(); }();
  try {
    co_await near.send_fds(loop, as_bytes("x"), std::span(&closed, 1));
  } catch (const std::system_error& error) {
    code = error.code();
  }
  CHECK(code == std::errc::bad_file_descriptor);
}

#if defined(WEIR_TEST_POSIX)
WEIR_TEST("UNIX-011 a receiver that may open no more descriptors is told, and closes what came") {
  Tokens tokens(6);
  tokens.listen(loop);
  auto [near, far] = Socket::pair();
  co_await near.send_fds(loop, as_bytes("x"), tokens.numbers());
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int next = File::duplicate(far.native_handle()).native_handle();
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(next) + 2;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
  const std::error_code code = co_await receive_error(loop, far, 10);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(code == std::errc::too_many_files_open);
  tokens.forget();
  co_await tokens.all_gone();
}
#endif

WEIR_TEST("UNIX-012 both sides of a connection know who is at the other end") {
  if (!has("peer_credentials")) {
    skip("UNIX-012", "peer_credentials");
    co_return;
  }
#if !defined(WEIR_TEST_POSIX)
  const PeerCredentials expected{.pid = 1, .uid = 1000, .gid = 1000};
#else
  const PeerCredentials expected{.pid = ::getpid(), .uid = ::geteuid(), .gid = ::getegid()};
#endif
  const Folder folder;
  const std::string path = folder.file("who");
  Made made;
  auto server = co_await loop.create_unix_server(made.factory(), {.path = path});
  auto [transport, protocol] =
      co_await loop.create_unix_connection([] { return make_ref<Recorder>(); }, {.path = path});
  co_await until([&] { return made.all.size() == 1 && made.all[0]->transport != nullptr; });
  CHECK(transport->get_extra_info<extra::peercred>() == expected);
  CHECK(made.all[0]->transport->get_extra_info<extra::peercred>() == expected);
  CHECK(transport->get_extra_info<extra::socket>()->peer_credentials() == expected);
  transport->close();
  co_await until([client = protocol.get()] { return client->lost == 1; });
  CHECK(transport->get_extra_info<extra::peercred>() == std::nullopt);
  co_await stop_server(server);
  auto [near, far] = Socket::pair();
  CHECK(near.peer_credentials() == expected);
}

#if defined(WEIR_TEST_POSIX)

namespace {

// Connects from another process, which becomes another user of another group where it may, and says on the
// connection who it is: its number.
pid_t connect_from_child(const Address& to) {
  const Socket socket = Socket::open(AddressFamily::unix_domain);
  const std::string path = to.path();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() <= sizeof address.sun_path);
  std::copy(path.begin(), path.end(), address.sun_path);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    constexpr gid_t group = 12345;
    constexpr uid_t user = 54321;
    const bool is_another = ::setgid(group) == 0 && ::setuid(user) == 0;
    const int native = socket.native_handle();
    bool is_done = ::connect(native, reinterpret_cast<const sockaddr*>(&address), length) == 0;
    const PeerCredentials own{.pid = ::getpid(), .uid = ::geteuid(), .gid = ::getegid()};
    is_done = is_done && ::send(native, &own, sizeof own, 0) == sizeof own;
    ::_exit(!is_done ? 2 : is_another ? 0 : 1);
  }
  return child;
}

}  // namespace

WEIR_TEST("UNIX-012 another process, of another user, is told from this one") {
  const Folder folder;  // makes the name this test's own
  const Address address = Address::unix_path('\0' + folder.file("who"));
  Socket listening = Socket::open(AddressFamily::unix_domain);
  listening.bind(address);
  listening.listen();
  const pid_t child = connect_from_child(address);
  auto [accepted, peer] = co_await loop.sock_accept(listening);
  const std::string said = co_await read_exactly(loop, accepted, sizeof(PeerCredentials));
  PeerCredentials expected{};
  std::memcpy(&expected, said.data(), sizeof expected);
  CHECK(expected.pid == child);
  CHECK(accepted.peer_credentials() == expected);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) <= 1);
}

#endif

WEIR_TEST("UNIX-012 other sockets have no credentials") {
  if (!has("peer_credentials")) {
    skip("UNIX-012", "peer_credentials");
    co_return;
  }
  auto tcp = co_await wire(loop);
  CHECK(tcp.transport->get_extra_info<extra::peercred>() == std::nullopt);
  CHECK(error_of([&] { (void)tcp.peer->socket().peer_credentials(); }) == std::errc::operation_not_supported);
  const Socket unconnected = Socket::open(AddressFamily::unix_domain);
  CHECK(error_of([&] { (void)unconnected.peer_credentials(); }) == std::errc::not_connected);
  co_await finish(tcp);
}
