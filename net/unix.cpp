// create_unix_connection and create_unix_server, but for what they share with TCP: connect.cpp,
// server_state.cpp.
#include <weir/net/unix.hpp>

#include "net/os_error.hpp"
#include "net/server_state.hpp"
#include "net/socket_access.hpp"
#include "net/tls/tls.hpp"
#include "net/unix_file.hpp"
#include "runtime/loop_access.hpp"

#include <weir/exceptions.hpp>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

[[noreturn]] void refuse(const char* call, const char* why) {
  throw std::invalid_argument(std::string(call) + ": " + why);
}

// What both calls ask of their options.
void check_unix(EventLoop& loop, std::string_view path, const weir::Socket* sock, const char* call) {
  LoopAccess::check_open(loop, call);
  check_unix_support(path, call);
  if (sock == nullptr) {
    if (path.empty()) {
      refuse(call, "neither path nor sock were specified");
    }
    return;
  }
  if (!path.empty()) {
    refuse(call, "path and sock can not be specified at the same time");
  }
  check_stream_socket(*sock, call);
  if (Backend::Sockets::family(sock->native_handle()) !=
      static_cast<std::int64_t>(AddressFamily::unix_domain)) {
    refuse(call, "a Unix stream socket was expected");
  }
}

// Removes what a server that is gone has left. An error shows when the path is bound.
void remove_stale_file(const Address& address) noexcept {
  FileIdentity file;
  if (address.raw().is_file() && Backend::Sockets::socket_file(address.raw(), file) == 0) {
    Backend::Sockets::remove_file(address.raw());
  }
}

weir::Socket bind_path(const Address& address) {
  weir::Socket socket = weir::Socket::open(AddressFamily::unix_domain);
  bind_unix_path(socket, address, "create_unix_server");
  return socket;
}

Coro<Ref<Server>> open_unix_server(std::unique_ptr<ServerState> state, std::optional<Address> address,
                                   weir::Socket given, bool cleanup, bool start_serving) {
  weir::Socket socket = address ? bind_path(*address) : std::move(given);
  auto listener = std::make_unique<Listener>(*state, std::move(socket));
  if (cleanup) {
    listener->remember_file();
  }
  state->listeners.push_back(std::move(listener));
  const Ref<Server> server = make_ref<Server>(std::move(state));
  if (start_serving) {
    co_await server->start_serving();
  }
  co_return server;
}

}  // namespace

void check_unix_support(std::string_view path, const char* call) {
  if (!Backend::has(Capability::unix_sockets)) {
    throw NotSupportedError(call, "unix_sockets");
  }
  if (!path.empty() && path.front() == '\0' && !Backend::has(Capability::abstract_unix_sockets)) {
    throw NotSupportedError(call, "abstract_unix_sockets");
  }
}

void bind_unix_path(const weir::Socket& socket, const Address& address, const char* call) {
  remove_stale_file(address);
  try {
    socket.bind(address);
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::address_in_use) {
      throw;
    }
    throw os_error(-EADDRINUSE, std::string(call) + ": " + address.to_string() + " is already in use");
  }
}

ConnectionPlan plan_unix_connection(EventLoop& loop, const UnixConnectionOptions& options) {
  constexpr const char* call = "create_unix_connection";
  check_unix(loop, options.path, options.sock, call);
  ConnectionPlan plan;
  plan.call = call;
  plan.tls = plan_tls({.call = call,
                       .context = options.ssl,
                       .server_hostname = options.server_hostname,
                       .handshake_timeout = options.ssl_handshake_timeout,
                       .shutdown_timeout = options.ssl_shutdown_timeout,
                       .session = options.ssl_session});
  if (options.timeout) {
    plan.deadline = add_clamped(loop.time(), *options.timeout);
  }
  if (options.sock != nullptr) {
    plan.socket = std::move(*options.sock);
  } else {
    plan.targets.push_back(Address::unix_path(options.path));
  }
  return plan;
}

Coro<Ref<Server>> create_unix_server(EventLoop& loop, AnyProtocolFactory factory,
                                     const UnixServerOptions& options) {
  check_unix(loop, options.path, options.sock, "create_unix_server");
  if (options.backlog < 0) {
    refuse("create_unix_server", "the backlog is negative");
  }
  auto tls = plan_tls({.call = "create_unix_server",
                       .context = options.ssl,
                       .server_side = true,
                       .handshake_timeout = options.ssl_handshake_timeout,
                       .shutdown_timeout = options.ssl_shutdown_timeout});
  std::optional<Address> address;
  weir::Socket given;
  if (options.sock != nullptr) {
    given = std::move(*options.sock);
  } else {
    address = Address::unix_path(options.path);
  }
  auto state = std::make_unique<ServerState>(loop, std::move(factory), options.backlog);
  state->tls = std::move(tls);
  return open_unix_server(std::move(state), address, std::move(given), options.cleanup_socket,
                          options.start_serving);
}

}  // namespace weir::inline WEIR_ABI::detail
