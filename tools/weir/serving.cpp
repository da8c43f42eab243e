// Listening sockets of protocols and their end.
#include "tools/weir/serving.hpp"

#include <weir/net/datagram.hpp>
#include <weir/net/extra.hpp>
#include <weir/net/resolver.hpp>
#include <weir/net/socket.hpp>
#include <weir/net/unix.hpp>
#include <weir/tasks.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <utility>

namespace program {

namespace {

// The servers of one run. Shared with the factory, which with `once` closes them all at the first connection.
struct Servers {
  std::vector<weir::Ref<weir::Server>> all;
  std::vector<std::string_view> schemes;  // of each of them
  std::vector<weir::Ref<weir::DatagramTransport>> endpoints;
  bool taken = false;

  void close() {
    taken = true;
    for (const weir::Ref<weir::Server>& server : all) {
      server->close();
    }
  }
};

weir::Coro<void> open_datagrams(weir::EventLoop& loop, const Endpoint& endpoint, DatagramFactory& factory,
                                Servers& servers) {
  const std::vector<weir::Address> addresses = co_await addresses_of(loop, endpoint);
  for (const weir::Address& address : addresses) {
    const weir::DatagramEndpointOptions options{.local_addr = address};
    auto made = co_await loop.create_datagram_endpoint(factory, options);
    servers.endpoints.push_back(std::move(made.first));
  }
}

weir::Coro<void> open_server(weir::EventLoop& loop, const Endpoint& endpoint, const TlsSettings& tls,
                             ProtocolFactory factory, Servers& servers) {
  if (endpoint.is_unix()) {
    weir::UnixServerOptions options;
    options.path = endpoint.path;
    servers.all.push_back(co_await loop.create_unix_server(factory, options));
  } else {
    weir::ServerOptions options;
    options.host = endpoint.host;
    options.port = endpoint.port;
    options.ssl = endpoint.is_tls ? tls.get() : nullptr;
    servers.all.push_back(co_await loop.create_server(factory, options));
  }
  servers.schemes.push_back(endpoint.scheme());
}

void announce_all(const Servers& servers) {
  for (std::size_t i = 0; i != servers.all.size(); ++i) {
    for (const weir::SocketView& socket : servers.all[i]->sockets()) {
      announce(socket.local_address(), servers.schemes[i]);
    }
  }
  for (const weir::Ref<weir::DatagramTransport>& one : servers.endpoints) {
    announce(one->get_extra_info<weir::extra::sockname>().value(), "udp");
  }
}

// Returns when every server is closed and its last connection gone. Datagrams have no end.
weir::Coro<void> open_and_wait(weir::EventLoop& loop, const Serving& serving, ProtocolFactory& factory,
                               DatagramFactory& datagrams, Servers& servers) {
  const ProtocolFactory make_protocol = [&servers, &factory, once = serving.once] {
    if (once) {
      servers.close();
    }
    return factory();
  };
  const bool has_tls = std::any_of(serving.listen.begin(), serving.listen.end(),
                                   [](const Endpoint& endpoint) { return endpoint.is_tls; });
  const TlsSettings tls = has_tls ? listening_settings(serving.tls) : nullptr;
  for (const Endpoint& endpoint : serving.listen) {
    if (endpoint.is_udp) {
      co_await open_datagrams(loop, endpoint, datagrams, servers);
    } else {
      co_await open_server(loop, endpoint, tls, make_protocol, servers);
    }
  }
  announce_all(servers);
  if (servers.taken) {
    servers.close();  // those that came after the first connection
  }
  for (const weir::Ref<weir::Server>& server : servers.all) {
    co_await server->wait_closed();
  }
  if (!servers.endpoints.empty()) {
    co_await loop.create_future<void>();
  }
}

}  // namespace

weir::Coro<void> serve_protocols(weir::EventLoop& loop, const Serving& serving, ProtocolFactory factory,
                                 std::function<void()> on_stop, DatagramFactory datagrams) {
  loop.set_busy_poll(serving.busy_poll);
  loop.set_max_read_size(serving.max_read);
  Servers servers;
  std::exception_ptr ended_by;
  try {
    co_await open_and_wait(loop, serving, factory, datagrams, servers);
  } catch (...) {
    ended_by = std::current_exception();
  }
  if (on_stop) {
    on_stop();
  }
  servers.close();
  for (const weir::Ref<weir::DatagramTransport>& one : servers.endpoints) {
    one->abort();
  }
  for (const weir::Ref<weir::Server>& server : servers.all) {
    server->abort_clients();
    co_await server->wait_closed();
  }
  if (ended_by) {
    std::rethrow_exception(std::move(ended_by));
  }
}

weir::Coro<std::vector<weir::Address>> addresses_of(weir::EventLoop& loop, const Endpoint& endpoint) {
  std::vector<weir::Address> addresses;
  if (endpoint.is_unix()) {
    addresses.push_back(weir::Address::unix_path(endpoint.path));
    co_return addresses;
  }
  weir::AddrInfoOptions options;
  options.type = weir::SocketType::stream;
  const std::vector<weir::AddrInfo> found = co_await loop.getaddrinfo(endpoint.host, endpoint.port, options);
  for (const weir::AddrInfo& one : found) {
    addresses.push_back(one.address);
  }
  co_return addresses;
}

void announce(const weir::Address& address, std::string_view scheme) {
  std::printf("%s\n", to_text(address, scheme).c_str());
  std::fflush(stdout);
}

}  // namespace program
