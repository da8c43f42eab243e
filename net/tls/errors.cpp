// The category of TLS errors, and which of OpenSSL's many reasons means which of them.
#include "net/tls/errors.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

namespace weir::inline WEIR_ABI {

namespace {

class Category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "weir.tls"; }
  std::string message(int code) const override {
    switch (static_cast<TLSErrc>(code)) {
      case TLSErrc::certificate_expired:
        return "certificate verify failed: the certificate has expired";
      case TLSErrc::certificate_not_yet_valid:
        return "certificate verify failed: the certificate is not yet valid";
      case TLSErrc::certificate_self_signed:
        return "certificate verify failed: the certificate is self-signed";
      case TLSErrc::certificate_unknown_authority:
        return "certificate verify failed: its issuer is not trusted";
      case TLSErrc::certificate_revoked:
        return "certificate verify failed: the certificate is revoked";
      case TLSErrc::certificate_wrong_host:
        return "certificate verify failed: the certificate is of another host";
      case TLSErrc::certificate_rejected:
        return "certificate verify failed";
      case TLSErrc::certificate_missing:
        return "the peer did not show a certificate";
      case TLSErrc::truncated:
        return "the connection ended without a close notification";
      case TLSErrc::not_tls:
        return "what came is not TLS";
      case TLSErrc::alert_received:
        return "the peer ended the connection with an alert";
      case TLSErrc::handshake_failure:
        return "TLS handshake failed: nothing in common";
      case TLSErrc::protocol_error:
        return "the peer broke the rules of TLS";
      case TLSErrc::bad_certificate_file:
        return "unusable certificate or key";
      case TLSErrc::failure:
        return "TLS failed";
    }
    return "unknown TLS error " + std::to_string(code);
  }
};

TLSErrc code_of_verification(long result) {
  switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return TLSErrc::certificate_expired;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return TLSErrc::certificate_not_yet_valid;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return TLSErrc::certificate_self_signed;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
      return TLSErrc::certificate_unknown_authority;
    case X509_V_ERR_CERT_REVOKED:
      return TLSErrc::certificate_revoked;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return TLSErrc::certificate_wrong_host;
    default:
      return TLSErrc::certificate_rejected;
  }
}

TLSErrc code_of_reason(int reason, TLSErrc otherwise) {
  switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_RECORD_LENGTH_MISMATCH:
    case SSL_R_RECORD_TOO_SMALL:
      return TLSErrc::not_tls;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return TLSErrc::certificate_missing;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return TLSErrc::handshake_failure;
    default:
      return reason >= SSL_AD_REASON_OFFSET ? TLSErrc::alert_received : otherwise;
  }
}

}  // namespace

const std::error_category& tls_category() noexcept {
  static const Category category;
  return category;
}

namespace detail {

std::system_error openssl_error(const std::string& what, TLSErrc otherwise) {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  std::string text = what;
  TLSErrc code = otherwise;
  if (error != 0) {
    const char* const reason = ERR_reason_error_string(error);
    text += std::string(": ") + (reason != nullptr ? reason : "error " + std::to_string(error));
    if (ERR_GET_LIB(error) == ERR_LIB_SSL) {
      code = code_of_reason(ERR_GET_REASON(error), otherwise);
    }
  }
  return {make_error_code(code), text};
}

std::system_error connection_error(const SSL* ssl, const std::string& what) {
  const unsigned long error = ERR_peek_error();
  const long result = SSL_get_verify_result(ssl);
  if (ERR_GET_LIB(error) != ERR_LIB_SSL || ERR_GET_REASON(error) != SSL_R_CERTIFICATE_VERIFY_FAILED ||
      result == X509_V_OK) {
    return openssl_error(what, TLSErrc::protocol_error);
  }
  ERR_clear_error();
  return {make_error_code(code_of_verification(result)), what + ": " + X509_verify_cert_error_string(result)};
}

}  // namespace detail
}  // namespace weir::inline WEIR_ABI
