// Connecting to a TARGET, whatever kind of address it is.
#pragma once

#include "tools/weir/endpoint.hpp"
#include "tools/weir/tls.hpp"

#include <weir/coro.hpp>
#include <weir/event_loop.hpp>
#include <weir/net/connect.hpp>
#include <weir/net/unix.hpp>
#include <weir/ref.hpp>

#include <utility>

namespace program {

// The protocol that `factory` makes, connected; by TLS with these settings if there are some. Throws what
// create_connection throws.
template <class Factory>
weir::Coro<weir::detail::ProtocolRef<Factory>> connect(weir::EventLoop& loop, Factory factory,
                                                       Endpoint target, TlsSettings tls,
                                                       weir::Duration timeout) {
  if (target.is_unix()) {
    weir::UnixConnectionOptions options;
    options.path = target.path;
    options.timeout = timeout;
    auto connection = co_await loop.create_unix_connection(std::move(factory), options);
    co_return std::move(connection.second);
  }
  weir::ConnectionOptions options;
  options.host = target.host;
  options.port = target.port;
  options.timeout = timeout;
  if (tls != nullptr) {
    options.ssl = tls.get();
    options.ssl_shutdown_timeout = timeout;
  }
  auto connection = co_await loop.create_connection(std::move(factory), options);
  co_return std::move(connection.second);
}

}  // namespace program
