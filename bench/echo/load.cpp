// The load generator: C connections, each with D messages of S bytes in flight, until so many have come back
// or so much time is over. With --one-way it only sends. With --idle it opens connections, lets them echo
// once or never, and holds them until its input ends. --udp, --churn and --tls have files of their own.
//
// Prints one line of JSON: requests, seconds, requests a second, bytes a second, latencies in microseconds.
#include "bench/echo/load.hpp"

#include "bench/echo/listening.hpp"

#include <sys/epoll.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <string_view>

namespace {

using bench::now;
using bench::Plan;
using bench::Work;

struct Connection {
  int descriptor = -1;
  std::size_t unsent = 0;   // bytes of begun messages that the system has not taken yet
  std::size_t partial = 0;  // bytes of an answer that has not arrived whole
  bool watches_writing = false;
  std::deque<std::int64_t> begun;  // of each message in flight
};

class Load {
 public:
  explicit Load(const Plan& plan)
      : plan_(plan),
        epoll_(::epoll_create1(0)),
        connections_(plan.connections),
        message_(bench::make_message(plan.size)),
        input_(256 * 1024),
        run_(plan) {}

  void connect_all() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(plan_.port));
    for (std::size_t i = 0; i != connections_.size(); ++i) {
      // Many idle connections need more ports than one address has.
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (descriptor < 0 ||
          ::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        bench::give_up("connect");
      }
      bench::set_no_delay(descriptor);
      ::fcntl(descriptor, F_SETFL, O_NONBLOCK);
      connections_[i].descriptor = descriptor;
      watch(i, EPOLL_CTL_ADD, false);
    }
  }

  void run() {
    run_.start();
    for (std::size_t i = 0; i != connections_.size(); ++i) {
      for (std::size_t j = 0; j != plan_.depth; ++j) {
        begin(connections_[i]);
      }
      send(i);
    }
    epoll_event events[256];
    while (!run_.is_over()) {
      const int ready = ::epoll_wait(epoll_, events, 256, 10'000);
      if (ready == 0) {
        bench::fail("nothing came back for ten seconds");
      }
      for (int i = 0; i < ready; ++i) {
        const auto index = static_cast<std::size_t>(events[i].data.u64);
        if ((events[i].events & EPOLLOUT) != 0) {
          send(index);
        }
        if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
          receive(index);
        }
      }
      run_.look_at_clock();
      if (run_.is_late() && plan_.work == Work::one_way) {
        break;
      }
    }
    run_.print();
  }

 private:
  void watch(std::size_t index, int how, bool writing) {
    epoll_event event{};
    event.events = EPOLLIN | (writing ? EPOLLOUT : 0U);
    event.data.u64 = index;
    ::epoll_ctl(epoll_, how, connections_[index].descriptor, &event);
    connections_[index].watches_writing = writing;
  }
  void begin(Connection& connection) {
    if (run_.begin()) {
      connection.unsent += plan_.size;
      connection.begun.push_back(now());
    }
  }
  // What is left of a message begins where it stopped: messages are all the same.
  void send(std::size_t index) {
    Connection& connection = connections_[index];
    while (connection.unsent != 0) {
      const std::size_t rest = (connection.unsent - 1) % plan_.size + 1;
      const ssize_t sent =
          ::send(connection.descriptor, message_.data() + (plan_.size - rest), rest, MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) {
        bench::give_up("send");
      }
      if (sent > 0) {
        connection.unsent -= static_cast<std::size_t>(sent);
      }
      if (sent < static_cast<ssize_t>(rest)) {
        if (!connection.watches_writing) {
          watch(index, EPOLL_CTL_MOD, true);
        }
        return;
      }
      if (plan_.work == Work::one_way) {
        complete(connection);
      }
    }
    if (connection.watches_writing) {
      watch(index, EPOLL_CTL_MOD, false);
    }
  }
  void complete(Connection& connection) {
    run_.complete(connection.begun.front());
    connection.begun.pop_front();
    begin(connection);
  }
  void receive(std::size_t index) {
    Connection& connection = connections_[index];
    const ssize_t count = ::recv(connection.descriptor, input_.data(), input_.size(), 0);
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
      bench::fail("the server closed a connection");
    }
    if (count < 0) {
      return;
    }
    check(connection.partial, static_cast<std::size_t>(count));
    connection.partial += static_cast<std::size_t>(count);
    while (connection.partial >= plan_.size) {
      connection.partial -= plan_.size;
      complete(connection);
    }
    send(index);
  }
  // A look at the first byte is cheap, and finds answers that are shifted.
  void check(std::size_t offset, std::size_t) const {
    if (input_[0] != message_[offset % plan_.size]) {
      bench::fail("a wrong byte came back");
    }
  }

  const Plan plan_;
  int epoll_;
  std::vector<Connection> connections_;
  std::vector<char> message_;
  std::vector<char> input_;
  bench::Run run_;
};

