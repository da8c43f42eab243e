// What the verbs that listen have in common: opening every LISTEN, telling where, and ending in good order.
#pragma once

#include "tools/weir/endpoint.hpp"
#include "tools/weir/tls.hpp"

#include <weir/coro.hpp>
#include <weir/event_loop.hpp>
#include <weir/net/protocol.hpp>
#include <weir/net/server.hpp>
#include <weir/ref.hpp>

#include <chrono>
#include <functional>
#include <string_view>
#include <vector>

namespace program {

// The command line of a verb that listens. It lives as long as the program.
struct Serving {
  std::vector<Endpoint> listen;
  ListeningTls tls;
  bool once = false;                      // end after the first connection
  std::chrono::nanoseconds busy_poll{0};  // EventLoop::set_busy_poll
  std::size_t max_read = 64 * 1024;       // EventLoop::set_max_read_size
};

// What serves one address of datagrams; empty for verbs that have no use for them.
using DatagramFactory = std::function<weir::Ref<weir::DatagramProtocol>()>;
using ProtocolFactory = std::function<weir::Ref<weir::BaseProtocol>()>;

// Listens everywhere, prints each bound address as a line on stdout, and gives every connection a protocol of
// its own, and every address of datagrams one of those, until it is cancelled, or with `once` until the first
// connection is gone. Then it drops what is connected, after calling `on_stop` (if there is one) for what
// only the verb knows. Throws std::system_error that names the address when one cannot be had.
weir::Coro<void> serve_protocols(weir::EventLoop& loop, const Serving& serving, ProtocolFactory factory,
                                 std::function<void()> on_stop = {}, DatagramFactory datagrams = {});

// The addresses on which to listen for this endpoint. Throws what getaddrinfo throws.
weir::Coro<std::vector<weir::Address>> addresses_of(weir::EventLoop& loop, const Endpoint& endpoint);

// Prints one bound address, at once: whoever started the program waits for it.
void announce(const weir::Address& address, std::string_view scheme = "tcp");

}  // namespace program
