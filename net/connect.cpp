// create_connection and connect_accepted_socket, but for the templates around the protocol factory.
#include <weir/net/connect.hpp>

#include "net/begin_awaiter.hpp"
#include "net/happy_eyeballs.hpp"
#include "net/scoped_timer.hpp"
#include "net/socket_access.hpp"
#include "net/stream_transport.hpp"
#include "net/tls/tls.hpp"
#include "net/transport_calls.hpp"
#include "runtime/loop_access.hpp"

#include <weir/exceptions.hpp>
#include <weir/tasks.hpp>

#include <stdexcept>
#include <string>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

namespace {

void set_no_delay(const weir::Socket& socket, const RawAddress& peer) noexcept {
  if (peer.family != AddressFamily::unix_domain) {
    Backend::Sockets::set_option(socket.native_handle(), SocketOption::no_delay, 1);
  }
}

void check_options(const ConnectionOptions& options) {
  const auto refuse = [](const char* why) {
    throw std::invalid_argument(std::string("create_connection: ") + why);
  };
  if (options.interleave && *options.interleave < 0) {
    refuse("interleave is negative");
  }
  if (options.happy_eyeballs_delay && options.happy_eyeballs_delay->count() < 0) {
    refuse("happy_eyeballs_delay is negative");
  }
  if (options.sock == nullptr) {
    if (options.host.empty() && options.port.empty()) {
      refuse("host and port was not specified and no sock specified");
    }
    return;
  }
  if (!options.host.empty() || !options.port.empty()) {
    refuse("host/port and sock can not be specified at the same time");
  }
  if (options.local_addr) {
    refuse("local_addr and sock can not be specified at the same time");
  }
  check_stream_socket(*options.sock, "create_connection");
}

// Without a name of its own a certificate is verified for the host.
std::shared_ptr<const TlsPlan> plan_client_tls(const ConnectionOptions& options) {
  std::optional<std::string_view> name = options.server_hostname;
  if (!name && options.ssl != nullptr && !options.host.empty()) {
    name = options.host;
  }
  return plan_tls({.call = "create_connection",
                   .context = options.ssl,
                   .server_hostname = name,
                   .handshake_timeout = options.ssl_handshake_timeout,
                   .shutdown_timeout = options.ssl_shutdown_timeout,
                   .session = options.ssl_session});
}

Coro<weir::Socket> find_and_connect(EventLoop& loop, ConnectionPlan& plan) {
  if (plan.targets.empty()) {
    plan.targets = co_await plan.query.look_up(loop);
  }
  co_return co_await connect_to_one(loop, plan);
}

}  // namespace

std::string ConnectionPlan::what() const {
  return targets.size() == 1 ? targets.front().to_string() : query.to_string();
}

void check_stream_socket(const weir::Socket& socket, const char* call) {
  if (!socket.is_open()) {
    throw std::invalid_argument(std::string(call) + ": the socket is closed");
  }
  if (Backend::Sockets::type(socket.native_handle()) != static_cast<std::int64_t>(SocketType::stream)) {
    throw std::invalid_argument(std::string(call) + ": a stream socket was expected");
  }
}

ConnectionPlan plan_connection(EventLoop& loop, const ConnectionOptions& options) {
  LoopAccess::check_open(loop, "create_connection");
  check_options(options);
  ConnectionPlan plan;
  plan.tls = plan_client_tls(options);
  plan.local = options.local_addr;
  plan.stagger = options.happy_eyeballs_delay;
  plan.interleave = options.interleave.value_or(options.happy_eyeballs_delay ? 1 : 0);
  plan.keep_alive = options.keep_alive;
  plan.all_errors = options.all_errors;
  if (options.timeout) {
    plan.deadline = add_clamped(loop.time(), *options.timeout);
  }
  if (options.sock != nullptr) {
    plan.socket = std::move(*options.sock);
    return plan;
  }
  plan.query = HostQuery(options.host, options.port,
                         {.family = options.family, .type = SocketType::stream, .flags = options.flags});
  if (const std::optional<Address> address = plan.query.known_address()) {
    plan.targets.push_back(*address);
  }
  return plan;
}

Coro<weir::Socket> connect_socket(EventLoop& loop, ConnectionPlan& plan) {
  if (plan.socket.is_open()) {
    co_return std::move(plan.socket);
  }
  if (plan.deadline == TimePoint::max()) {
    co_return co_await find_and_connect(loop, plan);
  }
  // A task of its own, so that the end of the time is a cancellation that nobody else sees.
  Task<weir::Socket> trying = loop.create_task(find_and_connect(loop, plan));
  bool is_late = false;
  const ScopedTimer limit(loop, plan.deadline, [&trying, &is_late] { is_late = trying.cancel(); });
  const Ref<TaskBase> caller = current_task(loop);
  const int cancelling = caller->cancelling();
  try {
    co_return co_await std::move(trying);
  } catch (const CancelledError&) {
    if (!is_late || caller->cancelling() > cancelling) {
      throw;
    }
  }
  throw TimeoutError(std::string(plan.call) + ' ' + plan.what() + ": timed out");
}

ConnectionPlan plan_accepted(EventLoop& loop, weir::Socket socket, const AcceptedSocketOptions& options) {
  ConnectionPlan plan;
  plan.call = "connect_accepted_socket";
  LoopAccess::check_open(loop, plan.call);
  check_stream_socket(socket, plan.call);
  plan.tls = plan_tls({.call = plan.call,
                       .context = options.ssl,
                       .server_side = true,
                       .handshake_timeout = options.ssl_handshake_timeout,
                       .shutdown_timeout = options.ssl_shutdown_timeout});
  plan.socket = std::move(socket);
  return plan;
}

Coro<Ref<Transport>> start_transport(EventLoop& loop, weir::Socket socket, Ref<BaseProtocol> protocol,
                                     const ConnectionPlan& plan) {
  RawAddress peer;
  Backend::Sockets::peer_address(socket.native_handle(), peer);
  set_no_delay(socket, peer);
  Context context = copy_context();
  if (plan.tls != nullptr) {
    check_made(protocol);
    protocol =
        encrypt(loop, std::move(protocol), *plan.tls, context, {.awaited = true, .deadline = plan.deadline});
  }
  Ref<StreamTransport> transport =
      StreamTransport::make(loop, socket, protocol, peer, std::move(context), nullptr);
  Ref<Transport> made = co_await begun(std::move(transport), plan.call);
  if (plan.tls != nullptr) {
    made = co_await encrypted(std::move(protocol));
  }
  co_return made;
}

Coro<Ref<Transport>> begun(Ref<StreamTransport> transport, const char* call) {
  BeginAwaiter<StreamTransport> beginning(*transport, call);
  co_await beginning;
  co_return transport;
}

}  // namespace weir::inline WEIR_ABI::detail
