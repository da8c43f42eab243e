// The facts that every transport on a socket can tell of it.
#pragma once

#include "backends/chosen.hpp"

#include <weir/net/extra.hpp>

#include <optional>
#include <string_view>
#include <utility>

namespace weir::inline WEIR_ABI::detail {

// Answers BaseTransport::find_extra_info.
template <class T>
void store_extra(void* out, T value) {
  static_cast<std::optional<T>*>(out)->emplace(std::move(value));
}

// `peer` may be of family unspecified; `native` is invalid_socket when the socket is gone.
inline void find_socket_info(std::string_view key, void* value, native_socket native,
                             const RawAddress& peer) {
  if (key == extra::peername::name) {
    if (peer.family != AddressFamily::unspecified) {
      store_extra(value, Address(peer));
    }
  } else if (native == invalid_socket) {
    return;
  } else if (key == extra::sockname::name) {
    RawAddress own;
    if (Backend::Sockets::local_address(native, own) >= 0 && own.family != AddressFamily::unspecified) {
      store_extra(value, Address(own));
    }
  } else if (key == extra::socket::name) {
    store_extra(value, SocketView(native));
  }
}

}  // namespace weir::inline WEIR_ABI::detail
