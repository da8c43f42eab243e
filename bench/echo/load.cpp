// The load generator: C connections, each with D messages of S bytes in flight, until so many have come back
// or so much time is over. With --one-way it only sends. With --idle it opens connections, lets them echo
// once or never, and holds them until its input ends. --udp, --churn and --tls have files of their own.
//
// Prints one line of JSON: requests, seconds, requests a second, bytes a second, latencies in microseconds.
#include "bench/echo/load_in_flight.hpp"

#include <cerrno>
#include <string_view>

namespace {

using bench::Plan;
using bench::Work;

class PlainChannel {
 public:
  explicit PlainChannel(int descriptor) : descriptor_(descriptor) {}

  int descriptor() const { return descriptor_; }
  std::size_t send(const char* data, std::size_t size) {
    const ssize_t sent = ::send(descriptor_, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
      bench::give_up("send");
    }
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }
  std::size_t receive(char* data, std::size_t size) {
    const ssize_t count = ::recv(descriptor_, data, size, 0);
    if (count == 0 || (count < 0 && errno != EAGAIN)) {
      bench::fail("the server closed a connection");
    }
    return count < 0 ? 0 : static_cast<std::size_t>(count);
  }
  bool has_more() const { return false; }

 private:
  int descriptor_;
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
  bench::InFlightLoad<PlainChannel> load(plan, [](int descriptor) { return PlainChannel(descriptor); });
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
