// The load generator's --udp: C sockets, each with one datagram in flight. Datagrams may get lost: what has
// not come back in time is sent again and counted.
#include "bench/echo/load_connections.hpp"

#include <cerrno>
#include <cstring>

namespace bench {

namespace {

constexpr std::int64_t milliseconds = 1'000'000;
// Much longer than a server under callgrind takes.
constexpr std::int64_t patience = 250 * milliseconds;
constexpr std::int64_t end_of_hope = 10'000 * milliseconds;

struct Client {
  int descriptor = -1;
  std::int64_t begun = 0;
  std::int64_t sent = 0;     // the last time
  std::uint64_t number = 0;  // of what is in flight; an answer that comes too late has an older one
  bool is_waiting = false;
};

class DatagramLoad {
 public:
  explicit DatagramLoad(const Plan& plan)
      : clients_(plan.connections), message_(make_message(plan.size)), input_(plan.size + 1), run_(plan) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(plan.port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (std::size_t i = 0; i != clients_.size(); ++i) {
      const int descriptor = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (descriptor < 0 ||
          ::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        give_up("connect");
      }
      clients_[i].descriptor = descriptor;
      poller_.add(descriptor, i);
    }
  }

  void run() {
    run_.start();
    last_answer_ = now();
    std::int64_t next_look = last_answer_ + patience / 2;
    for (Client& client : clients_) {
      begin(client);
    }
    while (!run_.is_over()) {
      const int ready = poller_.wait(static_cast<int>(patience / milliseconds),
                                     [this](std::size_t index, std::uint32_t) { receive(clients_[index]); });
      const std::int64_t time = run_.look_at_clock();
      if (ready > 0) {
        last_answer_ = time;
      }
      if (time >= next_look) {
        repeat_what_is_lost(time);
        next_look = time + patience / 2;
      }
    }
    run_.print();
  }

 private:
  void begin(Client& client) {
    if (!run_.begin()) {
      return;
    }
    ++client.number;
    client.is_waiting = true;
    client.begun = now();
    send(client, client.begun);
  }
  // What the system does not take is lost like the rest.
  void send(Client& client, std::int64_t time) {
    client.sent = time;
    std::memcpy(message_.data(), &client.number, sizeof client.number);
    if (::send(client.descriptor, message_.data(), message_.size(), 0) < 0 && errno != EAGAIN &&
        errno != ENOBUFS) {
      give_up("send");
    }
  }
  void repeat_what_is_lost(std::int64_t time) {
    if (time - last_answer_ >= end_of_hope) {
      fail("nothing came back for ten seconds");
    }
    for (Client& client : clients_) {
      if (client.is_waiting && time - client.sent >= patience) {
        run_.count_loss();
        send(client, time);
      }
    }
  }
  void receive(Client& client) {
    const ssize_t count = ::recv(client.descriptor, input_.data(), input_.size(), 0);
    if (count < 0 && errno == EAGAIN) {
      return;
    }
    if (count < 0) {
      give_up("recv");
    }
    constexpr std::size_t head = sizeof client.number;
    if (static_cast<std::size_t>(count) != message_.size() ||
        std::memcmp(input_.data() + head, message_.data() + head, message_.size() - head) != 0) {
      fail("a wrong datagram came back");
    }
    if (client.is_waiting && std::memcmp(input_.data(), &client.number, head) == 0) {
      client.is_waiting = false;
      run_.complete(client.begun);
      begin(client);
    }
  }

  Poller poller_;
  std::vector<Client> clients_;
  std::vector<char> message_;
  std::vector<char> input_;
  Run run_;
  std::int64_t last_answer_ = 0;
};

}  // namespace

void run_datagrams(const Plan& plan) {
  if (plan.size < sizeof(std::uint64_t)) {
    fail("a datagram carries its number: its size is 8 or more");
  }
  DatagramLoad(plan).run();
}

}  // namespace bench
