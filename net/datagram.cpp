// create_datagram_endpoint: its options, its socket, and the start of its transport. The transport itself:
// datagram_endpoint.cpp.
#include <weir/net/datagram.hpp>

#include "net/begin_awaiter.hpp"
#include "net/datagram_endpoint.hpp"
#include "net/os_error.hpp"
#include "net/unix_file.hpp"
#include "runtime/loop_access.hpp"

#include <weir/exceptions.hpp>
#include <weir/net/sock_ops.hpp>

#include <cerrno>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

namespace {

constexpr const char* call_name = "create_datagram_endpoint";

[[noreturn]] void refuse(const std::string& why) {
  throw std::invalid_argument(std::string(call_name) + ": " + why);
}

void check_given_socket(const DatagramEndpointOptions& options) {
  std::string problems;
  const auto note = [&](bool is_set, const char* name) {
    if (is_set) {
      problems += (problems.empty() ? "" : ", ") + std::string(name);
    }
  };
  note(options.local_addr.has_value(), "local_addr");
  note(options.remote_addr.has_value(), "remote_addr");
  note(!options.remote_host.empty(), "remote_host");
  note(options.family != AddressFamily::unspecified, "family");
  note(options.reuse_port, "reuse_port");
  note(options.allow_broadcast, "allow_broadcast");
  if (!problems.empty()) {
    refuse("socket modifier options can not be used when sock is specified (" + problems + ")");
  }
  if (!options.sock->is_open()) {
    refuse("the socket is closed");
  }
  if (Backend::Sockets::type(options.sock->native_handle()) !=
      static_cast<std::int64_t>(SocketType::datagram)) {
    refuse("a datagram socket was expected");
  }
}

// The one family that all options agree on; unspecified when the addresses of a name decide.
AddressFamily family_of(const DatagramEndpointOptions& options) {
  AddressFamily family = options.family;
  for (const std::optional<Address>& address : {options.local_addr, options.remote_addr}) {
    if (!address) {
      continue;
    }
    if (address->family() == AddressFamily::unspecified) {
      refuse("an address is of no family");
    }
    if (family != AddressFamily::unspecified && address->family() != family) {
      refuse("local_addr, remote_addr and family are not of one family");
    }
    family = address->family();
  }
  if (family == AddressFamily::unspecified && options.remote_host.empty()) {
    refuse("unexpected address family: there is no local_addr, remote_addr, family or sock");
  }
  return family;
}

}  // namespace

EndpointPlan plan_endpoint(EventLoop& loop, const DatagramEndpointOptions& options) {
  LoopAccess::check_open(loop, call_name);
  if (options.reuse_address) {
    refuse("reuse_address is not supported: it would let other programs take datagrams from this one");
  }
  EndpointPlan plan;
  if (options.sock != nullptr) {
    check_given_socket(options);
    plan.socket = std::move(*options.sock);
    return plan;
  }
  if (options.remote_addr && !options.remote_host.empty()) {
    refuse("remote_addr and remote_host can not be specified at the same time");
  }
  plan.family = family_of(options);
  if (!options.remote_host.empty()) {
    if (plan.family == AddressFamily::unix_domain) {
      refuse("remote_host is not for Unix sockets");
    }
    plan.query = HostQuery(options.remote_host, options.remote_port,
                           {.family = plan.family, .type = SocketType::datagram});
  }
  plan.local = options.local_addr;
  plan.remote = options.remote_addr;
  plan.reuse_port = options.reuse_port;
  plan.allow_broadcast = options.allow_broadcast;
  if (plan.reuse_port && !Backend::has(Capability::reuse_port)) {
    refuse("reuse_port is not supported here");
  }
  if (plan.family == AddressFamily::unix_domain) {
    check_unix_support(plan.local ? plan.local->path() : std::string(), call_name);
  }
  return plan;
}

namespace {

Coro<weir::Socket> open_one(EventLoop& loop, const EndpointPlan& plan, AddressFamily family) {
  weir::Socket socket = weir::Socket::open(family, SocketType::datagram);
  if (plan.reuse_port) {
    socket.set_reuse_port();
  }
  if (plan.allow_broadcast) {
    socket.set_broadcast();
  }
  if (plan.local && family == AddressFamily::unix_domain) {
    bind_unix_path(socket, *plan.local, call_name);
  } else if (plan.local) {
    socket.bind(*plan.local);
  }
  // A socket that is connected to a broadcast address would not hear the answers.
  if (plan.remote && !plan.allow_broadcast) {
    ConnectAwaiter connecting(loop, socket, *plan.remote, call_name);
    co_await connecting;
  }
  co_return std::move(socket);
}

}  // namespace

Coro<weir::Socket> open_endpoint(EventLoop& loop, EndpointPlan& plan) {
  if (plan.socket.is_open()) {
    co_return std::move(plan.socket);
  }
  if (!plan.query) {
    co_return co_await open_one(loop, plan, plan.family);
  }
  const std::vector<Address> addresses = co_await plan.query->look_up(loop);
  std::exception_ptr first_error;
  for (const Address& address : addresses) {
    plan.remote = address;
    try {
      co_return co_await open_one(loop, plan, address.family());
    } catch (const std::system_error&) {
      if (first_error == nullptr) {
        first_error = std::current_exception();
      }
    }
  }
  std::rethrow_exception(first_error);
}

Coro<Ref<DatagramTransport>> start_endpoint(EventLoop& loop, weir::Socket socket,
                                            std::optional<Address> remote, Ref<BaseProtocol> protocol) {
  const Ref<DatagramEndpoint> endpoint =
      DatagramEndpoint::make(loop, socket, remote, std::move(protocol), copy_context());
  BeginAwaiter<DatagramEndpoint> beginning(*endpoint, call_name);
  co_await beginning;
  co_return endpoint;
}

}  // namespace weir::inline WEIR_ABI::detail