int usage() {
  std::fprintf(stderr,
               "usage: load PORT [--connections C] [--size S] [--depth D] [--count N | --seconds T] "
               "[--one-way]\n"
               "       load PORT --tls [--connections C] [--size S] [--depth D] [--count N | --seconds T]\n"
               "       load PORT --udp|--churn|--tls-full|--tls-resumed [--connections C] [--size S]\n"
               "            [--count N | --seconds T]\n"
               "       load PORT --connections C --idle [--echoes N]\n");
  return 2;
}

constexpr struct {
  std::string_view option;
  Work work;
} works[] = {{"--one-way", Work::one_way},
             {"--idle", Work::idle},
             {"--udp", Work::datagrams},
             {"--churn", Work::churn},
             {"--tls", Work::tls},
             {"--tls-full", Work::tls_full},
             {"--tls-resumed", Work::tls_resumed}};

bool parse_work(std::string_view option, Plan& plan) {
  for (const auto& one : works) {
    if (option == one.option) {
      plan.work = one.work;
      return true;
    }
  }
  return false;
}

bool parse(int argc, char** argv, Plan& plan) {
  plan.port = argc > 1 ? std::atoi(argv[1]) : 0;
  for (int i = 2; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (parse_work(option, plan)) {
      continue;
    }
    if (++i == argc) {
      return false;
    }
    const auto number = static_cast<std::size_t>(std::strtoull(argv[i], nullptr, 10));
    if (option == "--connections") {
      plan.connections = number;
    } else if (option == "--size") {
      plan.size = number;
    } else if (option == "--depth") {
      plan.depth = number;
    } else if (option == "--count") {
      plan.count = number;
    } else if (option == "--echoes") {
      plan.echoes = number;
    } else if (option == "--seconds") {
      plan.seconds = std::strtod(argv[i], nullptr);
    } else {
      return false;
    }
  }
  const bool is_one_deep = plan.work == Work::datagrams || plan.work == Work::churn ||
                           plan.work == Work::tls_full || plan.work == Work::tls_resumed;
  return plan.port > 0 && plan.connections != 0 && plan.size != 0 && plan.depth != 0 &&
         (plan.depth == 1 || !is_one_deep);
}

void run_connections(Plan plan) {
  const bool is_idle = plan.work == Work::idle;
  if (is_idle) {
    plan.count = plan.echoes * plan.connections;
  }
  Load load(plan);
  load.connect_all();
  if (!is_idle || plan.echoes != 0) {
    load.run();
  } else {
    std::printf("{\"connections\": %zu}\n", plan.connections);
    std::fflush(stdout);
  }
  while (is_idle && std::getchar() != EOF) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  Plan plan;
  if (!parse(argc, argv, plan)) {
    return usage();
  }
  switch (plan.work) {
    case Work::datagrams:
      bench::run_datagrams(plan);
      break;
    case Work::churn:
      bench::run_churn(plan);
      break;
    case Work::tls:
      bench::run_tls(plan);
      break;
    case Work::tls_full:
    case Work::tls_resumed:
      bench::run_handshakes(plan);
      break;
    default:
      run_connections(plan);
      break;
  }
  return 0;
}
