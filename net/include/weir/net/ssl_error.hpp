// Why a TLS connection failed: the codes that the errors of TLS carry (Python's ssl.SSLError and relatives).
#pragma once

#include <weir/config.hpp>

#include <system_error>
#include <type_traits>

#if !WEIR_HAS_TLS
#error "this weir was built without TLS: configure it with -Dtls=true"
#endif

namespace weir::inline WEIR_ABI {

// The code of a std::system_error, whose text adds what OpenSSL says. A certificate that is refused has one
// of the first codes, the most telling one.
enum class TLSErrc : int {
  certificate_expired = 1,        // of the peer, or one that vouches for it
  certificate_not_yet_valid,      // the same
  certificate_self_signed,        // nobody vouches for it, or a root that is not trusted here
  certificate_unknown_authority,  // the certificate of its issuer is not trusted here, or missing
  certificate_revoked,            // by a certificate revocation list that was loaded
  certificate_wrong_host,         // it is somebody else's: the name or the IP address does not match
  certificate_rejected,           // for any other reason, which the text names
  certificate_missing,            // the peer showed none, and one is required
  truncated,                      // the connection ended without the peer's close notification
  not_tls,                        // what came is not a TLS record
  alert_received,                 // the peer ended the connection with an alert, which the text names
  handshake_failure,              // the two sides could not agree: no common version, cipher or protocol
  protocol_error,                 // the peer broke the rules of TLS
  bad_certificate_file,           // a file or text of certificates or keys could not be read as such
  failure,                        // anything else that OpenSSL reports
};

// The category of TLSErrc; its name is "weir.tls". Any thread.
WEIR_API const std::error_category& tls_category() noexcept;
// Makes std::error_code(TLSErrc::…) work. Any thread.
inline std::error_code make_error_code(TLSErrc code) noexcept {
  return {static_cast<int>(code), tls_category()};
}

}  // namespace weir::inline WEIR_ABI

template <>
struct std::is_error_code_enum<weir::TLSErrc> : std::true_type {};
