// SSLObject, SSLSession, and certificates parsed.
#include <weir/net/ssl_object.hpp>

#include "net/tls/context.hpp"

#include <weir/detail/raw_address.hpp>
#include <weir/exceptions.hpp>
#include <weir/net/address.hpp>

#include <openssl/bn.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace weir::inline WEIR_ABI {

namespace detail {

namespace {

std::string text_of(const ASN1_STRING* string) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, string);
  std::string text;
  if (size > 0) {
    text.assign(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  }
  OPENSSL_free(utf8);
  return text;
}

Certificate::Names names_of(const X509_NAME* name) {
  Certificate::Names names;
  for (int i = 0; i != X509_NAME_entry_count(name); ++i) {
    const X509_NAME_ENTRY* const entry = X509_NAME_get_entry(name, i);
    const int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    names.emplace_back(OBJ_nid2ln(kind), text_of(X509_NAME_ENTRY_get_data(entry)));
  }
  return names;
}

std::chrono::system_clock::time_point time_of(const ASN1_TIME* time) {
  int days = 0;
  int seconds = 0;
  const std::unique_ptr<ASN1_TIME, Freed<&ASN1_TIME_free>> epoch(ASN1_TIME_set(nullptr, 0));
  if (ASN1_TIME_diff(&days, &seconds, epoch.get(), time) != 1) {
    return {};
  }
  return std::chrono::system_clock::time_point(std::chrono::hours(24) * days + std::chrono::seconds(seconds));
}

std::string text_of_address(const ASN1_OCTET_STRING* address) {
  RawAddress raw;
  const auto size = static_cast<std::size_t>(ASN1_STRING_length(address));
  const unsigned char* const data = ASN1_STRING_get0_data(address);
  if (size != 4 && size != 16) {
    return {};
  }
  raw.family = size == 4 ? AddressFamily::inet : AddressFamily::inet6;
  std::copy_n(data, size, raw.ip.begin());
  return Address(raw).host();
}

void add_alt_name(Certificate::Names& names, const GENERAL_NAME* name) {
  switch (name->type) {
    case GEN_DNS:
      names.emplace_back("DNS", text_of(name->d.dNSName));
      break;
    case GEN_EMAIL:
      names.emplace_back("email", text_of(name->d.rfc822Name));
      break;
    case GEN_URI:
      names.emplace_back("URI", text_of(name->d.uniformResourceIdentifier));
      break;
    case GEN_IPADD:
      names.emplace_back("IP Address", text_of_address(name->d.iPAddress));
      break;
    default:
      break;
  }
}

Certificate::Names alt_names_of(X509& certificate) {
  Certificate::Names names;
  const std::unique_ptr<GENERAL_NAMES, Freed<&GENERAL_NAMES_free>> found(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (found != nullptr) {
    for (int i = 0; i != sk_GENERAL_NAME_num(found.get()); ++i) {
      add_alt_name(names, sk_GENERAL_NAME_value(found.get(), i));
    }
  }
  return names;
}

std::string serial_of(X509& certificate) {
  const std::unique_ptr<BIGNUM, Freed<&BN_free>> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(&certificate), nullptr));
  char* const hex = number != nullptr ? BN_bn2hex(number.get()) : nullptr;
  std::string text = hex != nullptr ? hex : "";
  OPENSSL_free(hex);
  return text;
}

}  // namespace

Certificate parse_certificate(X509& certificate) {
  Certificate parsed;
  parsed.subject = names_of(X509_get_subject_name(&certificate));
  parsed.issuer = names_of(X509_get_issuer_name(&certificate));
  parsed.version = static_cast<int>(X509_get_version(&certificate)) + 1;
  parsed.serial_number = serial_of(certificate);
  parsed.not_before = time_of(X509_get0_notBefore(&certificate));
  parsed.not_after = time_of(X509_get0_notAfter(&certificate));
  parsed.subject_alt_name = alt_names_of(certificate);
  parsed.der = Bytes(static_cast<std::size_t>(i2d_X509(&certificate, nullptr)));
  auto* out = reinterpret_cast<unsigned char*>(parsed.der.data());
  i2d_X509(&certificate, &out);
  return parsed;
}

}  // namespace detail

// --- SSLSession

bool SSLSession::is_resumable() const noexcept {
  return SSL_SESSION_is_resumable(ticket_->session.get()) == 1;
}
std::chrono::seconds SSLSession::timeout() const noexcept {
  return std::chrono::seconds(SSL_SESSION_get_timeout(ticket_->session.get()));
}

// --- SSLObject

std::string SSLObject::version() const { return SSL_get_version(link_->ssl.get()); }

std::optional<Cipher> SSLObject::cipher() const {
  const SSL_CIPHER* const cipher = SSL_get_current_cipher(link_->ssl.get());
  if (cipher == nullptr) {
    return {};
  }
  return Cipher{SSL_CIPHER_get_name(cipher), SSL_CIPHER_get_version(cipher),
                SSL_CIPHER_get_bits(cipher, nullptr)};
}

std::optional<std::string> SSLObject::selected_alpn_protocol() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(link_->ssl.get(), &name, &size);
  if (size == 0) {
    return {};
  }
  return std::string(reinterpret_cast<const char*>(name), size);
}

std::optional<Certificate> SSLObject::getpeercert() const {
  X509* const certificate = SSL_get0_peer_certificate(link_->ssl.get());
  if (certificate == nullptr) {
    return {};
  }
  return detail::parse_certificate(*certificate);
}

bool SSLObject::is_verified() const noexcept {
  const SSL* const ssl = link_->ssl.get();
  return SSL_get0_peer_certificate(ssl) != nullptr && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE &&
         SSL_get_verify_result(ssl) == X509_V_OK;
}

bool SSLObject::session_reused() const noexcept { return SSL_session_reused(link_->ssl.get()) == 1; }

std::optional<SSLSession> SSLObject::session() const {
  auto ticket = std::make_shared<detail::TlsTicket>();
  ticket->session.reset(SSL_get1_session(link_->ssl.get()));
  if (ticket->session == nullptr) {
    return {};
  }
  return SSLSession(std::move(ticket));
}

std::string SSLObject::server_hostname() const {
  if (!link_->server_side) {
    return link_->server_hostname;
  }
  const char* const name = SSL_get_servername(link_->ssl.get(), TLSEXT_NAMETYPE_host_name);
  return name != nullptr ? name : "";
}

bool SSLObject::server_side() const noexcept { return link_->server_side; }
SSLContext SSLObject::context() const { return link_->context; }

void SSLObject::set_context(const SSLContext& context) const {
  if (!link_->in_sni_callback) {
    throw RuntimeError("set_context: only in the SNI callback");
  }
  if (!context.state()->is_server()) {
    throw std::invalid_argument("set_context: the context is a client's");
  }
  SSL* const ssl = link_->ssl.get();
  SSL_CTX* const native = context.state()->native();
  SSL_set_SSL_CTX(ssl, native);
  // What OpenSSL leaves as it was.
  SSL_set_verify(ssl, SSL_CTX_get_verify_mode(native), SSL_CTX_get_verify_callback(native));
  SSL_set_min_proto_version(ssl, static_cast<int>(context.minimum_version()));
  SSL_set_max_proto_version(ssl, static_cast<int>(context.maximum_version()));
  link_->context = context;
}

}  // namespace weir::inline WEIR_ABI
