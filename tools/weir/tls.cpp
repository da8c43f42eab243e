// The settings of TLS.
#include "tools/weir/tls.hpp"

#include <weir/net/ssl.hpp>
#include <weir/net/ssl_object.hpp>
#include <weir/net/transport.hpp>

#include <cstdio>
#include <string_view>

namespace program {

namespace {

void set_protocols(weir::SSLContext& context, const std::vector<std::string>& names) {
  const std::vector<std::string_view> views(names.begin(), names.end());
  if (!views.empty()) {
    context.set_alpn_protocols(views);
  }
}

// "CN=host, issued by CN=authority" of who shows a certificate.
std::string describe(const weir::Certificate& certificate) {
  const auto name_of = [](const weir::Certificate::Names& names) -> std::string {
    for (const auto& [kind, value] : names) {
      if (kind == "commonName") {
        return value;
      }
    }
    return "nobody";
  };
  return name_of(certificate.subject) + ", issued by " + name_of(certificate.issuer);
}

}  // namespace

TlsSettings listening_settings(const ListeningTls& tls) {
  weir::VerifyLocations trusted;
  trusted.cafile = tls.client_authorities;
  weir::SSLContext context = weir::create_default_context(weir::Purpose::client_auth, trusted);
  weir::CertChain chain;
  chain.certfile = tls.certificate;
  chain.keyfile = tls.key;
  context.load_cert_chain(chain);
  if (!tls.client_authorities.empty()) {
    context.set_verify_mode(weir::VerifyMode::cert_required);
  }
  set_protocols(context, tls.protocols);
  return std::make_shared<const weir::SSLContext>(std::move(context));
}

TlsSettings connecting_settings(const ConnectingTls& tls, const char* verb) {
  weir::VerifyLocations trusted;
  trusted.cafile = tls.authorities;
  weir::SSLContext context = weir::create_default_context(weir::Purpose::server_auth, trusted);
  if (tls.insecure) {
    context.set_check_hostname(false);
    context.set_verify_mode(weir::VerifyMode::cert_none);
    std::fprintf(
        stderr,
        "weir %s: WARNING: --insecure: neither the certificate nor the host name is verified; whoever\n"
        "weir %s: WARNING: stands in between can pose as the server, read everything and change it\n",
        verb, verb);
  }
  if (!tls.certificate.empty()) {
    weir::CertChain chain;
    chain.certfile = tls.certificate;
    chain.keyfile = tls.key;
    context.load_cert_chain(chain);
  }
  set_protocols(context, tls.protocols);
  return std::make_shared<const weir::SSLContext>(std::move(context));
}

void tell_tls(const weir::Transport& transport, const char* verb) {
  const std::optional<weir::SSLObject> object = transport.get_extra_info<weir::extra::ssl_object>();
  if (!object) {
    return;
  }
  const std::optional<weir::Cipher> cipher = object->cipher();
  const std::string protocol = object->selected_alpn_protocol().value_or("none");
  const std::optional<weir::Certificate> certificate = object->getpeercert();
  std::fprintf(stderr, "weir %s: %s, %s, protocol: %s, certificate: %s%s\n", verb, object->version().c_str(),
               cipher ? cipher->name.c_str() : "no cipher", protocol.c_str(),
               certificate ? describe(*certificate).c_str() : "none",
               object->is_verified() ? "" : " (not verified)");
}

}  // namespace program
