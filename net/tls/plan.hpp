// TlsPlan: the options of a connection that is to be encrypted, checked.
#pragma once

#include <weir/handle.hpp>
#include <weir/net/ssl.hpp>

#include <memory>
#include <string>

namespace weir::inline WEIR_ABI::detail {

struct TlsPlan {
  SSLContext context;
  bool server_side;
  std::string server_hostname;
  Duration handshake_timeout;
  Duration shutdown_timeout;
  std::shared_ptr<TlsTicket> session;
};

}  // namespace weir::inline WEIR_ABI::detail
