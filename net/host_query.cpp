// HostQuery: from host and port to addresses.
#include <weir/detail/host_query.hpp>

#include <weir/event_loop.hpp>

#include <algorithm>

namespace weir::inline WEIR_ABI::detail {

HostQuery::HostQuery(std::string_view host, ServiceName port, const AddrInfoOptions& options)
    : host_(host), port_text_(port.text()), port_(port), options_(options) {}

std::optional<Address> HostQuery::known_address() const {
  const bool is_number = port_.empty() || (port_.is_number() && port_.number() >= 0);
  if (host_.empty() || !is_number || options_.family != AddressFamily::unspecified) {
    return std::nullopt;
  }
  return Address::parse(host_, static_cast<std::uint16_t>(port_.number()));
}

Coro<std::vector<Address>> HostQuery::look_up(EventLoop& loop) const {
  const std::optional<std::string_view> host =
      host_.empty() ? std::nullopt : std::optional<std::string_view>(host_);
  const std::vector<AddrInfo> answers = co_await loop.getaddrinfo(host, port(), options_);
  std::vector<Address> addresses;
  for (const AddrInfo& answer : answers) {
    if (std::find(addresses.begin(), addresses.end(), answer.address) == addresses.end()) {
      addresses.push_back(answer.address);
    }
  }
  co_return addresses;
}

std::string HostQuery::to_string() const {
  const std::string port = port_.is_number() ? std::to_string(port_.number()) : port_text_;
  return (host_.empty() ? "(this machine)" : host_) + (port.empty() ? "" : ':' + port);
}

}  // namespace weir::inline WEIR_ABI::detail
