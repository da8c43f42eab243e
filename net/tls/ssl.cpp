// SSLContext and create_default_context: the public face of TlsContext.
#include <weir/net/ssl.hpp>

#include "net/tls/context.hpp"
#include "net/tls/errors.hpp"

#include <openssl/err.h>

#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace {

// weir's flags and OpenSSL's.
constexpr std::pair<VerifyFlags, unsigned long> flag_pairs[] = {
    {VerifyFlags::crl_check_leaf, X509_V_FLAG_CRL_CHECK},
    {VerifyFlags::crl_check_chain, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL},
    {VerifyFlags::x509_strict, X509_V_FLAG_X509_STRICT},
    {VerifyFlags::partial_chain, X509_V_FLAG_PARTIAL_CHAIN},
};

TLSVersion version_or(long native, TLSVersion if_none) {
  return native == 0 ? if_none : static_cast<TLSVersion>(native);
}

}  // namespace

SSLContext::SSLContext(SSLProtocol protocol) : state_(std::make_shared<detail::TlsContext>(protocol)) {}

SSLProtocol SSLContext::protocol() const noexcept { return state_->protocol(); }
VerifyMode SSLContext::verify_mode() const noexcept { return state_->verify_mode(); }
void SSLContext::set_verify_mode(VerifyMode mode) { state_->set_verify_mode(mode); }
bool SSLContext::check_hostname() const noexcept { return state_->check_hostname(); }
void SSLContext::set_check_hostname(bool check) { state_->set_check_hostname(check); }

VerifyFlags SSLContext::verify_flags() const noexcept {
  const unsigned long native = X509_VERIFY_PARAM_get_flags(SSL_CTX_get0_param(state_->native()));
  VerifyFlags flags = VerifyFlags::verify_default;
  for (const auto& [flag, bits] : flag_pairs) {
    if ((native & bits) == bits) {
      flags = flags | flag;
    }
  }
  return flags;
}

void SSLContext::set_verify_flags(VerifyFlags flags) {
  X509_VERIFY_PARAM* const param = SSL_CTX_get0_param(state_->native());
  for (const auto& [flag, bits] : flag_pairs) {
    X509_VERIFY_PARAM_clear_flags(param, bits);
  }
  for (const auto& [flag, bits] : flag_pairs) {
    if (has_flag(flags, flag)) {
      X509_VERIFY_PARAM_set_flags(param, bits);
    }
  }
}

void SSLContext::load_verify_locations(const VerifyLocations& locations) { state_->add_locations(locations); }
void SSLContext::load_default_certs() { state_->add_system_authorities(); }
void SSLContext::load_cert_chain(const CertChain& chain) { state_->use_chain(chain); }

TLSVersion SSLContext::minimum_version() const noexcept {
  return version_or(SSL_CTX_get_min_proto_version(state_->native()), TLSVersion::tls1_2);
}
TLSVersion SSLContext::maximum_version() const noexcept {
  return version_or(SSL_CTX_get_max_proto_version(state_->native()), TLSVersion::tls1_3);
}
void SSLContext::set_minimum_version(TLSVersion version) {
  if (version > maximum_version()) {
    throw std::invalid_argument("set_minimum_version: above the maximum version");
  }
  SSL_CTX_set_min_proto_version(state_->native(), static_cast<int>(version));
}
void SSLContext::set_maximum_version(TLSVersion version) {
  if (version < minimum_version()) {
    throw std::invalid_argument("set_maximum_version: below the minimum version");
  }
  SSL_CTX_set_max_proto_version(state_->native(), static_cast<int>(version));
}

void SSLContext::set_ciphers(const std::string& ciphers) {
  ERR_clear_error();
  if (SSL_CTX_set_cipher_list(state_->native(), ciphers.c_str()) != 1) {
    throw detail::openssl_error("set_ciphers " + ciphers);
  }
}
void SSLContext::set_ciphersuites(const std::string& ciphersuites) {
  ERR_clear_error();
  if (SSL_CTX_set_ciphersuites(state_->native(), ciphersuites.c_str()) != 1) {
    throw detail::openssl_error("set_ciphersuites " + ciphersuites);
  }
}
std::vector<std::string> SSLContext::get_ciphers() const {
  std::vector<std::string> names;
  const STACK_OF(SSL_CIPHER)* const ciphers = SSL_CTX_get_ciphers(state_->native());
  for (int i = 0; i != sk_SSL_CIPHER_num(ciphers); ++i) {
    names.emplace_back(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i)));
  }
  return names;
}

void SSLContext::set_alpn_protocols(std::span<const std::string_view> protocols) {
  state_->set_alpn(protocols);
}
void SSLContext::set_sni_callback(
    detail::UniqueFunction<void(SSLObject& object, std::string_view server_name)> callback) {
  state_->set_server_name_callback(std::move(callback));
}
std::size_t SSLContext::num_tickets() const noexcept { return SSL_CTX_get_num_tickets(state_->native()); }
void SSLContext::set_num_tickets(std::size_t count) { state_->set_num_tickets(count); }
void SSLContext::set_keylog_filename(const std::string& path) { state_->set_keylog(path); }
const std::string& SSLContext::keylog_filename() const noexcept { return state_->keylog_filename(); }

SSLContext create_default_context(Purpose purpose, const VerifyLocations& trusted) {
  const bool is_client = purpose == Purpose::server_auth;
  SSLContext context(is_client ? SSLProtocol::tls_client : SSLProtocol::tls_server);
  if (!trusted.cafile.empty() || !trusted.capath.empty() || !trusted.cadata.empty()) {
    context.load_verify_locations(trusted);
  } else if (is_client) {
    context.load_default_certs();
  }
  if (const char* const path = std::getenv("SSLKEYLOGFILE"); path != nullptr && *path != '\0') {
    context.set_keylog_filename(path);
  }
  return context;
}

}  // namespace weir::inline WEIR_ABI
