// The keys of get_extra_info (asyncio names them by strings): each names a fact about a connection and its
// type.
#pragma once

#include <weir/config.hpp>
#include <weir/net/address.hpp>
#include <weir/net/socket.hpp>

#include <string_view>

namespace weir::inline WEIR_ABI::extra {

// The address of the other side; still known in connection_lost and later ('peername').
struct peername {
  using type = Address;
  static constexpr std::string_view name = "peername";
};

// The address of this side, while the socket is open, which it is in connection_lost ('sockname').
struct sockname {
  using type = Address;
  static constexpr std::string_view name = "sockname";
};

// Who is at the other end of a Unix connection, while the socket is open.
struct peercred {
  using type = PeerCredentials;
  static constexpr std::string_view name = "peercred";
};

// The descriptor of a pipe's transport, while it is open ('pipe'). Do not read, write or close it.
struct pipe {
  using type = native_socket;
  static constexpr std::string_view name = "pipe";
};

// The transport's socket, to look at and to set options on, while it is open ('socket'). Do not read, write
// or close it.
struct socket {
  using type = SocketView;
  static constexpr std::string_view name = "socket";
};

}  // namespace weir::inline WEIR_ABI::extra
