// The hand-written echo server of datagrams: level-triggered epoll, one recvfrom and one sendto each, until
// none is left. With --mmsg, up to 64 at once by recvmmsg and sendmmsg.
//
// Usage: echo_udp_floor [--mmsg]
#include "bench/echo/datagrams.hpp"

#include <sys/epoll.h>

#include <string_view>
#include <vector>

namespace {

constexpr std::size_t slot = 64 * 1024;
constexpr unsigned most = 64;

class Batch {
 public:
  Batch() : memory_(slot * most) {
    for (unsigned i = 0; i != most; ++i) {
      pieces_[i].iov_base = memory_.data() + slot * i;
      messages_[i].msg_hdr.msg_name = &senders_[i];
      messages_[i].msg_hdr.msg_iov = &pieces_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }
  // False: there may be no more. What the system does not take is dropped.
  bool echo(int socket) {
    for (unsigned i = 0; i != most; ++i) {
      pieces_[i].iov_len = slot;
      messages_[i].msg_hdr.msg_namelen = sizeof senders_[i];
    }
    const int count = ::recvmmsg(socket, messages_, most, 0, nullptr);
    for (int i = 0; i < count; ++i) {
      pieces_[i].iov_len = messages_[i].msg_len;
    }
    if (count > 0) {
      ::sendmmsg(socket, messages_, static_cast<unsigned>(count), 0);
    }
    return count == static_cast<int>(most);
  }

 private:
  std::vector<char> memory_;
  mmsghdr messages_[most] = {};
  iovec pieces_[most] = {};
  sockaddr_in senders_[most] = {};
};

}  // namespace

int main(int argc, char** argv) {
  const bool batches = argc > 1 && std::string_view(argv[1]) == "--mmsg";
  const int socket = bench::receive_datagrams_anywhere();
  const int epoll = ::epoll_create1(0);
  epoll_event event{EPOLLIN, {.fd = socket}};
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event);
  Batch batch;
  for (;;) {
    ::epoll_wait(epoll, &event, 1, -1);
    if (batches) {
      while (batch.echo(socket)) {
      }
    } else {
      bench::echo_datagrams(socket);
    }
  }
}
