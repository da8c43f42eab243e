// Turning what OpenSSL reports into exceptions.
#pragma once

#include <weir/net/ssl_error.hpp>

#include <string>
#include <system_error>

using SSL = struct ssl_st;

namespace weir::inline WEIR_ABI::detail {

// The first error in OpenSSL's queue of this thread, which is empty afterwards. `what` names the call.
std::system_error openssl_error(const std::string& what, TLSErrc otherwise = TLSErrc::failure);
// The same of a connection: a certificate that was refused gives the reason.
std::system_error connection_error(const SSL* ssl, const std::string& what);

}  // namespace weir::inline WEIR_ABI::detail
