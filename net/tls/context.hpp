// TlsContext: what an SSLContext is a handle of.
#pragma once

#include "net/tls/openssl.hpp"

#include <weir/net/ssl.hpp>

#include <exception>
#include <memory>
#include <mutex>
#include <string>

namespace weir::inline WEIR_ABI::detail {

class KeyLog;

// One connection as OpenSSL sees it. It outlives the connection in the hands of an SSLObject.
struct TlsLink : std::enable_shared_from_this<TlsLink> {
  explicit TlsLink(SSLContext settings) noexcept : context(std::move(settings)) {}

  SslPtr ssl;
  SSLContext context;          // the one of the moment
  SSLContext first = context;  // whose callbacks OpenSSL keeps
  std::string server_hostname;
  bool server_side = false;
  bool in_sni_callback = false;
  std::exception_ptr refusal;  // what a callback of the user threw inside OpenSSL
};

// What an SSLSession is a handle of.
struct TlsTicket {
  SessionPtr session;
};

class TlsContext {
 public:
  explicit TlsContext(SSLProtocol protocol);
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext();

  // A connection with these settings, and nothing to talk through yet.
  static std::shared_ptr<TlsLink> open(const SSLContext& settings);

  SSL_CTX* native() const noexcept { return native_.get(); }
  bool is_server() const noexcept { return protocol_ == SSLProtocol::tls_server; }
  // Can it show a certificate, or find a context that can?
  bool can_serve() const noexcept {
    return static_cast<bool>(on_server_name_) || SSL_CTX_get0_certificate(native()) != nullptr;
  }
  SSLProtocol protocol() const noexcept { return protocol_; }
  bool check_hostname() const noexcept { return check_hostname_; }
  VerifyMode verify_mode() const noexcept { return verify_mode_; }
  const std::string& keylog_filename() const noexcept { return keylog_filename_; }

  void set_verify_mode(VerifyMode mode);
  void set_check_hostname(bool check);
  void add_locations(const VerifyLocations& locations);
  void add_system_authorities();
  void use_chain(const CertChain& chain);
  void set_alpn(std::span<const std::string_view> protocols);
  void set_num_tickets(std::size_t count);
  void set_keylog(const std::string& path);
  using ServerNameCallback = UniqueFunction<void(SSLObject& object, std::string_view server_name)>;
  void set_server_name_callback(ServerNameCallback callback);

 private:
  static int select_alpn(SSL*, const unsigned char** chosen, unsigned char* length,
                         const unsigned char* offered, unsigned int offered_length, void* self) noexcept;
  static int server_named(SSL* ssl, int* alert, void* self) noexcept;
  static void log_key(const SSL* ssl, const char* line) noexcept;
  void add_pem(std::string_view text, const std::string& what);
  void apply_verify_mode() noexcept;

  const SSLProtocol protocol_;
  VerifyMode verify_mode_;
  bool check_hostname_;
  SslCtxPtr native_;
  std::string alpn_;  // as it goes over the wire
  std::string keylog_filename_;
  std::unique_ptr<KeyLog> keylog_;
  ServerNameCallback on_server_name_;
};

// What parsing makes of a certificate.
Certificate parse_certificate(X509& certificate);

}  // namespace weir::inline WEIR_ABI::detail
