// The load generator's --tls: C connections by TLS, each with D messages of S bytes in flight. The handshakes
// are over before the clock starts.
#include "bench/echo/load.hpp"
#include "bench/echo/tls_client.hpp"

#include <sys/epoll.h>

#include <csignal>
#include <deque>

namespace bench {

namespace {

struct Connection {
  int descriptor = -1;
  SSL* ssl = nullptr;
  std::size_t unsent = 0;   // begun messages that TLS has not taken yet
  std::size_t partial = 0;  // bytes of an answer that has not arrived whole
  bool watches_writing = false;
  std::deque<std::int64_t> begun;  // of each message in flight
};

class TlsLoad {
 public:
  explicit TlsLoad(const Plan& plan)
      : plan_(plan),
        context_(make_client_context()),
        epoll_(::epoll_create1(0)),
        connections_(plan.connections),
        message_(make_message(plan.size)),
        input_(std::size_t{256} * 1024),
        run_(plan) {}

  void connect_all() {
    for (std::size_t i = 0; i != connections_.size(); ++i) {
      Connection& connection = connections_[i];
      connection.descriptor = connect_from(plan_.port, 1);
      connection.ssl = start_client(context_, connection.descriptor);
      if (SSL_connect(connection.ssl) != 1) {
        has_to_wait(connection.ssl, "TLS handshake");
      }
      ::fcntl(connection.descriptor, F_SETFL, O_NONBLOCK);
      watch(i, EPOLL_CTL_ADD, false);
    }
  }
  void run() {
    run_.start();
    for (Connection& connection : connections_) {
      for (std::size_t j = 0; j != plan_.depth; ++j) {
        begin(connection);
      }
    }
    for (std::size_t i = 0; i != connections_.size(); ++i) {
      send(i);
    }
    epoll_event events[256];
    while (!run_.is_over()) {
      const int ready = ::epoll_wait(epoll_, events, 256, 10'000);
      if (ready == 0) {
        fail("nothing came back for ten seconds");
      }
      for (int i = 0; i < ready; ++i) {
        const auto index = static_cast<std::size_t>(events[i].data.u64);
        if ((events[i].events & ~std::uint32_t{EPOLLOUT}) != 0) {
          receive(index);
        }
        send(index);
      }
      run_.look_at_clock();
    }
    run_.print();
  }

 private:
  void watch(std::size_t index, int how, bool writing) {
    epoll_event event{EPOLLIN | (writing ? EPOLLOUT : 0U), {.u64 = index}};
    ::epoll_ctl(epoll_, how, connections_[index].descriptor, &event);
    connections_[index].watches_writing = writing;
  }
  void begin(Connection& connection) {
    if (run_.begin()) {
      ++connection.unsent;
      connection.begun.push_back(now());
    }
  }
  void send(std::size_t index) {
    Connection& connection = connections_[index];
    bool is_full = false;
    while (connection.unsent != 0 && !is_full) {
      std::size_t sent = 0;
      if (SSL_write_ex(connection.ssl, message_.data(), message_.size(), &sent) == 1) {
        --connection.unsent;
      } else {
        is_full = has_to_wait(connection.ssl, "TLS write");
      }
    }
    if (connection.watches_writing != is_full) {
      watch(index, EPOLL_CTL_MOD, is_full);
    }
  }
  // Until nothing is left of what OpenSSL has read ahead, of which epoll does not know.
  void receive(std::size_t index) {
    Connection& connection = connections_[index];
    do {
      std::size_t count = 0;
      if (SSL_read_ex(connection.ssl, input_.data(), input_.size(), &count) != 1) {
        has_to_wait(connection.ssl, "the server closed a connection");
        return;
      }
      if (input_[0] != message_[connection.partial]) {
        fail("a wrong byte came back");
      }
      connection.partial += count;
      while (connection.partial >= plan_.size) {
        connection.partial -= plan_.size;
        run_.complete(connection.begun.front());
        connection.begun.pop_front();
        begin(connection);
      }
    } while (SSL_has_pending(connection.ssl) == 1);
  }

  const Plan plan_;
  SSL_CTX* context_;
  int epoll_;
  std::vector<Connection> connections_;
  std::vector<char> message_;
  std::vector<char> input_;
  Run run_;
};

}  // namespace

void run_tls(const Plan& plan) {
  ::signal(SIGPIPE, SIG_IGN);
  TlsLoad load(plan);
  load.connect_all();
  load.run();
}

}  // namespace bench
