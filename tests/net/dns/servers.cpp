// Starting dnsmasq, and answering by hand.
#include "tests/net/dns/servers.hpp"

#include "tests/support/raw_sockets.hpp"

#include <sstream>

namespace weir::testing {

using namespace std::chrono_literals;

namespace {

Address bound(const Socket& socket) {
  socket.bind(Address::loopback(AddressFamily::inet, 0));
  return socket.local_address();
}

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) {
    text += static_cast<char>(value);
  }
  return text;
}

// Starts dnsmasq, whose log goes to the test, and kills it when the connection to the test ends: also when
// the test was killed. It leaves the test's group of processes, so as not to be killed with it.
const char* const keeper_script = R"(
import contextlib, os, shutil, socket, subprocess, sys, threading

with contextlib.suppress(OSError):
    os.setsid()
try:
    test = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
except OSError:
    sys.exit(1)  # the test is gone
os.dup2(test.fileno(), 2)
path = os.environ.get('PATH', os.defpath) + ':/usr/local/sbin:/usr/sbin'
program = shutil.which('dnsmasq', path=path) or 'dnsmasq'
server = subprocess.Popen([program, *sys.argv[2:]], stdin=subprocess.DEVNULL, stdout=test, stderr=test)

def follow():
    try:
        test.recv(1)
    finally:
        server.kill()

threading.Thread(target=follow, daemon=True).start()
server.wait()
)";

// Where the question ends: behind its name, type and class.
std::size_t question_end(const std::string& query) { return query.find('\0', 12) + 5; }

}  // namespace

Dnsmasq::Dnsmasq(std::vector<std::string> records) : records_(std::move(records)) {}

// It takes a port for UDP and TCP, and cannot be asked to choose one. Those that the system hands out to
// connections are avoided; what else is in the way shows when it ends at once.
Coro<bool> Dnsmasq::start(EventLoop& loop) {
  Socket listening = listening_socket();
  const std::uint16_t own = listening.local_address().port();  // nobody else's: a good beginning
  const auto port = static_cast<std::uint16_t>(10'000 + own % 20'000);
  std::vector<std::string> words{"python3",
                                 "-c",
                                 keeper_script,
                                 std::to_string(own),
                                 "--keep-in-foreground",
                                 "--conf-file=/dev/null",
                                 "--no-resolv",
                                 "--no-hosts",
                                 "--local=/test/",
                                 "--local=/2.0.192.in-addr.arpa/",
                                 "--bind-interfaces",
                                 "--listen-address=127.0.0.1",
                                 "--user=",
                                 "--pid-file=",
                                 "--log-queries",
                                 "--log-facility=-",
                                 "--port=" + std::to_string(port)};
  words.insert(words.end(), records_.begin(), records_.end());
  log_.clear();
  connection_.reset();
  keeper_ = std::make_unique<Program>(std::move(words));
  auto accepted = co_await loop.sock_accept(listening);
  connection_ = std::move(accepted.first);
  address_ = Address::loopback(AddressFamily::inet, port);
  while (log_.find("started, version") == std::string::npos) {
    const auto data = co_await loop.sock_recv(*connection_, 4096);
    if (data.empty()) {
      co_return false;
    }
    log_ += as_text(data);
  }
  co_return true;
}

Coro<void> Dnsmasq::use(EventLoop& loop) {
  bool started = false;
  for (int starts = 0; !started; ++starts) {
    REQUIRE_MESSAGE(starts != 20, "dnsmasq (which tools/setup installs) ends: " << log_);
    started = co_await start(loop);
  }
  loop.set_resolver_options({.servers = {&address_, 1},
                             .search = "",
                             .timeout = 5s,
                             .tries = 2,
                             .hosts_file = "",
                             .resolv_conf = ""});
}

int Dnsmasq::queries(const std::string& text) {
  char part[4096];
  for (std::ptrdiff_t size = 0; (size = raw_receive(connection_->native_handle(), part)) > 0;) {
    log_.append(part, static_cast<std::size_t>(size));
  }
  std::istringstream log(log_);
  int count = 0;
  for (std::string line; std::getline(log, line);) {
    count += line.find("query") != std::string::npos && line.find(text) != std::string::npos ? 1 : 0;
  }
  return count;
}

ScriptedServer::ScriptedServer(EventLoop& loop, Reply reply)
    : loop_(loop),
      socket_(Socket::open(AddressFamily::inet, SocketType::datagram)),
      address_(bound(socket_)),
      reply_(std::move(reply)) {
  loop_.add_reader(socket_, [this] {
    char buffer[2048];
    RawPeer peer;
    const std::ptrdiff_t count = raw_receive_from(socket_.native_handle(), buffer, peer);
    if (count <= 0) {
      return;
    }
    ++received_;
    if (!reply_) {
      return;
    }
    for (const std::string& answer : reply_(std::string(buffer, static_cast<std::size_t>(count)))) {
      CHECK(raw_send_to(socket_.native_handle(), answer, peer));
    }
  });
}

ScriptedServer::~ScriptedServer() { loop_.remove_reader(socket_); }

std::string empty_reply(const std::string& query, int code) {
  return query.substr(0, 2) + bytes({0x81, 0x80 | code, 0, 1, 0, 0, 0, 0, 0, 0}) +
         query.substr(12, question_end(query) - 12);
}

std::string reply_with(const std::string& query, const std::vector<std::string>& ipv4) {
  std::string reply = empty_reply(query, 0);
  reply[7] = static_cast<char>(ipv4.size());
  for (const std::string& text : ipv4) {
    const Address address = Address::inet(text, 0);
    reply += bytes({0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4});
    reply.append(reinterpret_cast<const char*>(address.raw().ip.data()), 4);
  }
  return reply;
}

int type_of(const std::string& query) {
  const std::size_t end = question_end(query);
  return static_cast<unsigned char>(query[end - 4]) * 256 + static_cast<unsigned char>(query[end - 3]);
}

}  // namespace weir::testing
