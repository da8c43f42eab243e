// Server, and create_server up to the bound sockets. Accepting: server_state.cpp.
#include <weir/net/server.hpp>

#include "net/os_error.hpp"
#include "net/scoped_timer.hpp"
#include "net/server_state.hpp"
#include "net/stream_transport.hpp"
#include "net/tls/tls.hpp"

#include <weir/exceptions.hpp>
#include <weir/net/connect.hpp>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <string>

namespace weir::inline WEIR_ABI {

// --- Server

namespace {

// The server is a parameter, so that it lives as long as the coroutine.
Coro<void> start_serving_on(Ref<Server>, detail::ServerState& state) {
  state.start_serving();
  co_return;
}

Coro<void> wait_closed_on(Ref<Server>, detail::ServerState& state) {
  while (!state.is_over()) {
    Future<void> over(*state.loop);
    state.waiting_for_end.push_back(over);
    co_await over;
  }
}

Coro<void> serve_forever_on(Ref<Server> server, detail::ServerState& state) {
  if (state.serving_forever) {
    throw RuntimeError("serve_forever: already awaited on this server");
  }
  if (state.closed) {
    throw RuntimeError("serve_forever: the server is closed");
  }
  state.start_serving();
  std::exception_ptr ended;
  state.serving_forever.emplace(*state.loop);
  try {
    const Future<void> cancelled_by_close = *state.serving_forever;
    co_await cancelled_by_close;
  } catch (...) {
    ended = std::current_exception();
  }
  state.serving_forever.reset();
  server->close();
  server->close_clients();
  co_await server->wait_closed();
  std::rethrow_exception(std::move(ended));
}

// Completes with the end of the server or at the deadline, whichever comes first.
Coro<void> wait_closed_until(detail::ServerState& state, TimePoint deadline) {
  Future<void> over(*state.loop);
  state.waiting_for_end.push_back(over);
  const detail::ScopedTimer timer(*state.loop, deadline, [&over] {
    if (!over.done()) {
      over.set_result();
    }
  });
  co_await over;
}

Coro<std::size_t> shutdown_on(Ref<Server> server, detail::ServerState& state, TimePoint deadline) {
  server->close();
  while (!state.is_over() && state.loop->time() < deadline) {
    co_await wait_closed_until(state, deadline);
  }
  const std::size_t aborted = state.clients.size();
  server->abort_clients();
  co_await server->wait_closed();
  co_return aborted;
}

Coro<void> aclose_on(Ref<Server> server) {
  server->close();
  co_await server->wait_closed();
}

}  // namespace

Server::Server(std::unique_ptr<detail::ServerState> state) noexcept : state_(std::move(state)) {
  state_->server = this;
}

Server::~Server() = default;

EventLoop& Server::get_loop() const noexcept { return *state_->loop; }

std::vector<SocketView> Server::sockets() const {
  std::vector<SocketView> views;
  for (const auto& listener : state_->listeners) {
    views.emplace_back(listener->socket.native_handle());
  }
  return views;
}

bool Server::is_serving() const noexcept { return state_->serving; }
Coro<void> Server::start_serving() { return start_serving_on(Ref<Server>(this), *state_); }
Coro<void> Server::serve_forever() { return serve_forever_on(Ref<Server>(this), *state_); }
void Server::close() noexcept { state_->close(); }
Coro<void> Server::wait_closed() { return wait_closed_on(Ref<Server>(this), *state_); }
Coro<std::size_t> Server::shutdown(TimePoint deadline) {
  return shutdown_on(Ref<Server>(this), *state_, deadline);
}
Coro<void> Server::aclose() { return aclose_on(Ref<Server>(this)); }

void Server::close_clients() noexcept { state_->close_clients(); }
void Server::abort_clients() noexcept { state_->abort_clients(); }

// --- create_server

namespace detail {

namespace {

#if defined(_WIN32)
constexpr bool reuse_address_by_default = false;  // there it would let others steal the port
#else
constexpr bool reuse_address_by_default = true;
#endif

// A port that is free for IPv4 may be taken for IPv6; so many are tried before giving up.
constexpr int most_port_draws = 64;

// An address to bind. One that was found for a name, or for "all interfaces", may be of a family that this
// machine does not have, as long as another one can be bound.
struct Wanted {
  Address address;
  bool may_be_missing = false;
};

struct ServerPlan {
  std::vector<HostQuery> hosts;
  std::vector<Wanted> addresses;
  std::uint16_t port = 0;
  weir::Socket given;
  bool reuse_address = reuse_address_by_default;
  bool reuse_port = false;
  bool keep_alive = false;
  bool start_serving = true;
};

void check_options(const ServerOptions& options) {
  const bool has_host = !options.host.empty() || !options.hosts.empty();
  if (options.sock != nullptr && (has_host || !options.port.empty())) {
    throw std::invalid_argument("create_server: host/port and sock can not be specified at the same time");
  }
  if (options.sock == nullptr && !has_host && options.port.empty()) {
    throw std::invalid_argument("create_server: neither host/port nor sock were specified");
  }
  if (!options.host.empty() && !options.hosts.empty()) {
    throw std::invalid_argument("create_server: host and hosts can not be specified at the same time");
  }
  if (options.backlog < 0) {
    throw std::invalid_argument("create_server: the backlog is negative");
  }
  if (options.reuse_port && !Backend::has(Capability::reuse_port)) {
    throw std::invalid_argument("create_server: reuse_port is not supported by this system");
  }
  if (options.sock != nullptr) {
    check_stream_socket(*options.sock, "create_server");
  }
}

ServerPlan make_plan(const ServerOptions& options) {
  check_options(options);
  ServerPlan plan;
  plan.reuse_address = options.reuse_address.value_or(reuse_address_by_default);
  plan.reuse_port = options.reuse_port;
  plan.keep_alive = options.keep_alive;
  plan.start_serving = options.start_serving;
  const std::span<const std::string_view> hosts =
      options.hosts.empty() ? std::span<const std::string_view>(&options.host, 1) : options.hosts;
  if (options.sock != nullptr) {
    plan.given = std::move(*options.sock);
    return plan;
  }
  const AddrInfoOptions query{
      .family = options.family, .type = SocketType::stream, .flags = options.flags | AddrInfoFlags::passive};
  const ServiceName port = options.port.empty() ? ServiceName(0) : options.port;
  if (std::find(hosts.begin(), hosts.end(), std::string_view()) != hosts.end()) {
    plan.hosts.emplace_back(std::string_view(), port, query);  // all interfaces: the others are among them
    return plan;
  }
  for (const std::string_view host : hosts) {
    plan.hosts.emplace_back(host, port, query);
  }
  return plan;
}

void add_address(ServerPlan& plan, const Address& address, bool may_be_missing) {
  const auto is_same = [&address](const Wanted& one) { return one.address == address; };
  if (std::none_of(plan.addresses.begin(), plan.addresses.end(), is_same)) {
    plan.addresses.push_back({address, may_be_missing});
  }
}

// Fills in the addresses of the hosts, each once.
Coro<void> look_up_hosts(EventLoop& loop, ServerPlan& plan) {
  for (const HostQuery& host : plan.hosts) {
    if (const std::optional<Address> known = host.known_address()) {
      add_address(plan, *known, false);
      continue;
    }
    const std::vector<Address> found = co_await host.look_up(loop);
    for (const Address& address : found) {
      add_address(plan, address, true);
    }
  }
  plan.port = plan.addresses.front().address.port();
}

// What the connections inherit from the socket that accepts them. Not every kind of stream socket has these.
void set_inherited_options(const weir::Socket& socket, bool keep_alive) {
  Backend::Sockets::set_option(socket.native_handle(), SocketOption::no_delay, 1);
  if (keep_alive) {
    socket.set_keep_alive();
  }
}

weir::Socket bind_one(const ServerPlan& plan, const Address& address) {
  weir::Socket socket = weir::Socket::open(address.family());
  if (plan.reuse_address) {
    socket.set_reuse_address();
  }
  if (plan.reuse_port) {
    socket.set_reuse_port();
  }
  if (address.family() == AddressFamily::inet6) {
    socket.set_ipv6_only();
  }
  set_inherited_options(socket, plan.keep_alive);
  socket.bind(address);
  return socket;
}

// Does the error say that this machine does not have the family at all?
bool lacks_family(const std::error_code& code) {
  return code == std::errc::address_family_not_supported || code == std::errc::address_not_available;
}

// One round: all addresses, on one port. Nothing when a port that the system chose is taken for a later
// address.
std::optional<std::vector<weir::Socket>> bind_round(const ServerPlan& plan) {
  std::vector<weir::Socket> sockets;
  std::uint16_t port = plan.port;
  for (const Wanted& wanted : plan.addresses) {
    if (plan.port == 0 && port != 0 && rare_path(FaultPoint::port_taken)) {
      return std::nullopt;
    }
    RawAddress raw = wanted.address.raw();
    raw.port = port;
    try {
      sockets.push_back(bind_one(plan, Address(raw)));
    } catch (const std::system_error& error) {
      if (wanted.may_be_missing && lacks_family(error.code()) &&
          !(sockets.empty() && &wanted == &plan.addresses.back())) {
        continue;
      }
      if (plan.port == 0 && port != 0 && error.code() == std::errc::address_in_use) {
        return std::nullopt;
      }
      throw;
    }
    port = sockets.back().local_address().port();
  }
  return sockets;
}

std::vector<weir::Socket> bind_all(ServerPlan& plan) {
  if (plan.given.is_open()) {
    set_inherited_options(plan.given, plan.keep_alive);
    std::vector<weir::Socket> sockets;
    sockets.push_back(std::move(plan.given));
    return sockets;
  }
  for (int draw = 0; draw != most_port_draws; ++draw) {
    if (std::optional<std::vector<weir::Socket>> sockets = bind_round(plan)) {
      return std::move(*sockets);
    }
  }
  throw os_error(-EADDRINUSE,
                 "bind: no port is free for all of " + plan.addresses.front().address.to_string() + "…");
}

Coro<Ref<Server>> open_server(std::unique_ptr<ServerState> state, ServerPlan plan) {
  if (!plan.given.is_open()) {
    co_await look_up_hosts(*state->loop, plan);
  }
  std::vector<weir::Socket> sockets = bind_all(plan);
  for (weir::Socket& socket : sockets) {
    state->listeners.push_back(std::make_unique<Listener>(*state, std::move(socket)));
  }
  const Ref<Server> server = make_ref<Server>(std::move(state));
  if (plan.start_serving) {
    co_await server->start_serving();
  }
  co_return server;
}

}  // namespace

Coro<Ref<Server>> create_server(EventLoop& loop, AnyProtocolFactory factory, const ServerOptions& options) {
  LoopAccess::check_open(loop, "create_server");
  auto tls = plan_tls({.call = "create_server",
                       .context = options.ssl,
                       .server_side = true,
                       .handshake_timeout = options.ssl_handshake_timeout,
                       .shutdown_timeout = options.ssl_shutdown_timeout});
  ServerPlan plan = make_plan(options);
  auto state = std::make_unique<ServerState>(loop, std::move(factory), options.backlog);
  state->tls = std::move(tls);
  return open_server(std::move(state), std::move(plan));
}

}  // namespace detail

}  // namespace weir::inline WEIR_ABI
