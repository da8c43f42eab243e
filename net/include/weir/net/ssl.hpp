// SSLContext: the settings that TLS connections share (Python's ssl.SSLContext).
//
// Safe by default: TLS 1.2 at least, no compression, no renegotiation; a client trusts the system's
// authorities and verifies certificate and host name. What is weaker is said by a call of its own.
#pragma once

#include <weir/bytes.hpp>
#include <weir/config.hpp>
#include <weir/detail/callback.hpp>
#include <weir/net/ssl_error.hpp>
#include <weir/net/ssl_object.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::inline WEIR_ABI {

// Which side of a connection a context is for (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER).
enum class SSLProtocol : std::uint8_t { tls_client, tls_server };

// What certificates are for (ssl.Purpose): server_auth makes a client, which authenticates servers.
enum class Purpose : std::uint8_t { server_auth, client_auth };

// A version of the protocol (ssl.TLSVersion). Older ones than these are not offered.
enum class TLSVersion : std::uint16_t { tls1_2 = 0x0303, tls1_3 = 0x0304 };

// Is the peer's certificate asked for, and must there be one (ssl.VerifyMode)? A certificate that comes is
// verified under both of the last two. A client always gets one, so for it those two mean the same.
enum class VerifyMode : std::uint8_t { cert_none, cert_optional, cert_required };

