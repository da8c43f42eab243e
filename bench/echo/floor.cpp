// The hand-written echo server: level-triggered epoll and one buffer for all connections.
//
// Usage: echo_floor [READ_SIZE] [--spin] [--discard]
#include "bench/echo/listening.hpp"

#include <sys/epoll.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {

class Server {
 public:
  Server(std::size_t read_size, bool spins, bool discards)
      : epoll_(::epoll_create1(0)), buffer_(read_size), spins_(spins), discards_(discards) {}

  [[noreturn]] void serve(int listener) {
    epoll_event event{EPOLLIN, {.fd = listener}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, listener, &event);
    epoll_event events[256];
    for (;;) {
      const int count = ::epoll_wait(epoll_, events, 256, spins_ ? 0 : -1);
      for (int i = 0; i < count; ++i) {
        const int descriptor = events[i].data.fd;
        if (descriptor == listener) {
          accept_from(listener);
        } else if ((events[i].events & EPOLLOUT) != 0) {
          flush(descriptor);
        } else {
          receive(descriptor);
        }
      }
    }
  }

 private:
  void accept_from(int listener) {
    for (;;) {
      const int connection = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (connection < 0) {
        return;
      }
      bench::set_no_delay(connection);
      epoll_event event{EPOLLIN, {.fd = connection}};
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection, &event);
    }
  }
  void receive(int connection) {
    const ssize_t count = ::recv(connection, buffer_.data(), buffer_.size(), 0);
    if (count > 0) [[likely]] {
      if (!discards_) {
        send(connection, buffer_.data(), static_cast<std::size_t>(count));
      }
    } else if (count == 0 || errno != EAGAIN) {
      drop(connection);
    }
  }
  void send(int connection, const char* data, std::size_t size) {
    const ssize_t sent = ::send(connection, data, size, MSG_NOSIGNAL);
    if (sent == static_cast<ssize_t>(size)) [[likely]] {
      return;
    }
    if (sent < 0 && errno != EAGAIN) {
      drop(connection);
      return;
    }
    const std::size_t done = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    unsent_[connection].assign(data + done, data + size);
    watch(connection, EPOLLOUT);
  }
  // Reads on when all of it is sent.
  void flush(int connection) {
    std::vector<char>& data = unsent_[connection];
    const ssize_t sent = ::send(connection, data.data(), data.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
      drop(connection);
    } else if (sent == static_cast<ssize_t>(data.size())) {
      unsent_.erase(connection);
      watch(connection, EPOLLIN);
    } else if (sent > 0) {
      data.erase(data.begin(), data.begin() + sent);
    }
  }
  void watch(int connection, std::uint32_t events) const {
    epoll_event event{events, {.fd = connection}};
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection, &event);
  }
  void drop(int connection) {
    unsent_.erase(connection);
    ::close(connection);
  }

  int epoll_;
  std::vector<char> buffer_;
  std::unordered_map<int, std::vector<char>> unsent_;
  bool spins_;
  bool discards_;
};

}  // namespace

int main(int argc, char** argv) {
  std::size_t read_size = 64 * 1024;
  bool spins = false;
  bool discards = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--spin") {
      spins = true;
    } else if (argument == "--discard") {
      discards = true;
    } else {
      read_size = std::strtoul(argv[i], nullptr, 10);
    }
  }
  if (read_size == 0) {
    std::fprintf(stderr, "usage: echo_floor [READ_SIZE] [--spin] [--discard]\n");
    return 2;
  }
  Server(read_size, spins, discards).serve(bench::listen_anywhere());
}
