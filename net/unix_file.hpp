// The files of Unix sockets, for whoever binds one to a path.
#pragma once

#include <weir/net/address.hpp>
#include <weir/net/socket.hpp>

#include <string_view>

namespace weir::inline WEIR_ABI::detail {

// Binds the socket to its path or abstract name, in place of what a socket that is gone has left there.
// `call` is for errors. Throws std::system_error.
void bind_unix_path(const weir::Socket& socket, const Address& address, const char* call);
// Throws NotSupportedError unless the backend has Unix sockets, and abstract names where this is one.
void check_unix_support(std::string_view path, const char* call);

}  // namespace weir::inline WEIR_ABI::detail
