// The load generator: C connections, each with D messages of S bytes in flight, until so many have come back
// or so much time is over. With --one-way it only sends. With --idle it opens connections, lets them echo
// once or never, and holds them until its input ends.
//
// Prints one line of JSON: requests, seconds, requests a second, bytes a second, latencies in microseconds.
#include "bench/echo/listening.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Plan {
  int port = 0;
  std::size_t connections = 1;
  std::size_t size = 64;
  std::size_t depth = 1;
  std::size_t count = 0;  // 0: as long as `seconds` says
  double seconds = 1;
  bool one_way = false;
  bool idle = false;
  std::size_t echoes = 0;  // with idle: messages each connection sends before it idles
};

std::int64_t now() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

// Latencies in buckets of 1/32 of their size: from nanoseconds to minutes in a few kilobytes.
class Histogram {
 public:
  void add(std::int64_t nanoseconds) noexcept {
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(nanoseconds, 0)) + 32;
    const int shift = std::bit_width(value) - 6;
    ++buckets_[static_cast<std::size_t>(shift) * 32 + (value >> shift) - 32];
    ++count_;
  }
  // In microseconds.
  double percentile(double part) const noexcept {
    const auto wanted = static_cast<std::uint64_t>(part * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i != std::size(buckets_); ++i) {
      seen += buckets_[i];
      if (seen > wanted) {
        return (static_cast<double>((i % 32 + 32) << (i / 32)) - 32) / 1000;
      }
    }
    return 0;
  }

 private:
  std::uint64_t buckets_[64 * 32] = {};
  std::uint64_t count_ = 0;
};

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
        message_(plan.size, 'w'),
        input_(256 * 1024) {
    for (std::size_t i = 0; i != message_.size(); ++i) {
      message_[i] = static_cast<char>('a' + i % 23);
    }
  }

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
    started_ = now();
    end_ = plan_.count != 0 ? INT64_MAX : started_ + static_cast<std::int64_t>(plan_.seconds * 1e9);
    for (std::size_t i = 0; i != connections_.size(); ++i) {
      for (std::size_t j = 0; j != plan_.depth; ++j) {
        begin(connections_[i]);
      }
      send(i);
    }
    epoll_event events[256];
    while (plan_.count != 0 ? done_ < plan_.count : !ended_ || in_flight_ != 0) {
      const int ready = ::epoll_wait(epoll_, events, 256, 10'000);
      if (ready == 0) {
        std::fprintf(stderr, "load: nothing came back for ten seconds\n");
        std::exit(1);
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
      ended_ = ended_ || now() >= end_;
      if (ended_ && plan_.one_way) {
        break;
      }
    }
    seconds_ = static_cast<double>(now() - started_) / 1e9;
  }

  void print() const {
    const double rate = static_cast<double>(done_) / seconds_;
    std::printf(
        "{\"requests\": %zu, \"seconds\": %.6f, \"rate\": %.1f, \"bytes_per_second\": %.0f, \"p50\": %.1f, "
        "\"p90\": %.1f, \"p99\": %.1f, \"p999\": %.1f}\n",
        done_, seconds_, rate, rate * static_cast<double>(plan_.size), latencies_.percentile(0.5),
        latencies_.percentile(0.9), latencies_.percentile(0.99), latencies_.percentile(0.999));
    std::fflush(stdout);
  }

 private:
  void watch(std::size_t index, int how, bool writing) {
    epoll_event event{};
    event.events = EPOLLIN | (writing ? EPOLLOUT : 0U);
    event.data.u64 = index;
    ::epoll_ctl(epoll_, how, connections_[index].descriptor, &event);
    connections_[index].watches_writing = writing;
  }
  bool may_begin() const { return plan_.count != 0 ? started_count_ < plan_.count : !ended_; }
  void begin(Connection& connection) {
    if (!may_begin()) {
      return;
    }
    ++started_count_;
    ++in_flight_;
    connection.unsent += plan_.size;
    connection.begun.push_back(now());
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
      if (plan_.one_way) {
        complete(connection);
      }
    }
    if (connection.watches_writing) {
      watch(index, EPOLL_CTL_MOD, false);
    }
  }
  void complete(Connection& connection) {
    const std::int64_t time = now();
    latencies_.add(time - connection.begun.front());
    ended_ = ended_ || time >= end_;
    connection.begun.pop_front();
    --in_flight_;
    ++done_;
    begin(connection);
  }
  void receive(std::size_t index) {
    Connection& connection = connections_[index];
    const ssize_t count = ::recv(connection.descriptor, input_.data(), input_.size(), 0);
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
      std::fprintf(stderr, "load: the server closed a connection\n");
      std::exit(1);
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
      std::fprintf(stderr, "load: a wrong byte came back\n");
      std::exit(1);
    }
  }

  const Plan plan_;
  int epoll_;
  std::vector<Connection> connections_;
  std::vector<char> message_;
  std::vector<char> input_;
  Histogram latencies_;
  std::int64_t started_ = 0;
  std::int64_t end_ = 0;
  double seconds_ = 0;
  std::size_t started_count_ = 0;
  std::size_t in_flight_ = 0;
  std::size_t done_ = 0;
  bool ended_ = false;
};

int usage() {
  std::fprintf(
      stderr,
      "usage: load PORT [--connections C] [--size S] [--depth D] [--count N | --seconds T] [--one-way]\n"
      "       load PORT --connections C --idle [--echoes N]\n");
  return 2;
}

bool parse(int argc, char** argv, Plan& plan) {
  plan.port = argc > 1 ? std::atoi(argv[1]) : 0;
  for (int i = 2; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--one-way") {
      plan.one_way = true;
      continue;
    }
    if (option == "--idle") {
      plan.idle = true;
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
  return plan.port > 0 && plan.connections != 0 && plan.size != 0 && plan.depth != 0;
}

}  // namespace

int main(int argc, char** argv) {
  Plan plan;
  if (!parse(argc, argv, plan)) {
    return usage();
  }
  if (plan.idle) {
    plan.count = plan.echoes * plan.connections;
  }
  Load load(plan);
  load.connect_all();
  if (!plan.idle || plan.echoes != 0) {
    load.run();
    load.print();
  } else {
    std::printf("{\"connections\": %zu}\n", plan.connections);
    std::fflush(stdout);
  }
  while (plan.idle && std::getchar() != EOF) {
  }
  return 0;
}
