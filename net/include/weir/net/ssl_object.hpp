// SSLObject: what can be asked of one TLS connection (Python's ssl.SSLObject), its certificate and session,
// and the keys of get_extra_info that give them.
#pragma once

#include <weir/bytes.hpp>
#include <weir/config.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline WEIR_ABI {

class SSLContext;

namespace detail {
class TlsContext;
struct TlsLink;
struct TlsTicket;
}  // namespace detail

// What a connection is encrypted with (SSLSocket.cipher()).
struct Cipher {
  std::string name;      // OpenSSL's: "TLS_AES_256_GCM_SHA384"
  std::string protocol;  // the version that defined it: "TLSv1.3"
  int secret_bits = 0;
  friend bool operator==(const Cipher&, const Cipher&) = default;
};

// A certificate, parsed (the dictionary of SSLSocket.getpeercert()).
struct Certificate {
  using Names = std::vector<std::pair<std::string, std::string>>;
  Names subject;  // ("commonName", "example.org") and so on, in the certificate's order
  Names issuer;
  int version = 0;            // 3
  std::string serial_number;  // hexadecimal
  std::chrono::system_clock::time_point not_before;
  std::chrono::system_clock::time_point not_after;
  Names subject_alt_name;  // ("DNS", "example.org"), ("IP Address", "192.0.2.1"), ("email", …), ("URI", …)
  Bytes der;               // all of it, as it came (getpeercert(binary_form=True))
};

// What a client keeps of a connection to resume it in the next one (ssl.SSLSession): an option of
// create_connection. A handle; copies share the session. Any thread.
class WEIR_API SSLSession {
 public:
  // Can it be resumed, as far as this side knows (has_ticket, or an id)?
  bool is_resumable() const noexcept;
  // For how long the server will know it.
  std::chrono::seconds timeout() const noexcept;

  // For weir's own rooms.
  explicit SSLSession(std::shared_ptr<detail::TlsTicket> ticket) noexcept : ticket_(std::move(ticket)) {}
  const std::shared_ptr<detail::TlsTicket>& ticket() const noexcept { return ticket_; }

 private:
  std::shared_ptr<detail::TlsTicket> ticket_;
};

// A handle, which may outlive the connection. Loop's thread.
class WEIR_API SSLObject {
 public:
  // "TLSv1.3" (version).
  std::string version() const;
  // What was agreed on; nothing before the handshake (cipher).
  std::optional<Cipher> cipher() const;
  // What ALPN chose, if it did (selected_alpn_protocol).
  std::optional<std::string> selected_alpn_protocol() const;
  // The peer's certificate, whether it was verified or not (getpeercert); nothing when it showed none.
  // extra::peercert gives verified ones only.
  std::optional<Certificate> getpeercert() const;
  // Was it verified: asked for, shown, and trusted?
  bool is_verified() const noexcept;
  // Was an earlier session taken up (session_reused)?
  bool session_reused() const noexcept;
  // To come back with; good after the first bytes have come, because TLS 1.3 brings tickets with them
  // (session).
  std::optional<SSLSession> session() const;
  // Whom the client asked for, as it was given (server_hostname); a server's is what the client said.
  std::string server_hostname() const;
  // Is this the server's side (server_side)?
  bool server_side() const noexcept;
  // The settings it uses (context); to be set in the SNI callback alone, to those of a server. Throws
  // RuntimeError elsewhere.
  SSLContext context() const;
  void set_context(const SSLContext& context) const;

  // For weir's own rooms.
  explicit SSLObject(std::shared_ptr<detail::TlsLink> link) noexcept : link_(std::move(link)) {}

 private:
  std::shared_ptr<detail::TlsLink> link_;
};

// What TLS adds to get_extra_info, from connection_made to connection_lost.
namespace extra {

// The connection itself ('ssl_object').
struct ssl_object {
  using type = SSLObject;
  static constexpr std::string_view name = "ssl_object";
};

// The certificate of the other side, when it was verified ('peercert').
struct peercert {
  using type = Certificate;
  static constexpr std::string_view name = "peercert";
};

// What it is encrypted with ('cipher').
struct cipher {
  using type = Cipher;
  static constexpr std::string_view name = "cipher";
};

// How it is compressed: never, so the text is empty ('compression').
struct compression {
  using type = std::string;
  static constexpr std::string_view name = "compression";
};

// The protocol that ALPN chose, if it did.
struct alpn {
  using type = std::string;
  static constexpr std::string_view name = "alpn";
};

}  // namespace extra

}  // namespace weir::inline WEIR_ABI
