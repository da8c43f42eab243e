// What the load generator's works share that open connections: where these come from, and the wait for those
// that are ready.
#pragma once

#include "bench/echo/listening.hpp"
#include "bench/echo/load.hpp"

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>

namespace bench {

// Opens connections to a port of 127.0.0.1. They come from so many addresses in turn, 127.0.0.1 and those
// after it: one has too few ports for many short connections, which leave sockets in TIME_WAIT.
class Connector {
 public:
  explicit Connector(int port, std::uint32_t addresses = 1)
      : port_(htons(static_cast<std::uint16_t>(port))), addresses_(addresses) {}

  // Blocks in connect(), which on one machine waits for nobody: the system accepts for the server.
  int connect() {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // Otherwise bind() looks for a port that is free towards everybody.
    const int one = 1;
    ::setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + next_++ % addresses_);
    if (::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      give_up("bind");
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = port_;
    if (::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      give_up("connect");
    }
    return descriptor;
  }

 private:
  std::uint16_t port_;
  std::uint32_t addresses_;
  std::uint32_t next_ = 0;
};

// Descriptors that are waited for, each known by an index.
class Poller {
 public:
  void add(int descriptor, std::size_t index) { change(EPOLL_CTL_ADD, descriptor, index, EPOLLIN); }
  void watch_writing(int descriptor, std::size_t index, bool writing) {
    change(EPOLL_CTL_MOD, descriptor, index, EPOLLIN | (writing ? EPOLLOUT : 0U));
  }
  // Calls handle(index, events) for each that is ready, and tells how many these were.
  template <class Handle>
  int wait(int milliseconds, Handle&& handle) {
    const int ready = ::epoll_wait(epoll_, events_, most, milliseconds);
    for (int i = 0; i < ready; ++i) {
      handle(static_cast<std::size_t>(events_[i].data.u64), events_[i].events);
    }
    return ready;
  }
  // The same until the run is over.
  template <class Handle>
  void wait_until_over(Run& run, Handle&& handle) {
    while (!run.is_over()) {
      if (wait(10'000, handle) == 0) {
        fail("nothing came back for ten seconds");
      }
      run.look_at_clock();
    }
  }

 private:
  void change(int how, int descriptor, std::size_t index, std::uint32_t events) {
    epoll_event event{events, {.u64 = index}};
    ::epoll_ctl(epoll_, how, descriptor, &event);
  }

  static constexpr int most = 256;
  int epoll_ = ::epoll_create1(0);
  epoll_event events_[most];
};

}  // namespace bench
