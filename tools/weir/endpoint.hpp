// Endpoint: what LISTEN and TARGET mean on the command line. Owns the syntax of addresses; it resolves no
// names and opens nothing.
#pragma once

#include <weir/net/address.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace program {

// One address of the command line: "tcp://127.0.0.1:8888", "tcp://[::1]:8888", "tcp://localhost:8888",
// "tls://localhost:8888", "udp://127.0.0.1:8888", "unix:///run/weir", or "unix://@name" for one of Linux's
// abstract namespace.
struct Endpoint {
  std::string host = {};  // numeric without brackets, or a name
  std::uint16_t port = 0;
  std::string path = {};  // of a Unix socket, as weir::Address::unix_path takes it; else empty

  bool is_udp = false;
  bool is_tls = false;

  bool is_unix() const noexcept { return !path.empty(); }
  // "tcp", "tls", "udp" or "unix".
  std::string_view scheme() const noexcept {
    return is_unix() ? "unix" : is_udp ? "udp" : is_tls ? "tls" : "tcp";
  }

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// Port 0 lets the system choose one: right for a server, meaningless for a target.
enum class PortZero : bool { refused, allowed };

// Only some verbs know what to do with datagrams.
enum class Udp : bool { refused, allowed };

// Reads the text strictly: nothing before, after or between that does not belong there. Throws
// std::invalid_argument with a text that says what is wrong and how to write it, without the address itself.
Endpoint parse_endpoint(std::string_view text, PortZero port_zero, Udp udp = Udp::refused);

// The other way: what parse_endpoint reads. The scheme of a Unix socket is its own.
std::string to_text(const weir::Address& address, std::string_view scheme = "tcp");
std::string to_text(const Endpoint& endpoint);

}  // namespace program