// What verifying does in addition (ssl.VerifyFlags), to be combined with |.
enum class VerifyFlags : std::uint32_t {
  verify_default = 0,
  crl_check_leaf = 1,   // the peer's certificate must be covered by a revocation list, and not be on it
  crl_check_chain = 2,  // all certificates of the chain; includes crl_check_leaf
  x509_strict = 4,      // no tolerance for certificates that break the rules of RFC 5280
  partial_chain = 8,    // any certificate that is trusted ends the chain, not only self-signed ones
};
constexpr VerifyFlags operator|(VerifyFlags a, VerifyFlags b) noexcept {
  return static_cast<VerifyFlags>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
// Does `flags` contain one of `wanted`?
constexpr bool has_flag(VerifyFlags flags, VerifyFlags wanted) noexcept {
  return (static_cast<std::uint32_t>(flags) & static_cast<std::uint32_t>(wanted)) != 0;
}

// Where authorities and revocation lists come from. Everything is in PEM; `cadata` is the text itself.
struct VerifyLocations {
  std::string_view cafile = {};
  std::string_view capath = {};  // a folder with files named by OpenSSL's `rehash`
  std::string_view cadata = {};
};

// A certificate, those that vouch for it, and its key, in PEM: as files, or as the text itself.
struct CertChain {
  std::string_view certfile = {};
  std::string_view keyfile = {};  // empty: the key is in certfile
  std::string_view certdata = {};
  std::string_view keydata = {};   // empty: the key is in certdata
  std::string_view password = {};  // of an encrypted key
};

// A handle: copies share one context, which connections keep as long as they live. Set it up first and change
// it no more: then any number of loops on any threads may use it at once. What setting up throws:
// std::invalid_argument for what makes no sense, std::system_error with the error of the system for a file
// that cannot be read, and with a TLSErrc for what OpenSSL refuses. A moved-from one may only be assigned to
// or destroyed.
class WEIR_API SSLContext {
 public:
  // A client's verifies (cert_required, check_hostname) but trusts nobody yet; a server's asks for no
  // certificate. create_default_context() also loads what to trust.
  explicit SSLContext(SSLProtocol protocol);

  SSLProtocol protocol() const noexcept;

  // --- Who is trusted

  // Is the peer's certificate required (verify_mode)? Setting cert_none while the host name is checked throws
  // std::invalid_argument.
  VerifyMode verify_mode() const noexcept;
  void set_verify_mode(VerifyMode mode);
  // Must the certificate be that of server_hostname (check_hostname)? Turning it on requires the certificate,
  // too. Turning it off lets any holder of any trusted certificate pose as the server.
  bool check_hostname() const noexcept;
  void set_check_hostname(bool check);
  // What verifying does in addition (verify_flags).
  VerifyFlags verify_flags() const noexcept;
  void set_verify_flags(VerifyFlags flags);
  // Adds authorities and revocation lists (load_verify_locations); at least one place must be given. A
  // revocation list turns crl_check_leaf on. Throws for a file or text without either.
  void load_verify_locations(const VerifyLocations& locations);
  // Adds the system's authorities (load_default_certs): those of SSL_CERT_FILE and SSL_CERT_DIR or else of
  // OpenSSL's folder, on Windows its stores.
  void load_default_certs();

  // --- Who this side is

  // Sets the certificate that is shown to the peer (load_cert_chain). Throws when key and certificate do not
  // belong together.
  void load_cert_chain(const CertChain& chain);

  // --- What is agreed on

  // The versions that are offered (minimum_version, maximum_version): TLS 1.2 to TLS 1.3 at first.
  TLSVersion minimum_version() const noexcept;
  TLSVersion maximum_version() const noexcept;
  void set_minimum_version(TLSVersion version);
  void set_maximum_version(TLSVersion version);
  // The ciphers of TLS 1.2, in OpenSSL's notation (set_ciphers), and those of TLS 1.3 (set_ciphersuites).
  void set_ciphers(const std::string& ciphers);
  void set_ciphersuites(const std::string& ciphersuites);
  // The names of all that are offered, in order of preference (get_ciphers).
  std::vector<std::string> get_ciphers() const;
  // Protocols above TLS, by preference (set_alpn_protocols); a server takes the first of its own that the
  // client has too, and none when there is none. Names have 1 to 255 bytes.
  void set_alpn_protocols(std::span<const std::string_view> protocols);
  // A server calls this when a client says hello (sni_callback): `server_name` is whom it wants, empty when
  // it does not say. object.set_context() chooses another context. What it throws refuses the client. Called
  // on the loop's thread, in the middle of a handshake: it may not close or start anything.
  void set_sni_callback(
      detail::UniqueFunction<void(SSLObject& object, std::string_view server_name)> callback);

  // --- Resumption

  // How many tickets a server gives a client of TLS 1.3 to come back with (num_tickets): 2 at first; 0 turns
  // resumption off. TLS 1.2 clients get one or none.
  std::size_t num_tickets() const noexcept;
  void set_num_tickets(std::size_t count);

  // --- Debugging

  // Appends the secrets of each connection to a file, by which others can decrypt it (keylog_filename): for
  // debugging alone. Empty: no more.
  void set_keylog_filename(const std::string& path);
  const std::string& keylog_filename() const noexcept;

  friend bool operator==(const SSLContext& a, const SSLContext& b) noexcept { return a.state_ == b.state_; }

  // For weir's own rooms.
  const std::shared_ptr<detail::TlsContext>& state() const noexcept { return state_; }
  explicit SSLContext(std::shared_ptr<detail::TlsContext> state) noexcept : state_(std::move(state)) {}

 private:
  std::shared_ptr<detail::TlsContext> state_;
};

// A context with the recommended settings (ssl.create_default_context): for Purpose::server_auth a client's
// that trusts `trusted`, or the system's authorities when nothing is given there; for Purpose::client_auth a
// server's, which asks for no certificate, and trusts `trusted` if it is told to ask. Secrets go to the file
// that SSLKEYLOGFILE names, if that is set.
WEIR_API SSLContext create_default_context(Purpose purpose = Purpose::server_auth,
                                           const VerifyLocations& trusted = {});

namespace extra {

// The settings of a TLS connection ('sslcontext').
struct sslcontext {
  using type = SSLContext;
  static constexpr std::string_view name = "sslcontext";
};

}  // namespace extra

}  // namespace weir::inline WEIR_ABI
