// UNIX: create_unix_connection, create_unix_server, and the addresses of Unix sockets.
#include "tests/net/folder.hpp"
#include "tests/net/net_test.hpp"

#include <fstream>

#if defined(WEIR_TEST_POSIX)
#include <sys/socket.h>

#include <cstring>
#endif

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

constexpr auto echo = [] { return make_ref<Echo>(); };
constexpr auto recorder = [] { return make_ref<Recorder>(); };

// Is there a socket that can be connected to, or the file of one?
Coro<std::error_code> connect_error_of(EventLoop& loop, std::string path) {
  try {
    auto [transport, protocol] = co_await loop.create_unix_connection(recorder, {.path = path});
    transport->abort();
    co_await until([client = protocol.get()] { return client->lost == 1; });
    co_return std::error_code();
  } catch (const std::system_error& error) {
    CHECK(std::string_view(error.what()).find(Address::unix_path(path).to_string()) !=
          std::string_view::npos);
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

WEIR_TEST("UNIX-001 a Unix connection carries data both ways, and its ends") {
  if (lacks("UNIX-001", "unix_sockets")) {
    co_return;
  }
  const Folder folder;
  const std::string path = folder.file("echo");
  auto server = co_await loop.create_unix_server(echo, {.path = path});
  CHECK(server->is_serving());
  CHECK(address_of(server) == Address::unix_path(path));
  auto [transport, protocol] = co_await loop.create_unix_connection(recorder, {.path = path});
  const std::string text = pattern(3'000'000);
  transport->write(text);
  transport->write_eof();
  co_await until([client = protocol.get()] { return client->lost == 1; });
  CHECK(protocol->received == text);
  CHECK(protocol->error == nullptr);
  CHECK(protocol->count("eof") == 1);
  co_await stop_server(server);
}

WEIR_TEST("UNIX-001 the names of both ends") {
  if (lacks("UNIX-001", "unix_sockets")) {
    co_return;
  }
  const Folder folder;
  const std::string path = folder.file("names");
  Made made;
  auto server = co_await loop.create_unix_server(made.factory(), {.path = path});
  auto [transport, protocol] = co_await loop.create_unix_connection(recorder, {.path = path});
  co_await until([&] { return made.all.size() == 1 && made.all[0]->transport != nullptr; });
  const Transport& accepted = *made.all[0]->transport;
  CHECK(transport->get_extra_info<extra::peername>() == Address::unix_path(path));
  CHECK(transport->get_extra_info<extra::sockname>()->family() == AddressFamily::unix_domain);
  CHECK(transport->get_extra_info<extra::sockname>()->path().empty());
  CHECK(transport->get_extra_info<extra::sockname>()->to_string() == "unix:");
  CHECK(accepted.get_extra_info<extra::sockname>() == Address::unix_path(path));
  CHECK(accepted.get_extra_info<extra::peername>()->path().empty());
  transport->close();
  co_await until([&] { return made.all[0]->lost == 1; });
  co_await stop_server(server);
}

WEIR_TEST("UNIX-001 sockets given instead of a path") {
  if (lacks("UNIX-001", "unix_sockets")) {
    co_return;
  }
  const Folder folder;
  const std::string path = folder.file("given");
  Socket listening = Socket::open(AddressFamily::unix_domain);
  listening.bind(Address::unix_path(path));
  auto server = co_await loop.create_unix_server(echo, {.sock = &listening});
  CHECK_FALSE(listening.is_open());
  Socket socket = Socket::open(AddressFamily::unix_domain);
  CHECK(socket.family() == AddressFamily::unix_domain);
  co_await loop.sock_connect(socket, Address::unix_path(path));
  auto [transport, protocol] = co_await loop.create_unix_connection(recorder, {.sock = &socket});
  transport->write("hello");
  co_await until([client = protocol.get()] { return client->received == "hello"; });
  transport->close();
  co_await stop_server(server);
  CHECK(co_await connect_error_of(loop, path) == std::errc::no_such_file_or_directory);
}

WEIR_TEST("UNIX-001 a pair of sockets is a Unix connection without names") {
  if (lacks("UNIX-001", "unix_sockets")) {
    co_return;
  }
  auto [near, far] = Socket::pair();
  CHECK(near.family() == AddressFamily::unix_domain);
  CHECK(near.local_address().path().empty());
  auto [transport, protocol] = co_await loop.create_unix_connection(recorder, {.sock = &near});
  co_await loop.sock_sendall(far, "hello");
  co_await until([client = protocol.get()] { return client->received == "hello"; });
  transport->abort();
  co_await until([client = protocol.get()] { return client->lost == 1; });
}

WEIR_TEST("UNIX-002 a path and a socket, or neither") {
  if (lacks("UNIX-002", "unix_sockets")) {
    co_return;
  }
  auto [near, far] = Socket::pair();
  CHECK(argument_error([&] {
          return loop.create_unix_connection(recorder, {.path = "/x", .sock = &near});
        }) == "create_unix_connection: path and sock can not be specified at the same time");
  CHECK(argument_error([&] { return loop.create_unix_connection(recorder, {}); }) ==
        "create_unix_connection: neither path nor sock were specified");
  CHECK(argument_error([&] { return loop.create_unix_server(echo, {.path = "/x", .sock = &near}); }) ==
        "create_unix_server: path and sock can not be specified at the same time");
  CHECK(argument_error([&] { return loop.create_unix_server(echo, {}); }) ==
        "create_unix_server: neither path nor sock were specified");
  CHECK(argument_error([&] { return loop.create_unix_server(echo, {.path = "/x", .backlog = -1}); }) ==
        "create_unix_server: the backlog is negative");
  CHECK(near.is_open());
  co_return;
}

WEIR_TEST("UNIX-003 a socket of another family or type is refused") {
  if (lacks("UNIX-003", "unix_sockets")) {
    co_return;
  }
  Socket tcp = Socket::open(AddressFamily::inet);
  Socket datagram = Socket::open(AddressFamily::unix_domain, SocketType::datagram);
  Socket none;
  CHECK(argument_error([&] { return loop.create_unix_connection(recorder, {.sock = &tcp}); }) ==
        "create_unix_connection: a Unix stream socket was expected");
  CHECK(argument_error([&] { return loop.create_unix_server(echo, {.sock = &tcp}); }) ==
        "create_unix_server: a Unix stream socket was expected");
  CHECK(argument_error([&] { return loop.create_unix_server(echo, {.sock = &datagram}); }) ==
        "create_unix_server: a stream socket was expected");
  CHECK(argument_error([&] { return loop.create_unix_connection(recorder, {.sock = &none}); }) ==
        "create_unix_connection: the socket is closed");
  CHECK(tcp.is_open());
  CHECK(datagram.is_open());
  co_return;
}

WEIR_TEST("UNIX-004 the file of a server that is gone is replaced") {
  if (lacks("UNIX-004", "unix_sockets")) {
    co_return;
  }
  const Folder folder;
  const std::string path = folder.file("stale");
  {
    const Socket dead = Socket::open(AddressFamily::unix_domain);
    dead.bind(Address::unix_path(path));
    dead.listen();
  }
  CHECK(co_await connect_error_of(loop, path) == std::errc::connection_refused);
  auto server = co_await loop.create_unix_server(echo, {.path = path});
  CHECK(co_await connect_error_of(loop, path) == std::error_code());
  co_await stop_server(server);
}

WEIR_TEST("UNIX-004 a file of another kind is left alone, and the address is in use") {
  if (lacks("UNIX-004", "unix_sockets")) {
    co_return;
  }
  if (!has("native_descriptors")) {
    skip("UNIX-004", "native_descriptors");
    co_return;
  }
  const Folder folder;
  const std::string path = folder.file("file");
  std::ofstream(path) << "precious";
  std::error_code code;
  try {
    co_await loop.create_unix_server(echo, {.path = path});
  } catch (const std::system_error& error) {
    code = error.code();
    CHECK(std::string_view(error.what()).find("unix:" + path + " is already in use") !=
          std::string_view::npos);
  }
  CHECK(code == std::errc::address_in_use);
  std::string content;
  std::ifstream(path) >> content;
  CHECK(content == "precious");
}

WEIR_TEST("UNIX-005 a bind that fails leaves no socket open") {
  if (lacks("UNIX-005", "unix_sockets")) {
    co_return;
  }
  if (!has("native_descriptors")) {
    skip("UNIX-005", "native_descriptors");
    co_return;
  }
  const Folder folder;
  std::error_code code;
  try {
    co_await loop.create_unix_server(echo, {.path = folder.file("no/such/folder")});
  } catch (const std::system_error& error) {
    code = error.code();
  }
  CHECK(code == std::errc::no_such_file_or_directory);
  // That it is closed is what every test looks at in the end.
}

WEIR_TEST("UNIX-007 closing a server removes its file, whoever bound it") {
  if (lacks("UNIX-007", "unix_sockets")) {
    co_return;
  }
  const Folder folder;
  const std::string path = folder.file("cleaned");
  auto server = co_await loop.create_unix_server(echo, {.path = path});
  co_await stop_server(server);
  CHECK(co_await connect_error_of(loop, path) == std::errc::no_such_file_or_directory);
}

WEIR_TEST("UNIX-007 but not the file of another server, which took its place") {
  if (lacks("UNIX-007", "unix_sockets")) {
    co_return;
  }
  const Folder folder;
  const std::string path = folder.file("taken");
  auto first = co_await loop.create_unix_server(echo, {.path = path});
  auto second = co_await loop.create_unix_server(echo, {.path = path});
  co_await stop_server(first);
  CHECK(co_await connect_error_of(loop, path) == std::error_code());
  co_await stop_server(second);
  CHECK(co_await connect_error_of(loop, path) == std::errc::no_such_file_or_directory);
}

WEIR_TEST("UNIX-008 the file stays when nobody is to clean up") {
  if (lacks("UNIX-008", "unix_sockets")) {
    co_return;
  }
  const Folder folder;
  const std::string path = folder.file("kept");
  auto server = co_await loop.create_unix_server(echo, {.path = path, .cleanup_socket = false});
  co_await stop_server(server);
  CHECK(co_await connect_error_of(loop, path) == std::errc::connection_refused);
}

WEIR_TEST("UNIX-009 a path that is too long, empty or has a NUL is refused") {
  if (lacks("UNIX-009", "unix_sockets")) {
    co_return;
  }
  const std::string longest = "/" + std::string(106, 'x');
  CHECK(Address::unix_path(longest).path() == longest);
  const std::string too_long = longest + 'x';
  CHECK(argument_error([&] { return Address::unix_path(too_long); }) ==
        "Address::unix_path: '" + too_long + "' is longer than 107 bytes");
  CHECK(argument_error([&] { return Address::unix_path(""); }).find("is empty") != std::string::npos);
  CHECK(argument_error([&] { return Address::unix_path(std::string_view("a\0b", 3)); }).find("has a NUL") !=
        std::string::npos);
  CHECK_FALSE(argument_error([&] { return loop.create_unix_server(echo, {.path = too_long}); }).empty());
  CHECK_FALSE(
      argument_error([&] { return loop.create_unix_connection(recorder, {.path = too_long}); }).empty());
  co_return;
}

WEIR_TEST("UNIX-010 abstract names, also with NUL inside, leave nothing behind") {
  if (lacks("UNIX-010", "unix_sockets")) {
    co_return;
  }
  if (!has("abstract_unix_sockets")) {
    skip("UNIX-010", "abstract_unix_sockets");
    co_return;
  }
  const Folder folder;  // makes the names this test's own
  const std::string plain = '\0' + folder.file("abstract");
  const std::string longer = plain + std::string("\0x", 2);
  Made made;
  auto server = co_await loop.create_unix_server(made.factory(), {.path = plain});
  CHECK(address_of(server).path() == plain);
  CHECK(address_of(server).to_string() == "unix:@" + plain.substr(1));
  CHECK(co_await connect_error_of(loop, longer) == std::errc::connection_refused);
  auto other = co_await loop.create_unix_server(echo, {.path = longer});
  CHECK(co_await connect_error_of(loop, longer) == std::error_code());
  CHECK(made.all.empty());
  CHECK(co_await connect_error_of(loop, plain) == std::error_code());
  co_await until([&] { return made.all.size() == 1 && made.lost() == 1; });
  std::error_code code;
  try {
    co_await loop.create_unix_server(echo, {.path = plain});
  } catch (const std::system_error& error) {
    code = error.code();
  }
  CHECK(code == std::errc::address_in_use);
  co_await stop_server(server);
  co_await stop_server(other);
  CHECK(co_await connect_error_of(loop, plain) == std::errc::connection_refused);
}

#if defined(WEIR_TEST_POSIX)

namespace {

// Sends the text with a descriptor beside it: a read of the other side ends behind this message.
void send_with_descriptor(const Socket& socket, std::string_view text) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec piece{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int descriptor = socket.native_handle();
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  REQUIRE(::sendmsg(socket.native_handle(), &message, 0) == static_cast<ssize_t>(text.size()));
}

}  // namespace

WEIR_TEST("UNIX bytes behind a message with descriptors are not forgotten") {
  if (lacks("UNIX", "unix_sockets")) {
    co_return;
  }
  auto [near, far] = Socket::pair();
  auto [by_protocol, protocol] = co_await loop.create_unix_connection(recorder, {.sock = &near});
  send_with_descriptor(far, "one ");
  send_with_descriptor(far, "two ");
  co_await loop.sock_sendall(far, "three");
  co_await until([client = protocol.get()] { return client->received.size() == 13; });
  CHECK(protocol->received == "one two three");
  by_protocol->abort();
  co_await until([client = protocol.get()] { return client->lost == 1; });

  auto [by_sock, other] = Socket::pair();
  Task<std::string> reading = loop.create_task(read_exactly(loop, by_sock, 13));
  co_await settle(loop);  // it waits
  send_with_descriptor(other, "one ");
  send_with_descriptor(other, "two ");
  co_await loop.sock_sendall(other, "three");
  CHECK(co_await reading == "one two three");
}

#endif

WEIR_TEST("UNIX a connect waits for nobody: a full queue is an error at once") {
  if (lacks("UNIX", "unix_sockets")) {
    co_return;
  }
  const Folder folder;
  const std::string path = folder.file("full");
  auto server = co_await loop.create_unix_server(echo, {.path = path, .backlog = 1, .start_serving = false});
  CHECK_FALSE(server->is_serving());
  CHECK(co_await connect_error_of(loop, path) == std::errc::connection_refused);
  Socket listening = Socket::open(AddressFamily::unix_domain);
  listening.bind(Address::unix_path(folder.file("queue")));
  listening.listen(1);
  std::vector<Socket> clients;
  std::error_code code;
  while (!code && clients.size() < 10) {
    clients.push_back(Socket::open(AddressFamily::unix_domain));
    try {
      co_await loop.sock_connect(clients.back(), Address::unix_path(folder.file("queue")));
    } catch (const std::system_error& error) {
      code = error.code();
    }
  }
  CHECK(code == std::errc::resource_unavailable_try_again);
  CHECK(clients.size() == 3);  // the queue holds one more than it was asked for
  co_await stop_server(server);
}
