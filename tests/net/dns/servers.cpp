// Starting dnsmasq, and answering by hand.
#include "tests/net/dns/servers.hpp"

#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>

extern char** environ;

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

// Where the question ends: behind its name, type and class.
std::size_t question_end(const std::string& query) { return query.find('\0', 12) + 5; }

}  // namespace

Dnsmasq::Dnsmasq(const std::vector<std::string>& records) : records_(records) {
  char log[] = "/tmp/weir-dnsmasq-XXXXXX";
  ::close(::mkstemp(log));
  log_ = log;
  start();
}

// It takes a port for UDP and TCP, and cannot be asked to choose one. Those that the system hands out to
// connections are avoided; what else is in the way shows when it ends at once.
void Dnsmasq::start() {
  static int tried = 0;
  const int port = 10'000 + (::getpid() * 31 + tried++) % 20'000;
  address_ = Address::loopback(AddressFamily::inet, static_cast<std::uint16_t>(port));
  std::vector<std::string> arguments{"dnsmasq",
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
                                     "--log-facility=" + log_,
                                     "--host-record=ready.test,192.0.2.200",
                                     "--port=" + std::to_string(address_.port())};
  arguments.insert(arguments.end(), records_.begin(), records_.end());
  std::vector<char*> pointers;
  for (std::string& one : arguments) {
    pointers.push_back(one.data());
  }
  pointers.push_back(nullptr);
  const char* program = ::access("/usr/sbin/dnsmasq", X_OK) == 0 ? "/usr/sbin/dnsmasq" : "dnsmasq";
  REQUIRE_MESSAGE(::posix_spawnp(&process_, program, nullptr, nullptr, pointers.data(), environ) == 0,
                  "dnsmasq could not be started: tools/setup installs it");
}

Dnsmasq::~Dnsmasq() {
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  ::unlink(log_.c_str());
}

Coro<void> Dnsmasq::use(EventLoop& loop) {
  const auto set_options = [&] {
    loop.set_resolver_options({.servers = {&address_, 1},
                               .search = "",
                               .timeout = 5s,
                               .tries = 2,
                               .hosts_file = "",
                               .resolv_conf = ""});
  };
  set_options();
  std::string answer;
  for (int starts = 1; answer != "192.0.2.200";) {
    if (::waitpid(process_, nullptr, WNOHANG) != 0) {
      REQUIRE_MESSAGE(++starts <= 20, "dnsmasq ends");
      start();
      set_options();
    }
    try {
      answer = co_await lookup(loop, "ready.test", AddressFamily::inet);
    } catch (const std::system_error& error) {
      REQUIRE(error.code() == ResolverErrc::temporary_failure);  // it does not listen yet
    }
  }
}

int Dnsmasq::queries(const std::string& text) const {
  std::ifstream log(log_);
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
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    const ssize_t count = ::recvfrom(socket_.native_handle(), buffer, sizeof buffer, 0,
                                     reinterpret_cast<sockaddr*>(&peer), &size);
    if (count <= 0) {
      return;
    }
    ++received_;
    if (!reply_) {
      return;
    }
    for (const std::string& answer : reply_(std::string(buffer, static_cast<std::size_t>(count)))) {
      CHECK(::sendto(socket_.native_handle(), answer.data(), answer.size(), 0,
                     reinterpret_cast<const sockaddr*>(&peer), size) == static_cast<ssize_t>(answer.size()));
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
