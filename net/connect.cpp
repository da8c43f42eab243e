// create_connection and connect_accepted_socket, but for the templates around the protocol factory.
#include <weir/net/connect.hpp>

#include "net/begin_awaiter.hpp"
#include "net/os_error.hpp"
#include "net/scoped_timer.hpp"
#include "net/socket_access.hpp"
#include "net/stream_transport.hpp"
#include "runtime/loop_access.hpp"

#include <weir/exceptions.hpp>
#include <weir/net/sock_ops.hpp>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace weir::inline WEIR_ABI::detail {

namespace {

void bind_local(const weir::Socket& socket, const ConnectionPlan& plan, const Address& target) {
  if (!plan.local) {
    return;
  }
  if (plan.local->family() != target.family()) {
    throw os_error(-EADDRNOTAVAIL, "create_connection: local_addr " + plan.local->to_string() +
                                       " has another family than " + target.to_string());
  }
  socket.bind(*plan.local);
}

// One error for all attempts, as asyncio has it.
[[noreturn]] void throw_errors(const ConnectionPlan& plan, const std::vector<std::exception_ptr>& errors) {
  if (plan.all_errors) {
    throw ExceptionGroup(std::string(plan.call) + " failed", errors);
  }
  const auto as_system_error = [](const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::system_error& e) {
      return e;
    }
  };
  const std::system_error first = as_system_error(errors.front());
  std::string all;
  bool equal = true;
  for (const std::exception_ptr& error : errors) {
    const std::system_error one = as_system_error(error);
    equal = equal && std::string_view(one.what()) == first.what();
    all += (all.empty() ? "" : ", ") + std::string(one.what());
  }
  if (equal) {
    std::rethrow_exception(errors.front());
  }
  throw std::system_error(first.code(), std::string(plan.call) + ": multiple exceptions: " + all);
}

void set_no_delay(const weir::Socket& socket, const RawAddress& peer) noexcept {
  if (peer.family != AddressFamily::unix_domain) {
    Backend::Sockets::set_option(socket.native_handle(), SocketOption::no_delay, 1);
  }
}

}  // namespace

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
  ConnectionPlan plan;
  plan.local = options.local_addr;
  plan.all_errors = options.all_errors;
  if (options.timeout) {
    plan.deadline = add_clamped(loop.time(), *options.timeout);
  }
  if (options.sock != nullptr) {
    if (!options.host.empty() || options.port) {
      throw std::invalid_argument(
          "create_connection: host/port and sock can not be specified at the same time");
    }
    if (options.local_addr) {
      throw std::invalid_argument(
          "create_connection: local_addr and sock can not be specified at the same time");
    }
    check_stream_socket(*options.sock, "create_connection");
    plan.socket = std::move(*options.sock);
    return plan;
  }
  if (options.host.empty() && !options.port) {
    throw std::invalid_argument("create_connection: host and port was not specified and no sock specified");
  }
  const std::uint16_t port = options.port.value_or(0);
  if (options.host.empty()) {
    if (Backend::has(Capability::ipv6)) {
      plan.targets.push_back(Address::loopback(AddressFamily::inet6, port));
    }
    plan.targets.push_back(Address::loopback(AddressFamily::inet, port));
  } else if (const std::optional<Address> address = Address::parse(options.host, port)) {
    plan.targets.push_back(*address);
  } else {
    throw NotSupportedError("create_connection", "dns");
  }
  return plan;
}

Coro<weir::Socket> connect_socket(EventLoop& loop, ConnectionPlan& plan) {
  if (plan.socket.is_open()) {
    co_return std::move(plan.socket);
  }
  std::vector<std::exception_ptr> errors;
  for (const Address& target : plan.targets) {
    try {
      weir::Socket socket = weir::Socket::open(target.family());
      bind_local(socket, plan, target);
      ConnectAwaiter connecting(loop, socket, target, plan.call);
      const ScopedTimer limit(loop, plan.deadline, [&connecting] { connecting.time_out(); });
      co_await connecting;
      co_return std::move(socket);
    } catch (const std::system_error&) {
      errors.push_back(std::current_exception());
    }
  }
  throw_errors(plan, errors);
}

Coro<Ref<Transport>> start_transport(EventLoop& loop, weir::Socket socket, Ref<BaseProtocol> protocol) {
  RawAddress peer;
  Backend::Sockets::peer_address(socket.native_handle(), peer);
  set_no_delay(socket, peer);
  const Ref<StreamTransport> transport =
      StreamTransport::make(loop, socket, std::move(protocol), peer, copy_context(), nullptr);
  BeginAwaiter<StreamTransport> beginning(*transport, "create_connection");
  try {
    co_await beginning;
  } catch (...) {
    transport->abort();
    throw;
  }
  co_return transport;
}

}  // namespace weir::inline WEIR_ABI::detail
