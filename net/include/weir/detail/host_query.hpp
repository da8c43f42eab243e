// HostQuery: the host and port that somebody wants to connect to or listen on, until they are addresses.
#pragma once

#include <weir/config.hpp>
#include <weir/coro.hpp>
#include <weir/net/address.hpp>
#include <weir/net/resolver.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

class WEIR_API HostQuery {
 public:
  HostQuery() = default;
  // Copies the texts. An empty host means none.
  HostQuery(std::string_view host, ServiceName port, const AddrInfoOptions& options);

  // The address, when host and port are numbers and any family will do: nothing need be looked up.
  std::optional<Address> known_address() const;
  // What getaddrinfo answers, without repetitions; at least one. Throws what it throws. The query is used
  // until then.
  Coro<std::vector<Address>> look_up(EventLoop& loop) const;
  // "name:port", for errors.
  std::string to_string() const;

 private:
  ServiceName port() const noexcept { return port_.is_number() || port_.empty() ? port_ : port_text_; }

  std::string host_;
  std::string port_text_;
  ServiceName port_;  // its text is in port_text_
  AddrInfoOptions options_;
};

}  // namespace weir::inline WEIR_ABI::detail
