// The load generator's --churn: C connections at a time, each of which is opened, echoes S bytes and is
// closed.
//
// They are closed as clients close: the server sees the end of the stream. A reset (SO_LINGER of 0) would be
// cheaper here, and would have every server measured on how it treats an error. It leaves sockets in
// TIME_WAIT, more than one address has ports for, so they come from several.
#include "bench/echo/listening.hpp"
#include "bench/echo/load.hpp"

#include <sys/epoll.h>

#include <cerrno>
#include <cstring>

namespace bench {

namespace {

constexpr std::uint32_t addresses = 16;

struct Visitor {
  int descriptor = -1;
  std::int64_t begun = 0;
  std::size_t received = 0;
};

class ChurnLoad {
 public:
  explicit ChurnLoad(const Plan& plan)
      : port_(htons(static_cast<std::uint16_t>(plan.port))),
        epoll_(::epoll_create1(0)),
        visitors_(plan.connections),
        message_(make_message(plan.size)),
        input_(plan.size + 1),
        run_(plan) {}

  void run() {
    run_.start();
    for (std::size_t i = 0; i != visitors_.size(); ++i) {
      open(i);
    }
    epoll_event events[256];
    while (!run_.is_over()) {
      const int ready = ::epoll_wait(epoll_, events, 256, 10'000);
      if (ready == 0) {
        fail("nothing came back for ten seconds");
      }
      for (int i = 0; i < ready; ++i) {
        receive(static_cast<std::size_t>(events[i].data.u64));
      }
      run_.look_at_clock();
    }
    run_.print();
  }

 private:
  // Blocks in connect(), which on one machine waits for nobody: the system accepts for the server.
  void open(std::size_t index) {
    if (!run_.begin()) {
      return;
    }
    Visitor& visitor = visitors_[index];
    visitor.begun = now();
    visitor.received = 0;
    visitor.descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int one = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + next_address_++ % addresses);
    // Otherwise bind() looks for a port that is free towards everybody.
    ::setsockopt(visitor.descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (::bind(visitor.descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      give_up("bind");
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = port_;
    if (::connect(visitor.descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      give_up("connect");
    }
    if (::send(visitor.descriptor, message_.data(), message_.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(message_.size())) {
      give_up("send");
    }
    epoll_event event{EPOLLIN, {.u64 = index}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, visitor.descriptor, &event);
  }
  void receive(std::size_t index) {
    Visitor& visitor = visitors_[index];
    const ssize_t count = ::recv(visitor.descriptor, input_.data(), input_.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) {
      return;
    }
    if (count <= 0) {
      fail("the server closed a connection");
    }
    const auto size = static_cast<std::size_t>(count);
    if (visitor.received + size > message_.size() ||
        std::memcmp(input_.data(), message_.data() + visitor.received, size) != 0) {
      fail("a wrong byte came back");
    }
    visitor.received += size;
    if (visitor.received == message_.size()) {
      ::close(visitor.descriptor);
      run_.complete(visitor.begun);
      open(index);
    }
  }

  std::uint16_t port_;
  int epoll_;
  std::vector<Visitor> visitors_;
  std::vector<char> message_;
  std::vector<char> input_;
  Run run_;
  std::uint32_t next_address_ = 0;
};

}  // namespace

void run_churn(const Plan& plan) { ChurnLoad(plan).run(); }

}  // namespace bench
